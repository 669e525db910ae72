"""Migration: bringing a database up to date.

A new one gets the tables of `METADATA`, an older one the later changes. Each change of the
tables has a file in `migrations/versions/`, named by its revision; its `down_revision` is the file
before it. (Alembic's recipe "Building an Up to Date Database from Scratch".)
"""

from pathlib import Path
from threading import Event, Lock

from sqlalchemy import Engine, inspect, text

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.connection import (
    EMPTIED,
    connect,
    place,
    reading,
    sqlite_file,
    writing,
)
from basis_pipeline.results.database.tables import METADATA, RUNS

SCRIPTS = Path(__file__).parent / "migrations"
VERSION_TABLE = "alembic_version"
POOLING = Event()  # set in a process that reads often and does not fork
_one_at_a_time = Lock()  # alembic keeps its state in global variables
# By URL: the engine brought up to date last, and its file: a check costs more than a query.
_existing: dict[str, tuple[tuple[int, int] | None, Engine]] = {}


def revisions() -> list[str]:
    """List every revision, oldest first."""
    return sorted(file.stem for file in (SCRIPTS / "versions").glob("[0-9]*.py"))


def revision_of(engine: Engine) -> str:
    """Return the revision of a database; empty for a new one. Raises as `reading`."""
    with reading(engine) as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return ""
        return connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) or ""


def existing(url: str) -> Engine | None:
    """Return the database that a URL names, brought up to date; None where there is none.

    It is checked once per process, and again when another file has replaced it, or when a call has
    found that its tables are gone.

    Raises
    ------
    ResultsError: as `connect` and `migrate`.
    """
    file, identity = sqlite_file(url), None
    if file:
        try:
            identity = file.stat().st_dev, file.stat().st_ino
        except FileNotFoundError:
            _existing.pop(url, None)
            return None
    seen, engine = _existing.get(url, (None, None))
    if engine and seen == identity and EMPTIED not in engine.get_execution_options():
        return engine
    engine = connect(url, pooled=POOLING.is_set())
    with reading(engine) as connection:
        if not {RUNS.name, VERSION_TABLE}.intersection(inspect(connection).get_table_names()):
            return None
    migrate(engine)
    _existing[url] = identity, engine
    return engine


def opened(url: str) -> Engine:
    """Return the database that a URL names, created if missing. Raises as `existing`."""
    if engine := existing(url):
        return engine
    engine = connect(url)
    migrate(engine)
    return engine


def migrate(engine: Engine) -> str:
    """Create the tables of a new database, or update an older one; return its revision.

    All is done or nothing. Of several processes one does the work while the others wait.

    Raises
    ------
    ResultsError: RS-005 when it holds tables of another program, RS-012 when it was made by a later
        version of the project; and as `writing`.
    """
    known, current = revisions(), revision_of(engine)
    if current == known[-1]:
        return current
    if current and current not in known:
        what = f"the results database is at revision {current}, which this version does not know"
        raise ResultsError("RS-012", what, where=place(engine), available=", ".join(known))
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    with _one_at_a_time, writing(engine, exclusive="migrations") as connection:
        config.attributes["connection"] = connection
        if inspect(connection).has_table(VERSION_TABLE):
            command.upgrade(config, "head")
        else:
            METADATA.create_all(connection, checkfirst=False)
            command.stamp(config, "head")
    return known[-1]
