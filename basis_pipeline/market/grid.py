"""The timestamps that a dataset must have in a window, and the feed's rows at them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import Kind
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.rows import DistinctRows
from basis_pipeline.market.timeline import locate
from basis_pipeline.market.timestamps import Int64, format_time, to_index
from basis_pipeline.market.window import Window
from basis_pipeline.times import HOUR_NS
from basis_pipeline.verdict import SHOWN_ROWS, count_of

# With rows for less than this share of a window the files are too short; else the window is wrong.
MIN_OVERLAP = 0.5
# Between rows further apart no even accrual is assumed.
LONGEST_ACCRUAL_NS = 48 * HOUR_NS
# Number of intervals that determine the usual interval of a venue's settlements.
RHYTHM_INTERVALS = 5


@dataclass(frozen=True, slots=True)
class Grid:
    """The rows a dataset must have.

    timestamps: (n,) int64 ns · values: (n, c) float64, NaN where the feed has no row ·
    present: (n,) bool · steps: (n,) int64 ns, the interval that each row covers.
    """

    timestamps: Int64
    values: npt.NDArray[np.float64]
    present: npt.NDArray[np.bool_]
    steps: Int64

    @property
    def own_share(self) -> float:
        """Share of the rows that the feed has itself; 1.0 when none is required."""
        return float(self.present.mean()) if len(self.present) else 1.0


def build_grid(config: DatasetConfig, raw: RawFeed, window: Window) -> Grid:
    """Align the feed's rows with the timestamps that the window requires.

    These are every hour for hourly feeds and every day for daily ones, for lending rates also the
    snapshot after the window where it exists, and for funding the feed's own settlements and the
    missing ones between them.

    Raises RejectedDataError: DATA-014 when a row is off its hour or day.
    """
    assert config.frequency_hours is not None  # required of feeds with a grid
    step = config.frequency_hours * HOUR_NS
    own = _resampled(raw.distinct, config, step) if config.format.resample else raw.distinct
    _require_on_grid(raw, own, HOUR_NS if config.kind is Kind.FUNDING else step)
    start, end = window.start.value, window.end.value
    if config.coverage.starts_late:
        start = max(start, feed_start(raw))
    if config.kind is Kind.FUNDING:
        timestamps, steps = settlements(own.timestamps, start, end, step, raw.intervals)
    elif config.kind is Kind.LENDING_RATES:
        # An index needs the snapshot after the end, a price does not: included where it exists.
        after = -(-end // step) * step
        has_it = len(own.timestamps) > 0 and own.timestamps[-1] >= after
        timestamps = regular_timestamps(start // step * step, after if has_it else end, step)
    else:
        timestamps = regular_timestamps(start // step * step, end, step)
    if config.kind is not Kind.FUNDING:
        steps = np.full(len(timestamps), step)
    values = np.full((len(timestamps), len(own.columns)), np.nan)
    at, present = locate(own.timestamps, timestamps)
    values[present] = own.values[at[present]]
    return Grid(timestamps, values, present, steps)


def regular_timestamps(first: int, last: int, step: int) -> Int64:
    """Return the timestamps from `first` to `last`, both included, every `step`.

    Not `np.arange(first, last + 1, step)`: it computes in floats and loses the end.
    """
    return first + step * np.arange((last - first) // step + 1, dtype=np.int64)


def feed_start(raw: RawFeed) -> int:
    """Return the start of a feed that starts late: that of its file names, or its first row.

    An earlier start in a file name counts, so that a file which lost its first rows is not taken
    for one of a token that was listed later.
    """
    first = int(raw.distinct.timestamps[0])
    return min([first, *(begin.value for begin, _ in raw.named_spans)])


def require_coverage(config: DatasetConfig, raw: RawFeed, grid: Grid, window: Window) -> None:
    """Reject a window outside the data (DATA-012) and a feed too short for it (DATA-010)."""
    if grid.own_share >= config.coverage.min_share:
        return
    first, last = int(raw.distinct.timestamps[0]), int(raw.distinct.timestamps[-1])
    spanned = (grid.timestamps >= first) & (grid.timestamps <= last)
    dense = bool(spanned.any()) and grid.present[spanned].mean() >= config.coverage.min_share
    length = int(grid.timestamps[-1]) - int(grid.timestamps[0])
    if spanned.any():
        outside = spanned.mean() >= MIN_OVERLAP and dense
    else:
        outside = last - first >= MIN_OVERLAP * length
    span = f"its rows span {format_time(first)} … {format_time(last)}"
    if outside:
        raise RejectedDataError(
            "DATA-012",
            f"the window {window} lies outside {config.name}: {span}",
            where=raw.paths,
        )
    raise RejectedDataError(
        "DATA-010",
        f"{config.name} has rows for {grid.own_share:.1%} of {window}, and must have "
        f"{config.coverage.min_share:.1%}: {span}",
        where=raw.paths,
    )


def _resampled(rows: DistinctRows, config: DatasetConfig, step: int) -> DistinctRows:
    """Rows at regular times: indices grow geometrically between two rows, other values hold.

    Times between rows further apart than `LONGEST_ACCRUAL_NS` are left out.
    """
    own = rows.timestamps
    times = regular_timestamps(-(-int(own[0]) // step) * step, int(own[-1]) // step * step, step)
    before = np.searchsorted(own, times, side="right") - 1
    after = np.minimum(before + (own[before] < times), len(own) - 1)
    length = own[after] - own[before]
    share = np.where(length > 0, (times - own[before]) / np.maximum(length, 1), 0.0)
    values = rows.values[before]
    for place, column in enumerate(config.columns.values()):
        if column.grows is not None:
            growth = rows.values[after, place] / rows.values[before, place]
            values[:, place] *= growth**share
    kept = length <= LONGEST_ACCRUAL_NS
    return DistinctRows(times[kept], values[kept], rows.columns, rows.rows[before[kept]])


def _require_on_grid(raw: RawFeed, own: DistinctRows, step: int) -> None:
    timestamps = own.timestamps
    off_grid = timestamps % step != 0
    if not off_grid.any():
        return
    raise RejectedDataError(
        "DATA-014",
        f"{raw.name} has {count_of(int(off_grid.sum()), 'row')} off the full "
        f"{'hour' if step == HOUR_NS else 'day'}, the first at "
        f"{to_index(timestamps[off_grid][:1])[0].isoformat()}",
        where=raw.paths,
        offending=raw.frame.iloc[own.rows[off_grid][:SHOWN_ROWS]],
    )


def settlements(
    own: Int64, start: int, end: int, longest: int, stated: npt.NDArray[np.float64] | None = None
) -> tuple[Int64, Int64]:
    """Return own and missing settlements between `start` and `end`, with their intervals.

    A venue may settle every 8, 4 or 1 hours, and change that. Settlements are missing between two
    rows that are further apart than the interval stated in the later one or, where none is stated,
    than the usual intervals before and after. Before the first and after the last row the usual
    interval continues.

    Parameters
    ----------
    own: (n,) ns, the feed's settlements. longest: ns, the longest interval of the venue.
    stated: (n,) hours between a settlement and the one before it, NaN where not stated.
    """
    gaps = pd.Series(np.diff(own), dtype=np.float64)
    before, after = _usual_interval(gaps), _usual_interval(gaps[::-1])[::-1]
    # The first and the last interval have a neighbour on one side only: it counts for both.
    beside = pd.concat(
        [before.shift().fillna(gaps.shift(-1)), after.shift(-1).fillna(gaps.shift())], axis=1
    )
    usual = beside.max(axis=1).fillna(longest).clip(upper=longest).to_numpy()
    ends = np.minimum(longest, [after.iloc[0], before.iloc[-1]] if len(gaps) else longest)
    first, last = np.broadcast_to(ends, 2)
    if stated is not None and len(own):
        hours = stated * HOUR_NS
        usual = np.where(np.isfinite(hours[1:]), hours[1:], usual)
        first, last = np.where(np.isfinite(hours[[0, -1]]), hours[[0, -1]], (first, last))
    lengths = np.append(first, np.minimum(gaps.to_numpy(), usual))[: len(own)]
    found = [(own, lengths)]
    for i in np.flatnonzero(gaps.to_numpy() > usual):
        # Count from the side whose usual interval continues in the stretch.
        forward = beside[0][i] == usual[i] != beside[1][i]
        found.append(_between(own[i], own[i + 1], usual[i], forward=forward))
    if len(own):
        found.append(_between(start - 1, own[0], first, forward=False))
        found.append(_between(own[-1], end + 1, last, forward=True))
    else:
        found.append(_between(start // longest * longest - longest, end + 1, longest, forward=True))
    timestamps = np.concatenate([part for part, _ in found])
    intervals = np.concatenate([part for _, part in found]).astype(np.int64)
    order = np.argsort(timestamps)
    order = order[(timestamps[order] >= start) & (timestamps[order] <= end)]
    return timestamps[order], intervals[order]


def _usual_interval(gaps: "pd.Series[float]") -> "pd.Series[float]":
    """Median of each interval and those before it; two equal ones are the new usual interval."""
    median = gaps.rolling(RHYTHM_INTERVALS, min_periods=1).quantile(0.5, interpolation="higher")
    return median.clip(lower=gaps.rolling(2).min().fillna(0.0))


def _between(
    after: int, before: int, interval: float, *, forward: bool
) -> tuple[Int64, npt.NDArray[np.float64]]:
    """Settlements strictly between two times, counted from the first or from the second."""
    step = int(interval)
    count = max(int(before - after - 1) // step, 0)
    steps = step * np.arange(1, count + 1, dtype=np.int64)
    found = after + steps if forward else before - steps[::-1]
    return found, np.full(count, interval)
