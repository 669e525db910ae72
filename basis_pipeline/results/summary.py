"""The summary of a run: every figure of SEMANTICS 11, with its months and benchmarks."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.results import metrics
from basis_pipeline.results.metrics import Floats, Stamps
from basis_pipeline.results.tables import COMPONENTS, GROUPS
from basis_pipeline.times import ANNUALISED_FROM_DAYS

NESTED = (*COMPONENTS, *GROUPS)


def summarise(
    figures: Mapping[str, float],
    frames: Mapping[str, pd.DataFrame],
    capital: float,
    *,
    risk_free: float = 0.0,
) -> dict[str, Any]:
    """Return the figures of a run as JSON values; None for one that is not defined.

    Parameters
    ----------
    figures: by name, as the engine computed them over the run: a scenario's row of a sweep.
    frames: the result tables by name (`basis_pipeline.results.tables`), for times of events, months
        and benchmarks.
    capital: what was invested before entry costs, in the numeraire.
    risk_free: annual rate that Sharpe and Sortino were measured against.
    """
    timestamps, growth = stamps(frames["equity"]), growth_of(frames, capital)
    plain = {name: value for name, value in figures.items() if name not in NESTED}
    summary = {
        "years": metrics.years(timestamps),
        "capital": capital,
        **plain,
        "sampling": metrics.SAMPLING,
        "not_annualised": _not_annualised(timestamps),
        "risk_free_rate": risk_free,
        "attribution": {name: figures[name] for name in COMPONENTS},
        "groups": {group: figures[group] for group in GROUPS},
        **_times(frames["events"]),
        "months": _months(timestamps, growth, frames["attribution"]),
        "benchmarks": _benchmarks(timestamps, growth, frames.get("benchmark")),
    }
    return {name: finite(value) for name, value in summary.items()}


def _not_annualised(timestamps: Stamps) -> str | None:
    """Return why annualised figures are missing; None where they are not."""
    if metrics.is_annualised(timestamps):
        return None
    # Rounded down: 29.99 days must not read as 30.
    days = math.floor(10.0 * (timestamps[-1] - timestamps[0]) / metrics.NS_PER_DAY) / 10.0
    return f"a window of {days:g} days; figures of a year need {ANNUALISED_FROM_DAYS}"


def growth_of(frames: Mapping[str, pd.DataFrame], capital: float) -> Floats:
    """Compute the growth of one unit of capital at every hour of a run (`metrics.growth`)."""
    equity, attribution = frames["equity"], frames["attribution"]
    cost = floats(attribution, "execution_cost") + floats(attribution, "gas")
    return metrics.growth(floats(equity, "equity"), floats(equity, "flow"), cost, capital)


def stamps(frame: pd.DataFrame) -> Stamps:
    """Return the timestamps of a result frame as int64 nanoseconds."""
    return frame["timestamp"].to_numpy(dtype="datetime64[ns]").astype(np.int64)


def floats(frame: pd.DataFrame, column: str) -> Floats:
    """Return a column of a result frame as float64."""
    return frame[column].to_numpy(dtype=np.float64)


def _times(events: pd.DataFrame) -> dict[str, list[str]]:
    """Return the times of rebalances and liquidations."""
    times = {}
    for kind in ("rebalance", "liquidation"):
        when = events.loc[events["kind"] == kind, "timestamp"].unique()
        times[f"{kind}_times"] = [stamp.strftime("%Y-%m-%dT%H:%MZ") for stamp in when]
    return times


def _months(timestamps: Stamps, growth: Floats, attribution: pd.DataFrame) -> list[dict[str, Any]]:
    returns = metrics.monthly_returns(timestamps, growth)
    parts = {group: attribution[list(names)].to_numpy() for group, names in GROUPS.items()}
    rows: list[dict[str, Any]] = []
    for month in metrics.months(timestamps):
        groups = {
            # Copied column by column, so that a month has the same sum to the bit in any window.
            group: float(np.array(values[month.first : month.last], order="F").sum())
            for group, values in parts.items()
        }
        rows.append({"month": month.name, "return": returns[month.name], **groups})
    return rows


def _benchmarks(
    timestamps: Stamps, growth: Floats, benchmark: pd.DataFrame | None
) -> dict[str, dict[str, float]]:
    """Compare the run with each benchmark that covers the window."""
    if benchmark is None:
        return {}
    return {
        str(name): metrics.against_benchmark(timestamps, growth, floats(benchmark, name))._asdict()
        for name in benchmark.columns.drop("timestamp")
        if benchmark[name].notna().all()
    }


def finite(value: Any) -> Any:
    """Replace NaN and infinity by None, and NumPy's float64 by Python's float, at any depth."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
