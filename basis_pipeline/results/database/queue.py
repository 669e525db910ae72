"""The durable queue before the results database: what it has accepted is never lost.

One SQLite file beside the results, whatever the database is. An entry stays until it is in the
database, and is taken in the order of its number. The queue is bounded: who comes when it is full
waits, and is refused in the end.
"""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock

from sqlalchemy import (
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Select,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.connection import connect, kept_open, reading, writing
from basis_pipeline.results.database.tables import UtcTime
from basis_pipeline.settings import SQLITE

DEPTH = 1000  # a run of a year is 0.1 MB
WAIT_SECONDS = 30.0
POLL_SECONDS = 0.02

_METADATA = MetaData()
ENTRIES = Table(
    "entries",
    _METADATA,
    Column("sequence", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("accepted_at", UtcTime, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("refused", Text, nullable=False),  # why it was set aside; empty while it waits
    Index("ix_entries_refused", "refused", "sequence"),
    Index("ix_entries_run_id", "run_id"),
    sqlite_autoincrement=True,  # a number is never given twice
)


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to be written to the database: a run with its rows, or the verdicts on one."""

    kind: str
    run_id: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry that was accepted, and when."""

    sequence: int
    accepted_at: datetime
    entry: Entry


class ResultQueue:
    """Accepts entries of any number of threads and processes, in one order.

    Parameters
    ----------
    file: of the queue, made when it is first used.
    depth: entries it holds at most.
    wait_seconds: how long one that comes when it is full waits for room.
    """

    def __init__(
        self, file: Path, *, depth: int = DEPTH, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self.file = file
        self.depth = depth
        self._wait_seconds = wait_seconds
        self._engine = connect(f"{SQLITE}{file}")
        self._made = False
        self._turn = Lock()

    def accept(self, entries: Sequence[Entry]) -> list[int]:
        """Take all of them, on the disk when this returns, or none; their numbers, in order.

        Raises
        ------
        ResultsError: RS-009 when the queue stays full, RS-001 when the disk is, RS-007 when its
            file is held by another, RS-005 when that is damaged.
        """
        deadline = time.monotonic() + self._wait_seconds
        while True:
            with self._turn, writing(self._engine) as connection:
                self._make(connection)
                held = int(connection.scalar(_held()) or 0)
                if held == 0 or held + len(entries) <= self.depth:
                    return [_add(connection, entry) for entry in entries]
            if time.monotonic() >= deadline:
                raise ResultsError(
                    "RS-009",
                    f"{held} results wait in the queue, which takes {self.depth}",
                    where=str(self.file),
                )
            time.sleep(POLL_SECONDS)

    def kept_open(self) -> AbstractContextManager[None]:
        """For many calls: see `connection.kept_open`."""
        return kept_open(self._engine) if self.file.exists() else nullcontext()

    def head(self, limit: int) -> list[Waiting]:
        """The entries that have waited longest, in order."""
        if not self.file.exists():
            return []
        taken = (
            select(ENTRIES).where(ENTRIES.c.refused == "").order_by(ENTRIES.c.sequence).limit(limit)
        )
        with writing(self._engine) as connection:
            self._make(connection)
            rows = connection.execute(taken).all()
        return [
            Waiting(row.sequence, row.accepted_at, Entry(row.kind, row.run_id, row.content))
            for row in rows
        ]

    def remove(self, sequences: Sequence[int]) -> None:
        """Forget entries that are in the database."""
        with writing(self._engine) as connection:
            connection.execute(delete(ENTRIES).where(ENTRIES.c.sequence.in_(sequences)))

    def set_aside(self, sequence: int, reason: str) -> None:
        """Keep an entry that the database will never take, so that those behind it pass."""
        with writing(self._engine) as connection:
            connection.execute(
                update(ENTRIES).where(ENTRIES.c.sequence == sequence).values(refused=reason)
            )

    def set_aside_entries(self) -> dict[str, str]:
        """Why entries were set aside, by their run."""
        return dict(self._select(ENTRIES.c.run_id, ENTRIES.c.refused, refused=True))

    def waiting(self) -> list[str]:
        """The runs that have an entry waiting, in order."""
        return [run_id for run_id, _ in self._select(ENTRIES.c.run_id, ENTRIES.c.sequence)]

    def _select(
        self, *columns: Column[str] | Column[int], refused: bool = False
    ) -> list[tuple[str, str]]:
        if not self.file.exists():
            return []
        wanted = ENTRIES.c.refused != "" if refused else ENTRIES.c.refused == ""
        with writing(self._engine) as connection:
            self._make(connection)
        with reading(self._engine) as connection:
            rows = connection.execute(select(*columns).where(wanted).order_by(ENTRIES.c.sequence))
            return [(str(row[0]), str(row[1])) for row in rows]

    def _make(self, connection: Connection) -> None:
        if not self._made:
            _METADATA.create_all(connection)
            self._made = True


def _held() -> Select[int]:
    return select(func.count()).select_from(ENTRIES).where(ENTRIES.c.refused == "")


def _add(connection: Connection, entry: Entry) -> int:
    values = {"kind": entry.kind, "run_id": entry.run_id, "content": entry.content}
    added = connection.execute(
        insert(ENTRIES).values(**values, accepted_at=datetime.now(UTC), refused="")
    )
    key = added.inserted_primary_key
    assert key is not None  # a row was inserted
    return int(key[0])
