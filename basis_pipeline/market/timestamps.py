"""Parsing timestamps in the forms of all publishers, and snapping them to their hour."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from basis_pipeline.config.dataset import TimestampRule
from basis_pipeline.times import HOUR_NS

Int64 = npt.NDArray[np.int64]
SECOND_NS = 1_000_000_000
EARLIEST = pd.Timestamp("2009-01-03", tz="UTC").value  # the first Bitcoin block
LATEST = pd.Timestamp("2100-01-01", tz="UTC").value
UNREADABLE = np.iinfo(np.int64).min


UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}
UNIT_NAMES = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


def parse_timestamps(
    column: "pa.ChunkedArray[Any]", unit: str | None = None, utc_offset_hours: int = 0
) -> Int64:
    """Return nanoseconds since the epoch for each value, UNREADABLE where it is not a time.

    Accepted are typed times, whole numbers, and texts: unix seconds, milliseconds, microseconds and
    nanoseconds, each by its number of digits unless the unit is stated, and ISO 8601 with `Z`,
    ` UTC`, an offset, both (`+00:00Z`) or none, which means UTC.

    Parameters
    ----------
    utc_offset_hours: the offset from UTC of times without a zone.
    """
    microseconds = _microseconds(column, unit) - utc_offset_hours * HOUR_NS // 1000
    # Microseconds until here: in nanoseconds a distant year would overflow to a plausible one.
    plausible = (microseconds >= EARLIEST // 1000) & (microseconds < LATEST // 1000)
    return np.where(plausible, microseconds * 1000, UNREADABLE)


def _microseconds(column: "pa.ChunkedArray[Any]", unit: str | None) -> Int64:
    kind = column.type
    if pa.types.is_temporal(kind):
        zoned = column.cast(pa.timestamp("us", kind.tz if pa.types.is_timestamp(kind) else None))
        return _filled(zoned.cast(pa.int64()))
    if pa.types.is_floating(kind):
        return _from_numbers(_filled(pc.floor(pc.fill_null(column, 0.0)).cast(pa.int64())), unit)
    if pa.types.is_integer(kind):
        return _from_numbers(_filled(column.cast(pa.int64())), unit)
    try:
        return _filled(pc.cast(column, pa.timestamp("us", "UTC")).cast(pa.int64()))
    except pa.ArrowInvalid:
        pass
    try:
        return _from_numbers(_filled(column.cast(pa.int64())), unit)
    except pa.ArrowInvalid:
        texts = pc.replace_substring_regex(column.cast(pa.string()), r"[ ]?UTC$", "Z")
    dashes = pc.replace_substring_regex(texts, r"^(\d{4})\.(\d\d)\.", r"\1-\2-")
    for zone in ("UTC", None):
        try:
            return _filled(pc.cast(dashes, pa.timestamp("us", zone)).cast(pa.int64()))
        except pa.ArrowInvalid:
            continue
    return _parse_mixed(texts, unit)


def _filled(numbers: "pa.ChunkedArray[Any]") -> Int64:
    return np.asarray(numbers.fill_null(UNREADABLE), dtype=np.int64)


def _from_numbers(numbers: Int64, unit: str | None) -> Int64:
    """Microseconds; numbers that would overflow are UNREADABLE."""
    if unit == "ns":
        return numbers // 1000
    if unit is not None:
        per = UNITS[unit]
        return np.where(np.abs(numbers) < LATEST // per, numbers, UNREADABLE // per) * per
    scale = np.select([numbers < 10**11, numbers < 10**14], [10**6, 10**3], 1)
    return np.where(numbers < 10**17, np.maximum(numbers, 0) * scale, numbers // 1000)


def unit_of_digits(text: str) -> str | None:
    """Return the unit of a unix time by its number of digits; None if it is not one."""
    digits = text.strip().partition(".")[0]
    if not digits.isdigit() or not 9 <= len(digits) <= 19:
        return None
    return next(
        u for u, most in (("s", 11), ("ms", 14), ("us", 17), ("ns", 19)) if len(digits) <= most
    )


def _parse_mixed(texts: "pa.ChunkedArray[Any]", unit: str | None) -> Int64:
    """Microseconds, each text parsed by its own form: slower, for files with several forms."""
    series = pd.Series(texts.to_pylist(), dtype="object").fillna("").str.strip()
    digits = series.str.fullmatch(r"(\d{9,18}|[1-4]\d{18})(\.\d*)?").to_numpy(dtype=bool)
    timestamps = np.full(len(series), UNREADABLE, dtype=np.int64)
    numbers = np.asarray(series[digits].str.split(".").str[0].to_numpy(), dtype=np.int64)
    timestamps[digits] = _from_numbers(numbers, unit)
    iso = series[~digits].str.replace(r"([+-]\d\d:?\d\d)Z$", r"\1", regex=True)
    parsed = pd.to_datetime(iso, utc=True, format="ISO8601", errors="coerce")
    whole_day = iso.str.match(r"\d{4}-\d\d-\d\d").to_numpy(dtype=bool)
    microseconds = parsed.dt.as_unit("us").astype(np.int64).to_numpy()
    timestamps[~digits] = np.where(whole_day & parsed.notna(), microseconds, UNREADABLE)
    return timestamps


def open_times(closes: Int64, step: int) -> Int64:
    """Return open times for close times, ns; 00:59:59.999 counts as 01:00."""
    last = closes % SECOND_NS >= SECOND_NS - 1_000_000
    return np.where(last, closes // SECOND_NS * SECOND_NS + SECOND_NS, closes) - step


def snap(timestamps: Int64, rule: TimestampRule) -> Int64:
    """Move timestamps within the rule's tolerance of a full hour onto it, and no others."""
    early, late = rule.early_seconds * SECOND_NS, rule.late_seconds * SECOND_NS
    hour = (timestamps + early) // HOUR_NS * HOUR_NS
    return np.where(timestamps - hour <= late, hour, timestamps)


def to_index(timestamps: Int64) -> pd.DatetimeIndex:
    """Return nanoseconds as datetime64[ns, UTC]."""
    return pd.DatetimeIndex(timestamps.view("datetime64[ns]"), tz="UTC")


def format_time(ns: int) -> str:
    """Format a timestamp for messages."""
    return f"{pd.Timestamp(ns, tz='UTC'):%Y-%m-%d %H:%M}"
