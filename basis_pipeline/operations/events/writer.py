"""The event log of a process: a bounded queue that events are offered to."""

import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np

from basis_pipeline.errors import EventError
from basis_pipeline.operations.events.carrier import Carrier
from basis_pipeline.operations.events.files import Limits, require_writable
from basis_pipeline.operations.events.lines import Record, Table
from basis_pipeline.operations.events.model import EventType

CAPACITY = 100_000  # events
INTERVAL = 0.1  # seconds between two hand-overs: many events a time leave the work in peace

_NOTHING: Mapping[str, str] = {}
CONTEXT: ContextVar[Mapping[str, str]] = ContextVar("event_context", default=_NOTHING)
_now = time.time
_context = CONTEXT.get


@dataclass(frozen=True, slots=True)
class Status:
    """How the log fares: counts of events, and the failure it is in, None when it is well.

    dropped: events that will not be in the log, for want of room or because nobody could write.
    """

    written: int
    dropped: int
    queued: int
    failure: EventError | None


class EventLog:
    """The log of this process in a directory.

    Offering never waits and never raises: when the queue is full the event is counted as dropped,
    and the count itself is logged as soon as there is room. A forked process continues with a log
    of its own.

    Raises
    ------
    EventError: EVENT-001 when the directory cannot be written.
    """

    def __init__(
        self,
        directory: Path,
        *,
        limits: Limits | None = None,
        capacity: int = CAPACITY,
        interval: float = INTERVAL,
    ) -> None:
        require_writable(directory)
        self.directory = directory.resolve()
        self._limits = limits or Limits()
        self._capacity, self._interval = capacity, interval
        self._closed = False
        self._begin()
        _LOGS.add(self)

    def emit(self, kind: EventType, component: str, /, **fields: Any) -> None:
        """Offer an event. `category, level, run_id, mode` among the fields describe the event."""
        if len(self._queue) < self._capacity:
            self._append((_now(), _context(), component, kind, fields))
        else:
            self._drop(1)

    def emit_table(
        self, kind: EventType, component: str, /, columns: Mapping[str, Sequence[Any]]
    ) -> None:
        """Offer as many events as the columns have rows: the cheap way for a ledger.

        Columns are of one length, lists or arrays; they are copied.
        """
        lengths = {len(column) for column in columns.values()}
        if len(lengths) > 1:
            raise ValueError(f"columns of different lengths: {sorted(lengths)}")
        if not (rows := lengths.pop() if lengths else 0):
            return
        with self._lock:
            room = len(self._queue) + self._in_tables + rows <= self._capacity
            self._in_tables += rows if room else 0
        if room:
            laid_out = {name: _column(column) for name, column in columns.items()}
            self._append((_now(), _context(), component, kind, laid_out, rows))
        else:
            self._drop(rows)

    def status(self) -> Status:
        """How the log fares at this moment."""
        carrier = self._carrier
        queued = len(self._queue) + self._in_tables + carrier.waiting
        failure = carrier.failure or carrier.trouble
        return Status(carrier.written, self._dropped + carrier.lost, queued, failure)

    def flush(self, timeout: float = 10.0) -> None:
        """Return when everything offered so far is on the disk.

        Raises
        ------
        EventError: EVENT-009 when the log is closed; EVENT-002 or EVENT-011 when events could not
            be written, or not in time; EVENT-003 when some were dropped since the last flush.
        """
        place = str(self.directory)
        if self._closed:
            raise EventError("EVENT-009", "a closed event log was asked to flush", where=place)
        if not self._carrier.flush(timeout):
            what = f"events are not on the disk after {timeout:g} s"
            raise self._carrier.failure or EventError("EVENT-002", what, where=place)
        dropped = self._dropped + self._carrier.lost
        if (fresh := dropped - self._flushed_drops) > 0:
            self._flushed_drops = dropped
            raise EventError("EVENT-003", f"{fresh} events were dropped", where=place)

    def close(self, timeout: float = 10.0) -> Status:
        """Write what was offered and end the log; what is offered later is counted as dropped."""
        self._closed, self._capacity = True, 0
        self._carrier.finish(timeout)
        _LOGS.discard(self)
        return self.status()

    def _begin(self) -> None:
        self._queue: deque[Record | Table] = deque()
        self._append = self._queue.append
        self._lock = threading.Lock()
        self._in_tables: int = 0  # events of the tables in the queue
        self._dropped: int = 0
        self._flushed_drops: int = 0
        self._carrier: Carrier = Carrier(
            self.directory, self._limits, self._take, lambda: self._dropped, self._interval
        )
        self._carrier.start()

    def _begin_anew(self) -> None:
        """In a forked process: the queue and the scribe belong to the parent."""
        self._carrier.abandon()
        self._begin()

    def _drop(self, events: int) -> None:
        with self._lock:
            self._dropped += events

    def _take(self, most: int) -> list[Record | Table]:
        pop = self._queue.popleft
        entries = [pop() for _ in repeat(None, min(most, len(self._queue)))]
        if self._in_tables:
            with self._lock:
                self._in_tables -= sum(entry[5] for entry in entries if len(entry) == 6)
        return entries


def _column(column: Sequence[Any]) -> list[Any] | tuple[str, bytes]:
    """A column as it travels: numbers as they lie in memory, anything else as a list."""
    array = np.asarray(column) if hasattr(column, "dtype") else None
    if array is None:
        return list(column)
    if array.dtype.kind == "M":
        return [str(stamp) for stamp in np.datetime_as_string(array)]
    if array.dtype.char in "dlqi?":
        return array.dtype.char, array.tobytes()
    return list(array.tolist())


_LOGS: weakref.WeakSet[EventLog] = weakref.WeakSet()


def _after_fork() -> None:
    for log in list(_LOGS):
        log._begin_anew()  # noqa: SLF001


os.register_at_fork(after_in_child=_after_fork)
