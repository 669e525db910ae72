"""The Dagster instance that a command reads and writes."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from dagster_shared.check import CheckError
from dagster_shared.error import DagsterError
from dagster_shared.serdes.errors import DeserializationError
from sqlalchemy.exc import SQLAlchemyError
from yaml import YAMLError

from basis_pipeline.errors import PlatformError
from basis_pipeline.files import locked
from basis_pipeline.orchestration.partitions import know_sets

_BROKEN = (SQLAlchemyError, DeserializationError)  # by a full disk or a damaged file
LOCK_FILE, LOCK_SECONDS = ".opening.lock", 60.0


@contextmanager
def opened_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance kept in `home`; processes started from here on open the same.

    Its scenario sets are those that have files now.

    Raises
    ------
    PlatformError: PLATFORM-001 when its `dagster.yaml` or a database of it cannot be used.
    """
    os.environ["DAGSTER_HOME"] = str(home.resolve())
    try:
        # Two that make the databases of a new home at once would write the same rows.
        with locked(home / LOCK_FILE, LOCK_SECONDS):
            instance = dg.DagsterInstance.get()
            know_sets(instance)
    except (*_BROKEN, DagsterError, CheckError, YAMLError, OSError) as error:
        raise _unusable("opened", error, home) from error
    with instance:
        try:
            yield instance
        except _BROKEN as error:
            raise _unusable("used", error, home) from error


def _unusable(verb: str, error: Exception, home: Path) -> PlatformError:
    message = " ".join(str(error).split())[:300]
    what = f"the Dagster instance cannot be {verb}: {message}"
    return PlatformError("PLATFORM-001", what, where=str(home))
