"""Overlapping files of one feed, and bars and announcements finer than the feed.

Before rows are compared, the unfinished last bar of an older file is dropped, bars of minutes are
aggregated to hours, and announcements become settlements. Nothing is filled; every omission is a
remark.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import BARS
from basis_pipeline.market.raw_file import MINUTE_NS
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.rows import first_of_each, row_times
from basis_pipeline.market.timestamps import SECOND_NS, Int64, format_time, to_index
from basis_pipeline.times import DAY_NS, HOUR_NS
from basis_pipeline.verdict import SHOWN_ROWS, count_of

# An announcement older than this at its settlement may differ from the rate paid.
LATEST_ANNOUNCEMENT_NS = 600 * SECOND_NS
# A change of the logarithm of the price that between two files means another symbol.
ANOTHER_SYMBOL = 1.0


def drop_unfinished(frame: pd.DataFrame, config: DatasetConfig) -> tuple[pd.DataFrame, list[str]]:
    """Drop the last bar of a file where a later file has different values for it.

    Returns the frame and remarks.
    """
    if config.kind not in BARS or frame["file"].nunique() < 2:
        return frame, []
    times = row_times(frame, config)
    files = frame["file"].cat.codes.to_numpy()
    ends = np.full(files.max() + 1, np.iinfo(np.int64).min)
    np.maximum.at(ends, files, times)
    at_end = np.flatnonzero(np.isin(times, np.unique(ends)))
    values = frame[list(config.columns)].iloc[at_end].to_numpy()
    unfinished = []
    for row, own in zip(at_end, values, strict=True):
        newer = values[(times[at_end] == times[row]) & (ends[files[at_end]] > times[row])]
        is_last = times[row] == ends[files[row]]
        if is_last and len(newer) and (newer != own).any(axis=1).all():
            unfinished.append(int(row))
    if not unfinished:
        return frame, []
    first = frame.iloc[unfinished[0]]
    remark = (
        f"{count_of(len(unfinished), 'unfinished last bar')} of an older file replaced by a newer "
        f"one, the first at {format_time(int(times[unfinished[0]]))} of {first['file']}"
    )
    return frame.drop(index=frame.index[unfinished]).reset_index(drop=True), [remark]


def hourly_bars(frame: pd.DataFrame, config: DatasetConfig) -> tuple[pd.DataFrame, list[str]]:
    """Aggregate finer bars to hours: open first, high max, low min, close last, volume sum.

    An hour without its first bar has no opening price and becomes a gap. Returns the frame and
    remarks on hours with missing bars.

    Raises
    ------
    RejectedDataError: DATA-014 bars off the grid of their interval.
    """
    minutes = config.format.interval_minutes
    if minutes is None:
        return frame, []
    first, times = first_of_each(frame, config)
    off_grid = times % (minutes * MINUTE_NS) != 0
    if off_grid.any():
        raise RejectedDataError(
            "DATA-014",
            f"{config.name} has {count_of(int(off_grid.sum()), 'row')} off the grid of {minutes} "
            f"minutes, the first at {to_index(times[off_grid][:1])[0].isoformat()}",
            where=str(frame["file"].iloc[first[off_grid][0]]),
            offending=frame.iloc[first[off_grid][:SHOWN_ROWS]],
        )
    hours = times // HOUR_NS
    starts = np.flatnonzero(np.diff(hours, prepend=hours[0] - 1))
    ends = np.append(starts[1:], len(hours)) - 1
    opened = times[starts] % HOUR_NS == 0
    assert config.timestamp is not None  # required of bars
    columns: dict[str, object] = {}
    for name in map(str, frame):
        values = frame[name].iloc[first]
        to = config.columns[name].to if name in config.columns else ""
        if name == config.timestamp.column:
            columns[name] = to_index(hours[starts][opened] * HOUR_NS)
        elif to in _AGGREGATION:
            columns[name] = _AGGREGATION[to].reduceat(values.to_numpy(), starts)[opened]
        else:
            at = ends if to == "close" else starts
            columns[name] = values.iloc[at[opened]].array
    bars = ends - starts + 1
    return pd.DataFrame(columns), _short_hours(hours[starts] * HOUR_NS, bars, opened, 60 // minutes)


_AGGREGATION = {"high": np.maximum, "low": np.minimum, "volume": np.add}


def _short_hours(hours: Int64, bars: Int64, opened: npt.NDArray[np.bool_], whole: int) -> list[str]:
    """Remarks on hours with missing bars, and on those without their first, which are gaps."""
    short = bars < whole
    remarks = []
    if (short & opened).any():
        at = int(np.argmax(short & opened))
        missing = int((whole - bars[short & opened]).sum())
        remarks.append(
            f"{count_of(int((short & opened).sum()), 'hour')} with {count_of(missing, 'bar')} "
            f"missing, the first is {format_time(int(hours[at]))} with {bars[at]} of {whole}"
        )
    if not opened.all():
        at = int(np.argmin(opened))
        remarks.append(
            f"{count_of(int((~opened).sum()), 'hour')} without the first bar left as gaps, the "
            f"first is {format_time(int(hours[at]))} with {bars[at]} of {whole}"
        )
    return remarks


def settled_rates(frame: pd.DataFrame, config: DatasetConfig) -> tuple[pd.DataFrame, list[str]]:
    """Turn announcements into settlements: the last before each, if it is recent enough.

    Returns the frame without the times of the announcements, and remarks on unknown settlements.
    """
    observed = config.format.observed
    if observed is None or config.timestamp is None:
        return frame, []
    frame = last_announcements(frame, config)
    at, seen = (
        frame[name].to_numpy(dtype="datetime64[ns]").astype(np.int64)
        for name in (config.timestamp.column, observed)
    )
    known = at - seen <= LATEST_ANNOUNCEMENT_NS
    remarks = []
    if not known.all():
        unknown = format_time(int(at[np.argmin(known)]))
        count = count_of(int((~known).sum()), "settlement")
        remarks = [f"{count} left out, announced over 10 minutes before, the first at {unknown}"]
    return frame[known].drop(columns=observed).reset_index(drop=True), remarks


def last_announcements(frame: pd.DataFrame, config: DatasetConfig) -> pd.DataFrame:
    """Return the last announcement before each settlement."""
    observed = config.format.observed
    if observed is None or config.timestamp is None:
        return frame
    column = config.timestamp.column
    before = frame[frame[observed] <= frame[column]]
    order = before.sort_values([column, observed], kind="stable")
    return order.drop_duplicates(column, keep="last").reset_index(drop=True)


def require_one_symbol(frame: pd.DataFrame, config: DatasetConfig) -> None:
    """Reject a file whose prices are those of another symbol than the other files': DATA-011."""
    if config.kind not in BARS or frame["file"].nunique() < 2:
        return
    close = next(raw for raw, column in config.columns.items() if column.to == "close")
    times = row_times(frame, config)
    order = np.argsort(times, kind="stable")
    times, prices = times[order], np.log(frame[close].to_numpy()[order])
    files = frame["file"].cat.codes.to_numpy()[order]
    jumps = (np.abs(np.diff(prices)) > ANOTHER_SYMBOL) & (files[1:] != files[:-1])
    jumps &= np.diff(times) <= 2 * DAY_NS
    if not jumps.any():
        return
    ends = np.concatenate((files[:-1][jumps], files[1:][jumps]))
    counts = np.bincount(ends)
    levels = {code: np.median(prices[files == code]) for code in np.flatnonzero(counts)}
    middle = np.median(prices)
    odd = max(levels, key=lambda code: (counts[code], abs(levels[code] - middle)))
    name = frame["file"].cat.categories[int(odd)]
    rest = np.median(prices[files != odd])
    raise RejectedDataError(
        "DATA-011",
        f"{name} is another symbol: its prices are about {np.exp(levels[odd]):.6g}, those of the "
        f"other files about {np.exp(rest):.6g}",
        where=str(name),
    )
