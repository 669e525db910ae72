"""Bringing a database up to date: one file a concept in `migrations/versions/`.

A file is named by its revision, and its `down_revision` is the file before it: the history is a
line, and its last file is where every database belongs. A migration spells its tables out, since
those of `METADATA` go on changing; a test holds the two against each other.
"""

from pathlib import Path
from threading import Lock

from sqlalchemy import Engine, inspect, text

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.connection import (
    connect,
    place,
    reading,
    sqlite_file,
    writing,
)
from basis_pipeline.results.database.tables import RUNS

SCRIPTS = Path(__file__).parent / "migrations"
VERSION_TABLE = "alembic_version"
_one_at_a_time = Lock()  # alembic keeps what it works on in its module


def revisions() -> list[str]:
    """Every revision, oldest first."""
    return sorted(file.stem for file in (SCRIPTS / "versions").glob("[0-9]*.py"))


def revision_of(engine: Engine) -> str:
    """The revision a database is at; empty for a new one. Raises ResultsError like `reading`."""
    with reading(engine) as connection:
        if not inspect(connection).has_table(VERSION_TABLE):
            return ""
        return connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}")) or ""


def existing(url: str) -> Engine | None:
    """The database a URL names, brought up to date; None where none has been made, and none is.

    Raises
    ------
    ResultsError: as `connect` and `migrate`.
    """
    file = sqlite_file(url)
    if file and not file.exists():
        return None
    engine = connect(url)
    with reading(engine) as connection:
        if not inspect(connection).has_table(RUNS.name):
            return None
    migrate(engine)
    return engine


def migrate(engine: Engine) -> str:
    """Bring a database to the last revision, all of it or nothing; the revision.

    Several processes may do so at once: one does the work, the others wait for it.

    Raises
    ------
    ResultsError: RS-005 when it holds tables that are not ours, RS-012 when it was made by a later
        version of the project; and as `writing`.
    """
    last = revisions()[-1]
    found = revision_of(engine)
    if found == last:
        return last
    if found and found not in revisions():
        raise ResultsError(
            "RS-012",
            f"the results database is at revision {found}, which this version does not know",
            where=place(engine),
            available=", ".join(revisions()),
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    with _one_at_a_time, writing(engine, exclusive="migrations") as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    return last
