"""The time span of a run."""

from dataclasses import dataclass

import pandas as pd

from basis_pipeline.errors import ConfigError
from basis_pipeline.times import HOUR_NS, parse_hour


@dataclass(frozen=True, slots=True)
class Window:
    """Whole hours from `start` to `end`, both included, in UTC (SEMANTICS 1).

    Raises CONFIG-011 when a bound has no zone, is not a full hour or is out of range, or when start
    is not before end.
    """

    start: pd.Timestamp
    end: pd.Timestamp

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            bound = getattr(self, name)
            if not isinstance(bound, pd.Timestamp) or bound.tz is None:
                raise ConfigError("CONFIG-011", f"the window's {name} {bound} has no time zone")
            object.__setattr__(self, name, _nanoseconds(name, bound))
            if bound.value % HOUR_NS:
                raise ConfigError("CONFIG-011", f"the window's {name} {bound} is not a full hour")
        if not self.start < self.end:
            raise ConfigError("CONFIG-011", f"the window {self} is empty")

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} … {self.end:%Y-%m-%d %H:%M}"

    @property
    def hours(self) -> pd.DatetimeIndex:
        """Every hour of the window, datetime64[ns, UTC]."""
        return pd.date_range(self.start, self.end, freq="h", unit="ns")


def _nanoseconds(name: str, bound: pd.Timestamp) -> pd.Timestamp:
    try:
        return bound.tz_convert("UTC").as_unit("ns")
    except pd.errors.OutOfBoundsDatetime:
        what = f"the window's {name} {bound} is not between 1678 and 2261"
        raise ConfigError("CONFIG-011", what) from None


def parse_window(start: str, end: str) -> Window:
    """Parse a window from two dates or hours; a date means 00:00 UTC. CONFIG-011 otherwise."""
    return Window(pd.Timestamp(parse_hour(start)), pd.Timestamp(parse_hour(end)))
