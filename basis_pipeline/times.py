"""Times: parsing of dates, hours and spans, all in UTC."""

import re
from datetime import UTC, datetime, timedelta

from basis_pipeline.errors import ConfigError

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
# Annualised figures are left out for a shorter window.
ANNUALISED_FROM_DAYS = 30

_SPAN = re.compile(r"(\d{1,6})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def in_utc(time: datetime) -> datetime:
    """Return a time in UTC; one without an offset is in UTC already."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def parse_hour(text: str) -> datetime:
    """Read a date or a whole hour, UTC unless it carries an offset; a date alone means 00:00.

    Raises
    ------
    ConfigError: CONFIG-011 when it is neither.
    """
    try:
        time = in_utc(datetime.fromisoformat(text.strip()))
    except (ValueError, OverflowError):
        raise _not_an_hour(f"{text!r} is neither a date nor an hour") from None
    if (time.minute, time.second, time.microsecond) != (0, 0, 0):
        raise _not_an_hour(f"{text!r} is not a whole hour")
    return time


def _not_an_hour(what: str) -> ConfigError:
    hint = "give a date or a whole hour"
    return ConfigError("CONFIG-011", what, available="2024-06-01, 2024-06-01T08:00", action=hint)


def parse_since(text: str, now: datetime) -> datetime:
    """Read a time, or a span back from `now` such as 30m, 2h, 7d; a date alone means 00:00 UTC.

    Raises
    ------
    ValueError: it is neither.
    """
    if span := _SPAN.fullmatch(text.strip()):
        try:
            return now - timedelta(**{_UNITS[span[2]]: int(span[1])})
        except OverflowError:
            raise ValueError(f"{text!r} is too long ago") from None
    return in_utc(datetime.fromisoformat(text.strip()))
