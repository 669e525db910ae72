"""What the build of a dataset finds in its feed, once: gaps, outliers, spreads, days covered."""

import json
from collections import Counter
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
from basis_pipeline.market.grid import Grid, lay_grid
from basis_pipeline.market.plausibility import GROWTH_UNUSUAL, excess, growth_differences
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.repairs import AS_READ, Gap, find_gaps
from basis_pipeline.market.timeline import Floats
from basis_pipeline.market.timestamps import Int64, to_index
from basis_pipeline.market.window import Window
from basis_pipeline.times import DAY_NS

STATED_RATE_APART = 0.02
STALE_HOURS = 24
STALE = "fewer than 24 identical bars without volume"
_TIMES = frozenset(("day", "begin", "end", "timestamp", "at"))


# Without rows; frames of findings are never changed.
NONE = {
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
    """What a feed holds, and what was found in it.

    files, rows, duplicates: of the feed; duplicates repeat another row value for value.
    first, last: its timestamps; None for a document without time.
    days: a row a day (UTC): rows `expected`, the feed's `own`, rows `repaired`.
    gaps: stretches without own rows, whole `hours`; `rows` of them lie in the window; repair and
        source are empty where nothing filled them.
    outliers: rows beyond a bound, `times` the bound, worst first.
    excesses: the worst row of every day as a multiple of its bound. worst: the worst by column.
    spreads: a row a peer: median and largest price difference [bp] over all timestamps at which
        both feeds have a row of their own, and when it was largest.
    daily_spreads: the same by day.
    causes: what would explain that a peer's quotes differ.
    remarks: what else a person should know.
    """

    files: int = 0
    rows: int = 0
    duplicates: int = 0
    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None
    days: pd.DataFrame = field(default_factory=lambda: NONE["days"])
    gaps: pd.DataFrame = field(default_factory=lambda: NONE["gaps"])
    outliers: pd.DataFrame = field(default_factory=lambda: NONE["outliers"])
    excesses: pd.DataFrame = field(default_factory=lambda: NONE["excesses"])
    worst: Mapping[str, float] = field(default_factory=dict)
    spreads: pd.DataFrame = field(default_factory=lambda: NONE["spreads"])
    daily_spreads: pd.DataFrame = field(default_factory=lambda: NONE["daily_spreads"])
    causes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def repairs(self) -> dict[str, int]:
        """Rows filled by each repair."""
        counts: Counter[str] = Counter()
        for kind, rows in zip(
            self.gaps["repair"].tolist(), self.gaps["rows"].tolist(), strict=True
        ):
            counts[kind] += rows
        return {kind: counts[kind] for kind in sorted(counts) if kind}

    def to_json(self) -> str:
        """Return the findings as text; `from_json` reads them back unchanged."""
        return json.dumps({f.name: _encode(getattr(self, f.name)) for f in fields(self)})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        values: dict[str, Any] = json.loads(text)
        for name, value in values.items():
            if name in NONE:
                columns = {n: _times(v) if n in _TIMES else v for n, v in value.items()}
                values[name] = (
                    pd.DataFrame(columns) if len(next(iter(value.values()))) else NONE[name]
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
    """Collect what a build found; spreads are added when there are other datasets to compare with.

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
    """Collect what can be said of a feed whose dataset was rejected: its days and its gaps."""
    facts = _of_feed(raw)
    if raw.config.frequency_hours is None or raw.config.is_document:
        return replace(facts, days=_event_days(raw))
    own = raw.distinct.timestamps
    try:
        grid = lay_grid(raw.config, raw, window)
    except DataError:
        return replace(facts, days=_count_days(own, np.ones(len(own), dtype=bool)))
    gaps = _gap_table(find_gaps(grid, own))
    return replace(facts, days=_count_days(grid.timestamps, grid.present), gaps=gaps)


def _of_feed(raw: RawFeed) -> Findings:
    first, last = raw.span or (None, None)
    remarks = (*raw.remarks, *_named_span(raw), *_snapped(raw), *_stated_rates(raw))
    rows, files = len(raw.frame), len(raw.files)
    return Findings(files, rows, raw.exact_duplicates, first, last, remarks=remarks)


def _gap_table(gaps: Sequence[Gap]) -> pd.DataFrame:
    if not gaps:
        return NONE["gaps"]
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
    """Days that a reward's periods pay for, or on which every cost asked for has a rate."""
    if raw.config.kind is Kind.REWARDS:
        spans = [np.arange(begin, end + 1) for begin, end in zip(*_periods(raw), strict=True)]
        days = np.unique(np.concatenate(spans)) * DAY_NS if spans else np.zeros(0, dtype=np.int64)
        return _count_days(days, np.ones(len(days), dtype=bool))
    if raw.config.kind is not Kind.EXECUTION_COSTS:
        return NONE["days"]
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
    """Days on which an Aave index grew otherwise than the rate in its own row says."""
    if raw.config.kind is Kind.LENDING_RATES:
        bound = f"growth within {GROWTH_UNUSUAL:g} a year of its rate"
        for index, difference in growth_differences(frame):
            yield _beyond(frame, index, bound, np.abs(difference) / GROWTH_UNUSUAL)


def _stale(
    raw: RawFeed, frame: pd.DataFrame, repaired: npt.NDArray[np.bool_]
) -> Iterator[pd.DataFrame]:
    """The last bar of every stretch of identical bars without volume that is a day long."""
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
        return NONE["outliers"]
    rows = frame.loc[times > 1.0, ["timestamp", column]]
    rows = rows.set_axis(["timestamp", "value"], axis=1)
    return rows.assign(column=column, bound=bound, times=times[times > 1.0])


def outlier_rows(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Join tables of outliers, the worst first."""
    found = [part[list(NONE["outliers"])] for part in parts if len(part)]
    if not found:
        return NONE["outliers"]
    worst_first = pd.concat(found).sort_values("times", ascending=False, kind="stable")
    return worst_first.reset_index(drop=True)


def _by_day(frame: pd.DataFrame, excesses: Mapping[OutlierBounds, Floats]) -> pd.DataFrame:
    """Worst row of every day."""
    if not excesses:
        return NONE["excesses"]
    worst = np.max(list(excesses.values()), axis=0)
    days = pd.DatetimeIndex(frame["timestamp"]).asi8 // DAY_NS
    starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    by_day = np.maximum.reduceat(worst, starts)
    return pd.DataFrame({"day": to_index(days[starts] * DAY_NS), "times": by_day})


def _named_span(raw: RawFeed) -> Iterator[str]:
    """Where the names of the files claim other days than the rows hold."""
    if raw.span is None or not raw.named_spans:
        return
    first, last = raw.span
    begins, ends = zip(*raw.named_spans, strict=True)
    begin, end, day = min(begins), max(ends), pd.Timedelta(days=1)
    if first - begin >= day:
        yield f"the name says from {begin:%Y-%m-%d}, the rows begin at {first:%Y-%m-%d %H:%M}"
    if end - last >= day:
        yield f"the name says to {end:%Y-%m-%d}, the rows end at {last:%Y-%m-%d %H:%M}"


def _stated_rates(raw: RawFeed) -> Iterator[str]:
    """Where a reward's stated rate is not the period's total over all units."""
    apart = stated_difference(raw.config, raw)
    count = int((apart > STATED_RATE_APART).sum())
    if count:
        yield (
            f"the stated rate of {count} of {len(apart)} periods differs from total over units by "
            f"more than {STATED_RATE_APART:.0%}, at most by {apart.max():.1%}; the total is used"
        )


def _snapped(raw: RawFeed) -> Iterator[str]:
    """How many timestamps lay beside their hour and were moved onto it."""
    rule = raw.config.timestamp
    if rule is None or raw.config.kind is Kind.REWARDS:
        return
    as_read = raw.frame[rule.column].iloc[raw.distinct.rows].to_numpy(dtype="datetime64[ns]")
    beside = np.abs(as_read.astype(np.int64) - raw.distinct.timestamps)
    count = int((beside > 0).sum())
    if count:
        worst = beside.max() / 1e9
        yield f"{count} timestamps up to {worst:.3g} s beside their hour were moved onto it"
