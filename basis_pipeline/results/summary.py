"""The summary of a run: every figure of SEMANTICS 11, from its tables."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.results import metrics
from basis_pipeline.results.metrics import Floats, Stamps
from basis_pipeline.results.tables import COMPONENTS, GROUPS


def summarise(
    frames: Mapping[str, pd.DataFrame], capital: float, *, risk_free: float = 0.0
) -> dict[str, Any]:
    """Headline figures of a run, ready for JSON: what is not defined is None.

    Parameters
    ----------
    frames: the result tables by name (`basis_pipeline.results.tables`).
    capital: what was invested before entry costs, in the numeraire.
    risk_free: annual rate that Sharpe and Sortino are measured against.
    """
    equity, attribution = frames["equity"], frames["attribution"]
    timestamps = stamps(equity)
    value, flow = floats(equity, "equity"), floats(equity, "flow")
    growth = growth_of(frames, capital)
    length = metrics.years(timestamps)
    total = float(growth[-1]) - 1.0
    apy = metrics.annual_yield(total, length)
    returns = metrics.daily_returns(timestamps, growth)
    max_drawdown = float(metrics.drawdown(growth).max())
    figures = {
        "years": length,
        "capital": capital,
        "final_equity": float(value[-1]),
        "net_flows": float(flow.sum()),
        "total_return": total,
        "apr": metrics.annual_rate(total, length),
        "apy": apy,
        "sampling": metrics.SAMPLING,
        "daily_returns": int(returns.size),
        "risk_free_rate": risk_free,
        "volatility": metrics.volatility(returns),
        "sharpe": metrics.sharpe(returns, risk_free),
        "sortino": metrics.sortino(returns, risk_free),
        "max_drawdown": max_drawdown,
        "calmar": metrics.calmar(apy, max_drawdown),
        **_yields(attribution, metrics.mean_equity(timestamps, value), length),
        **_activity(frames["events"], metrics.mean_equity(timestamps, value), length),
        **_extremes(frames["risk"]),
        "max_abs_residual": _largest_residual(attribution, value),
        "months": _months(timestamps, growth, attribution),
        "benchmarks": _benchmarks(timestamps, growth, frames.get("benchmark")),
    }
    return {name: _plain(figure) for name, figure in figures.items()}


def growth_of(frames: Mapping[str, pd.DataFrame], capital: float) -> Floats:
    """Time-weighted growth of one unit of capital at every mark of a run (`metrics.growth`)."""
    equity, attribution = frames["equity"], frames["attribution"]
    cost = floats(attribution, "execution_cost") + floats(attribution, "gas")
    return metrics.growth(floats(equity, "equity"), floats(equity, "flow"), cost, capital)


def stamps(frame: pd.DataFrame) -> Stamps:
    """Timestamps of a result frame as int64 nanoseconds."""
    return frame["timestamp"].to_numpy(dtype="datetime64[ns]").astype(np.int64)


def floats(frame: pd.DataFrame, column: str) -> Floats:
    """A column of a result frame as float64."""
    return frame[column].to_numpy(dtype=np.float64)


def _yields(attribution: pd.DataFrame, average: float, length: float) -> dict[str, Any]:
    """Profit and loss by component and group, and what earns by the year."""
    parts = {name: float(attribution[name].sum()) for name in COMPONENTS}
    groups = {group: sum(parts[name] for name in names) for group, names in GROUPS.items()}
    paid = parts["execution_cost"] + parts["gas"]
    return {
        "pnl": sum(parts.values()),
        "attribution": parts,
        "groups": groups,
        "total_cost": -paid,
        "cost_per_year": metrics.per_year(-paid, average, length),
        "funding_per_year": metrics.per_year(parts["funding"], average, length),
        "carry_per_year": metrics.per_year(groups["carry"], average, length),
    }


def _activity(events: pd.DataFrame, average: float, length: float) -> dict[str, Any]:
    """What was traded, and when the book was rebalanced or liquidated."""
    traded = metrics.turnover(floats(events[events["kind"] == "trade"], "notional"), average)
    figures: dict[str, Any] = {
        "turnover": traded,
        "turnover_per_year": metrics.annual_rate(traded, length),
        "trades": int((events["kind"] == "trade").sum()),
    }
    for kind, name in (("rebalance", "rebalances"), ("liquidation", "liquidations")):
        when = events.loc[events["kind"] == kind, "timestamp"].unique()
        figures[name] = len(when)
        figures[f"{kind}_times"] = [stamp.strftime("%Y-%m-%dT%H:%MZ") for stamp in when]
    return figures


def _extremes(risk: pd.DataFrame) -> dict[str, Any]:
    ratio = np.abs(floats(risk, "net_delta_ratio"))
    return {
        "min_health_factor": metrics.lowest(floats(risk, "health_factor")),
        "min_margin_ratio": metrics.lowest(floats(risk, "min_margin_ratio")),
        "max_abs_delta": -metrics.lowest(-ratio),
        "max_ltv": -metrics.lowest(-floats(risk, "ltv")),
    }


def _largest_residual(attribution: pd.DataFrame, equity: Floats) -> float:
    """Largest part of equity that no component explains, over all marks."""
    residual = np.abs(floats(attribution, "residual"))
    scale = np.maximum(np.abs(equity), np.finfo(np.float64).tiny)
    return float((residual / scale).max())


def _months(timestamps: Stamps, growth: Floats, attribution: pd.DataFrame) -> list[dict[str, Any]]:
    returns = metrics.monthly_returns(timestamps, growth)
    rows: list[dict[str, Any]] = []
    for month in metrics.months(timestamps):
        held = attribution.iloc[month.first : month.last]
        groups = {
            group: float(held[list(names)].to_numpy().sum()) for group, names in GROUPS.items()
        }
        rows.append({"month": month.name, "return": returns[month.name], **groups})
    return rows


def _benchmarks(
    timestamps: Stamps, growth: Floats, benchmark: pd.DataFrame | None
) -> dict[str, dict[str, float]]:
    """Comparison with each benchmark that covers the window."""
    if benchmark is None:
        return {}
    return {
        str(name): metrics.against_benchmark(timestamps, growth, floats(benchmark, name))._asdict()
        for name in benchmark.columns.drop("timestamp")
        if benchmark[name].notna().all()
    }


def _plain(value: Any) -> Any:
    """JSON has no NaN: what is not defined becomes None, at any depth."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
