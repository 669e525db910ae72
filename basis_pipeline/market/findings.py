"""What the build of a dataset finds in its feed, once: gaps, outliers, spreads, days covered."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import PurePosixPath
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import Agreement, Kind, OutlierBounds
from basis_pipeline.errors import DataError
from basis_pipeline.market.events import COST_BUCKETS_USD, stated_difference
from basis_pipeline.market.grid import Grid, lay_grid
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.repairs import AS_READ, Gap, find_gaps
from basis_pipeline.market.timestamps import Int64, to_index
from basis_pipeline.market.window import Window
from basis_pipeline.times import DAY_NS

Float64 = npt.NDArray[np.float64]
_NAMED_SPAN = re.compile(r"_(\d{4}-\d\d-\d\d)_(\d{4}-\d\d-\d\d)\.")
STATED_RATE_APART = 0.02
_TIMES = frozenset(("day", "begin", "end", "timestamp", "at"))


# Without rows; frames of findings are never changed.
_NONE = {
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
    remarks: what else a person should know.
    """

    files: int = 0
    rows: int = 0
    duplicates: int = 0
    first: pd.Timestamp | None = None
    last: pd.Timestamp | None = None
    days: pd.DataFrame = field(default_factory=lambda: _NONE["days"])
    gaps: pd.DataFrame = field(default_factory=lambda: _NONE["gaps"])
    outliers: pd.DataFrame = field(default_factory=lambda: _NONE["outliers"])
    excesses: pd.DataFrame = field(default_factory=lambda: _NONE["excesses"])
    worst: Mapping[str, float] = field(default_factory=dict)
    spreads: pd.DataFrame = field(default_factory=lambda: _NONE["spreads"])
    daily_spreads: pd.DataFrame = field(default_factory=lambda: _NONE["daily_spreads"])
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
            if name in _NONE:
                columns = {n: _times(v) if n in _TIMES else v for n, v in value.items()}
                values[name] = pd.DataFrame(columns)
        for bound in ("first", "last"):
            values[bound] = values[bound] and pd.Timestamp(values[bound], tz="UTC")
        return cls(**{**values, "remarks": tuple(values["remarks"])})


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
        outliers=_outliers(frame, excesses),
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
    remarks = (*_named_span(raw), *_snapped(raw), *_stated_rates(raw))
    rows, files = len(raw.frame), len(raw.files)
    return Findings(files, rows, raw.exact_duplicates, first, last, remarks=remarks)


def _gap_table(gaps: Sequence[Gap]) -> pd.DataFrame:
    if not gaps:
        return _NONE["gaps"]
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
        return _NONE["days"]
    frame = raw.frame.iloc[raw.distinct.rows]
    wanted = frame[frame["pair"].isin(raw.config.required_keys)]
    counts = wanted[wanted["size_bucket_usd"].isin(COST_BUCKETS_USD)].groupby("timestamp").size()
    expected = len(raw.config.required_keys) * len(COST_BUCKETS_USD)
    values = {"expected": expected, "own": counts.to_numpy(), "repaired": 0}
    return pd.DataFrame({"day": pd.DatetimeIndex(counts.index), **values})


def _periods(raw: RawFeed) -> tuple[Int64, Int64]:
    """First and last day of a reward's periods, in days since 1970."""
    own = raw.distinct
    columns = (own.columns.index(name) for name in ("period_start", "period_end"))
    begins, ends = (own.values[:, column].astype(np.int64) // DAY_NS for column in columns)
    return begins, ends


def excess(frame: pd.DataFrame, bounds: OutlierBounds) -> Float64:
    """Return how far each row goes, as a multiple of its bound, (n,); above 1 is beyond it."""
    values = frame[bounds.column].to_numpy(dtype=np.float64)
    times = np.zeros(len(values))
    if bounds.max_abs is not None:
        times = np.maximum(times, np.abs(values) / bounds.max_abs)
    if bounds.max_log_change is not None and len(values):
        # What has no logarithm is not a price, which the schema rejects.
        logs = np.log(np.where(values > 0.0, values, np.nan))
        change = np.nan_to_num(np.abs(np.diff(logs, prepend=logs[0])))
        times = np.maximum(times, change / bounds.max_log_change)
    return times


def _outliers(frame: pd.DataFrame, excesses: Mapping[OutlierBounds, Float64]) -> pd.DataFrame:
    parts = []
    for bounds, times in excesses.items():
        beyond = times > 1.0
        if not beyond.any():
            continue
        level, step = bounds.max_abs, bounds.max_log_change
        limits = [f"at most {level:g}"] if level is not None else []
        limits += [f"steps of at most {step:g}"] if step is not None else []
        rows = frame.loc[beyond, ["timestamp", bounds.column]]
        rows = rows.set_axis(["timestamp", "value"], axis=1).reset_index(drop=True)
        rows.insert(1, "column", bounds.column)
        parts.append(rows.assign(bound=", ".join(limits), times=times[beyond]))
    if not parts:
        return _NONE["outliers"]
    worst_first = pd.concat(parts).sort_values("times", ascending=False, kind="stable")
    return worst_first.reset_index(drop=True)


def _by_day(frame: pd.DataFrame, excesses: Mapping[OutlierBounds, Float64]) -> pd.DataFrame:
    """Worst row of every day."""
    if not excesses:
        return _NONE["excesses"]
    worst = np.max(list(excesses.values()), axis=0)
    days = pd.DatetimeIndex(frame["timestamp"]).asi8 // DAY_NS
    starts = np.flatnonzero(np.diff(days, prepend=days[0] - 1))
    by_day = np.maximum.reduceat(worst, starts)
    return pd.DataFrame({"day": to_index(days[starts] * DAY_NS), "times": by_day})


def with_spreads(
    findings: Findings,
    rule: Agreement,
    frame: pd.DataFrame,
    peers: Mapping[str, pd.DataFrame],
) -> Findings:
    """Return the findings with the price differences to the peers that the rule names."""
    total, daily = [], []
    for name in rule.peers:
        at, spread = _differences(frame, peers[name], rule) if name in peers else _NOWHERE
        if not at.size:
            continue
        worst = to_index(at[[int(spread.argmax())]])[0]
        total.append((name, float(np.median(spread)), float(spread.max()), worst))
        by_day = pd.Series(spread).groupby(at // DAY_NS).agg(["median", "max"]).reset_index()
        by_day = by_day.set_axis(["day", "median_bp", "max_bp"], axis=1)
        by_day["day"] = to_index(by_day["day"].to_numpy() * DAY_NS)
        by_day.insert(0, "peer", name)
        daily.append(by_day)
    if not total:
        return replace(findings, spreads=_NONE["spreads"], daily_spreads=_NONE["daily_spreads"])
    return replace(
        findings,
        spreads=pd.DataFrame(total, columns=["peer", "median_bp", "max_bp", "at"]),
        daily_spreads=pd.concat(daily, ignore_index=True),
    )


_NOWHERE = (np.array([], dtype=np.int64), np.array([]))


def _differences(
    frame: pd.DataFrame, other: pd.DataFrame, rule: Agreement
) -> tuple[Int64, Float64]:
    """Nanoseconds and basis points, (n,) each, of every time at which both have their own row."""
    (own_at, own), (peer_at, peer) = (
        (pd.DatetimeIndex(f["timestamp"]).asi8[as_read], f[column].to_numpy()[as_read])
        for f, column in ((frame, rule.column), (other, rule.peer_column))
        for as_read in [(f["repair"] == AS_READ).to_numpy()]
    )
    at, here, there = np.intersect1d(own_at, peer_at, assume_unique=True, return_indices=True)
    own, peer = own[here], peer[there]
    scale = peer if rule.relative else 1.0
    return at, np.abs((own - peer) / scale) * 1e4


def _named_span(raw: RawFeed) -> Iterator[str]:
    """Where the names of the files claim other days than the rows hold."""
    claims = [_NAMED_SPAN.search(PurePosixPath(file.path).name) for file in raw.files]
    spans = [claim.groups() for claim in claims if claim]
    if not spans or raw.span is None:
        return
    first, last = raw.span
    claimed = (min(begin for begin, _ in spans), max(end for _, end in spans))
    day = pd.Timedelta(days=1)
    if first - pd.Timestamp(claimed[0], tz="UTC") >= day:
        yield f"the name says from {claimed[0]}, the rows begin at {first:%Y-%m-%d %H:%M}"
    if pd.Timestamp(claimed[1], tz="UTC") - last >= day:
        yield f"the name says to {claimed[1]}, the rows end at {last:%Y-%m-%d %H:%M}"


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
