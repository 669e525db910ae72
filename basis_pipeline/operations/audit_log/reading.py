"""Reading the log: the files of all processes as one stream in order of time."""

import gzip
import zlib
from collections.abc import Collection, Iterator
from datetime import UTC, datetime
from heapq import nlargest
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from basis_pipeline.config.automation import AlertKind
from basis_pipeline.errors import EventError
from basis_pipeline.operations.audit_log.files import day_of, log_files
from basis_pipeline.operations.audit_log.model import Category, Event, EventType
from basis_pipeline.times import parse_since

FORMS = "2024-06-01, 2024-06-01T08:00, 2024-06-01T08:00+02:00; 90s, 30m, 2h, 3d, 1w before now"
# The modification time of a file may be earlier than its last event, by its resolution.
COARSE_SECONDS = 2.0
EARLIEST, LATEST = (time.replace(tzinfo=UTC) for time in (datetime.min, datetime.max))  # noqa: DTZ901


def read_events(
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
) -> list[Event]:
    """Read the events that match every condition, in order of time.

    Parameters
    ----------
    types: of `EventType`, or of `AlertKind` for alerts of that kind.
    since, until: from the first, included, to the second, excluded: an ISO time, UTC unless it
        has an offset, or a span before now such as `2h` or `3d`.
    run_id: a run, or the correlation id of a call.
    limit: number of latest events, 1 or more; older ones are not read.
    damages: collects what cannot be read; without it the first damage is raised.

    Raises
    ------
    EventError: EVENT-005 when a type or category does not exist, EVENT-006 when a time cannot be
        read or the span is empty, EVENT-008 when there is no log, EVENT-002 for a line that is not
        an event, EVENT-003 for a last line cut short, EVENT-004 for a damaged compressed file.
    """
    _require_known(types, (*EventType, *AlertKind), "type")
    _require_known(categories, tuple(Category), "category")
    start, end = parse_time(since or EARLIEST), parse_time(until or LATEST)
    if start >= end:
        what = f"there is no time between {since} and {until}"
        raise EventError("EVENT-006", what, available=FORMS)
    if not directory.is_dir():
        raise EventError("EVENT-008", "there is no audit log", where=str(directory))

    def wanted(event: Event) -> bool:
        return (
            start <= event.at < end
            and (not types or event.type in types or event.fields.get("kind") in types)
            and (not categories or event.category in categories)
            and (mode is None or event.mode == mode)
            and (run_id is None or run_id in (event.run_id, event.fields.get("correlation_id")))
        )

    problems: list[EventError] = [] if damages is None else damages
    files = [file for file in log_files(directory) if start.date() <= day_of(file) <= end.date()]
    events: list[Event] = []
    for changed, file in sorted(((_changed(file), file) for file in files), reverse=True):
        if limit is not None and len(events) >= limit and changed < events[-1].at.timestamp():
            break
        events += islice(filter(wanted, _read_backwards(file, problems)), limit)
        if limit is not None:
            events = nlargest(limit, events, key=order)
    if problems and damages is None:
        raise problems[0]
    return sorted(events, key=order)


def order(event: Event) -> tuple[datetime, int, int]:
    """Return the sort key of an event in the log."""
    return event.at, event.pid, event.seq


def parse_time(text: str | datetime) -> datetime:
    """Read a time in the forms that `read_events` takes.

    Raises
    ------
    EventError: EVENT-006 when it is none of them.
    """
    if isinstance(text, datetime):
        return text if text.tzinfo else text.replace(tzinfo=UTC)
    try:
        return parse_since(text, datetime.now(UTC))
    except ValueError:
        what = f"{text!r} is neither a time nor a span"
        raise EventError("EVENT-006", what, available=FORMS) from None


def _require_known(names: Collection[str], known: Collection[str], noun: str) -> None:
    if unknown := sorted(set(names) - set(known)):
        what = f"there is no {noun} of event called {', '.join(unknown)}"
        raise EventError("EVENT-005", what, available=", ".join(known))


def _changed(path: Path) -> float:
    """Return a time that is not before the last event of a file."""
    try:
        return path.stat().st_mtime + COARSE_SECONDS
    except FileNotFoundError:  # compressed or removed since the directory was listed
        return float("inf")


def _read_backwards(path: Path, problems: list[EventError]) -> Iterator[Event]:
    try:
        lines = _content(path).splitlines(keepends=True)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        problems.append(EventError("EVENT-004", f"not readable: {error}", where=str(path)))
        return
    except FileNotFoundError:
        return  # removed as too old since the directory was listed
    for number, line in zip(range(len(lines), 0, -1), reversed(lines), strict=True):
        where = f"{path}, line {number}"
        if not line.endswith(b"\n"):
            problems.append(EventError("EVENT-003", "the last line is cut short", where=where))
            continue
        try:
            yield parse(line)
        except (ValueError, TypeError, KeyError):
            problems.append(EventError("EVENT-002", "a line is not an event", where=where))


def _content(path: Path) -> bytes:
    packed = path if path.suffix == ".gz" else path.with_name(f"{path.name}.gz")
    try:
        return gzip.decompress(path.read_bytes()) if path == packed else path.read_bytes()
    except FileNotFoundError:
        return gzip.decompress(packed.read_bytes())  # compressed since the directory was listed


def parse(line: bytes) -> Event:
    """Read a line of the log. Raises ValueError, TypeError or KeyError when it is not an event."""
    values: dict[str, Any] = orjson.loads(line)
    values["at"] = datetime.fromisoformat(values["at"])
    if not isinstance(values["fields"], dict):
        raise TypeError("the fields are not a mapping")
    return Event(**values)
