"""What the last report said: since when a status holds, which files were read, latencies."""

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from basis_pipeline.errors import HealthError

FILE = "health.json"


@dataclass(slots=True)
class Memory:
    """What is kept from one report to the next.

    since: component → status and the time it was first seen · families: by name, what
    `family_found` knows · latencies: component → seconds, the latest last.
    """

    since: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    families: dict[str, dict[str, Any]] = field(default_factory=dict)
    latencies: dict[str, list[float]] = field(default_factory=dict)


def recall(directory: Path) -> Memory:
    """Read the memory kept in a directory; an empty one when there is none.

    Raises
    ------
    HealthError: HEALTH-006 when it cannot be read.
    """
    path = directory / FILE
    try:
        if not path.exists():
            return Memory()
        kept = json.loads(path.read_bytes())
        return Memory(
            {n: (status, datetime.fromisoformat(at)) for n, (status, at) in kept["since"].items()},
            {n: {**known, "fault": known["fault"]} for n, known in kept["families"].items()},
            {n: [float(s) for s in seconds] for n, seconds in kept["latencies"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"what the last report said cannot be read: {type(error).__name__}: {error}"
        raise HealthError("HEALTH-006", what, where=str(path)) from error


def remember(directory: Path, memory: Memory) -> None:
    """Keep the memory, whole or not at all. A directory that is not there is not made.

    Raises
    ------
    HealthError: HEALTH-007 when it cannot be written.
    """
    if not directory.is_dir():
        return
    since: Mapping[str, tuple[str, str]] = {
        name: (status, at.isoformat()) for name, (status, at) in memory.since.items()
    }
    kept = {"since": since, "families": memory.families, "latencies": memory.latencies}
    path = directory / FILE
    partial = path.with_name(f".{FILE}.{os.getpid()}")
    try:
        partial.write_text(json.dumps(kept))
        partial.replace(path)
    except OSError as error:
        what = f"what this report says cannot be kept: {error.strerror}"
        raise HealthError("HEALTH-007", what, where=str(path)) from error
    finally:
        with suppress(OSError):
            partial.unlink()
