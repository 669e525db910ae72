"""Findings of the build of a dataset: gaps, outliers, spreads, days covered."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import OutlierBounds
from basis_pipeline.config.universe import BARS, Kind
from basis_pipeline.errors import DataError
from basis_pipeline.market.events import COST_BUCKETS_USD, stated_difference
from basis_pipeline.market.grid import Grid, build_grid
from basis_pipeline.market.plausibility import GROWTH_UNUSUAL, excess, growth_differences
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.repairs import AS_READ, Gap, find_gaps
from basis_pipeline.market.timeline import Floats
from basis_pipeline.market.timestamps import Int64, to_index
from basis_pipeline.market.window import Window
from basis_pipeline.times import DAY_NS
from basis_pipeline.verdict import count_of

MAX_RATE_DIFFERENCE = 0.02
STALE_HOURS = 24
STALE = "fewer than 24 identical bars without volume"
_TIMES = frozenset(("day", "begin", "end", "timestamp", "at"))

# Tables without rows; frames of findings are never changed.
EMPTY = {
    name: pd.DataFrame(columns=columns)
    for name, columns in {
        "days": ["day", "expected", "own", "repaired"],
        "gaps": ["begin", "end", "hours", "rows", "repair", "source"],
        "outliers": ["timestamp", "column", "value", "bound", "times"],
        "excesses": ["day", "times"],
        "spreads": ["peer", "median_bp", "max_bp", "at"],
        "daily_spreads": ["peer", "day", "median_bp", "max_bp"],
    }.items()
}


@dataclass(frozen=True, slots=True)
class Findings:
    """The content of a feed, and what was found in it.

    files, rows, duplicates: numbers; duplicates repeat another row exactly.
    first, last: timestamps of the feed; None for a document without time.
    days: one row per day (UTC): rows `expected`, the feed's `own`, rows `repaired`.
    gaps: stretches without own rows, with their whole `hours` and their `rows` in the window;
        repair and source are empty where nothing filled them.
    outliers: rows beyond a bound, worst first; `times` is the multiple of the bound.
    excesses: the worst row of every day as a multiple of its bound. worst: the worst by column.
    spreads: one row per peer: median and largest price difference [bp] over all timestamps at which
        both feeds have own rows, and when it was largest.
    daily_spreads: the same by day.
    causes: likely causes of differences from peers.
    remarks: further notes for the reader.
    """

    files: int = 0
    rows: int = 0
    duplicates: int = 0
    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None
    days: pd.DataFrame = field(default_factory=lambda: EMPTY["days"])
    gaps: pd.DataFrame = field(default_factory=lambda: EMPTY["gaps"])
    outliers: pd.DataFrame = field(default_factory=lambda: EMPTY["outliers"])
    excesses: pd.DataFrame = field(default_factory=lambda: EMPTY["excesses"])
    worst: Mapping[str, float] = field(default_factory=dict)
    spreads: pd.DataFrame = field(default_factory=lambda: EMPTY["spreads"])
    daily_spreads: pd.DataFrame = field(default_factory=lambda: EMPTY["daily_spreads"])
    causes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def repairs(self) -> dict[str, int]:
        """Rows filled by each repair."""
        rows = self.gaps[self.gaps["repair"] != ""].groupby("repair")["rows"].sum()
        return {str(kind): int(count) for kind, count in rows.items()}

    def to_json(self) -> str:
        """Return the findings as JSON, which `from_json` reads back unchanged."""
        return json.dumps({f.name: _encode(getattr(self, f.name)) for f in fields(self)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the output of `to_json`."""
        values: dict[str, Any] = json.loads(text)
        for name, value in values.items():
            if name in EMPTY:
                columns = {n: _times(v) if n in _TIMES else v for n, v in value.items()}
                values[name] = (
                    pd.DataFrame(columns) if len(next(iter(value.values()))) else EMPTY[name]
                )
        for bound in ("first", "last"):
            values[bound] = values[bound] and pd.Timestamp(values[bound], tz="UTC")
        return cls(**{**values, **{name: tuple(values[name]) for name in ("causes", "remarks")}})


def _times(values: list[int]) -> pd.DatetimeIndex:
    return to_index(np.array(values, dtype=np.int64))


def _encode(value: Any) -> Any:
    if isinstance(value, pd.DataFrame):
        return {
            name: pd.DatetimeIndex(column).as_unit("ns").asi8.tolist()
            if name in _TIMES and len(column)
            else column.tolist()
            for name, column in value.items()
        }
    return value.as_unit("ns").value if isinstance(value, pd.Timestamp) else value


def find_in_dataset(
    raw: RawFeed, grid: Grid | None, gaps: Sequence[Gap], frame: pd.DataFrame
) -> Findings:
    """Return the findings of a build; `compare_all` adds the spreads.

    Parameters
    ----------
    grid, gaps: None and empty for feeds without regular rows.
    frame: the dataset's.
    """
    repaired = (frame["repair"] != AS_READ).to_numpy(dtype=bool)
    bounds = raw.config.outliers if len(frame) else ()
    excesses = {bound: excess(frame, bound) for bound in bounds}
    return replace(
        _of_feed(raw),
        days=_count_days(grid.timestamps, grid.present, repaired) if grid else _event_days(raw),
        gaps=_gap_table(gaps),
        outliers=outlier_rows(
            [*_outliers(frame, excesses), *_growth(raw, frame), *_stale(raw, frame, repaired)]
        ),
        excesses=_by_day(frame, excesses),
        worst={bound.column: float(times.max()) for bound, times in excesses.items()},
    )


def find_in_feed(raw: RawFeed, window: Window) -> Findings:
    """Return the findings on a feed whose dataset was rejected: its days and gaps."""
    findings = _of_feed(raw)
    if raw.config.frequency_hours is None or raw.config.is_document:
        return replace(findings, days=_event_days(raw))
    own = raw.distinct.timestamps
    try:
        grid = build_grid(raw.config, raw, window)
    except DataError:
        return replace(findings, days=_count_days(own, np.ones(len(own), dtype=bool)))
    gaps = _gap_table(find_gaps(grid, own))
    return replace(findings, days=_count_days(grid.timestamps, grid.present), gaps=gaps)


def _of_feed(raw: RawFeed) -> Findings:
    first, last = raw.span or (None, None)
    remarks = (*raw.remarks, *_named_span(raw), *_snapped(raw), *_stated_rates(raw))
    rows, files = len(raw.frame), len(raw.files)
    return Findings(files, rows, raw.exact_duplicates, first, last, remarks=remarks)


def _gap_table(gaps: Sequence[Gap]) -> pd.DataFrame:
    if not gaps:
        return EMPTY["gaps"]
    return pd.DataFrame(
        {
            "begin": _times([gap.begin for gap in gaps]),
            "end": _times([gap.end for gap in gaps]),
            "hours": [gap.hours for gap in gaps],
            "rows": [gap.rows for gap in gaps],
            "repair": [gap.repair for gap in gaps],
            "source": [gap.source for gap in gaps],
        }
    )


def _count_days(
    timestamps: Int64, own: npt.NDArray[np.bool_], repaired: npt.NDArray[np.bool_] | None = None
) -> pd.DataFrame:
    days, place, expected = np.unique(timestamps // DAY_NS, return_inverse=True, return_counts=True)
    masks = {"own": own, "repaired": np.zeros(len(own)) if repaired is None else repaired}
    counts = {
        name: np.bincount(place, weights=mask, minlength=len(days)).astype(np.int64)
        for name, mask in masks.items()
    }
    return pd.DataFrame({"day": to_index(days * DAY_NS), "expected": expected, **counts})


def _event_days(raw: RawFeed) -> pd.DataFrame:
    """Days covered by a reward's periods, or on which every required cost has a rate."""
    if raw.config.kind is Kind.REWARDS:
        spans = [np.arange(begin, end + 1) for begin, end in zip(*_periods(raw), strict=True)]
        days = np.unique(np.concatenate(spans)) * DAY_NS if spans else np.zeros(0, dtype=np.int64)
        return _count_days(days, np.ones(len(days), dtype=bool))
    if raw.config.kind is not Kind.EXECUTION_COSTS:
        return EMPTY["days"]
    frame = raw.frame.iloc[raw.distinct.rows]
    wanted = frame[frame["pair"].isin(raw.config.required_keys)]
    counts = wanted[wanted["size_bucket_usd"].isin(COST_BUCKETS_USD)].groupby("timestamp").size()
    expected = len(raw.config.required_keys) * len(COST_BUCKETS_USD)
    values = {"expected": expected, "own": counts.to_numpy(), "repaired": 0}
    return pd.DataFrame({"day": pd.DatetimeIndex(counts.index), **values})


def _periods(raw: RawFeed) -> tuple[Int64, Int64]:
    """First and last day of a reward's periods, in days since 1970."""
    columns = (raw.distinct.column(name) for name in ("period_start", "period_end"))
    begins, ends = (column.astype(np.int64) // DAY_NS for column in columns)
    return begins, ends


def _outliers(
    frame: pd.DataFrame, excesses: Mapping[OutlierBounds, Floats]
) -> Iterator[pd.DataFrame]:
    for bounds, times in excesses.items():
        yield _beyond(frame, bounds.column, str(bounds), times)


def _growth(raw: RawFeed, frame: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Days on which the growth of an Aave index differs from the rate in its row."""
    if raw.config.kind is Kind.LENDING_RATES:
        bound = f"growth within {GROWTH_UNUSUAL:g} a year of its rate"
        for index, difference in growth_differences(frame):
            yield _beyond(frame, index, bound, np.abs(difference) / GROWTH_UNUSUAL)


def _stale(
    raw: RawFeed, frame: pd.DataFrame, repaired: npt.NDArray[np.bool_]
) -> Iterator[pd.DataFrame]:
    """Return the last bar of every day-long stretch of identical bars without volume."""
    if raw.config.kind not in BARS or frame.empty or "volume" not in frame:
        return
    prices = frame[["open", "high", "low", "close"]].to_numpy()
    changed = (np.diff(prices, axis=0, prepend=0.0) != 0.0).any(axis=1)
    changed |= (frame["volume"].to_numpy() != 0.0) | repaired
    rows = np.arange(len(frame))
    hours = rows - np.maximum.accumulate(np.where(changed, rows, 0)) + 1
    hours[:-1][hours[1:] > 1] = 0
    yield _beyond(
        frame, "close", STALE, np.where(hours >= STALE_HOURS, hours / STALE_HOURS + 1e-9, 0.0)
    )


def _beyond(frame: pd.DataFrame, column: str, bound: str, times: Floats) -> pd.DataFrame:
    if not (times > 1.0).any():
        return EMPTY["outliers"]
    rows = frame.loc[times > 1.0, ["timestamp", column]]
    rows = rows.set_axis(["timestamp", "value"], axis=1)
    return rows.assign(column=column, bound=bound, times=times[times > 1.0])


def outlier_rows(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return joined tables of outliers, the worst first."""
    found = [part[list(EMPTY["outliers"])] for part in parts if len(part)]
    if not found:
        return EMPTY["outliers"]
    worst_first = pd.concat(found).sort_values("times", ascending=False, kind="stable")
    return worst_first.reset_index(drop=True)


def _by_day(frame: pd.DataFrame, excesses: Mapping[OutlierBounds, Floats]) -> pd.DataFrame:
    """Worst row of every day."""
    if not excesses:
        return EMPTY["excesses"]
    worst = np.max(list(excesses.values()), axis=0)
    days = pd.DatetimeIndex(frame["timestamp"]).asi8 // DAY_NS
    starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    by_day = np.maximum.reduceat(worst, starts)
    return pd.DataFrame({"day": to_index(days[starts] * DAY_NS), "times": by_day})


def _named_span(raw: RawFeed) -> Iterator[str]:
    """Remarks on file names that state other days than the rows have."""
    if raw.span is None or not raw.named_spans:
        return
    first, last = raw.span
    begins, ends = zip(*raw.named_spans, strict=True)
    begin, end, day = min(begins), max(ends), pd.Timedelta(days=1)
    if first - begin >= day:
        yield f"the file name starts at {begin:%Y-%m-%d}, the rows at {first:%Y-%m-%d %H:%M}"
    if end - last >= day:
        yield f"the file name ends at {end:%Y-%m-%d}, the rows at {last:%Y-%m-%d %H:%M}"


def _stated_rates(raw: RawFeed) -> Iterator[str]:
    """Remark on stated reward rates that differ from the period's total over all units."""
    apart = stated_difference(raw.config, raw)
    count = int((apart > MAX_RATE_DIFFERENCE).sum())
    if count:
        yield (
            f"the stated rate of {count} of {len(apart)} periods differs from total / units by "
            f"more than {MAX_RATE_DIFFERENCE:.0%}, at most by {apart.max():.1%}; the total is used"
        )


def _snapped(raw: RawFeed) -> Iterator[str]:
    """Remark on timestamps that were snapped to their hour."""
    rule = raw.config.timestamp
    if rule is None or raw.config.kind is Kind.REWARDS:
        return
    as_read = raw.frame[rule.column].iloc[raw.distinct.rows].to_numpy(dtype="datetime64[ns]")
    offset = np.abs(as_read.astype(np.int64) - raw.distinct.timestamps)
    count = int((offset > 0).sum())
    if count:
        worst = offset.max() / 1e9
        yield f"{count_of(count, 'timestamp')} up to {worst:.3g} s off the hour snapped to it"
