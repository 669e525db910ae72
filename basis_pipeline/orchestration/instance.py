"""The Dagster instance that a command reads and writes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path

import dagster as dg

# A damaged record raises this; it is not a DagsterError, and Dagster does not export it.
from dagster_shared.serdes.errors import DeserializationError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from basis_pipeline.errors import PlatformError
from basis_pipeline.files import locked

# Raised by a full disk or a damaged file while the instance is used.
BROKEN = (SQLAlchemyError, DeserializationError, JSONDecodeError, UnicodeDecodeError)
LOCK_FILE, LOCK_SECONDS = ".opening.lock", 60.0


@contextmanager
def opened_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """Open the instance in `home`, also for the processes that this one starts.

    Raises
    ------
    PlatformError: PLATFORM-001 when its `dagster.yaml` or a database cannot be used, either on
        opening or when a damaged record is read later.
    """
    os.environ["DAGSTER_HOME"] = str(home.resolve())
    try:
        # Two processes that create the databases at the same time would write the same rows.
        with locked(home / LOCK_FILE, LOCK_SECONDS):
            instance = dg.DagsterInstance.get()
            instance.get_runs_count()  # Dagster creates the databases on the first query
    except Exception as error:  # Dagster raises a dozen kinds
        raise _unusable("opened", error, home) from error
    with instance:
        try:
            yield instance
        except BROKEN as error:
            raise _unusable("used", error, home) from error


def _unusable(verb: str, error: Exception, home: Path) -> PlatformError:
    # What the database said, without the statement and its values.
    cause = error.orig if isinstance(error, DBAPIError) else error
    message = " ".join(str(cause).split())[:300]
    what = f"the Dagster instance cannot be {verb}: {message}"
    return PlatformError("PLATFORM-001", what, where=str(home))
