"""Backups: the database, every run's directory and the waivers in one tar file with their hashes.

`manifest.json` has the hashes of the database, as SQLite's own backup or `pg_dump` writes it, the
files of the runs, and the waivers of gates. A backup restores into a database of the same kind.

`restore` checks the backup, unpacks it into `.restored-…` and renames that to `.restoring`. From
then on the restore is completed even if the process is killed: the next start continues it. The
database is replaced first, since that may fail; the directories follow by two renames.
"""

import hashlib
import io
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Engine, update

from basis_pipeline.errors import ResultsError
from basis_pipeline.files import file_sha256
from basis_pipeline.results.database.connection import coded_errors, place, writing
from basis_pipeline.results.database.migration import migrate, revisions
from basis_pipeline.results.database.runs import RunRecord, runs, verify
from basis_pipeline.results.database.tables import RECORDED, RUNS
from basis_pipeline.results.store import run_files
from basis_pipeline.settings import WAIVERS

if TYPE_CHECKING:
    from basis_pipeline.results.database.archive import Archive

STAGED, RESTORING = ".restored-", ".restoring"
BACKUPS = "backups"  # below the results directory
LEFTOVERS = ("runs/.*.pruned", f"{STAGED}*", f"{BACKUPS}/.results-*")
MANIFEST = "manifest.json"
DATABASES = {"sqlite": "database.sqlite", "postgresql": "database.pgdump"}
FORMAT = 4
NAME = "results-{:%Y%m%dT%H%M%S.%fZ}.tar"
_WITHOUT_OWNER = ("--no-owner", "--no-privileges")


def backup(archive: "Archive", directory: Path | None = None, *, keep: int | None = None) -> Path:
    """Write a backup into `directory`, verify it, then remove all but the newest `keep`.

    Parameters
    ----------
    directory: of the backups; `backups` below the results when not given.

    Raises
    ------
    ResultsError: RS-001 when it cannot be written, RS-002 or RS-003 when a run's files are not as
        recorded, RS-010 when the backup fails verification; and as `Archive.start`.
    """
    directory = (directory or archive.directory / BACKUPS).absolute()
    archive.start()
    name = NAME.format(datetime.now(UTC))
    partial, database = directory / f".{name}.partial", directory / f".{name}.database"
    waivers = directory / f".{name}.waivers"
    with archive.lock():
        directory.mkdir(parents=True, exist_ok=True)
        remove_leftovers(directory, [".results-*"])
        try:
            _dump(archive.engine, database)
            # A copy: a gate may be waived meanwhile. Without waivers a restore empties the file.
            current = archive.directory / WAIVERS
            waivers.write_bytes(current.read_bytes() if current.exists() else b"")
            _pack(
                archive,
                {DATABASES[archive.engine.dialect.name]: database, WAIVERS: waivers},
                partial,
            )
            _check(partial, archive.engine)
            made = partial.rename(directory / name)
        finally:
            for leftover in (partial, database, waivers):
                leftover.unlink(missing_ok=True)
        for old in backups(directory)[:-keep] if keep else ():
            old.unlink()
    return made


def backups(directory: Path) -> list[Path]:
    """List the backups in a directory, oldest first."""
    return sorted(directory.glob(NAME.partition("{")[0] + "*.tar"))


def restore(file: Path, archive: "Archive", *, overwrite: bool = False) -> list[RunRecord]:
    """Restore the rows and files of a backup; return the recorded runs.

    Everything is checked and unpacked before anything is changed. If the process is killed after
    that, the next start completes the restore.

    Parameters
    ----------
    overwrite: replace all results that are there.

    Raises
    ------
    ResultsError: RS-010 when the file is damaged, is not a backup, or is one of another kind of
        database, RS-011 when there are results and `overwrite` was not given, RS-001 when it cannot
        be written; and as `Archive.start`.
    """
    archive.start()
    staged = archive.directory / f"{STAGED}{secrets.token_hex(4)}"
    restoring = archive.directory / RESTORING
    with archive.lock():
        if not overwrite:
            _require_empty(archive)
        try:
            _check(file, archive.engine)
            _unpack(file, staged)
            (staged / "runs").mkdir(exist_ok=True)
            staged.rename(restoring)
            finish_restore(archive.engine, archive.directory)
        except ResultsError:
            # The database was not replaced: nothing has changed.
            shutil.rmtree(restoring, ignore_errors=True)
            raise
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return runs(archive.engine)


def finish_restore(engine: Engine, results_dir: Path) -> None:
    """Replace the results by those in `.restoring`, if there is such a directory.

    The caller holds the lock of the archive.

    Raises
    ------
    ResultsError: the database cannot be replaced; the directories are unchanged. OSError.
    """
    restoring, place_of_runs = results_dir / RESTORING, results_dir / "runs"
    if not restoring.is_dir():
        return
    database = restoring / DATABASES[engine.dialect.name]
    if database.exists():
        _load(engine, database)
        migrate(engine)
        with writing(engine, exclusive=RUNS.name) as connection:
            moved = update(RUNS).where(RUNS.c.status == RECORDED)
            connection.execute(moved.values(path=f"{place_of_runs.absolute()}/" + RUNS.c.run_id))
        database.unlink()
    if (restoring / WAIVERS).exists():
        (restoring / WAIVERS).replace(results_dir / WAIVERS)
    if (restoring / "runs").is_dir():
        if place_of_runs.exists():
            place_of_runs.rename(restoring / "replaced")
        (restoring / "runs").rename(place_of_runs)
    shutil.rmtree(restoring)


def remove_leftovers(directory: Path, patterns: Sequence[str] = LEFTOVERS) -> None:
    """Remove files of killed processes. The caller holds the lock of the archive."""
    for pattern in patterns:
        for path in directory.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _pack(archive: "Archive", paths: dict[str, Path], partial: Path) -> None:
    recorded = runs(archive.engine, status=RECORDED)
    for record in recorded:
        verify(record)
        for path in run_files(Path(record.path)):
            paths[f"runs/{record.run_id}/{path.name}"] = path
    manifest = {
        "format": FORMAT,
        "created_at": datetime.now(UTC).isoformat(),
        "database": archive.engine.dialect.name,
        "revision": revisions()[-1],
        "runs": len(recorded),
        "files": {name: file_sha256(path) for name, path in paths.items()},
    }
    content, head = json.dumps(manifest, indent=1).encode(), tarfile.TarInfo(MANIFEST)
    head.size = len(content)
    with tarfile.open(partial, "w") as tar:
        tar.addfile(head, io.BytesIO(content))
        for name, path in paths.items():
            tar.add(path, name)


def _check(file: Path, engine: Engine) -> None:
    """Compare every member of a backup with its manifest."""
    kind = engine.dialect.name
    try:
        with tarfile.open(file, "r:") as tar:
            members: dict[str, Any] = {member.name: tar.extractfile(member) for member in tar}
            manifest = json.load(members.pop(MANIFEST))
            if manifest["format"] != FORMAT or manifest["revision"] not in revisions():
                raise _damaged(file, "another version of the project made it")
            if manifest["database"] != kind:
                raise _damaged(file, f"it is of {manifest['database']}, the database is {kind}")
            hashes = {n: hashlib.file_digest(m, "sha256").hexdigest() for n, m in members.items()}
            if differing := sorted(hashes.items() ^ manifest["files"].items()):
                what = f"{differing[0][0]} does not match its hash, is missing or does not belong"
                raise _damaged(file, what)
    except (tarfile.TarError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(file, str(error)) from error


def _unpack(file: Path, staged: Path) -> None:
    try:
        with tarfile.open(file, "r:") as tar:
            tar.extractall(staged, filter="data")
    except tarfile.TarError as error:
        # A member with an unsafe path, or a file that has changed since it was checked.
        raise _damaged(file, str(error)) from error


def _damaged(file: Path, why: str) -> ResultsError:
    return ResultsError("RS-010", f"the backup cannot be restored: {why}", where=str(file))


def _require_empty(archive: "Archive") -> None:
    recorded = len(runs(archive.engine))
    waivers = archive.directory / WAIVERS
    files = archive.runs.is_dir() and any(archive.runs.iterdir())
    waived = waivers.exists() and waivers.stat().st_size > 0
    if recorded or files or waived:
        where = str(archive.runs) if files else str(waivers) if waived else place(archive.engine)
        raise ResultsError("RS-011", f"there are results already: {recorded} runs", where=where)


def _dump(engine: Engine, file: Path) -> None:
    """Write a consistent copy of the database to a file."""
    if engine.dialect.name == "sqlite":
        with _sqlite_file(engine) as source, closing(sqlite3.connect(file)) as target:
            source.backup(target)
    else:
        _run(engine, "pg_dump", "--format=custom", *_WITHOUT_OWNER, f"--file={file}")


def _load(engine: Engine, file: Path) -> None:
    """Replace the content of a database by what `_dump` wrote, all or nothing."""
    if engine.dialect.name == "sqlite":
        with writing(engine):  # wait for other writers here: the copy below does not
            pass
        with _sqlite_file(engine) as target, closing(sqlite3.connect(file)) as source:
            source.backup(target)
    else:
        replacing = ("--clean", "--if-exists", "--single-transaction", *_WITHOUT_OWNER)
        _run(engine, "pg_restore", *replacing, str(file))


@contextmanager
def _sqlite_file(engine: Engine) -> Iterator[sqlite3.Connection]:
    with coded_errors(engine), closing(sqlite3.connect(str(engine.url.database))) as connection:
        yield connection


def _run(engine: Engine, program: str, *arguments: str) -> None:
    if shutil.which(program) is None:
        what = f"{program} is not installed: it comes with PostgreSQL"
        raise ResultsError("RS-001", what, where=place(engine))
    # The password is passed by the environment, where other users of the machine cannot read it.
    name = engine.url.set(drivername="postgresql", password=None).render_as_string()
    done = subprocess.run(
        [program, f"--dbname={name}", *arguments],
        env=os.environ | {"PGPASSWORD": engine.url.password or ""},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        message = " ".join(done.stderr.split())[:500]
        code = "RS-008" if "connection to server" in message else "RS-010"
        raise ResultsError(code, f"{program} failed: {message}", where=place(engine))
