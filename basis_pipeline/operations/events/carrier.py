"""The thread that carries events from the queue to the scribe."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from basis_pipeline.errors import EventError
from basis_pipeline.operations.events.files import Limits
from basis_pipeline.operations.events.model import EventType
from basis_pipeline.operations.events.packing import packed
from basis_pipeline.operations.events.pipe import Pipe
from basis_pipeline.operations.events.wire import message

_DEATHS = 3  # scribes that may die in a row before the carrier gives up
_PARTING = 5.0  # seconds the scribe may take to finish before it is left to itself

Take = Callable[[], tuple[bytearray, int]]


class Carrier(threading.Thread):
    """Takes what was offered every `interval` seconds and hands it over.

    It ends when it is told to, or when the main thread and all others have ended: what the work
    said last is written without anybody asking for it.

    take: removes the queue's lines and says how many events they are · dropped: events dropped so
    far.
    """

    def __init__(
        self,
        directory: Path,
        limits: Limits,
        take: Take,
        dropped: Callable[[], int],
        interval: float,
    ) -> None:
        super().__init__(name="event-log", daemon=False)
        self._directory, self._limits = directory, limits
        self._take, self._dropped, self._interval = take, dropped, interval
        self._wake = threading.Event()
        self._lock = threading.Lock()
        self._flushes: list[threading.Event] = []
        self._pipe: Pipe | None = None
        self._deaths = self._sent = self._reported = 0
        self._closing = False
        self._news: list[bytes] = []  # what there is to say of the log itself
        self.written = self.lost = 0
        self.failure: EventError | None = None
        self.trouble: EventError | None = None

    @property
    def waiting(self) -> int:
        """Events handed over that are not in the log yet."""
        return self._sent - self.written

    def flush(self, timeout: float) -> bool:
        """Whether everything offered so far reached the disk in time."""
        done = threading.Event()
        with self._lock:
            self._flushes.append(done)
        self._wake.set()
        return done.wait(timeout) and not self.failure

    def finish(self, timeout: float) -> None:
        """Carry the rest and end."""
        self._closing = True
        self._wake.set()
        self.join(timeout)

    def abandon(self) -> None:
        """In a forked process: leave the scribe to the parent."""
        if self._pipe:
            self._pipe.disown()

    def run(self) -> None:
        """Carry until it is over."""
        while not self._over():
            self._wake.wait(self._interval)
            self._wake.clear()
            self._round()
        self._round()
        if self._pipe:
            self._pipe.close(_PARTING)
        self._count_lost()

    def _over(self) -> bool:
        if self._closing or threading.main_thread().is_alive():
            return self._closing
        return not any(
            thread.is_alive() and not thread.daemon and not isinstance(thread, Carrier)
            for thread in threading.enumerate()
        )

    def _round(self) -> None:
        with self._lock:
            flushes, self._flushes = self._flushes, []
        try:
            if self._deaths < _DEATHS:
                self._carry(sync=bool(flushes))
            else:
                self.lost += self._take()[1]
        except EventError as error:
            self._bury(error)
        for done in flushes:
            done.set()

    def _carry(self, *, sync: bool) -> None:
        written = not self.waiting or self._handed_over()  # try again what was refused
        while written and (batch := self._next_batch())[1]:
            written = self._handed_over(*batch)
        if written and sync and self._pipe:
            self._handed_over()

    def _next_batch(self) -> tuple[bytes, int]:
        lines, events = self._take()
        if (dropped := self._dropped() + self.lost) > self._reported:
            count, self._reported = dropped - self._reported, dropped
            self._say(EventType.EVENTS_DROPPED, count=count, total=dropped)
        news, self._news = self._news, []
        return b"".join([lines, *news]), events + len(news)

    def _say(self, kind: EventType, **fields: Any) -> None:
        self._news.append(packed({}, "events", kind.value, fields))

    def _handed_over(self, lines: bytes = b"", events: int = 0) -> bool:
        """Whether the scribe wrote what it was given, and everything before."""
        self._sent += events
        self._pipe = self._pipe or Pipe(self._directory, self._limits, self.written)
        answer = self._pipe.ask(message(lines))
        self._deaths = 0
        self.written = answer["seq"]
        self._sent += answer["own"]
        self.failure = _error(answer.get("refused"))
        if "trouble" in answer:
            self.trouble = _error(answer["trouble"])
        return self.failure is None

    def _bury(self, error: EventError) -> None:
        if self._pipe:
            self._pipe.kill()
        self._pipe, self.failure = None, error
        self._deaths += 1
        self._count_lost()
        self._say(EventType.ERROR, code=error.code, what=error.what, where=error.where)

    def _count_lost(self) -> None:
        self.lost += self.waiting
        self._sent = self.written


def _error(told: dict[str, str] | None) -> EventError | None:
    return EventError(told["code"], told["what"], where=told["where"]) if told else None
