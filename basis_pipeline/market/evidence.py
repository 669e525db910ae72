"""What an audit's verdicts stand on: days covered, holes and their repairs, outliers, spreads."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig, Kind
from basis_pipeline.config.venue import Exchange
from basis_pipeline.errors import DataError
from basis_pipeline.market.audit import (
    AuditLine,
    Examined,
    audit_line,
    family_holes,
)
from basis_pipeline.market.dataset import COST_BUCKETS_USD, Dataset
from basis_pipeline.market.grid import lay_grid
from basis_pipeline.market.quality import excess, gaps_to, margin_parameters
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.repairs import AS_READ
from basis_pipeline.market.timestamps import Int64, to_index
from basis_pipeline.times import DAY_NS
from basis_pipeline.verdict import Status

DAYS = ("day", "expected", "own", "repaired")
HOLES = ("begin", "end", "hours", "repair", "source")
REPAIRS = ("repair", "source", "rows", "first", "last")
OUTLIERS = ("timestamp", "column", "value", "bound", "times")
EXCESSES = ("day", "times")
SPREADS = ("peer", "day", "median_bp", "max_bp")
_NAMED_SPAN = re.compile(r"_(\d{4}-\d\d-\d\d)_(\d{4}-\d\d-\d\d)\.")
_SPIKE = 1.0  # times its bound: beyond it a row is an outlier


@dataclass(frozen=True, slots=True)
class Evidence:
    """One family: its line, and the rows it stands on.

    days: a row a day (UTC): rows `expected`, rows the family has itself, rows `repaired`.
    holes: stretches without own rows, and what filled them; repair is empty where nothing did.
    repairs: rows filled by each repair from each source, with the first and last of them.
    outliers: rows beyond a bound, `times` the bound, worst first. excesses: the worst row of every
    day as a multiple of its bound. spreads: a row a day and peer, gaps in bp between rows that both
    landed. limits: the median and the largest gap that are still agreement, in bp. concerns: what
    contradicts another source, and wants a look. remarks: what else a person should know.
    """

    line: AuditLine
    days: pd.DataFrame
    holes: pd.DataFrame
    repairs: pd.DataFrame
    outliers: pd.DataFrame
    excesses: pd.DataFrame
    spreads: pd.DataFrame
    limits: tuple[float, float] | None
    concerns: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def verdict(self) -> Status:
        """The line's verdict, and WARN where it passed with a concern."""
        return (
            Status.WARN if self.line.verdict is Status.PASS and self.concerns else self.line.verdict
        )


def gather(
    examined: Iterable[Examined], exchanges: Mapping[str, Exchange] | None = None
) -> list[Evidence]:
    """The evidence of every family, in the order given.

    Parameters
    ----------
    examined: the families of one directory; quotes are compared among them.
    exchanges: venue → its configuration, which its own margin file is held against.
    """
    families = list(examined)
    datasets = {found.config.name: found.outcome for found in families}
    raws = {found.config.name: found.raw for found in families}
    return [_evidence(found, datasets, raws, exchanges or {}) for found in families]


def _evidence(
    found: Examined,
    datasets: Mapping[str, Dataset | DataError],
    raws: Mapping[str, RawFeed | DataError],
    exchanges: Mapping[str, Exchange],
) -> Evidence:
    config, outcome = found.config, found.outcome
    dataset = outcome if isinstance(outcome, Dataset) else None
    rule = config.agreement
    limits = (rule.max_median_bp, rule.max_gap_bp) if rule else None
    gaps = _gaps(dataset, datasets)
    exchange = exchanges.get(config.name.partition("_")[0])
    return Evidence(
        line=audit_line(found),
        days=_days(found),
        holes=_holes(found),
        repairs=_repairs(dataset),
        outliers=_outliers(dataset),
        excesses=_excesses(dataset),
        spreads=_by_day(gaps),
        limits=limits,
        concerns=(*_disagreements(gaps, limits), *_margins(dataset, exchange)),
        remarks=tuple(_remarks(found, raws)),
    )


def _days(found: Examined) -> pd.DataFrame:
    raw, config = found.raw, found.config
    if isinstance(raw, DataError) or found.window is None or config.kind is Kind.RISK_PARAMS:
        return pd.DataFrame(columns=list(DAYS))
    if config.kind is Kind.REWARDS:
        return _paid_days(raw)
    if config.kind is Kind.EXECUTION_COSTS:
        return _priced_days(raw)
    try:
        grid = lay_grid(config, raw, found.window)
    except DataError:
        own = raw.distinct.timestamps
        return _counted(own, np.ones(len(own), dtype=bool), np.zeros(len(own), dtype=bool))
    repaired = np.zeros(len(grid.timestamps), dtype=bool)
    if isinstance(found.outcome, Dataset):
        repaired = (found.outcome.frame["repair"] != AS_READ).to_numpy(dtype=bool)
    return _counted(grid.timestamps, grid.present, repaired)


def _counted(stamps: Int64, own: np.ndarray, repaired: np.ndarray) -> pd.DataFrame:
    days, place, expected = np.unique(stamps // DAY_NS, return_inverse=True, return_counts=True)
    counts = {
        name: np.bincount(place, weights=mask, minlength=len(days)).astype(np.int64)
        for name, mask in (("own", own), ("repaired", repaired))
    }
    return pd.DataFrame({"day": to_index(days * DAY_NS), "expected": expected, **counts})


def _paid_days(raw: RawFeed) -> pd.DataFrame:
    """Days that a reward's periods pay for."""
    own = raw.distinct
    begins, ends = (
        own.values[:, own.columns.index(name)].astype(np.int64) // DAY_NS
        for name in ("period_start", "period_end")
    )
    spans = [np.arange(a, b + 1) for a, b in zip(begins, ends, strict=True)]
    days = np.unique(np.concatenate(spans)) * DAY_NS if spans else np.zeros(0, dtype=np.int64)
    return _counted(days, np.ones(len(days), dtype=bool), np.zeros(len(days), dtype=bool))


def _priced_days(raw: RawFeed) -> pd.DataFrame:
    """Days on which the pairs asked for have a rate in every size bucket."""
    frame = raw.frame.iloc[raw.distinct.rows]
    wanted = frame[frame["pair"].isin(raw.config.required_keys)]
    wanted = wanted[wanted["size_bucket_usd"].isin(COST_BUCKETS_USD)]
    counts = wanted.groupby("timestamp").size()
    expected = len(raw.config.required_keys) * len(COST_BUCKETS_USD)
    days = pd.DatetimeIndex(counts.index)
    told = {"expected": expected, "own": counts.to_numpy(), "repaired": 0}
    return pd.DataFrame({"day": days, **told})


def _holes(found: Examined) -> pd.DataFrame:
    raw = found.raw
    if isinstance(raw, DataError) or found.window is None:
        return pd.DataFrame(columns=list(HOLES))
    frame = found.outcome.frame if isinstance(found.outcome, Dataset) else None
    rows = []
    for hole in family_holes(found.config, raw, found.window) or []:
        repair = source = ""
        if frame is not None:
            filled = frame.iloc[hole.first : hole.last + 1]
            repair = ", ".join(filled["repair"].unique())
            source = ", ".join(filled["source"].unique())
        begin, end = to_index(np.array([hole.begin, hole.end], dtype=np.int64))
        rows.append((begin, end, hole.hours, repair, source))
    return pd.DataFrame(rows, columns=list(HOLES))


def _repairs(dataset: Dataset | None) -> pd.DataFrame:
    if dataset is None or "timestamp" not in dataset.frame or not dataset.repairs:
        return pd.DataFrame(columns=list(REPAIRS))
    filled = dataset.frame[dataset.frame["repair"] != AS_READ]
    stamps = filled.groupby(["repair", "source"])["timestamp"]
    found = stamps.agg(["count", "min", "max"]).reset_index()
    return found.set_axis(list(REPAIRS), axis=1)


def _outliers(dataset: Dataset | None) -> pd.DataFrame:
    parts = []
    if dataset is not None and "timestamp" in dataset.frame:
        for bounds in dataset.config.outliers:
            times = excess(dataset.frame, bounds)
            beyond = times > _SPIKE
            level, step = bounds.max_abs, bounds.max_log_change
            told = [f"at most {level:g}"] if level is not None else []
            told += [f"steps of at most {step:g}"] if step is not None else []
            rows = dataset.frame.loc[beyond, ["timestamp"]]
            values = dataset.frame.loc[beyond, bounds.column].to_numpy()
            parts.append(
                rows.assign(
                    column=bounds.column,
                    value=values,
                    bound=", ".join(told),
                    times=times[beyond],
                )
            )
    found = [part for part in parts if len(part)]
    if not found:
        return pd.DataFrame(columns=list(OUTLIERS))
    return pd.concat(found, ignore_index=True).sort_values("times", ascending=False)


def _excesses(dataset: Dataset | None) -> pd.DataFrame:
    if dataset is None or "timestamp" not in dataset.frame or not dataset.config.outliers:
        return pd.DataFrame(columns=list(EXCESSES))
    worst = np.max([excess(dataset.frame, bounds) for bounds in dataset.config.outliers], axis=0)
    by_day = pd.Series(worst).groupby(dataset.frame["timestamp"].dt.floor("D")).max()
    return pd.DataFrame({"day": by_day.index, "times": by_day.to_numpy()})


Gaps = dict[str, pd.DataFrame]


def _gaps(dataset: Dataset | None, datasets: Mapping[str, Dataset | DataError]) -> Gaps:
    """Peer → gap in bp at every stamp at which both landed."""
    rule = dataset.config.agreement if dataset else None
    if dataset is None or rule is None:
        return {}
    peers = {name: datasets.get(name) for name in rule.peers}
    found = {n: gaps_to(dataset, p, rule) for n, p in peers.items() if isinstance(p, Dataset)}
    return {name: gaps for name, gaps in found.items() if len(gaps)}


def _by_day(gaps: Gaps) -> pd.DataFrame:
    parts = []
    for name, rows in gaps.items():
        by_day = rows.groupby(rows["timestamp"].dt.floor("D"))["gap_bp"]
        days = by_day.agg(["median", "max"]).reset_index()
        days.columns = pd.Index(["day", "median_bp", "max_bp"])
        parts.append(days.assign(peer=name)[list(SPREADS)])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(SPREADS))


def _disagreements(gaps: Gaps, limits: tuple[float, float] | None) -> Iterator[str]:
    """Peers further apart than agreement allows, by the median or by the worst stamp."""
    for name, rows in gaps.items():
        gap = rows["gap_bp"].to_numpy()
        median, largest, at = float(np.median(gap)), float(gap.max()), int(gap.argmax())
        if limits and (median > limits[0] or largest > limits[1]):
            yield (
                f"{name}: median gap {median:.3g} bp of {limits[0]:g}, largest {largest:.4g} bp of "
                f"{limits[1]:g} on {rows['timestamp'].iloc[at]:%Y-%m-%d %H:%M}"
            )


def _margins(dataset: Dataset | None, exchange: Exchange | None) -> Iterator[str]:
    if dataset is not None and dataset.config.kind is Kind.RISK_PARAMS and exchange is not None:
        passed, told, _, _ = margin_parameters(dataset, exchange)
        if not passed:
            yield told


def _remarks(found: Examined, raws: Mapping[str, RawFeed | DataError]) -> Iterator[str]:
    raw, config = found.raw, found.config
    if isinstance(raw, DataError):
        return
    yield from _named_span(raw)
    yield from _snapped(raw)
    yield from _late_start(raw, raws)
    if config.kind is Kind.EXECUTION_COSTS:
        pairs = sorted(raw.frame["pair"].astype(str).unique())
        yield f"{len(pairs)} pairs: {', '.join(pairs)}"
    if config.kind is Kind.REWARDS:
        yield from _long_periods(raw)


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


def _snapped(raw: RawFeed) -> Iterator[str]:
    """How many stamps lay beside their hour and were moved onto it."""
    stamp = raw.config.stamp
    if stamp is None or raw.config.kind is Kind.REWARDS:
        return
    landed = raw.frame[stamp.column].iloc[raw.distinct.rows].to_numpy(dtype="datetime64[ns]")
    beside = np.abs(landed.astype(np.int64) - raw.distinct.timestamps)
    moved = beside > 0
    if moved.any():
        worst = beside.max() / 1e9
        yield f"{int(moved.sum())} stamps up to {worst:.3g} s beside their hour were moved onto it"


def _late_start(raw: RawFeed, raws: Mapping[str, RawFeed | DataError]) -> Iterator[str]:
    """How long another family's value stands in before this one's first row."""
    policy = raw.config.repair.before_first
    source = raws.get(policy.source) if policy else None
    if not isinstance(source, RawFeed) or raw.span is None or source.span is None:
        return
    hours = (raw.span[0] - source.span[0]) / pd.Timedelta(hours=1)
    if hours > 0:
        yield f"starts {hours:.0f} hours after {source.name}, whose value stands in before that"


def _long_periods(raw: RawFeed) -> Iterator[str]:
    """Periods far longer than the days their rate is quoted for."""
    rate: DatasetConfig = raw.config
    per_days = next((c.per_days for c in rate.columns.values() if c.per_days), None)
    days = _period_days(raw)
    if per_days is None:
        return
    for begin, length in days:
        if length > 2 * per_days:
            yield f"the rate from {begin:%Y-%m-%d} is one per {per_days} days, over {length} days"


def _period_days(raw: RawFeed) -> list[tuple[pd.Timestamp, int]]:
    own = raw.distinct
    begins, ends = (
        own.values[:, own.columns.index(name)].astype(np.int64)
        for name in ("period_start", "period_end")
    )
    lengths = ((ends - begins) // DAY_NS).tolist()
    return list(zip(to_index(begins), [int(days) for days in lengths], strict=True))
