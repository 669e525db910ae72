"""Files of one feed that overlap, and bars and announcements that are finer than the feed.

What the rows of several files come to before anything is compared: the unfinished last bar of an
older file gives way, bars of minutes become hours, and announcements become settlements. Nothing
is filled; what was left out is said.
"""

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import BARS
from basis_pipeline.market.raw_file import MINUTE_NS
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.rows import SHOWN_ROWS, first_of_each, row_times
from basis_pipeline.market.timestamps import SECOND_NS, Int64, format_time, to_index
from basis_pipeline.times import DAY_NS, HOUR_NS
from basis_pipeline.verdict import count_of

# An announcement older than this at its settlement does not say what was paid.
LATEST_ANNOUNCEMENT_NS = 600 * SECOND_NS
# No logarithm of a price changes by so much from one file to the next.
ANOTHER_SYMBOL = 1.0


def drop_unfinished(frame: pd.DataFrame, config: DatasetConfig) -> tuple[pd.DataFrame, list[str]]:
    """Leave out the last bar of a file where a file that goes on has it otherwise.

    Returns the frame and what was left out, for a person.
    """
    if config.kind not in BARS or frame["file"].nunique() < 2:
        return frame, []
    times = row_times(frame, config)
    files = frame["file"].cat.codes.to_numpy()
    ends = np.full(files.max() + 1, np.iinfo(np.int64).min)
    np.maximum.at(ends, files, times)
    among = np.flatnonzero(np.isin(times, np.unique(ends)))
    values = frame[list(config.columns)].iloc[among].to_numpy()
    gone = [
        int(row)
        for row, own in zip(among, values, strict=True)
        if times[row] == ends[files[row]]
        and _is_otherwise(
            own, values[(times[among] == times[row]) & (ends[files[among]] > times[row])]
        )
    ]
    if not gone:
        return frame, []
    first = frame.iloc[gone[0]]
    said = (
        f"{count_of(len(gone), 'unfinished last bar')} of an older file gave way to a newer one, "
        f"the first at {format_time(int(times[gone[0]]))} of {first['file']}"
    )
    return frame.drop(index=frame.index[gone]).reset_index(drop=True), [said]


def _is_otherwise(own: npt.NDArray[np.float64], newer: npt.NDArray[np.float64]) -> bool:
    return len(newer) > 0 and bool((newer != own).any(axis=1).all())


def hourly_bars(frame: pd.DataFrame, config: DatasetConfig) -> tuple[pd.DataFrame, list[str]]:
    """Make hours of finer bars: open first, high max, low min, close last, volume sum.

    An hour without its first bar has no price at its beginning: it is no row, and so a gap.
    Returns the frame and which hours lack bars, for a person.

    Raises
    ------
    RejectedDataError: DATA-014 bars beside their interval.
    """
    minutes = config.format.interval_minutes
    if minutes is None:
        return frame, []
    first, times = first_of_each(frame, config)
    beside = times % (minutes * MINUTE_NS) != 0
    if beside.any():
        raise RejectedDataError(
            "DATA-014",
            f"{config.name} has {count_of(int(beside.sum()), 'row')} beside their {minutes} "
            f"minutes, the first at {to_index(times[beside][:1])[0].isoformat()}",
            where=str(frame["file"].iloc[first[beside][0]]),
            offending=frame.iloc[first[beside][:SHOWN_ROWS]],
        )
    hours = times // HOUR_NS
    starts = np.flatnonzero(np.diff(hours, prepend=hours[0] - 1))
    ends = np.append(starts[1:], len(hours)) - 1
    opened = times[starts] % HOUR_NS == 0
    assert config.timestamp is not None  # bars are rows
    columns: dict[str, object] = {}
    for name in map(str, frame):
        values = frame[name].iloc[first]
        to = config.columns[name].to if name in config.columns else ""
        if name == config.timestamp.column:
            columns[name] = to_index(hours[starts][opened] * HOUR_NS)
        elif to in _OVER_THE_HOUR:
            columns[name] = _OVER_THE_HOUR[to].reduceat(values.to_numpy(), starts)[opened]
        else:
            at = ends if to == "close" else starts
            columns[name] = values.iloc[at[opened]].array
    bars = ends - starts + 1
    return pd.DataFrame(columns), _short_hours(hours[starts] * HOUR_NS, bars, opened, 60 // minutes)


_OVER_THE_HOUR = {"high": np.maximum, "low": np.minimum, "volume": np.add}


def _short_hours(hours: Int64, bars: Int64, opened: npt.NDArray[np.bool_], whole: int) -> list[str]:
    """Say which hours lack bars, and which of them lack their first and are gaps."""
    short = bars < whole
    found = []
    if (short & opened).any():
        at = int(np.argmax(short & opened))
        missing = int((whole - bars[short & opened]).sum())
        found.append(
            f"{count_of(int((short & opened).sum()), 'hour')} with {count_of(missing, 'bar')} "
            f"missing, the first is {format_time(int(hours[at]))} with {bars[at]} of {whole}"
        )
    if not opened.all():
        at = int(np.argmin(opened))
        found.append(
            f"{count_of(int((~opened).sum()), 'hour')} without the first bar made gaps, the first "
            f"is {format_time(int(hours[at]))} with {bars[at]} of {whole}"
        )
    return found


def settled_rates(frame: pd.DataFrame, config: DatasetConfig) -> tuple[pd.DataFrame, list[str]]:
    """Make settlements of announcements: the last one before each, if it is at most minutes old.

    Returns the frame without the times of the announcements, and how many settlements are not
    known, for a person.
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
    said = []
    if not known.all():
        unknown = format_time(int(at[np.argmin(known)]))
        count = count_of(int((~known).sum()), "settlement")
        said = [f"{count} left out, announced over 10 minutes before, the first at {unknown}"]
    return frame[known].drop(columns=observed).reset_index(drop=True), said


def last_announcements(frame: pd.DataFrame, config: DatasetConfig) -> pd.DataFrame:
    """Keep the last row before each settlement."""
    observed = config.format.observed
    if observed is None or config.timestamp is None:
        return frame
    column = config.timestamp.column
    before = frame[frame[observed] <= frame[column]]
    order = before.sort_values([column, observed], kind="stable")
    return order.drop_duplicates(column, keep="last").reset_index(drop=True)


def require_one_symbol(frame: pd.DataFrame, config: DatasetConfig) -> None:
    """Reject the file whose prices are those of something else than the others': DATA-011."""
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
