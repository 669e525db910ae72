"""Which timestamps a dataset must have in a window, and what its feed has of them."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import Kind
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.rows import DistinctRows
from basis_pipeline.market.timestamps import Int64, format_time, to_index
from basis_pipeline.market.window import Window
from basis_pipeline.times import HOUR_NS

# Rows that span less of a window than this are a sliver: the files are short, not the window wrong.
SLIVER = 0.5
# Between two rows further apart nothing is said to have accrued evenly.
LONGEST_ACCRUAL_NS = 48 * HOUR_NS
# So many intervals show the rhythm of a venue's settlements.
RHYTHM = 5


@dataclass(frozen=True, slots=True)
class Grid:
    """The rows a dataset must have.

    timestamps: (n,) int64 ns · values: (n, c) float64, NaN where the feed has no row ·
    present: (n,) bool · steps: (n,) int64 ns, the interval that each row stands for.
    """

    timestamps: Int64
    values: npt.NDArray[np.float64]
    present: npt.NDArray[np.bool_]
    steps: Int64

    @property
    def own_share(self) -> float:
        """Share of the rows that the feed has itself; 1.0 when none is asked for."""
        return float(self.present.mean()) if len(self.present) else 1.0


def lay_grid(config: DatasetConfig, raw: RawFeed, window: Window) -> Grid:
    """Lay the feed's rows on the timestamps the window asks for.

    Hourly feeds have every hour of the window; daily ones its days, snapshots of a lending rate
    also the one after its end where there is one; funding its own settlements and the ones missing
    between them.

    Raises RejectedDataError: DATA-014 when a row lies beside its hour or day.
    """
    assert config.frequency_hours is not None  # feeds without a frequency have no grid
    step = config.frequency_hours * HOUR_NS
    own = _resampled(raw.distinct, config, step) if config.format.resample else raw.distinct
    _require_on_grid(raw, own, HOUR_NS if config.kind is Kind.FUNDING else step)
    start, end = window.start.value, window.end.value
    if config.coverage.starts_late:
        start = max(start, began(raw))
    if config.kind is Kind.FUNDING:
        timestamps, steps = settlements(own.timestamps, start, end, step, raw.intervals)
    elif config.kind is Kind.LENDING_RATES:
        # An index needs the snapshot after the end, a price does not: taken where there is one.
        after = -(-end // step) * step
        has_it = len(own.timestamps) > 0 and own.timestamps[-1] >= after
        timestamps = regular(start // step * step, after if has_it else end, step)
    else:
        timestamps = regular(start // step * step, end, step)
    if config.kind is not Kind.FUNDING:
        steps = np.full(len(timestamps), step)
    values = np.full((len(timestamps), len(own.columns)), np.nan)
    at, present = locate(own.timestamps, timestamps)
    values[present] = own.values[at[present]]
    return Grid(timestamps, values, present, steps)


def regular(first: int, last: int, step: int) -> Int64:
    """Timestamps from `first` every `step` up to `last`, included.

    Not `np.arange(first, last + 1, step)`: it counts in floats, and loses the end.
    """
    return first + step * np.arange((last - first) // step + 1, dtype=np.int64)


def locate(haystack: Int64, timestamps: Int64) -> tuple[Int64, npt.NDArray[np.bool_]]:
    """Position of each timestamp in a sorted array, and whether it is there at all."""
    at = np.minimum(np.searchsorted(haystack, timestamps), max(len(haystack) - 1, 0))
    found = haystack[at] == timestamps if len(haystack) else np.zeros(len(timestamps), dtype=bool)
    return at.astype(np.int64), found


def began(raw: RawFeed) -> int:
    """When a feed that starts late begins: the start its file names claim, or its first row.

    The names are believed where they claim more than the rows hold, so that a file which lost its
    head is not taken for a token that was listed later.
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
        outside = spanned.mean() >= SLIVER and dense
    else:
        outside = last - first >= SLIVER * length
    span = f"its rows span {format_time(first)} … {format_time(last)}"
    if outside:
        raise RejectedDataError(
            "DATA-012",
            f"the window {window} lies outside {config.name}: {span}",
            where=raw.paths,
        )
    raise RejectedDataError(
        "DATA-010",
        f"{config.name} has rows for {grid.own_share:.1%} of {window}, and needs "
        f"{config.coverage.min_share:.1%}: {span}",
        where=raw.paths,
    )


def _resampled(rows: DistinctRows, config: DatasetConfig, step: int) -> DistinctRows:
    """Rows at regular times: what accrues grows geometrically between two rows, the rest is held.

    A time is left out where the rows around it are further apart than `LONGEST_ACCRUAL_NS`.
    """
    own = rows.timestamps
    times = regular(-(-int(own[0]) // step) * step, int(own[-1]) // step * step, step)
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
    beside = timestamps % step != 0
    if not beside.any():
        return
    rows = raw.frame.iloc[own.rows[beside][:50]]
    raise RejectedDataError(
        "DATA-014",
        f"{raw.name} has {int(beside.sum())} rows beside their full "
        f"{'hour' if step == HOUR_NS else 'day'}, the first at "
        f"{to_index(timestamps[beside][:1])[0].isoformat()}",
        where=raw.paths,
        offending=rows,
    )


def settlements(
    own: Int64, start: int, end: int, longest: int, stated: npt.NDArray[np.float64] | None = None
) -> tuple[Int64, Int64]:
    """Own settlements and the missing ones between `start` and `end`, with their intervals.

    A venue may settle every 8, 4 or 1 hours, and change that. A stretch lacks settlements when it
    is longer than the interval that its later row states or, where none is stated, than the usual
    interval on both of its sides. Before the first and after the last row the rhythm goes on.

    Parameters
    ----------
    own: (n,) ns, the feed's settlements. longest: ns, the longest interval of the venue.
    stated: (n,) hours between a settlement and the one before it, NaN where the files say none.
    """
    gaps = pd.Series(np.diff(own), dtype=np.float64)
    before, after = _usual(gaps), _usual(gaps[::-1])[::-1]
    # The first and the last interval have one side only: the one next to them speaks for the other.
    beside = pd.concat(
        [before.shift().fillna(gaps.shift(-1)), after.shift(-1).fillna(gaps.shift())], axis=1
    )
    rhythm = beside.max(axis=1).fillna(longest).clip(upper=longest).to_numpy()
    ends = np.minimum(longest, [after.iloc[0], before.iloc[-1]] if len(gaps) else longest)
    first, last = np.broadcast_to(ends, 2)
    if stated is not None and len(own):
        hours = stated * HOUR_NS
        rhythm = np.where(np.isfinite(hours[1:]), hours[1:], rhythm)
        first, last = np.where(np.isfinite(hours[[0, -1]]), hours[[0, -1]], (first, last))
    lengths = np.append(first, np.minimum(gaps.to_numpy(), rhythm))[: len(own)]
    found = [(own, lengths)]
    for i in np.flatnonzero(gaps.to_numpy() > rhythm):
        # The side whose rhythm goes on in the stretch says at which hours it settles.
        forward = beside[0][i] == rhythm[i] != beside[1][i]
        found.append(_between(own[i], own[i + 1], rhythm[i], forward=forward))
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


def _usual(gaps: "pd.Series[float]") -> "pd.Series[float]":
    """Median of each interval and those before it; two alike are a new rhythm."""
    median = gaps.rolling(RHYTHM, min_periods=1).quantile(0.5, interpolation="higher")
    return median.clip(lower=gaps.rolling(2).min().fillna(0.0))


def _between(
    after: int, before: int, interval: float, *, forward: bool
) -> tuple[Int64, npt.NDArray[np.float64]]:
    """Settlements strictly between two times, counted from the first or from the second one."""
    step = int(interval)
    count = max(int(before - after - 1) // step, 0)
    steps = step * np.arange(1, count + 1, dtype=np.int64)
    found = after + steps if forward else before - steps[::-1]
    return found, np.full(count, interval)
