"""The process that writes: it masks, numbers and appends what the work's process hands over.

Turning 50,000 events a second into JSON keeps a core busy for a good part of the time; in the
work's own process that time would be taken from it through the interpreter lock. And the scribe
outlives the work: whoever is killed leaves whole lines behind. Messages come in one at a time and
each is answered by a line of JSON; the end of input is the order to finish.
"""

import json
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from basis_pipeline.errors import EventError
from basis_pipeline.operations.events.files import Limits, OpenFile, compress_closed, remove_old
from basis_pipeline.operations.events.lines import DAY, STAMP, Record, render
from basis_pipeline.operations.events.model import EventType
from basis_pipeline.operations.events.wire import read_message, records


class Scribe:
    """Writes batches into the log of one process.

    seq: number of the last event of that process that is in the log already.
    """

    def __init__(self, directory: Path, limits: Limits, pid: int, seq: int) -> None:
        self._file = OpenFile(directory, limits, pid)
        self._pid = pid
        self._written = self._numbered = seq
        self._last = 0.0
        self._pending: deque[list[bytes]] = deque()
        self._refused = False
        self._own = 0
        self._upkeep = _Upkeep(directory, limits)

    def answer(self, lines: bytes) -> dict[str, Any]:
        """Write the events of a message; when there are none, wait for the disk instead.

        Returns `seq`, the number of the last event written; `own`, how many events the scribe has
        added itself since the last answer; and where there is something to tell, `refused`, why
        the rest has to wait (it is tried again with the next message), and `trouble`, what kept
        files from being compressed or removed, None when that went well.
        """
        told = self._report_upkeep()
        self._add(records(lines))
        try:
            self._write_pending()
            if not lines:
                self._file.sync()
            self._refused = False
        except EventError as error:
            told["refused"] = _laid_out(error)
            if not self._refused:  # once, to be written when the disk takes it
                self._say(EventType.ERROR, told["refused"])
            self._refused = True
        own, self._own = self._own, 0
        return {"seq": self._written, "own": own, **told}

    def close(self) -> None:
        """Write what is pending, end the file and compress it."""
        self._upkeep.finish()
        self._report_upkeep()
        try:
            self._write_pending()
            self._file.close()
        except EventError:
            return  # nobody is left to be told; who opens the log next meets the same disk
        self._upkeep.start()
        self._upkeep.finish()

    def _report_upkeep(self) -> dict[str, Any]:
        told = self._upkeep.told()
        if removed := told.pop("removed", []):
            self._say(EventType.LOG_FILES_REMOVED, {"files": removed})
        if told.get("trouble"):
            self._say(EventType.ERROR, told["trouble"])
        return told

    def _say(self, kind: EventType, fields: dict[str, Any]) -> None:
        self._own += 1
        self._add([(time.time(), {}, "events", kind, fields)])

    def _add(self, events: Iterable[Record]) -> None:
        days = groupby(self._rendered(events), key=lambda line: line[DAY])
        self._pending.extend(list(day) for _, day in days)

    def _rendered(self, events: Iterable[Record]) -> Iterator[bytes]:
        for record in events:
            # Threads overtake one another and clocks are set back; the order of the lines is the
            # order of offering, and stamps follow it.
            self._last = max(self._last, record[0])
            self._numbered += 1
            yield render(record, self._numbered, self._pid, self._last)

    def _write_pending(self) -> None:
        files = self._file.ended
        while self._pending:
            lines = self._pending[0]
            self._file.append(b"".join(lines), lines[0][STAMP].decode())
            self._written += len(lines)
            self._pending.popleft()
        if self._file.ended > files:
            self._upkeep.start()


class _Upkeep:
    """Compression and retention, in a thread beside the writing; at once when a process starts."""

    def __init__(self, directory: Path, limits: Limits) -> None:
        self._directory, self._limits = directory, limits
        self._thread: threading.Thread | None = None
        self._told: dict[str, Any] = {}
        self.start()

    def start(self) -> None:
        """Begin, after what is under way."""
        self.finish()
        self._thread = threading.Thread(target=self._work, name="upkeep")
        self._thread.start()

    def finish(self) -> None:
        """Return when nothing is under way."""
        if self._thread:
            self._thread.join()

    def told(self) -> dict[str, Any]:
        """What there is to tell since it was last asked."""
        told, self._told = self._told, {}
        return told

    def _work(self) -> None:
        told: dict[str, Any] = {"trouble": None}
        try:
            compress_closed(self._directory)
        except EventError as error:
            told["trouble"] = _laid_out(error)
        try:
            if removed := remove_old(self._directory, self._limits):
                told["removed"] = removed
        except EventError as error:
            told["trouble"] = _laid_out(error)
        self._told = told


def _laid_out(error: EventError) -> dict[str, str]:
    return {"code": error.code, "what": error.what, "where": error.where}


def serve(source: BinaryIO, sink: BinaryIO, scribe: Scribe) -> None:
    """Answer messages until the source ends, in the middle of one if its sender was killed."""
    while (lines := read_message(source)) is not None:
        answer = json.dumps(scribe.answer(lines)).encode() + b"\n"
        try:
            sink.write(answer)
            sink.flush()
        except BrokenPipeError:
            break
    scribe.close()


def main() -> None:
    """Serve the process this one was started by: directory, limits as JSON, pid, last number."""
    directory, limits, pid, seq = sys.argv[1:]
    # The work comes first where there are too few cores for both.
    os.nice(10)
    # Whoever stops the work lets it finish its log: the end of input ends this process.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    source, sink = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    serve(source, sink, Scribe(Path(directory), Limits(**json.loads(limits)), int(pid), int(seq)))
