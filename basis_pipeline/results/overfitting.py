"""Overfitting: how much of the best of many trials is luck.

Sharpe ratios here are per observation (daily), not annualised. Sources: Bailey & López de Prado,
"The Deflated Sharpe Ratio" (2014); Bailey, Borwein, López de Prado & Zhu, "The Probability of
Backtest Overfitting" (2017). scipy.stats takes a second to import, so functions import it.
"""

from itertools import combinations

import numpy as np

from basis_pipeline.results.metrics import Floats

CHUNK = 64  # splits ranked at once


def sharpe_ratio(returns: Floats) -> Floats:
    """Compute mean over sample deviation of columns (observations, …); NaN without variation."""
    deviation = np.std(returns, axis=0, ddof=1)
    ratio: Floats = np.full(np.shape(deviation), np.nan)
    varies = np.ptp(returns, axis=0) > 0.0  # the deviation of equal numbers may round to above 0
    np.divide(np.mean(returns, axis=0), deviation, out=ratio, where=varies)
    return ratio


def probabilistic_sharpe(returns: Floats, benchmark: float) -> float:
    """Compute the probability that the true Sharpe ratio of returns exceeds `benchmark`.

    It allows for the length, skewness and kurtosis of the returns, (observations,). NaN for fewer
    than three returns, or returns without variation.
    """
    from scipy.stats import kurtosis, norm, skew

    count = len(returns)
    if count < 3 or not np.ptp(returns) > 0.0:
        return np.nan
    ratio = float(sharpe_ratio(returns))
    spread = 1.0 - skew(returns) * ratio + (kurtosis(returns, fisher=False) - 1.0) / 4.0 * ratio**2
    return float(norm.cdf((ratio - benchmark) * np.sqrt(count - 1) / np.sqrt(spread)))


def expected_best_sharpe(ratios: Floats) -> float:
    """Return the Sharpe ratio expected of the best of (trials,) when none has a true one above 0.

    `√V · ((1 − γ) Φ⁻¹(1 − 1/N) + γ Φ⁻¹(1 − 1/(N e)))`, V the variance across trials. Trials
    without a defined ratio do not count. A single trial involves no choice, so the result is 0.
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
    """Compute the probability that a chosen trial's true Sharpe ratio is above 0, given all trials.

    Parameters
    ----------
    returns: of every trial, (observations, trials). chosen: the column that was chosen.
    """
    return probabilistic_sharpe(returns[:, chosen], expected_best_sharpe(sharpe_ratio(returns)))


def overfitting_probability(returns: Floats, blocks: int) -> float:
    """Compute how often the best trial of one half of the time is below the median in the other.

    Combinatorially symmetric cross-validation: time is cut into `blocks`, an even number, and the
    choice is made once on every half of them. A rank at the median counts as half.

    Parameters
    ----------
    returns: of every trial, (observations, trials). Observations after the last full block are
        left out, as are trials without variation.

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
    # Centring each trial avoids rounding errors in the sums of squares.
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
        outside = _pooled(1.0 - part, sums, squares, centre, length)
        best = np.argmax(inside, axis=1)
        rank = rankdata(outside, axis=1)[np.arange(len(part)), best]
        below += float(np.sum(rank < (trials + 1) / 2) + 0.5 * np.sum(rank == (trials + 1) / 2))
    return below / len(halves)


def _pooled(taken: Floats, sums: Floats, squares: Floats, centre: Floats, length: int) -> Floats:
    """Compute the Sharpe ratios over the blocks taken, (splits, trials); 0 without variation."""
    count = length * taken.sum(axis=1, keepdims=True)
    mean = taken @ sums / count
    variance = np.maximum(taken @ squares / count - mean**2, 0.0) * count / (count - 1.0)
    ratio: Floats = np.zeros_like(mean)
    np.divide(mean + centre, np.sqrt(variance), out=ratio, where=variance > 0.0)
    return ratio
