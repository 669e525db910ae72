"""Following the log: new events of all processes, in order of time."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from basis_pipeline.operations.audit_log.files import day_of, log_files
from basis_pipeline.operations.audit_log.model import Event
from basis_pipeline.operations.audit_log.reading import order, parse

# An event has its time before its line is written: a later event may be written first.
HELD_BACK = timedelta(seconds=0.1)


class Follower:
    """Reads the events that are added to the log after its creation."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._offsets = {file: file.stat().st_size for file in self._files()}
        self._held: list[Event] = []

    def read(self) -> list[Event]:
        """Return the events since the last call, in order; unreadable lines are left out."""
        for file in self._files():
            with suppress(OSError):  # compressed since the directory was listed
                self._held += self._added(file)
        self._held.sort(key=order)
        until = datetime.now(UTC) - HELD_BACK
        ready = [event for event in self._held if event.at < until]
        self._held = self._held[len(ready) :]
        return ready

    def _files(self) -> list[Path]:
        recent = datetime.now(UTC).date() - timedelta(days=1)
        return [f for f in log_files(self._directory) if f.suffix != ".gz" and day_of(f) >= recent]

    def _added(self, file: Path) -> list[Event]:
        offset = self._offsets.get(file, 0)
        if file.stat().st_size <= offset:
            return []
        with file.open("rb") as content:
            content.seek(offset)
            whole = content.read().rpartition(b"\n")[0]
        self._offsets[file] = offset + len(whole) + bool(whole)
        events = []
        for line in whole.splitlines():
            with suppress(ValueError, TypeError, KeyError):
                events.append(parse(line))
        return events
