"""The Dagster instance that a command reads and writes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from json import JSONDecodeError
from pathlib import Path

import dagster as dg

# What a wrong dagster.yaml and a damaged record raise: no DagsterErrors, and exported nowhere.
from dagster_shared.check import CheckError
from dagster_shared.serdes.errors import DeserializationError
from sqlalchemy.exc import SQLAlchemyError
from yaml import YAMLError

from basis_pipeline.errors import PlatformError

LOCK = ".lock"
UNUSABLE = (dg.DagsterError, CheckError, YAMLError, SQLAlchemyError, OSError)
DAMAGED = (DeserializationError, JSONDecodeError, SQLAlchemyError, UnicodeDecodeError)


@contextmanager
def opened_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance kept in `home`; processes started from here on open the same.

    Commands that find an empty home make its databases one after the other, under a lock.

    Raises
    ------
    PlatformError: PLATFORM-001 when its `dagster.yaml` or a database of it cannot be used, when
        it is opened or, where a record is damaged, when that is read.
    """
    os.environ["DAGSTER_HOME"] = str(home.resolve())
    try:
        with (home / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            instance = dg.DagsterInstance.get()
            instance.get_runs_count()  # the databases are made when they are first asked
    except UNUSABLE as error:
        raise _unusable("cannot be opened", error, home) from error
    with instance:
        try:
            yield instance
        except DAMAGED as error:
            raise _unusable("holds a damaged record", error, home) from error


def _unusable(what: str, error: Exception, home: Path) -> PlatformError:
    message = " ".join(str(error).split())[:300]
    return PlatformError("PLATFORM-001", f"the Dagster instance {what}: {message}", where=str(home))
