"""Backups: everything in one file that restores into either database, checked by hashes.

A backup is a tar file: `manifest.json` with the hash of all else, `database.sqlite` with every row
of one moment, and the files of the runs. A PostgreSQL database is kept as SQLite too: so one way of
copying rows makes and restores all backups, an old one is brought up to date as any database, and a
backup of the one restores into the other.
"""

import io
import json
import re
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path
from typing import IO, Any

from sqlalchemy import (
    Connection,
    DateTime,
    Engine,
    MetaData,
    delete,
    event,
    func,
    insert,
    select,
    text,
    update,
)

from basis_pipeline.errors import ResultsError
from basis_pipeline.files import sha256
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.connection import connect, place, reading, writing
from basis_pipeline.results.database.migration import VERSION_TABLE, migrate, revisions
from basis_pipeline.results.database.runs import RunRecord, runs
from basis_pipeline.results.database.tables import RECORDED, RUNS, UtcTime
from basis_pipeline.results.store import SUMMARY
from basis_pipeline.settings import SQLITE

DIRECTORY = "backups"  # below the results directory
MANIFEST, DATABASE = "manifest.json", "database.sqlite"
FORMAT = 1
NAME = "results-{:%Y%m%dT%H%M%S.%fZ}.tar"
CHUNK = 2000  # rows
_MEMBER = re.compile(rf"{re.escape(DATABASE)}|runs/[0-9a-f]{{16}}/[a-z_]+\.(json|parquet)")


def backup(archive: Archive, directory: Path, *, keep: int | None = None) -> Path:
    """Write a backup into `directory`, read it back, then remove all but the newest `keep`.

    Rows are those of one moment, and every file is what its row vouches for.

    Raises
    ------
    ResultsError: RS-001 when it cannot be written, RS-002 or RS-003 when a run's files are not what
        was recorded, RS-010 when it does not read back; and as `Archive.drain`.
    """
    archive.drain()
    name = NAME.format(datetime.now(UTC))
    partial = directory / f".{name}.partial"
    with _writing(directory), archive.alone():
        directory.mkdir(parents=True, exist_ok=True)
        try:
            with tempfile.TemporaryDirectory(dir=directory, prefix=".database-") as scratch:
                _write(archive.engine, Path(scratch) / DATABASE, partial)
            with partial.open("rb") as done:
                for _ in _verified(partial, done):
                    pass
            made = partial.rename(directory / name)
        finally:
            partial.unlink(missing_ok=True)
        for old in backups(directory)[:-keep] if keep else ():
            old.unlink()
    return made


def backups(directory: Path) -> list[Path]:
    """The backups in a directory, oldest first."""
    return sorted(directory.glob(NAME.partition("{")[0] + "*.tar"))


def restore(file: Path, archive: Archive, *, overwrite: bool = False) -> list[RunRecord]:
    """Put back what a backup holds, rows and files; the runs that are there then.

    Everything is unpacked and checked before anything is touched. `overwrite`: what the place holds
    is replaced as a whole.

    Raises
    ------
    ResultsError: RS-010 when the backup is damaged or none, RS-011 when the place holds results and
        `overwrite` was not asked for; RS-001 when it cannot be written; and as `Archive.start`.
    """
    results = archive.runs.parent
    staged = results / f".restored-{secrets.token_hex(4)}"
    with _writing(results):
        try:
            _unpack(file, staged)
            source = connect(f"{SQLITE}{staged / DATABASE}")
            migrate(source)
            archive.drain()
            with archive.alone():
                if not overwrite:
                    _require_empty(archive)
                _replace(archive, source, staged)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
    return runs(archive.engine)


def _write(engine: Engine, database: Path, partial: Path) -> None:
    kept = connect(f"{SQLITE}{database}")
    migrate(kept)
    with reading(engine) as source, writing(kept) as target:
        copy_rows(source, target, _tables(kept))
    records = [record for record in runs(kept) if record.status == RECORDED]
    with database.open("rb") as opened:
        hashes = {DATABASE: file_digest(opened, "sha256").hexdigest()}
    for record in records:
        files = {name: entry["sha256"] for name, entry in json.loads(record.files).items()}
        files[SUMMARY] = record.summary_sha256
        hashes |= {f"runs/{record.run_id}/{name}": digest for name, digest in files.items()}
    manifest = {
        "format": FORMAT,
        "created_at": datetime.now(UTC).isoformat(),
        "revision": revisions()[-1],
        "runs": len(records),
        "files": hashes,
    }
    places = {record.run_id: Path(record.path) for record in records}
    with tarfile.open(partial, "w") as tar:
        _add(tar, MANIFEST, json.dumps(manifest, indent=1).encode())
        tar.add(database, DATABASE)
        for name, digest in list(hashes.items())[1:]:
            _, run_id, file = name.split("/")
            _add(tar, name, _content(places[run_id] / file, digest))


def _content(file: Path, digest: str) -> bytes:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise ResultsError("RS-003", f"{file.name} is missing", where=str(file)) from None
    if sha256(content) != digest:
        what = f"{file.name} does not match its recorded hash"
        raise ResultsError("RS-003", what, where=str(file))
    return content


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


def _verified(file: Path, opened: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    """Every member by name, checked against the manifest. Raises ResultsError RS-010."""
    try:
        with tarfile.open(fileobj=opened, mode="r:") as tar:
            members = iter(tar)
            first = next(members, None)
            if first is None or first.name != MANIFEST:
                raise _damaged(file, "it does not begin with its manifest")
            hashes = dict(json.loads(_read(tar, first))["files"])
            for member in members:
                expected = hashes.pop(member.name, None)
                if expected is None or not member.isfile() or not _MEMBER.fullmatch(member.name):
                    raise _damaged(file, f"{member.name} does not belong to it")
                content = _read(tar, member)
                if sha256(content) != expected:
                    raise _damaged(file, f"{member.name} does not match its hash")
                yield member.name, content
    except (tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise _damaged(file, str(error)) from error
    if hashes:
        raise _damaged(file, f"it lacks {len(hashes)} files, such as {next(iter(hashes))}")


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = tar.extractfile(member)
    return opened.read() if opened else b""


def _damaged(file: Path, why: str) -> ResultsError:
    return ResultsError("RS-010", f"the backup cannot be restored: {why}", where=str(file))


def _unpack(file: Path, staged: Path) -> None:
    try:
        opened = file.open("rb")
    except OSError as error:
        raise _damaged(file, error.strerror or str(error)) from error
    with opened:
        for name, content in _verified(file, opened):
            target = staged / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    (staged / "runs").mkdir(exist_ok=True)


def _require_empty(archive: Archive) -> None:
    held = len(runs(archive.engine))
    files = archive.runs.is_dir() and any(archive.runs.iterdir())
    if held or files:
        where = str(archive.runs) if files else place(archive.engine)
        raise ResultsError("RS-011", f"there are results already: {held} runs", where=where)


def _replace(archive: Archive, source: Engine, staged: Path) -> None:
    """Files first: a start after a kill in between records what lies there."""
    old = staged / "replaced"
    if archive.runs.exists():
        archive.runs.rename(old)
    (staged / "runs").rename(archive.runs)
    try:
        tables = _tables(source)
        with reading(source) as kept, writing(archive.engine, exclusive=RUNS.name) as target:
            for table in reversed(tables.sorted_tables):
                target.execute(delete(table))
            copy_rows(kept, target, tables)
            directory = str(archive.runs.absolute()) + "/"
            moved = update(RUNS).where(RUNS.c.status == RECORDED)
            target.execute(moved.values(path=directory + RUNS.c.run_id))
    except BaseException:
        archive.runs.rename(staged / "runs")
        if old.exists():
            old.rename(archive.runs)
        raise


def copy_rows(source: Connection, target: Connection, tables: MetaData) -> None:
    """Copy every row of `tables` into those of the same names, which are empty."""
    for table in tables.sorted_tables:
        answer = source.execution_options(yield_per=CHUNK).execute(select(table))
        for rows in answer.mappings().partitions():
            target.execute(insert(table), [dict(row) for row in rows])
        for column in table.primary_key.columns if target.dialect.name == "postgresql" else ():
            _go_on_after(target, table.name, column.name)


def _go_on_after(connection: Connection, table: str, column: str) -> None:
    """Let a sequence that numbers rows continue behind those that were copied."""
    named = select(func.pg_get_serial_sequence(table, column))
    if sequence := connection.scalar(named):
        highest = (
            f'SELECT setval(:sequence, COALESCE(MAX("{column}"), 0) + 1, false) FROM "{table}"'
        )
        connection.execute(text(highest), {"sequence": sequence})


def _tables(engine: Engine) -> MetaData:
    """Every table of a SQLite database, whoever has defined it, but that of the migrations."""
    found = MetaData()

    @event.listens_for(found, "column_reflect")
    def read(_inspector: Any, _table: Any, column: Any) -> None:
        if isinstance(column["type"], DateTime):
            column["type"] = UtcTime()

    with reading(engine) as connection:
        found.reflect(connection, only=lambda name, _: name != VERSION_TABLE)
    return found


@contextmanager
def _writing(where: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        what = f"the backup cannot be written or restored: {error.strerror or error}"
        raise ResultsError("RS-001", what, where=str(error.filename or where)) from error
