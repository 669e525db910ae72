"""Opening the results database, and transactions whose failures carry a code.

All access is through `reading` and `writing`. On SQLite a writer takes the lock when it begins, so
that what it reads still holds when it writes; on PostgreSQL the name given as `exclusive` does the
same for all writers that give it.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    NullPool,
    QueuePool,
    create_engine,
    event,
    exc,
    make_url,
    text,
)
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from basis_pipeline.errors import ResultsError
from basis_pipeline.settings import SQLITE

BUSY_SECONDS = 30.0  # how long to wait for another writer
CONNECT_SECONDS = 10
_BEGIN = "basis_begin"
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "cache_size = -32768")
_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
EMPTIED = "basis_emptied"  # option of an engine whose tables are gone
_NO_TABLE = "42P01"
_LOCK_STATES = ("55P03", "40001", "40P01")  # lock not available, serialization, deadlock


def connect(url: str, *, busy_seconds: float = BUSY_SECONDS, pooled: bool = False) -> Engine:
    """Return the engine of a database, SQLite (`sqlite:///path`) or PostgreSQL.

    Nothing is opened yet, but the directory of a SQLite file is made. A file in a directory that
    cannot be written is opened read-only. A forked process may use the engine unless its
    connections are pooled.

    Raises
    ------
    ResultsError: RS-001 when the directory of a SQLite file cannot be made, RS-008 when the URL
        cannot be read.
    """
    pool: dict[str, Any] = {"poolclass": NullPool}
    if pooled:
        pool = {"poolclass": QueuePool, "max_overflow": -1}
    if file := sqlite_file(url):
        return _sqlite(file, busy_seconds, pool)
    try:
        return _postgresql(url, busy_seconds, pool)
    except (exc.ArgumentError, ValueError):
        raise _malformed("it is not postgresql://user:password@host:port/database") from None


def sqlite_file(url: str) -> Path | None:
    """Return the file that a SQLite URL names, taken literally; None for another database.

    Raises
    ------
    ResultsError: RS-008 when the URL has a query.
    """
    if not url.startswith(SQLITE):
        return None
    if "?" in url:
        raise _malformed("a SQLite URL is sqlite:/// and a path, without a ? and a query")
    return Path(url.removeprefix(SQLITE)).absolute()


def place(engine: Engine) -> str:
    """Return where the database is, without its password."""
    if engine.dialect.name == "sqlite":
        return str(engine.url.database)
    return engine.url.render_as_string(hide_password=True).partition("?")[0]


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that only reads: a consistent snapshot that waits for no writer.

    Raises
    ------
    ResultsError: RS-001, RS-005, RS-007 or RS-008, see `writing`.
    """
    options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
    with coded_errors(engine), engine.connect().execution_options(**options) as connection:
        yield connection


@contextmanager
def writing(engine: Engine, exclusive: str = "") -> Iterator[Connection]:
    """Open a transaction that writes: committed at the end, rolled back on an exception.

    Two with the same `exclusive` name never overlap; on SQLite no two transactions do.

    Raises
    ------
    ResultsError: RS-001 when the database cannot be written (a full disk), RS-005 when it is
        damaged or another program's, RS-007 when it is locked for too long, RS-008 when it cannot
        be reached.
    """
    options = {_BEGIN: "BEGIN IMMEDIATE"}
    with (
        coded_errors(engine),
        engine.connect().execution_options(**options) as connection,
        connection.begin(),
    ):
        if exclusive and engine.dialect.name == "postgresql":
            key = {"key": crc32(exclusive.encode())}
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), key)
        yield connection


@contextmanager
def coded_errors(engine: Engine) -> Iterator[None]:
    """Raise failures of the database with a code; integrity errors are raised unchanged.

    A value that cannot be decoded (a flipped byte in a text or a time) is damage, RS-005.
    """
    try:
        yield
    except (exc.IntegrityError, sqlite3.IntegrityError):
        raise
    except (exc.DBAPIError, sqlite3.Error, OSError, ValueError) as error:
        cause = error.orig if isinstance(error, exc.DBAPIError) else error
        if getattr(cause, "pgcode", None) == _NO_TABLE:
            engine.update_execution_options(**{EMPTIED: True})
        what = f"the results database cannot be used: {' '.join(str(cause).split())}"
        raise ResultsError(_code(cause), what, where=place(engine)) from error


def _code(cause: BaseException | None) -> str:
    if isinstance(cause, ValueError):
        return "RS-005"
    if isinstance(cause, sqlite3.Error):
        if _is_busy(cause):
            return "RS-007"
        state = getattr(cause, "sqlite_errorcode", 0) & 0xFF
        undecodable = str(cause).startswith("Could not decode to UTF-8")
        damaged = state in _DAMAGED or isinstance(cause, sqlite3.DataError) or undecodable
        return "RS-005" if damaged else "RS-001"
    state = getattr(cause, "pgcode", None)
    if state in _LOCK_STATES:
        return "RS-007"
    if state is None or state[:2] in ("08", "28", "3D", "57"):
        return "RS-001" if isinstance(cause, OSError) else "RS-008"
    return "RS-005" if state[:2] in ("42", "XX") else "RS-001"


def _malformed(why: str) -> ResultsError:
    """Return the error of a URL that cannot be read, without the URL: it may hold a password."""
    return ResultsError("RS-008", f"the URL of the results database cannot be read: {why}")


def _postgresql(url: str, busy_seconds: float, pool: dict[str, Any]) -> Engine:
    parsed = make_url(str(url))
    if isinstance(password := parsed.query.get("password"), str):  # move it where it is never shown
        parsed = parsed.set(password=password).difference_update_query(["password"])
    options = f"-c lock_timeout={int(busy_seconds * 1000)} -c timezone=UTC"
    return create_engine(
        parsed.set(drivername="postgresql+psycopg2"),
        connect_args={"connect_timeout": CONNECT_SECONDS, "options": options},
        hide_parameters=True,
        pool_pre_ping=True,
        **pool,
    )


def _sqlite(file: Path, busy_seconds: float, pool: dict[str, Any]) -> Engine:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        what = f"the directory of the results database cannot be made: {error.strerror}"
        raise ResultsError("RS-001", what, where=str(file)) from error
    read_only = file.exists() and not os.access(file.parent, os.W_OK)
    engine = create_engine(
        URL.create("sqlite", database=str(file)),
        connect_args={"timeout": busy_seconds},
        hide_parameters=True,
        **pool,
    )
    if read_only:
        event.listen(engine, "do_connect", lambda *_: _open_read_only(file))
    else:
        event.listen(engine, "connect", partial(_prepare, busy_seconds))
        event.listen(engine, "begin", _begin)
    return engine


def _open_read_only(file: Path) -> sqlite3.Connection:
    """Open a file in a directory that cannot be written, so that no other process writes it.

    Without a write-ahead log SQLite would try to create one, unless the file is immutable.
    """
    log = file.with_name(f"{file.name}-wal")
    options = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    return sqlite3.connect(f"{file.as_uri()}?{options}", uri=True)


def _prepare(busy_seconds: float, connection: Any, _: object) -> None:
    """Set the pragmas of a connection; this module begins its transactions."""
    connection.isolation_level = None
    # SQLite itself does not wait while a new file is switched to its write-ahead log.
    retrying = Retrying(
        retry=retry_if_exception(_is_busy),
        wait=wait_random(0.001, 0.02),
        stop=stop_after_delay(busy_seconds),
        reraise=True,
    )
    for pragma in _PRAGMAS:
        retrying(connection.execute, f"PRAGMA {pragma}")


def _is_busy(cause: BaseException | None) -> bool:
    return getattr(cause, "sqlite_errorcode", 0) & 0xFF in _BUSY


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))
