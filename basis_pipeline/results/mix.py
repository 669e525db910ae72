"""Mixes of runs: the weights of least variance for each mean return (mean-variance).

The weights are chosen in hindsight: they are the best for the window that they are measured on.
"""

from typing import NamedTuple

import numpy as np

from basis_pipeline.results.metrics import DAYS_PER_YEAR, Floats

POINTS = 15


class Mix(NamedTuple):
    """Weights that sum to 1, none below 0; mean and deviation of the daily returns, annualised."""

    weights: Floats
    mean: float
    volatility: float


def mix_of(returns: Floats, weights: Floats) -> Mix:
    """Return the mix of daily returns (days, runs) that is rebalanced to its weights every day."""
    daily = returns @ weights
    mean, deviation = float(daily.mean()), float(daily.std(ddof=1))
    return Mix(weights, mean * DAYS_PER_YEAR, deviation * float(np.sqrt(DAYS_PER_YEAR)))


def efficient_frontier(returns: Floats, points: int = POINTS) -> list[Mix]:
    """Return the mixes of least variance, from the least of all to that of the highest mean.

    Parameters
    ----------
    returns: daily, of (days, runs), at least two of each. points: number of mixes.

    Raises
    ------
    ValueError: fewer than two days or runs, or a return that is not finite.
    """
    days, runs = returns.shape
    if days < 2 or runs < 2 or not np.isfinite(returns).all():
        raise ValueError("a frontier needs finite returns of two days and two runs")
    least = _least_varied(returns, None)
    highest = float(returns.mean(axis=0).max())
    lowest = float(returns.mean(axis=0) @ least)
    means = np.linspace(lowest, highest, points)
    return [mix_of(returns, _least_varied(returns, float(mean))) for mean in means]


def _least_varied(returns: Floats, mean: float | None) -> Floats:
    """Return the weights of least variance, among those with a given mean, if any."""
    from scipy.optimize import minimize

    runs = returns.shape[1]
    means, covariance = returns.mean(axis=0), np.cov(returns, rowvar=False)
    # Daily figures are tiny: the solver needs numbers around 1.
    scale, size = float(np.trace(covariance)) / runs or 1.0, float(np.abs(means).max()) or 1.0
    rules = [{"type": "eq", "fun": lambda w: w.sum() - 1.0}]
    start = np.full(runs, 1.0 / runs)
    if mean is not None:
        rules.append({"type": "eq", "fun": lambda w: (w @ means - mean) / size})
        start = np.eye(runs)[np.argmax(means)]
    found = minimize(
        lambda w: w @ covariance @ w / scale,
        start,
        jac=lambda w: 2.0 * covariance @ w / scale,
        method="SLSQP",
        bounds=[(0.0, 1.0)] * runs,
        constraints=rules,
        options={"ftol": 1e-12, "maxiter": 500},
    )
    weights: Floats = np.clip(found.x, 0.0, None)
    weights /= weights.sum()
    return weights
