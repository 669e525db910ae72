"""The audit trail in the results database: of each audit event when, what, whose and where.

The log stays the truth; the index answers which events there are without reading it, and leads to
the line: a file, named as before it was compressed, and the offset of the line in its plain text.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, insert, select

from basis_pipeline.operations.events.files import LogName, log_files
from basis_pipeline.operations.events.lines import START, parse
from basis_pipeline.operations.events.model import Category, Event
from basis_pipeline.operations.events.query import opened
from basis_pipeline.results.database.connection import reading, writing
from basis_pipeline.results.database.tables import EVENT_INDEX

_AUDIT = f'"category":"{Category.AUDIT}"'.encode()
_OVERLAP = timedelta(days=1)  # a process may write of yesterday when another writes of today


def index_audit(engine: Engine, directory: Path) -> int:
    """Add the audit events written since the last time; how many.

    Files of days that lie well before the newest indexed event are not read again. Lines that are
    no events, or not yet whole, are passed over: `query` reports them.

    Raises
    ------
    ResultsError: as `connection.writing`.
    """
    columns = EVENT_INDEX.c
    with reading(engine) as connection:
        newest = connection.scalar(select(func.max(columns.at)))
        asked = select(columns.file, func.max(columns.position)).group_by(columns.file)
        known: dict[str, int] = {row[0]: row[1] for row in connection.execute(asked)}
    from_day = (newest - _OVERLAP).date() if newest else None
    added = 0
    for name in log_files(directory) if directory.is_dir() else ():
        if from_day is None or name.day >= from_day:
            rows = list(_rows(name, known.get(_plain(name.path), -1)))
            if rows:
                with writing(engine, exclusive=EVENT_INDEX.name) as connection:
                    here = select(columns.position).where(columns.file == _plain(name.path))
                    held = set(connection.execute(here).scalars())
                    new = [row for row in rows if row["position"] not in held]
                    if new:
                        connection.execute(insert(EVENT_INDEX), new)
                added += len(new)
    return added


def event_at(directory: Path, file: str, position: int) -> Event:
    """The event an entry of the index leads to.

    Raises
    ------
    FileNotFoundError: when its file has been removed as too old.
    """
    with opened(directory / file) as lines:
        lines.seek(position)
        return parse(lines.readline())


def _plain(path: Path) -> str:
    return path.name.removesuffix(".gz")


def _rows(name: LogName, after: int) -> Iterator[dict[str, Any]]:
    """Rows of a file's audit events that begin behind an offset."""
    position = max(after, 0)
    with opened(name.path) as lines:
        lines.seek(position)
        for line in lines:
            here, position = position, position + len(line)
            if here <= after or not line.startswith(START) or not line.endswith(b"}\n"):
                continue
            if _AUDIT in line.partition(b',"fields":')[0]:
                event = parse(line)
                yield {
                    "file": _plain(name.path),
                    "position": here,
                    "at": event.at,
                    "type": event.type,
                    "level": event.level,
                    "mode": event.mode,
                    "pipeline_run": event.run_id,
                    "component": event.component,
                }
