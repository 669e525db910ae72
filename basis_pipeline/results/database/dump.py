"""A whole database as one file, and back: SQLite's own backup, or `pg_dump` and `pg_restore`."""

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from sqlalchemy import Engine

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.connection import coded, place, writing

FILES = {"sqlite": "database.sqlite", "postgresql": "database.pgdump"}
_CUSTOM = ("--format=custom", "--no-owner", "--no-privileges")


def dump_database(engine: Engine, file: Path) -> None:
    """Write every row of one moment.

    Raises
    ------
    ResultsError: RS-001 when it cannot be written, or a program is missing; and as `reading`.
    """
    if engine.dialect.name == "sqlite":
        with coded(engine), closing(_plain(engine)) as source, closing(sqlite3.connect(file)) as to:
            source.backup(to)
        return
    _run(engine, "pg_dump", *_CUSTOM, f"--file={file}", f"--dbname={_name(engine)}")


def load_database(engine: Engine, file: Path) -> None:
    """Replace what a database holds by what `dump_database` wrote, all of it or nothing.

    Raises
    ------
    ResultsError: as `writing`; RS-010 when the file is not one that `dump_database` wrote.
    """
    if engine.dialect.name == "sqlite":
        with writing(engine):  # whoever holds the database is waited for here, and not below
            pass
        with (
            coded(engine),
            closing(sqlite3.connect(file)) as source,
            closing(_plain(engine)) as target,
        ):
            source.backup(target)
        return
    replacing = ("--clean", "--if-exists", "--single-transaction", "--no-owner", "--no-privileges")
    _run(engine, "pg_restore", *replacing, f"--dbname={_name(engine)}", str(file))


def _plain(engine: Engine) -> sqlite3.Connection:
    return sqlite3.connect(str(engine.url.database))


def _name(engine: Engine) -> str:
    """The database without its password, which is passed by the environment."""
    return engine.url.set(drivername="postgresql", password=None).render_as_string()


def _run(engine: Engine, program: str, *arguments: str) -> None:
    if shutil.which(program) is None:
        what = f"{program} is not installed: it comes with PostgreSQL"
        raise ResultsError("RS-001", what, where=place(engine))
    environment = os.environ | {"PGPASSWORD": engine.url.password or ""}
    done = subprocess.run(
        [program, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        message = " ".join(done.stderr.split())[:500]
        code = "RS-008" if "connection to server" in message else "RS-010"
        raise ResultsError(code, f"{program} failed: {message}", where=place(engine))
