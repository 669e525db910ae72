"""Rows of feeds without a regular grid: rewards by their periods, costs by day, pair and bucket."""

import numpy as np
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.market.grid import MIN_OVERLAP
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.timeline import Floats
from basis_pipeline.market.timestamps import Int64, format_time, to_index
from basis_pipeline.market.window import Window
from basis_pipeline.times import DAY_NS

COST_BUCKETS_USD = (10_000.0, 100_000.0, 1_000_000.0)


def reward_rows(config: DatasetConfig, raw: RawFeed, window: Window) -> tuple[pd.DataFrame, float]:
    """Return the payouts in the window, and the share of its days that periods cover (SEMANTICS 3).

    Where the files state the period's total and the units, tokens per unit is total / units; the
    timestamp is that of the payout.
    """
    own = raw.distinct
    values = {name: own.values[:, i] for i, name in enumerate(own.columns)}
    begins, ends = (values[name].astype(np.int64) for name in ("period_start", "period_end"))
    _require_no_overlap(config, raw, begins, ends)
    if "tokens_total" in values:
        units = values["units_restaked"] + values["units_not_restaked"]
        values["tokens_per_unit"] = values["tokens_total"] / units
        _require_contiguous(config, raw, begins, ends)
    share = _reward_coverage(config, raw, begins, ends, window)
    dates = {"period_start": to_index(begins), "period_end": to_index(ends)}
    paid = to_index(own.timestamps + config.payout_delay_days * DAY_NS)
    frame = pd.DataFrame({"timestamp": paid, **values, **dates})
    inside = frame["timestamp"].between(window.start, window.end)
    rows = frame[inside].sort_values("timestamp", kind="stable")
    names = dict.fromkeys((*config.value_columns, "tokens_per_unit"))
    return rows[["timestamp", *names]], share


def stated_difference(config: DatasetConfig, raw: RawFeed) -> Floats:
    """Return the relative difference of each stated rate from total / units, (n,) or empty."""
    if not {"tokens_total", "stated_per_unit"} <= set(config.value_columns):
        return np.zeros(0)
    own = raw.distinct
    values = {name: own.values[:, i] for i, name in enumerate(own.columns)}
    rate = next(c for c in config.columns.values() if c.to == "stated_per_unit")
    days = (values["period_end"] - values["period_start"]) / DAY_NS + 1.0
    periods = days / rate.per_days if rate.per_days else 1.0
    per_unit = values["tokens_total"] / (values["units_restaked"] + values["units_not_restaked"])
    return np.abs(values["stated_per_unit"] * periods / per_unit - 1.0)


def _require_no_overlap(config: DatasetConfig, raw: RawFeed, begins: Int64, ends: Int64) -> None:
    """Reject overlapping periods: a day would be paid twice."""
    order = np.argsort(begins, kind="stable")
    overlaps = begins[order][1:] <= ends[order][:-1]
    if overlaps.any():
        at = int(np.argmax(overlaps)) + 1
        first = format_time(int(begins[order][at]))
        raise RejectedDataError(
            "DATA-006",
            f"{config.name}: the period that starts at {first} overlaps the one before it",
            where=raw.paths,
        )


def _require_contiguous(config: DatasetConfig, raw: RawFeed, begins: Int64, ends: Int64) -> None:
    """Reject a gap between periods: a programme with totals pays for every day."""
    gaps = begins[1:] - ends[:-1] > DAY_NS
    if gaps.any():
        at = int(np.argmax(gaps))
        first, last = format_time(int(ends[at] + DAY_NS)), format_time(int(begins[at + 1] - DAY_NS))
        raise RejectedDataError(
            "DATA-013",
            f"{config.name} has no period for {first} … {last}; its policy is: {config.repair}",
            where=raw.paths,
        )


def _reward_coverage(
    config: DatasetConfig, raw: RawFeed, begins: Int64, ends: Int64, window: Window
) -> float:
    first = max(window.start.value, int(begins.min()))
    length = window.end.value - first
    if length <= 0:
        return 1.0
    paid = np.minimum(ends + DAY_NS, window.end.value) - np.maximum(begins, first)
    share = float(np.maximum(paid, 0).sum() / length)
    if share < config.coverage.min_share:
        raise RejectedDataError(
            "DATA-010",
            f"{config.name} pays for {share:.1%} of the days since its start in {window}, and must "
            f"for {config.coverage.min_share:.1%}; its last period ends "
            f"{format_time(int(ends.max()))}",
            where=raw.paths,
        )
    return share


def cost_rows(config: DatasetConfig, raw: RawFeed, window: Window) -> pd.DataFrame:
    """Return the costs of every day of the window; all required pairs and buckets must exist."""
    frame = raw.frame.iloc[raw.distinct.rows].drop(columns="file")
    days = np.arange(window.start.value // DAY_NS, window.end.value // DAY_NS + 1) * DAY_NS
    index = to_index(days)
    frame = frame[frame["timestamp"].between(index[0], index[-1])]
    counts = frame.groupby(["pair", "size_bucket_usd"])["timestamp"].count()
    for pair in config.required_keys:
        for bucket in COST_BUCKETS_USD:
            if int(counts.get((pair, bucket), 0)) == len(days):
                continue
            rows = frame[(frame["pair"] == pair) & (frame["size_bucket_usd"] == bucket)]
            _reject_missing_days(config, raw, f"{pair} at {bucket:.0f} USD", index, rows, window)
    return frame.sort_values(["timestamp", "pair", "size_bucket_usd"]).astype({"pair": "str"})


def _reject_missing_days(
    config: DatasetConfig,
    raw: RawFeed,
    series: str,
    days: pd.DatetimeIndex,
    rows: pd.DataFrame,
    window: Window,
) -> None:
    missing = days.difference(pd.DatetimeIndex(rows["timestamp"]))
    share = 1.0 - len(missing) / len(days)
    missed = (
        f"{config.name} lacks {len(missing)} of {len(days)} days for {series} in {window}, "
        f"{missing[0]:%Y-%m-%d} … {missing[-1]:%Y-%m-%d}"
    )
    first, last = raw.span or (window.start, window.end)
    beyond = bool(((missing < first) | (missing > last)).all())
    if beyond and (share >= MIN_OVERLAP or first > window.end or last < window.start):
        code = "DATA-012"
    else:
        code = "DATA-010" if share < config.coverage.min_share else "DATA-013"
    raise RejectedDataError(
        code, f"{missed}; its rows span {first:%Y-%m-%d} … {last:%Y-%m-%d}", where=raw.paths
    )
