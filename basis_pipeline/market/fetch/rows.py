"""Fetched rows between source and file: by time, in the columns of the dataset file."""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from basis_pipeline.config import DatasetConfig
from basis_pipeline.errors import FetchError

# Milliseconds since the epoch → canonical column → value.
Rows = dict[int, dict[str, float]]


class Revision(NamedTuple):
    """A stored value, and the value that the source gives now."""

    timestamp: int
    column: str
    stored: float
    offered: float

    def __str__(self) -> str:
        return f"{iso_time(self.timestamp)} {self.column} {self.stored!r}, now {self.offered!r}"


class Gap(NamedTuple):
    """Timestamps without a row: the first and the last of them, in milliseconds."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{iso_time(self.first)} to {iso_time(self.last)}"


def milliseconds(time: datetime) -> int:
    """Return the milliseconds since the epoch, rounded down."""
    return int(time.timestamp() * 1000)


def iso_time(timestamp: int) -> str:
    """Format milliseconds since the epoch as the files do: ISO 8601 in UTC."""
    seconds, milliseconds = divmod(timestamp, 1000)
    time = datetime.fromtimestamp(seconds, UTC) + timedelta(milliseconds=milliseconds)
    text = time.isoformat(timespec="milliseconds" if milliseconds else "seconds")
    return text.replace("+00:00", "Z")


def merge(into: Rows, page: Rows, where: str) -> None:
    """Add the rows of one answer to those of earlier answers.

    Raises
    ------
    FetchError: FETCH-004 when two answers of one fetch have different values for a row.
    """
    for timestamp, values in page.items():
        if into.setdefault(timestamp, values) != values:
            what = f"two answers for {iso_time(timestamp)} differ: {into[timestamp]} and {values}"
            raise FetchError("FETCH-004", what, where=where)


def revisions(stored: Rows, offered: Rows) -> list[Revision]:
    """List the stored values that the source now gives differently, in order of time."""
    return [
        Revision(timestamp, column, stored[timestamp][column], value)
        for timestamp in sorted(stored.keys() & offered.keys())
        for column, value in offered[timestamp].items()
        if stored[timestamp][column] != value
    ]


def gaps(rows: Rows, step: int, begin: int | None, end: int) -> list[Gap]:
    """List the stretches without rows.

    Parameters
    ----------
    step: milliseconds between two rows.
    begin: the expected timestamp of the first row; None for that of the first existing row.
    end: the timestamp after the last expected one.
    """
    timestamps = sorted(rows)
    before = begin - step if begin is not None else timestamps[0] if timestamps else end
    found = []
    for timestamp in (*timestamps, end):
        if timestamp - before > 1.5 * step:
            found.append(Gap(before + step, timestamp - step))
        before = timestamp
    return found


def to_csv(rows: Rows, config: DatasetConfig) -> bytes:
    """Return rows as a CSV file with the columns of the dataset file."""
    rule = config.timestamp
    assert rule is not None  # a document has no rows
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow([rule.column, *config.columns, *config.identity])
    for timestamp in sorted(rows):
        label = iso_time(timestamp)[: 10 if rule.format == "date" else None]
        values = (repr(rows[timestamp][column.to]) for column in config.columns.values())
        writer.writerow([label, *values, *config.identity.values()])
    return written.getvalue().encode()


def from_csv(content: bytes, config: DatasetConfig) -> Rows:
    """Read the output of `to_csv`. Raises ValueError or KeyError for anything else."""
    rule = config.timestamp
    assert rule is not None
    rows = {}
    for line in csv.DictReader(io.StringIO(content.decode())):
        time = datetime.fromisoformat(line[rule.column])
        timestamp = milliseconds(time if time.tzinfo else time.replace(tzinfo=UTC))
        rows[timestamp] = {column.to: float(line[raw]) for raw, column in config.columns.items()}
    return rows


def require_columns(config: DatasetConfig, provided: frozenset[str], publisher: str) -> None:
    """Raise FETCH-001 unless the source provides every column of the dataset file."""
    if lacking := sorted(set(config.value_columns) - provided):
        what = f"{publisher} does not provide {', '.join(lacking)}"
        where = f"configs/datasets/{config.name}.yaml"
        raise FetchError("FETCH-001", what, where=where, available=", ".join(sorted(provided)))
