"""The event log of a process: a bounded queue that events are offered to."""

import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from basis_pipeline.errors import EventError
from basis_pipeline.masking import masked
from basis_pipeline.operations.events.carrier import Carrier
from basis_pipeline.operations.events.files import Limits, require_writable
from basis_pipeline.operations.events.model import EventType
from basis_pipeline.operations.events.packing import OPTIONS, packed, packed_table

CAPACITY = 32 * 2**20  # bytes: some 200,000 events
INTERVAL = 0.1  # seconds between two hand-overs: many events a time leave the work in peace

_NOTHING: Mapping[str, str] = {}
CONTEXT: ContextVar[Mapping[str, str]] = ContextVar("event_context", default=_NOTHING)
_now = time.time
_context = CONTEXT.get
_dumps = orjson.dumps


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

    _queue: bytearray  # lines of the wire
    _in_tables: int  # events in the queue beyond one a line
    _dropped: int
    _flushed_drops: int
    _carrier: Carrier

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
        if len(self._queue) >= self._capacity:
            self._drop(1)
            return
        # `packed`, spelt out: a call more would be a tenth of the time.
        event = (_now(), _context(), component, kind._value_, fields)
        try:
            self._append(_dumps(event, masked, OPTIONS))
        except TypeError:
            self._append(packed(_context(), component, kind.value, fields))

    def emit_table(
        self, kind: EventType, component: str, /, columns: Mapping[str, Sequence[Any]]
    ) -> None:
        """Offer as many events as the columns have rows: the cheap way for a ledger.

        Columns are lists or arrays of one length, ValueError otherwise.
        """
        if not (rows := len(next(iter(columns.values()), ()))):
            return
        table = packed_table(_context(), component, kind.value, columns)
        with self._lock:
            room = len(self._queue) + len(table) <= self._capacity
            if room:
                self._append(table)
                self._in_tables += rows - 1
        if not room:
            self._drop(rows)

    def status(self) -> Status:
        """How the log fares at this moment."""
        carrier = self._carrier
        with self._lock:
            queued = self._queue.count(b"\n") + self._in_tables + carrier.waiting
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
        self._queue = bytearray()
        self._append = self._queue.extend
        self._lock = threading.Lock()
        self._in_tables = self._dropped = self._flushed_drops = 0
        self._carrier = Carrier(
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

    def _take(self) -> tuple[bytearray, int]:
        with self._lock:
            # Single steps, each of them atomic: events that come between them stay behind.
            end = len(self._queue)
            lines = self._queue[:end]
            del self._queue[:end]
            events, self._in_tables = lines.count(b"\n") + self._in_tables, 0
        return lines, events


_LOGS: weakref.WeakSet[EventLog] = weakref.WeakSet()


def _after_fork() -> None:
    for log in list(_LOGS):
        log._begin_anew()  # noqa: SLF001


os.register_at_fork(after_in_child=_after_fork)
