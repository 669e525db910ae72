"""Since when each status holds: `health.json` beside the results, from one report to the next."""

import json
from datetime import datetime
from pathlib import Path

from basis_pipeline.errors import HealthError
from basis_pipeline.files import write_atomically

FILE = "health.json"
Since = dict[str, tuple[str, datetime]]


def load_since(directory: Path) -> Since:
    """Return the status of each component and when it was first seen; nothing without a file.

    Raises
    ------
    HealthError: HEALTH-006 when the file cannot be read.
    """
    path = directory / FILE
    try:
        if not path.exists():
            return {}
        stored = json.loads(path.read_bytes())
        return {n: (status, datetime.fromisoformat(at)) for n, (status, at) in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        what = f"the history of the health reports cannot be read: {error}"
        raise HealthError("HEALTH-006", what, where=str(path)) from error


def store_since(directory: Path, since: Since) -> None:
    """Store them for the next report. A directory that is not there is not made.

    Raises
    ------
    HealthError: HEALTH-007 when it cannot be written.
    """
    if not directory.is_dir():
        return
    document = {name: (status, at.isoformat()) for name, (status, at) in since.items()}
    try:
        write_atomically(directory / FILE, json.dumps(document).encode())
    except OSError as error:
        what = f"the history of the health reports cannot be written: {error.strerror}"
        raise HealthError("HEALTH-007", what, where=str(directory / FILE)) from error
