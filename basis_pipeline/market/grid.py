"""Which timestamps a dataset must have in a window, and what its feed has of them."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig, Kind
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.timestamps import Int64, format_time, to_index
from basis_pipeline.market.window import Window
from basis_pipeline.times import HOUR_NS

# Rows that span less of a window than this are a sliver: the files are short, not the window wrong.
SLIVER = 0.5


@dataclass(frozen=True, slots=True)
class Grid:
    """The rows a dataset must have.

    timestamps: (n,) int64 ns · values: (n, c) float64, NaN where the feed has no row ·
    present: (n,) bool · step: ns between two rows.
    """

    timestamps: Int64
    values: npt.NDArray[np.float64]
    present: npt.NDArray[np.bool_]
    step: int

    @property
    def own_share(self) -> float:
        """Share of the rows that the feed has itself; 1.0 when none is asked for."""
        return float(self.present.mean()) if len(self.present) else 1.0


def lay_grid(config: DatasetConfig, raw: RawFeed, window: Window) -> Grid:
    """Lay the feed's rows on the timestamps the window asks for.

    Hourly feeds have every hour of the window; daily ones its days, Aave snapshots also the
    one after its end; funding its own settlements and the ones missing between them.

    Raises RejectedDataError: DATA-014 when a row lies beside its hour or day.
    """
    assert config.frequency_hours is not None  # feeds without a frequency have no grid
    step = config.frequency_hours * HOUR_NS
    own = raw.distinct
    _require_on_grid(raw, own.timestamps, HOUR_NS if config.kind is Kind.FUNDING else step)
    start, end = window.start.value, window.end.value
    if config.coverage.starts_late:
        start = max(start, began(raw))
    if config.kind is Kind.FUNDING:
        timestamps = _settlements(own.timestamps, start, end, step)
    elif config.kind is Kind.AAVE_RATES:
        timestamps = regular(start // step * step, -(-end // step) * step, step)
    else:
        timestamps = regular(start // step * step, end, step)
    values = np.full((len(timestamps), len(own.columns)), np.nan)
    at, present = locate(own.timestamps, timestamps)
    values[present] = own.values[at[present]]
    return Grid(timestamps, values, present, step)


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
    dates = [
        re.search(r"_(\d{4}-\d\d-\d\d)_\d{4}-\d\d-\d\d\.", PurePosixPath(f.path).name)
        for f in raw.files
    ]
    return min([first, *(pd.Timestamp(found[1], tz="UTC").value for found in dates if found)])


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


def _require_on_grid(raw: RawFeed, timestamps: Int64, step: int) -> None:
    beside = timestamps % step != 0
    if not beside.any():
        return
    rows = raw.frame.iloc[raw.distinct.rows[beside][:50]]
    raise RejectedDataError(
        "DATA-014",
        f"{raw.name} has {int(beside.sum())} rows beside their full "
        f"{'hour' if step == HOUR_NS else 'day'}, the first at "
        f"{to_index(timestamps[beside][:1])[0].isoformat()}",
        where=raw.paths,
        offending=rows,
    )


def _settlements(own: Int64, start: int, end: int, step: int) -> Int64:
    """Own settlements and the missing ones between `start` and `end`.

    A stretch without settlement is a gap when it is longer than the declared interval, or longer
    than the intervals on both its sides: a venue may settle every 8, 4 or 1 hours.
    """
    if not len(own):
        return regular(-(-start // step) * step, end, step)
    gaps = np.diff(own)
    beside = np.maximum(np.append(gaps[1:], 0), np.insert(gaps[:-1], 0, 0))
    expected = np.where(beside > 0, np.minimum(step, beside), step)
    found = [own]
    gap = np.flatnonzero(gaps > expected)
    found += [regular(own[i] + expected[i], own[i + 1] - 1, expected[i]) for i in gap]
    found.append(regular(-(-start // step) * step, own[0] - 1, step))
    after = max(int(own[-1]) + 1, start)
    found.append(regular(-(-after // step) * step, end, step))
    timestamps = np.unique(np.concatenate(found))
    return timestamps[(timestamps >= start) & (timestamps <= end)]
