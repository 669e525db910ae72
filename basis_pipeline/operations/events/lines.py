"""How an event stands in a file: one line of JSON, its keys always in the same order."""

import time
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from basis_pipeline.masking import masked, masked_text
from basis_pipeline.operations.events.model import CATEGORIES, LEVELS, Event, Level

# An event as it is offered: when (seconds since 1970), run context, component, type, fields.
Record = tuple[float, Mapping[str, Any], str, str, Mapping[str, Any]]

START = b'{"at":"'
STAMP = slice(len(START), len(START) + len("2024-06-01T00:00:00.000000Z"))
DAY = slice(len(START), len(START) + len("2024-06-01"))
# Fields that describe the event rather than its content; given to `emit` they win over the context.
ENVELOPE = ("category", "level", "run_id", "mode")
_ENVELOPE = frozenset(ENVELOPE)

_encode = orjson.dumps


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))


def stamp(at: float) -> str:
    """Seconds since 1970 as UTC text of fixed width, so that text order is the order of time."""
    second = int(at)
    return f"{_second(second)}{int((at - second) * 1e6):06d}Z"


@lru_cache(maxsize=1024)
def _head(
    pid: int, kind: str, component: str, category: str, level: str, run: str, mode: str
) -> bytes:
    parts = {
        "pid": pid,
        "type": masked_text(kind),
        "category": category or CATEGORIES.get(kind, ""),  # type: ignore[call-overload]
        "level": level or LEVELS.get(kind, Level.INFO),  # type: ignore[call-overload]
        "component": masked_text(component),
        "run_id": masked_text(run),
        "mode": masked_text(mode),
    }
    return _encode(parts)[1:-1]


def render(record: Record, seq: int, pid: int, at: float) -> bytes:
    """The line of a record, secrets masked, newline included."""
    _, context, component, kind, fields = record
    if not _ENVELOPE.isdisjoint(fields):
        context = {**context, **{key: str(fields[key]) for key in ENVELOPE if key in fields}}
        fields = {key: value for key, value in fields.items() if key not in _ENVELOPE}
    head = _head(pid, str(kind), str(component), *[context.get(key, "") for key in ENVELOPE])
    body = _encode({masked_text(name): masked(value, name) for name, value in fields.items()})
    return b'{"at":"%b","seq":%d,%b,"fields":%b}\n' % (stamp(at).encode(), seq, head, body)


def parse(line: bytes) -> Event:
    """The event of a line.

    Raises
    ------
    ValueError, KeyError, TypeError: when it is not a line that `render` wrote.
    """
    entry = orjson.loads(line)
    entry["at"] = datetime.fromisoformat(entry["at"])
    return Event(**entry)
