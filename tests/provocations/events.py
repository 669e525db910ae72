"""Failures of the event log."""

import gzip
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from basis_pipeline.operations.events.files import Limits, compress_closed
from basis_pipeline.operations.events.model import EventType
from basis_pipeline.operations.events.query import query
from basis_pipeline.operations.events.writer import CAPACITY, EventLog

FILE = "events-2024-06-01T080000-1-0001.jsonl"


def in_the_way(place: Path) -> None:
    """A file where the log's directory should be."""
    (place / "logs").write_text("in the way")
    EventLog(place / "logs")


def opened(use: Callable[[EventLog], object], capacity: int = CAPACITY) -> Callable[[Path], object]:
    """Use a log and close it, whatever comes of it."""

    def provoke(place: Path) -> object:
        log = EventLog(place / "logs", capacity=capacity)
        try:
            return use(log)
        finally:
            log.close()

    return provoke


def without_directory(log: EventLog) -> None:
    """The directory is replaced by a file while the log is in use."""
    log.emit(EventType.MESSAGE, "test", text="before")
    log.flush()
    shutil.rmtree(log.directory)
    log.directory.write_text("in the way")
    log.emit(EventType.MESSAGE, "test", text="after")
    log.flush()


def too_many(log: EventLog) -> None:
    """More events at once than the queue holds."""
    for number in range(1000):
        log.emit(EventType.MESSAGE, "test", number=number)
    log.flush()


def closed(log: EventLog) -> None:
    """A log used after its end."""
    log.close()
    log.flush()


def children() -> set[int]:
    """Processes that this one has started and that live."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


def killed(place: Path) -> None:
    """The process that writes is killed whenever there is one."""
    before = children()
    log = EventLog(place / "logs")
    try:
        for _ in range(20):
            log.emit(EventType.MESSAGE, "test", text="…")
            log.flush()
            for pid in children() - before:
                os.kill(pid, signal.SIGKILL)
    finally:
        log.close()


def read(content: bytes, name: str = FILE) -> Callable[[Path], object]:
    """Read a log that holds one file with that content."""

    def provoke(place: Path) -> object:
        (place / name).write_bytes(content)
        return list(query(place))

    return provoke


def uncompressible(place: Path) -> None:
    """A directory where the compressed copy of a file should be written."""
    (place / FILE).write_bytes(LINE)
    (place / f"{FILE}.gz.part").mkdir()
    compress_closed(place)


LINE = b'{"at":"2024-06-01T08:00:00.000000Z","seq":1'

PROVOCATIONS = {
    "EVENT-001": in_the_way,
    "EVENT-002": opened(without_directory),
    "EVENT-003": opened(too_many, capacity=10),
    "EVENT-004": read(LINE + b"}\n"),
    "EVENT-005": read(LINE),
    "EVENT-006": read(gzip.compress(LINE * 1000)[:-9], f"{FILE}.gz"),
    "EVENT-007": lambda place: query(place, types=["nonsense"]),
    "EVENT-008": lambda place: query(place, since="soon"),
    "EVENT-009": opened(closed),
    "EVENT-010": uncompressible,
    "EVENT-011": killed,
    "EVENT-012": lambda place: query(place / "nowhere"),
    "EVENT-013": lambda _: Limits(keep_days=0),
}
