"""The last known control state: `control.json` in the results directory, used without database.

A stopped PostgreSQL server must not stop every run. A worse state that is demanded meanwhile is
pending: it applies on this machine, and is stored in the database once that can be reached.
"""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from basis_pipeline.errors import ResultsError
from basis_pipeline.files import write_atomically
from basis_pipeline.operations.control.model import ControlState
from basis_pipeline.results.database.connection import sqlite_file
from basis_pipeline.settings import Settings

FRESH = timedelta(minutes=1)  # younger than this, an unchanged state is not written again
JSON = TypeAdapter(ControlState)


def file(settings: Settings) -> Path:
    """Return the path of the file."""
    return settings.results_dir / "control.json"


def load(settings: Settings) -> ControlState | None:
    """Return the last known state; None without a readable file."""
    try:
        return JSON.validate_json(file(settings).read_bytes())
    except (OSError, ValidationError):
        return None


def confirm(settings: Settings, state: ControlState) -> None:
    """Store a state that was read from a server; ignore a directory that cannot be written."""
    if sqlite_file(settings.results_db_url) or not settings.results_dir.is_dir():
        return
    now, known = datetime.now(UTC), load(settings)
    confirmed = replace(state, breaches=(), confirmed_at=now)
    is_fresh = known and known.confirmed_at and now - known.confirmed_at < FRESH
    if known and is_fresh and replace(known, confirmed_at=now) == confirmed:
        return
    with suppress(OSError):
        write_atomically(file(settings), JSON.dump_json(confirmed, indent=2))


def store_pending(settings: Settings, state: ControlState) -> None:
    """Store a pending state. Raises ResultsError: RS-001 when it cannot be written."""
    pending = replace(state, confirmed_at=state.confirmed_at or state.since)
    try:
        settings.results_dir.mkdir(parents=True, exist_ok=True)
        write_atomically(file(settings), JSON.dump_json(pending, indent=2))
    except OSError as error:
        what = f"the results database is down and the state cannot be stored: {error.strerror}"
        raise ResultsError("RS-001", what, where=str(file(settings))) from error
