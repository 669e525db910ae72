"""Calendar months, the units in which rows are fetched and stored."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple, Self


class Month(NamedTuple):
    """A calendar month in UTC."""

    year: int
    month: int

    @classmethod
    def of(cls, time: datetime) -> Self:
        """Return the month that contains a time."""
        return cls(time.year, time.month)

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return datetime(self.year, self.month, 1, tzinfo=UTC)

    @property
    def end(self) -> datetime:
        """The first moment of the next month."""
        return self.next.start

    @property
    def next(self) -> "Month":
        """The month after it."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    def __str__(self) -> str:
        return f"{self.year}-{self.month:02}"


def months(since: datetime, until: datetime) -> Iterator[Month]:
    """Yield every month that overlaps [since, until)."""
    month = Month.of(since)
    while month.start < until:
        yield month
        month = month.next
