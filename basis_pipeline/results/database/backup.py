"""Backups: the database and every run's directory in one tar file, checked by hashes.

`manifest.json` comes first and has the hash of all else: the database as `dump` writes it, and the
files of the runs. A backup restores into a database of the kind it came from.
"""

import json
import re
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from basis_pipeline.errors import ResultsError
from basis_pipeline.files import file_sha256, sha256
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.connection import place
from basis_pipeline.results.database.dump import FILES, dump_database
from basis_pipeline.results.database.migration import revisions
from basis_pipeline.results.database.restoring import (
    BACKUPS,
    RESTORING,
    STAGED,
    finish_restore,
    remove_leftovers,
)
from basis_pipeline.results.database.runs import RunRecord, runs
from basis_pipeline.results.database.tables import RECORDED
from basis_pipeline.results.store import SUMMARY, VERDICTS, verdicts_hash

MANIFEST = "manifest.json"
FORMAT = 2
NAME = "results-{:%Y%m%dT%H%M%S.%fZ}.tar"
_MEMBER = re.compile(rf"{'|'.join(map(re.escape, FILES.values()))}|runs/[0-9a-f]{{16}}/[a-z_.]+")


def backup(archive: Archive, directory: Path | None = None, *, keep: int | None = None) -> Path:
    """Write a backup into `directory`, read it back, then remove all but the newest `keep`.

    Parameters
    ----------
    directory: of the backups; `backups` below the results when not given.

    Raises
    ------
    ResultsError: RS-001 when it cannot be written, RS-002 or RS-003 when a run's files are not what
        was recorded, RS-010 when it does not read back; and as `Archive.start`.
    """
    directory = (directory or archive.directory / BACKUPS).absolute()
    archive.start()
    name = NAME.format(datetime.now(UTC))
    partial, database = directory / f".{name}.partial", directory / f".{name}.database"
    with _writing(directory), archive.alone():
        directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(directory.glob(".results-*"))
        try:
            dump_database(archive.engine, database)
            _pack(archive, database, partial)
            with partial.open("rb") as written:
                for _ in _verified(partial, written, archive):
                    pass
            made = partial.rename(directory / name)
        finally:
            partial.unlink(missing_ok=True)
            database.unlink(missing_ok=True)
        for old in backups(directory)[:-keep] if keep else ():
            old.unlink()
    return made


def backups(directory: Path) -> list[Path]:
    """Return the backups in a directory, oldest first."""
    return sorted(directory.glob(NAME.partition("{")[0] + "*.tar"))


def restore(file: Path, archive: Archive, *, overwrite: bool = False) -> list[RunRecord]:
    """Put back what a backup holds, rows and files; the runs that are there then.

    Everything is unpacked and checked before anything is touched. Killed after that, the next start
    finishes it. `overwrite`: what the place holds is replaced as a whole.

    Raises
    ------
    ResultsError: RS-010 when the backup is damaged, none, or of another kind of database, RS-011
        when the place holds results and `overwrite` was not given, RS-001 when it cannot be
        written; and as `Archive.start`.
    """
    archive.start()
    staged = archive.directory / f"{STAGED}{secrets.token_hex(4)}"
    restoring = archive.directory / RESTORING
    with _writing(archive.directory), archive.alone():
        if not overwrite:
            _require_empty(archive)
        try:
            _unpack(file, staged, archive)
            staged.rename(restoring)
            finish_restore(archive.engine, archive.directory)
        except ResultsError:
            # The database was not replaced, and everything is as it was.
            shutil.rmtree(restoring, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return runs(archive.engine)


def _pack(archive: Archive, database: Path, partial: Path) -> None:
    kind = archive.engine.dialect.name
    hashes, paths = {FILES[kind]: file_sha256(database)}, {FILES[kind]: database}
    recorded = runs(archive.engine, status=RECORDED)
    for record in recorded:
        files = {name: entry["sha256"] for name, entry in json.loads(record.files).items()}
        files[SUMMARY] = record.summary_sha256
        if judged := verdicts_hash(Path(record.path)):
            files[VERDICTS] = judged
        for name, digest in files.items():
            hashes[f"runs/{record.run_id}/{name}"] = digest
            paths[f"runs/{record.run_id}/{name}"] = Path(record.path) / name
    manifest = {
        "format": FORMAT,
        "created_at": datetime.now(UTC).isoformat(),
        "database": kind,
        "revision": revisions()[-1],
        "runs": len(recorded),
        "files": hashes,
    }
    head = partial.with_name(f".{MANIFEST}")
    with tarfile.open(partial, "w") as tar:
        head.write_text(json.dumps(manifest, indent=1), "utf-8")
        tar.add(head, MANIFEST)
        head.unlink()
        for name, path in paths.items():
            if not path.is_file():
                raise ResultsError("RS-003", f"{path.name} is missing", where=str(path))
            if file_sha256(path) != hashes[name]:
                what = f"{path.name} does not match its recorded hash"
                raise ResultsError("RS-003", what, where=str(path))
            tar.add(path, name)


def _verified(file: Path, opened: IO[bytes], archive: Archive) -> Iterator[tuple[str, bytes]]:
    """Read the members of a backup one after the other, each held against the manifest."""
    kind = archive.engine.dialect.name
    try:
        with tarfile.open(fileobj=opened, mode="r|") as tar:
            members = iter(tar)
            manifest = json.loads(_read(tar, next(members, None)))
            hashes = dict(manifest["files"])
            if manifest["format"] != FORMAT or manifest["revision"] not in revisions():
                raise _damaged(file, "another version of the project has made it")
            if manifest["database"] != kind:
                raise _damaged(file, f"it is of {manifest['database']}, the database is {kind}")
            for member in members:
                content = _read(tar, member)
                if not _MEMBER.fullmatch(member.name):
                    raise _damaged(file, f"it has no place for {member.name}")
                if sha256(content) != hashes.pop(member.name, ""):
                    raise _damaged(file, f"{member.name} does not match its hash")
                yield member.name, content
    except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise _damaged(file, str(error)) from error
    if hashes:
        raise _damaged(file, f"it lacks {len(hashes)} files, such as {next(iter(hashes))}")


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo | None) -> bytes:
    opened = tar.extractfile(member) if member else None
    return opened.read() if opened else b""


def _damaged(file: Path, why: str) -> ResultsError:
    return ResultsError("RS-010", f"the backup cannot be restored: {why}", where=str(file))


def _unpack(file: Path, staged: Path, archive: Archive) -> None:
    try:
        opened = file.open("rb")
    except OSError as error:
        raise _damaged(file, error.strerror or str(error)) from error
    with opened:
        for name, content in _verified(file, opened, archive):
            target = staged / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    (staged / "runs").mkdir(exist_ok=True)


def _require_empty(archive: Archive) -> None:
    recorded = len(runs(archive.engine))
    files = archive.runs.is_dir() and any(archive.runs.iterdir())
    if recorded or files:
        where = str(archive.runs) if files else place(archive.engine)
        raise ResultsError("RS-011", f"there are results already: {recorded} runs", where=where)


@contextmanager
def _writing(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"the backup cannot be written or restored: {error.strerror or error}"
        raise ResultsError("RS-001", what, where=str(error.filename or where)) from error
