"""How much of a good figure is luck: the best of many trials looks good even where none is.

Sharpe ratios here are per observation (daily), not annualised. Sources: Bailey & López de Prado,
"The Deflated Sharpe Ratio" (2014); Bailey, Borwein, López de Prado & Zhu, "The Probability of
Backtest Overfitting" (2017). scipy.stats takes a second to import, so it waits until it is needed.
"""

from itertools import combinations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CHUNK = 64  # splits ranked at once


def sharpe_ratio(returns: Floats) -> Floats:
    """Mean over sample deviation of each column of (observations, …); NaN where nothing varies."""
    deviation = np.std(returns, axis=0, ddof=1)
    ratio: Floats = np.full(np.shape(deviation), np.nan)
    varies = np.ptp(returns, axis=0) > 0.0  # the deviation of equal numbers may round to above 0
    np.divide(np.mean(returns, axis=0), deviation, out=ratio, where=varies)
    return ratio


def probabilistic_sharpe(returns: Floats, benchmark: float) -> float:
    """Probability that the true Sharpe ratio exceeds `benchmark`, of returns (observations,).

    Allows for the length, the skewness and the kurtosis of what was observed. NaN where nothing
    varies or fewer than three returns are given.
    """
    from scipy.stats import kurtosis, norm, skew

    count = len(returns)
    if count < 3 or not np.ptp(returns) > 0.0:
        return np.nan
    ratio = float(sharpe_ratio(returns))
    spread = 1.0 - skew(returns) * ratio + (kurtosis(returns, fisher=False) - 1.0) / 4.0 * ratio**2
    return float(norm.cdf((ratio - benchmark) * np.sqrt(count - 1) / np.sqrt(spread)))


def expected_best_sharpe(ratios: Floats) -> float:
    """Sharpe ratio that the best of as many trials shows when none has any, of (trials,).

    `√V · ((1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e)))`, V the variance across trials. Trials whose
    ratio is not defined do not count; one alone was not chosen, so its benchmark is 0.
    """
    from scipy.stats import norm

    known = ratios[np.isfinite(ratios)]
    trials = len(known)
    if trials < 2:
        return 0.0
    quantiles = norm.ppf([1.0 - 1.0 / trials, 1.0 - 1.0 / (trials * np.e)])
    share = np.euler_gamma
    return float(np.std(known, ddof=1) * ((1.0 - share) * quantiles[0] + share * quantiles[1]))


def deflated_sharpe(returns: Floats, chosen: int) -> float:
    """Probability that a chosen trial's true Sharpe ratio is above 0, given all that were tried.

    Parameters
    ----------
    returns: of every trial, (observations, trials). chosen: the column that was picked.
    """
    return probabilistic_sharpe(returns[:, chosen], expected_best_sharpe(sharpe_ratio(returns)))


def overfitting_probability(returns: Floats, blocks: int) -> float:
    """How often the trial that is best in one half of the time is below the median in the other.

    Combinatorially symmetric cross-validation: time is cut into `blocks`, an even number, and every
    half of them is once what the choice is made on. A rank just at the median counts as half.

    Parameters
    ----------
    returns: of every trial, (observations, trials). The last observations that fill no block of
        their own are left out, as are trials that never vary.

    Returns
    -------
    The share of splits; NaN with fewer than two trials, or two observations a block.
    """
    from scipy.stats import rankdata

    if blocks < 2 or blocks % 2:
        raise ValueError(f"{blocks} blocks cannot be halved")
    length = len(returns) // blocks
    varying = returns[:, np.ptp(returns, axis=0) > 0.0]
    trials = varying.shape[1]
    if length < 2 or trials < 2:
        return np.nan
    # Shifting a trial by its mean keeps the squares from drowning in rounding.
    centre = varying.mean(axis=0)
    cut = (varying[: length * blocks] - centre).reshape(blocks, length, trials)
    sums, squares = cut.sum(axis=1), (cut**2).sum(axis=1)
    halves = list(combinations(range(blocks), blocks // 2))
    taken = np.zeros((len(halves), blocks))
    for split, half in enumerate(halves):
        taken[split, half] = 1.0
    below = 0.0
    for first in range(0, len(halves), CHUNK):
        part = taken[first : first + CHUNK]
        inside = _pooled(part, sums, squares, centre, length)
        beside = _pooled(1.0 - part, sums, squares, centre, length)
        best = np.argmax(inside, axis=1)
        rank = rankdata(beside, axis=1)[np.arange(len(part)), best]
        below += float(np.sum(rank < (trials + 1) / 2) + 0.5 * np.sum(rank == (trials + 1) / 2))
    return below / len(halves)


def _pooled(taken: Floats, sums: Floats, squares: Floats, centre: Floats, length: int) -> Floats:
    """Sharpe ratios over the blocks taken, (splits, trials); 0 where nothing varies in them."""
    count = length * taken.sum(axis=1, keepdims=True)
    mean = taken @ sums / count
    variance = np.maximum(taken @ squares / count - mean**2, 0.0) * count / (count - 1.0)
    ratio: Floats = np.zeros_like(mean)
    np.divide(mean + centre, np.sqrt(variance), out=ratio, where=variance > 0.0)
    return ratio
