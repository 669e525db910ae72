"""Rows on their way from a source to a file: by time, in the columns of the dataset file."""

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from basis_pipeline.config import DatasetConfig
from basis_pipeline.errors import FetchError

# Milliseconds since the epoch → canonical column → value.
Rows = dict[int, dict[str, float]]


class Revision(NamedTuple):
    """A value that was stored, and what the source says now."""

    timestamp: int
    column: str
    stored: float
    offered: float

    def __str__(self) -> str:
        return f"{spell(self.timestamp)} {self.column} {self.stored!r}, now {self.offered!r}"


class Gap(NamedTuple):
    """Stamps without a row: the first and the last of them, in milliseconds."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{spell(self.first)} to {spell(self.last)}"


def milliseconds(time: datetime) -> int:
    """Milliseconds since the epoch, rounded down."""
    return int(time.timestamp() * 1000)


def time_of(timestamp: int) -> datetime:
    """The moment so many milliseconds after the epoch."""
    return datetime.fromtimestamp(timestamp // 1000, UTC) + timedelta(milliseconds=timestamp % 1000)


def spell(timestamp: int) -> str:
    """Write a timestamp as the files do: ISO 8601 in UTC."""
    whole = timestamp % 1000 == 0
    text = time_of(timestamp).isoformat(timespec="seconds" if whole else "milliseconds")
    return text.replace("+00:00", "Z")


def merge(into: Rows, page: Rows, where: str) -> None:
    """Add the rows of one answer to those of the earlier ones.

    Raises
    ------
    FetchError: FETCH-004 when two answers of one fetch differ about a row.
    """
    for timestamp, values in page.items():
        if into.setdefault(timestamp, values) != values:
            what = f"two answers about {spell(timestamp)} differ: {into[timestamp]} and {values}"
            raise FetchError("FETCH-004", what, where=where)


def revisions(stored: Rows, offered: Rows) -> list[Revision]:
    """Values that are stored and now come back different, in order of time."""
    return [
        Revision(timestamp, column, stored[timestamp][column], value)
        for timestamp in sorted(stored.keys() & offered.keys())
        for column, value in offered[timestamp].items()
        if stored[timestamp][column] != value
    ]


def gaps(rows: Rows, step: int, begin: int | None, end: int) -> list[Gap]:
    """Stretches without rows.

    Parameters
    ----------
    step: milliseconds between two rows.
    begin: the stamp that the first row should have; None for that of the first row there is.
    end: the stamp after the last one expected.
    """
    stamps = sorted(rows)
    before = begin - step if begin is not None else stamps[0] if stamps else end
    found = []
    for stamp in (*stamps, end):
        if stamp - before > 1.5 * step:
            found.append(Gap(before + step, stamp - step))
        before = stamp
    return found


def to_csv(rows: Rows, config: DatasetConfig) -> bytes:
    """Write rows as a CSV file that the dataset file describes."""
    rule = config.timestamp
    assert rule is not None  # a document has no rows
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([rule.column, *config.columns, *config.identity])
    for timestamp in sorted(rows):
        label = spell(timestamp)[: 10 if rule.format == "date" else None]
        values = (repr(rows[timestamp][column.to]) for column in config.columns.values())
        writer.writerow([label, *values, *config.identity.values()])
    return written.getvalue().encode()


def from_csv(content: bytes, config: DatasetConfig) -> Rows:
    """Read what `to_csv` has written. Raises ValueError or KeyError for anything else."""
    rule = config.timestamp
    assert rule is not None
    rows = {}
    for line in csv.DictReader(io.StringIO(content.decode())):
        time = datetime.fromisoformat(line[rule.column])
        timestamp = milliseconds(time if time.tzinfo else time.replace(tzinfo=UTC))
        rows[timestamp] = {column.to: float(line[raw]) for raw, column in config.columns.items()}
    return rows


def require_columns(config: DatasetConfig, given: frozenset[str], publisher: str) -> None:
    """Raise FETCH-001 unless the source gives every column of the dataset file."""
    wanted: Mapping[str, str] = {column.to: raw for raw, column in config.columns.items()}
    if lacking := sorted(wanted.keys() - given):
        what = f"{publisher} gives no {', '.join(lacking)}"
        where = f"configs/datasets/{config.name}.yaml"
        raise FetchError("FETCH-001", what, where=where, available=", ".join(sorted(given)))
