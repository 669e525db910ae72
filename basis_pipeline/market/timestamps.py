"""Reading timestamps in every form the downloaders write, and snapping them to their hour."""

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
EARLIEST = pd.Timestamp("2009-01-03", tz="UTC").value  # the first block: nothing here is older
LATEST = pd.Timestamp("2100-01-01", tz="UTC").value
UNREADABLE = np.iinfo(np.int64).min


def parse_timestamps(texts: "pa.ChunkedArray[Any]") -> Int64:
    """Nanoseconds since the epoch for each text, UNREADABLE where it is not a time.

    Reads unix seconds and milliseconds and ISO 8601 with `Z`, an offset, both (`+00:00Z`, a
    downloader's habit) or none, which means UTC.
    """
    try:
        zoned = pc.cast(texts, pa.timestamp("us", tz="UTC"))
        timestamps = np.asarray(zoned.cast(pa.int64()).fill_null(UNREADABLE))
    except pa.ArrowInvalid:
        timestamps = _parse_mixed(texts)
    # Microseconds until here: a year far off would wrap round to a plausible one in nanoseconds.
    plausible = (timestamps >= EARLIEST // 1000) & (timestamps < LATEST // 1000)
    return np.where(plausible, timestamps * 1000, UNREADABLE)


def _parse_mixed(texts: "pa.ChunkedArray[Any]") -> Int64:
    """Microseconds by each text's own form: slower, for files that are not plain zoned ISO."""
    series = pd.Series(texts.to_pylist(), dtype="object").fillna("").str.strip()
    digits = series.str.fullmatch(r"\d{9,14}(\.0*)?").to_numpy(dtype=bool)
    timestamps = np.full(len(series), UNREADABLE, dtype=np.int64)
    numbers = series[digits].str.split(".").str[0].astype(np.int64).to_numpy()
    timestamps[digits] = numbers * np.where(numbers < 10**11, 10**6, 10**3)
    iso = series[~digits].str.replace(r"([+-]\d\d:?\d\d)Z$", r"\1", regex=True)
    parsed = pd.to_datetime(iso, utc=True, format="ISO8601", errors="coerce")
    whole_day = iso.str.match(r"\d{4}-\d\d-\d\d").to_numpy(dtype=bool)
    microseconds = parsed.dt.as_unit("us").astype(np.int64).to_numpy()
    timestamps[~digits] = np.where(whole_day & parsed.notna(), microseconds, UNREADABLE)
    return timestamps


def snap(timestamps: Int64, rule: TimestampRule) -> Int64:
    """Move timestamps within the rule's tolerance of a full hour onto it, and no others."""
    early, late = rule.early_seconds * SECOND_NS, rule.late_seconds * SECOND_NS
    hour = (timestamps + early) // HOUR_NS * HOUR_NS
    return np.where(timestamps - hour <= late, hour, timestamps)


def to_index(timestamps: Int64) -> pd.DatetimeIndex:
    """Nanoseconds as datetime64[ns, UTC]."""
    return pd.DatetimeIndex(timestamps.view("datetime64[ns]"), tz="UTC")


def format_time(ns: int) -> str:
    """Write one timestamp as a person does."""
    return f"{pd.Timestamp(ns, tz='UTC'):%Y-%m-%d %H:%M}"
