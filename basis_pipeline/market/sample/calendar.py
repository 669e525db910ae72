"""The span of a sample: its hours and days, as numbers and as text."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

REFERENCE_DAYS = 400
"""Length of the default sample; the days of its crises scale with the span."""


@dataclass(frozen=True)
class Calendar:
    """`days` whole UTC days from `start` 00:00; hourly feeds have `24 × days` rows."""

    start: date
    days: int

    @property
    def hours(self) -> int:
        """Number of hourly rows."""
        return 24 * self.days

    def day(self, reference_day: int) -> int:
        """Return the day of this span that corresponds to a day of the default 400."""
        return self.days * reference_day // REFERENCE_DAYS

    def hour(self, reference_day: int) -> int:
        """Return the first hour of `day(reference_day)`."""
        return 24 * self.day(reference_day)

    def date(self, day: int) -> date:
        """Return the date of a day of the span."""
        return self.start + timedelta(days=day)

    def span(self, first_day: int = 0) -> str:
        """Return the first and last date as they appear in file names."""
        return f"{self.date(first_day)}_{self.date(self.days - 1)}"

    @cached_property
    def unix_seconds(self) -> NDArray[np.int64]:
        """Unix second of every hour."""
        first = np.datetime64(self.start, "s").astype(np.int64)
        return np.asarray(first + 3600 * np.arange(self.hours), dtype=np.int64)

    @cached_property
    def hour_texts(self) -> list[str]:
        """`2024-01-01T00:00:00` for every hour, without a zone."""
        timestamps: list[str] = np.datetime_as_string(self.unix_seconds.astype("M8[s]")).tolist()
        return timestamps

    @cached_property
    def dates(self) -> list[str]:
        """`2024-01-01` for every day and the closing midnight after the last."""
        return [str(self.date(day)) for day in range(self.days + 1)]
