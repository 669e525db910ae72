"""Opening the results database, and transactions whose failures carry a code.

`reading` and `writing` are how everything here talks to it. On SQLite a writer takes the lock when
it begins, so that what it reads is still so when it writes; on PostgreSQL a name given as
`exclusive` does the same among those who give it.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

from sqlalchemy import (
    Connection,
    Engine,
    NullPool,
    create_engine,
    event,
    exc,
    make_url,
    text,
)
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from basis_pipeline.errors import ResultsError
from basis_pipeline.settings import SQLITE

BUSY_SECONDS = 30.0  # how long another writer is waited for
CONNECT_SECONDS = 10
_BEGIN = "basis_begin"
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "cache_size = -32768")
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_LOCK_STATES = ("55P03", "40001", "40P01")  # lock not available, serialization, deadlock


def connect(url: str, *, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """Engine of the database a URL names, SQLite (`sqlite:///path`) or PostgreSQL.

    Nothing is opened yet, but the directory of a SQLite file is made. Connections are not pooled:
    an engine can be carried into forked processes.

    Raises
    ------
    ResultsError: RS-001 when the directory of a SQLite file cannot be made, RS-008 when the URL
        cannot be read.
    """
    try:
        parsed = make_url(str(url))
    except exc.ArgumentError:
        raise ResultsError("RS-008", "the database's URL cannot be read") from None
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(str(url), busy_seconds)
    if isinstance(password := parsed.query.get("password"), str):  # where it is never shown
        parsed = parsed.set(password=password).difference_update_query(["password"])
    patience = f"-c lock_timeout={int(busy_seconds * 1000)} -c timezone=UTC"
    arguments = {"connect_timeout": CONNECT_SECONDS, "options": patience}
    return create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        connect_args=arguments,
        poolclass=NullPool,
        hide_parameters=True,
    )


def sqlite_file(url: str) -> Path | None:
    """The file a SQLite URL names; None for any other database."""
    return Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None


def place(engine: Engine) -> str:
    """Where the database is, without its password: what an error says."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database)
    return engine.url.render_as_string(hide_password=True).partition("?")[0]


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads: all its answers are of one moment; nobody is waited for.

    Raises
    ------
    ResultsError: RS-001, RS-005, RS-007 or RS-008, see `writing`.
    """
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with coded(engine), engine.connect().execution_options(**options) as connection:
        yield connection


@contextmanager
def writing(engine: Engine, exclusive: str = "") -> Iterator[Connection]:
    """A transaction that writes, committed at the end, rolled back when anything is raised.

    Two with the same `exclusive` name never overlap; on SQLite no two ever do.

    Raises
    ------
    ResultsError: RS-001 when the database cannot be written (a full disk), RS-005 when it is
        damaged or of another make, RS-007 when another holds it for too long, RS-008 when it cannot
        be reached.
    """
    options = {_BEGIN: "BEGIN IMMEDIATE"}
    with (
        coded(engine),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
    ):
        if exclusive and engine.dialect.name == "postgresql":
            key = {"key": crc32(exclusive.encode())}
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), key)
        yield connection


@contextmanager
def kept_open(engine: Engine) -> Iterator[None]:
    """Many transactions on a SQLite file: closing the last connection to one costs as much as some.

    Raises
    ------
    ResultsError: as `writing`.
    """
    if engine.dialect.name != "sqlite":
        yield
        return
    with coded(engine):
        held = engine.connect()
    with held:
        yield


@contextmanager
def coded(engine: Engine) -> Iterator[None]:
    """Failures of the database as errors with a code; broken constraints stay what they are."""
    try:
        yield
    except (exc.IntegrityError, sqlite3.IntegrityError):
        raise
    except (exc.DBAPIError, sqlite3.Error, OSError) as error:
        cause = error.orig if isinstance(error, exc.DBAPIError) else error
        code, said = _code(cause), " ".join(str(cause).split())
        what = f"the results database cannot be used: {said}"
        raise ResultsError(code, what, where=place(engine)) from error


def _code(cause: BaseException | None) -> str:
    if isinstance(cause, sqlite3.Error):
        if _is_busy(cause):
            return "RS-007"
        told = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        return "RS-005" if told in _DAMAGED or isinstance(cause, sqlite3.DataError) else "RS-001"
    state = getattr(cause, "pgcode", None)
    if state in _LOCK_STATES:
        return "RS-007"
    if state is None or state[:2] in ("08", "28", "3D", "57"):
        return "RS-001" if isinstance(cause, OSError) else "RS-008"
    return "RS-005" if state[:2] in ("42", "XX") else "RS-001"


def _sqlite(url: str, busy_seconds: float) -> Engine:
    file = Path(make_url(url).database or "").absolute()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the directory of the results database cannot be made: {error.strerror}"
        raise ResultsError("RS-001", what, where=str(file)) from error
    engine = create_engine(
        f"{SQLITE}{file}",
        connect_args={"timeout": busy_seconds},
        poolclass=NullPool,
        hide_parameters=True,
    )
    event.listen(engine, "connect", partial(_prepare, busy_seconds))
    event.listen(engine, "begin", _begin)
    return engine


def _prepare(busy_seconds: float, connection: Any, _: object) -> None:
    """Write-ahead log, every commit on the disk, foreign keys held; transactions are our own."""
    connection.isolation_level = None
    # SQLite itself waits for nobody while a new file is switched to its write-ahead log.
    patient = Retrying(
        retry=retry_if_exception(_is_busy),
        wait=wait_random(0.001, 0.02),
        stop=stop_after_delay(busy_seconds),
        reraise=True,
    )
    for pragma in _PRAGMAS:
        patient(connection.execute, f"PRAGMA {pragma}")


def _is_busy(cause: BaseException | None) -> bool:
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _BUSY


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
