"""How an event stands in a file: one line of JSON, its keys always in the same order."""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from basis_pipeline.operations.events.masking import masked, masked_text
from basis_pipeline.operations.events.model import CATEGORIES, LEVELS, Event, Level

# What a record in the queue is: when (seconds), run context, component, type, and its fields.
Record = tuple[float, Mapping[str, Any], str, str, Mapping[str, Any]]
# Many records of one type: columns of one length instead of fields, and the length. A column is a
# list, or a numpy type code and the bytes of its array.
Table = tuple[float, Mapping[str, Any], str, str, Mapping[str, Any], int]

START = b'{"at":"'
STAMP = slice(len(START), len(START) + len("2024-06-01T00:00:00.000000Z"))
DAY = slice(len(START), len(START) + len("2024-06-01"))
# Fields that describe the event rather than its content; given to `emit` they win over the context.
ENVELOPE = ("category", "level", "run_id", "mode")

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_PLAIN = frozenset((int, float, bool, type(None)))


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))


def stamp(at: float) -> str:
    """Seconds since 1970 as UTC text of fixed width, so that text order is the order of time."""
    second = int(at)
    return f"{_second(second)}{int((at - second) * 1e6):06d}Z"


@lru_cache(maxsize=1024)
def _head(
    pid: int, kind: str, category: str, level: str, component: str, run: str, mode: str
) -> str:
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


def _body(fields: Mapping[str, Any]) -> str:
    clean = {}
    for name, value in fields.items():
        clean[name if name.isidentifier() else masked_text(name)] = masked(value, name)
    return _encode(clean)


def render(record: Record, seq: int, pid: int, at: float) -> bytes:
    """The line of a record, secrets masked, newline included."""
    _, context, component, kind, fields = record
    if context or not fields.keys().isdisjoint(ENVELOPE):
        context = {**context, **{key: fields[key] for key in ENVELOPE if key in fields}}
        fields = {key: value for key, value in fields.items() if key not in ENVELOPE}
    envelope = [str(context.get(key, "")) for key in ENVELOPE]
    category, level, run, mode = envelope
    head = _head(pid, str(kind), category, level, str(component), run, mode)
    return f'{{"at":"{stamp(at)}","seq":{seq},{head},"fields":{_body(fields)}}}\n'.encode(
        "utf-8", "backslashreplace"
    )


def rows(table: Table) -> Iterator[Record]:
    """The records of a table."""
    at, context, component, kind, columns, _ = table
    lists = [
        column if isinstance(column, list) else memoryview(column[1]).cast(column[0]).tolist()
        for column in columns.values()
    ]
    names = tuple(columns)
    for values in zip(*lists, strict=True):
        yield at, context, component, kind, dict(zip(names, values, strict=True))


def parse(line: bytes) -> Event:
    """The event of a line.

    Raises
    ------
    ValueError, KeyError, TypeError: when it is not a line that `render` wrote.
    """
    entry = json.loads(line)
    entry["at"] = datetime.fromisoformat(entry["at"])
    return Event(**entry)
