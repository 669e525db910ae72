"""The measurements of a finished backtest that limits apply to."""

import numpy as np

from basis_pipeline.config.control import Limit
from basis_pipeline.operations.control.model import Measurement
from basis_pipeline.results import metrics
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.summary import growth_of, stamps

SUMMARY_FIGURES = {
    Limit.DRAWDOWN: "max_drawdown",
    Limit.HEALTH_FACTOR: "min_health_factor",
    Limit.MARGIN_RATIO: "min_margin_ratio",
    Limit.DELTA: "max_abs_delta",
}


def measurements_of(result: RunResult) -> list[Measurement]:
    """Return the worst figures of a run (SEMANTICS 10, 11); one that is not defined is left out."""
    worst = {limit: result.summary.get(name) for limit, name in SUMMARY_FIGURES.items()}
    worst[Limit.DAILY_LOSS] = _daily_loss(result)
    return [Measurement(limit, v, result.mode) for limit, v in worst.items() if v is not None]


def _daily_loss(result: RunResult) -> float | None:
    """Return the largest loss between consecutive 00:00 UTC, as a fraction, without flows."""
    growth = growth_of(result.frames, result.identity.capital)
    returns = metrics.daily_returns(stamps(result.frames["equity"]), growth)
    defined = returns[np.isfinite(returns)]
    return float(max(0.0, -defined.min())) if defined.size else None
