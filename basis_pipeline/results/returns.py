"""Figures of daily returns: their distribution, drawdowns, rolling figures and beta.

Conventions are those of `metrics`, else those of empyrical (historical value at risk and expected
shortfall) and quantstats (value at risk of a normal distribution, skew, kurtosis).
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basis_pipeline.results import metrics
from basis_pipeline.results.metrics import DAYS_PER_YEAR, NS_PER_DAY, Floats, Stamps

TAIL = 0.05  # share of the days beyond value at risk
FIGURES = (
    *("best", "worst", "positive", "var", "cvar", "var_normal", "skew", "kurtosis"),
    *("tail", "omega", "stability"),
)


class Drawdown(NamedTuple):
    """One fall from a peak, until the peak is reached again.

    depth: positive share. start, trough, recovery: nanoseconds, of the peak, of the lowest hour and
    of the hour that reaches the peak again; None where none does. days: from the start to the
    recovery, or to the end.
    """

    depth: float
    start: int
    trough: int
    recovery: int | None
    days: float


def drawdowns(stamps: Stamps, growth: Floats) -> list[Drawdown]:
    """List every drawdown, the deepest first: the depth of the first is the maximum drawdown."""
    lost = metrics.drawdown(growth)
    found = []
    for first, last in metrics.stretches(lost > 0.0):
        start, trough = stamps[max(first - 1, 0)], stamps[first + np.argmax(lost[first : last + 1])]
        recovery = int(stamps[last + 1]) if last + 1 < stamps.size else None
        end = stamps[-1] if recovery is None else recovery
        days = float(end - start) / NS_PER_DAY
        depth = float(lost[first : last + 1].max())
        found.append(Drawdown(depth, int(start), int(trough), recovery, days))
    return sorted(found, key=lambda fall: -fall.depth)


def daily(stamps: Stamps, growth: Floats) -> pd.Series:
    """Return daily returns (`metrics.daily_returns`) by the 00:00 UTC that ends each day."""
    ends = stamps[1:][stamps[1:] % NS_PER_DAY == 0]
    index = pd.DatetimeIndex(ends.astype("datetime64[ns]"), tz="UTC", name="timestamp")
    return pd.Series(metrics.daily_returns(stamps, growth), index, name="return")


def rolling(returns: pd.Series, days: int, risk_free: float = 0.0) -> pd.DataFrame:
    """Return `total, volatility, sharpe` over the last `days` days, where there are as many."""
    windows = returns.rolling(days)
    volatility = windows.std(ddof=1) * np.sqrt(DAYS_PER_YEAR)
    excess = (windows.mean() - metrics.daily_rate(risk_free)) * DAYS_PER_YEAR
    frame = pd.DataFrame(
        {
            "total": np.expm1(np.log1p(returns).rolling(days).sum()),
            "volatility": volatility,
            "sharpe": excess / volatility.where(volatility > 0.0),
        }
    )
    return frame.iloc[days - 1 :]


def distribution(returns: pd.Series) -> dict[str, float]:
    """Return the figures of the distribution of daily returns; NaN where one is not defined.

    Returns
    -------
    best, worst: day. positive: share of days above zero. var: the return that 5 % of the days are
    at or below; cvar: the mean of those days, as empyrical counts them; var_normal: what a normal
    distribution of the same mean and deviation gives. skew, kurtosis: adjusted for the sample; the
    kurtosis of a normal distribution is 0.
    """
    known = returns.dropna()
    if known.empty:
        return dict.fromkeys(FIGURES, np.nan)
    ordered = np.sort(known.to_numpy())
    low, high = np.percentile(ordered, (100.0 * TAIL, 100.0 * (1.0 - TAIL)))
    gains, losses = ordered[ordered > 0.0].sum(), -ordered[ordered < 0.0].sum()
    figures = (
        ordered[-1],
        ordered[0],
        np.mean(ordered > 0.0),
        low,
        ordered[: int((ordered.size - 1) * TAIL) + 1].mean(),
        known.mean() + NormalDist().inv_cdf(TAIL) * known.std(ddof=1),
        known.agg("skew"),
        known.agg("kurt"),
        abs(high / low) if low else np.nan,
        gains / losses if losses else np.nan,
        _stability(known.to_numpy()),
    )
    return {name: float(value) for name, value in zip(FIGURES, figures, strict=True)}


def beta(returns: pd.Series, market: pd.Series) -> float:
    """Return the covariance with a market's daily returns over its variance; NaN under three days.

    Days that either lacks are left out.
    """
    both = pd.concat([returns, market], axis=1, join="inner").dropna().to_numpy()
    if len(both) < 3 or not np.ptp(both[:, 1]) > 0.0:
        return float("nan")
    covariance: NDArray[np.float64] = np.cov(both, rowvar=False)
    return float(covariance[0, 1] / covariance[1, 1])


def _stability(returns: NDArray[np.float64]) -> float:
    """Return the R² of a line through the logarithm of growth; NaN where growth does not vary."""
    growth = np.cumsum(np.log1p(returns))
    if growth.size < 3 or not np.ptp(growth) > 0.0:
        return float("nan")
    return float(np.corrcoef(np.arange(growth.size), growth)[0, 1] ** 2)
