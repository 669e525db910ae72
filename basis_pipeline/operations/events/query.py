"""Reading the log back: the files of all processes as one stream in order of time."""

import gzip
import heapq
import json
import re
import zlib
from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import BinaryIO

from basis_pipeline.errors import EventError
from basis_pipeline.operations.events.files import LogName, is_open, log_files
from basis_pipeline.operations.events.lines import STAMP, START, parse
from basis_pipeline.operations.events.model import Category, Event, EventType

_SPAN = re.compile(r"(\d+)\s*([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FORMS = "2024-06-01, 2024-06-01T08:00, 2024-06-01T08:00+02:00; 90s, 30m, 2h, 3d, 1w before now"


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked for, as the lines spell it: one of each group must stand in a line's head."""

    since: bytes
    until: bytes
    groups: tuple[tuple[bytes, ...], ...]

    def fits(self, line: bytes) -> bool:
        if not self.since <= line[STAMP] < self.until:
            return False
        # Quotes in values are escaped: nothing else in the head can look like a key and its value.
        head = line.partition(b',"fields":')[0]
        return all(any(pair in head for pair in group) for group in self.groups)

    def may_be_in(self, name: LogName) -> bool:
        """Whether the file can hold a fitting event, from its name and the time it was written."""
        if name.starts.encode() >= self.until or name.day.isoformat().encode() < self.since[:10]:
            return False
        try:
            # A second for file systems that keep coarse time.
            return _text(datetime.fromtimestamp(name.path.stat().st_mtime + 1, UTC)) >= self.since
        except FileNotFoundError:
            return True  # compressed a moment ago


def query(
    directory: Path,
    *,
    types: Collection[str] = (),
    categories: Collection[str] = (),
    mode: str | None = None,
    run_id: str | None = None,
    since: str | datetime | None = None,
    until: str | datetime | None = None,
    limit: int | None = None,
    damages: list[EventError] | None = None,
) -> Iterator[Event]:
    """Events that fit everything asked for, in order of time, a process's in its own order.

    Parameters
    ----------
    since, until: from the one up to but without the other. An ISO time, UTC unless it says
        otherwise, or a span before now such as `2h` or `3d`.
    limit: only the last so many.
    damages: where lines and files that cannot be read are reported, so that reading goes on behind
        them. Without it the first one is raised.

    Raises
    ------
    EventError: EVENT-007 when a type or category does not exist, EVENT-008 when a time cannot be
        read or the span is empty, EVENT-012 when there is no such directory; while reading,
        EVENT-004 for a line that is no event, EVENT-005 for a last line cut short, EVENT-006 for a
        compressed file that is damaged.
    """
    wanted = _wanted(types, categories, mode, run_id, since, until)
    if not directory.is_dir():
        raise EventError("EVENT-012", "there is no event log here", where=str(directory))
    files = [name for name in log_files(directory) if wanted.may_be_in(name)]
    days = [list(day) for _, day in groupby(files, key=lambda name: name.day)]
    if limit is None:
        return (event for day in days for event in _events(day, wanted, damages))
    return _last(days, wanted, damages, limit)


def moment(text: str | datetime, now: datetime | None = None) -> datetime:
    """The time that `text` names: an ISO time, UTC unless it has an offset, or a span before now.

    Raises
    ------
    EventError: EVENT-008 when it is neither.
    """
    try:
        if isinstance(text, str) and (span := _SPAN.fullmatch(text.strip())):
            back = timedelta(**{_UNITS[span[2]]: int(span[1])})
            return (now or datetime.now(UTC)) - back
        time = datetime.fromisoformat(text.strip()) if isinstance(text, str) else text
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        what = f"{text!r} is neither a time nor a span"
        raise EventError("EVENT-008", what, available=_FORMS) from None


def _wanted(
    types: Collection[str],
    categories: Collection[str],
    mode: str | None,
    run_id: str | None,
    since: str | datetime | None,
    until: str | datetime | None,
) -> _Wanted:
    for asked, known, noun in ((types, EventType, "type"), (categories, Category, "category")):
        if unknown := sorted(set(asked) - set(known)):
            what = f"no {noun} of event is called {', '.join(unknown)}"
            raise EventError("EVENT-007", what, available=", ".join(known))
    start = _text(moment(since)) if since is not None else b""
    end = _text(moment(until)) if until is not None else b"~"
    if start >= end:
        what = f"nothing lies between {since} and {until}"
        raise EventError("EVENT-008", what, available=_FORMS)
    asked = {"type": types, "category": categories}
    asked |= {
        key: [value] for key, value in (("mode", mode), ("run_id", run_id)) if value is not None
    }
    groups = [
        tuple(_pair(key, value) for value in values) for key, values in asked.items() if values
    ]
    return _Wanted(start, end, tuple(groups))


def _text(time: datetime) -> bytes:
    return f"{time.replace(tzinfo=None).isoformat(timespec='microseconds')}Z".encode()


def _pair(key: str, value: str) -> bytes:
    return f"{json.dumps(key)}:{json.dumps(str(value), ensure_ascii=False)}".encode()


def _last(
    days: list[list[LogName]], wanted: _Wanted, damages: list[EventError] | None, limit: int
) -> Iterator[Event]:
    """The last `limit` events, reading no more days than that takes."""
    found: deque[Event] = deque()
    for day in reversed(days):
        if len(found) >= limit:
            break
        found.extendleft(reversed(deque(_events(day, wanted, damages), limit - len(found))))
    yield from found


def _events(
    files: list[LogName], wanted: _Wanted, damages: list[EventError] | None
) -> Iterator[Event]:
    """The fitting events of one day's files. A file is opened when the stream reaches its start."""
    waiting = deque(files)
    heads: list[tuple[bytes, int, int, bytes, LogName, Iterator[tuple[int, bytes]]]] = []

    def advance(order: int, name: LogName, lines: Iterator[tuple[int, bytes]]) -> None:
        for number, line in lines:
            heapq.heappush(heads, (line[STAMP], order, number, line, name, lines))
            return

    while waiting or heads:
        while waiting and (not heads or waiting[0].starts.encode() <= heads[0][0]):
            name = waiting.popleft()
            advance(len(waiting), name, _lines(name, wanted, damages))
        if heads:
            _, order, number, line, name, lines = heapq.heappop(heads)
            try:
                yield parse(line)
            except (ValueError, KeyError, TypeError):
                _report("EVENT-004", "a line is no event", name, number, damages)
            advance(order, name, lines)


def _lines(
    name: LogName, wanted: _Wanted, damages: list[EventError] | None
) -> Iterator[tuple[int, bytes]]:
    """The fitting lines of a file, numbered from 1."""
    number = 0
    try:
        with opened(name.path) as file:
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    # Half a line at the end of a file being written is the next line coming.
                    if not is_open(name.path):
                        _report("EVENT-005", "the last line is cut short", name, number, damages)
                elif not (line.startswith(START) and line.endswith(b"}\n")):
                    _report("EVENT-004", "a line is no event", name, number, damages)
                elif wanted.fits(line):
                    yield number, line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        _report("EVENT-006", f"not readable to its end: {error}", name, number, damages)
    except FileNotFoundError:
        return  # removed as too old since the directory was listed


def opened(path: Path) -> BinaryIO | gzip.GzipFile:
    """A file of the log as plain text, compressed or not, or compressed meanwhile."""
    packed = path if path.suffix == ".gz" else Path(f"{path}.gz")
    try:
        return path.open("rb") if path != packed else gzip.open(path, "rb")
    except FileNotFoundError:
        return gzip.open(packed, "rb")  # compressed since the directory was listed


def _report(
    code: str, what: str, name: LogName, line: int, damages: list[EventError] | None
) -> None:
    error = EventError(code, what, where=f"{name.path}, line {line}")
    if damages is None:
        raise error
    damages.append(error)
