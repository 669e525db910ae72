"""Overfitting figures, against closed forms and cases with a known answer."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from basis_pipeline.results.overfitting import (
    deflated_sharpe,
    expected_best_sharpe,
    overfitting_probability,
    probabilistic_sharpe,
    sharpe_ratio,
)


def noise(days: int, trials: int, seed: int) -> np.ndarray:
    """Returns of trials without any skill."""
    return np.random.default_rng(seed).normal(0.0, 0.01, (days, trials))


def two_sided(mean: float, days: int) -> np.ndarray:
    """Returns of two values only: skewness 0, kurtosis 1."""
    return mean + 0.01 * np.tile([1.0, -1.0], days // 2)


def test_probabilistic_sharpe_equals_its_closed_form() -> None:
    """Symmetric two-valued returns have kurtosis 1: the spread is 1, whatever the ratio."""
    returns = two_sided(0.001, 200)
    ratio = 0.001 / (0.01 * np.sqrt(200 / 199))
    expected = norm.cdf((ratio - 0.05) * np.sqrt(199))
    assert probabilistic_sharpe(returns, 0.05) == pytest.approx(expected, rel=1e-12)


def test_probabilistic_sharpe_of_its_own_ratio_is_one_half() -> None:
    """The measured ratio is as likely too high as too low."""
    returns = noise(300, 1, 4)[:, 0] + 0.002
    assert probabilistic_sharpe(returns, float(sharpe_ratio(returns))) == pytest.approx(0.5)


def test_one_trial_is_not_deflated() -> None:
    """A single trial keeps its probabilistic Sharpe ratio."""
    returns = noise(300, 1, 5) + 0.001
    assert deflated_sharpe(returns, 0) == probabilistic_sharpe(returns[:, 0], 0.0)


def test_best_of_two_unskilled_trials_equals_its_closed_form() -> None:
    """Φ⁻¹(1 − 1/2) is 0: only the second quantile is left."""
    expected = np.std([0.1, 0.3], ddof=1) * np.euler_gamma * norm.ppf(1 - 1 / (2 * np.e))
    assert expected_best_sharpe(np.array([0.1, 0.3, np.nan])) == pytest.approx(expected)


def test_expected_best_is_what_the_best_of_many_draws_shows() -> None:
    """Against simulation: the mean of the highest of a thousand normal draws."""
    draws = np.random.default_rng(1).normal(0.0, 1.0, (2000, 1000))
    expected = np.mean([expected_best_sharpe(row) for row in draws[:200]])
    assert expected == pytest.approx(draws.max(axis=1).mean(), rel=0.02)


@given(st.integers(2, 200), st.integers(0, 1000))
def test_deflation_never_helps(trials: int, seed: int) -> None:
    """The benchmark of a choice is at least 0."""
    returns = noise(100, trials, seed)
    chosen = int(np.argmax(sharpe_ratio(returns)))
    assert deflated_sharpe(returns, chosen) <= probabilistic_sharpe(returns[:, chosen], 0.0)


def test_best_of_noise_is_no_discovery() -> None:
    """The best of two hundred random trials passes undeflated at 95 %, and fails deflated."""
    returns = noise(365, 200, 2)
    chosen = int(np.argmax(sharpe_ratio(returns)))
    assert probabilistic_sharpe(returns[:, chosen], 0.0) > 0.95
    assert deflated_sharpe(returns, chosen) < 0.8


def test_what_never_varies_has_no_figure() -> None:
    """Neither 0 nor infinity, though the deviation of equal numbers may round to above 0."""
    flat = np.full((50, 3), 0.001)
    assert np.isnan(sharpe_ratio(flat)).all()
    assert np.isnan(probabilistic_sharpe(flat[:, 0], 0.0))
    assert np.isnan(overfitting_probability(flat, 4))


def test_noise_is_overfit_half_the_time() -> None:
    """The best of trials without skill is above or below the median by chance."""
    found = [overfitting_probability(noise(320, 50, seed), 8) for seed in range(60)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.06)


def test_a_trial_that_dominates_is_never_overfit() -> None:
    """The best trial in every block stays the best."""
    returns = noise(320, 20, 3)
    returns[:, 7] += 0.02
    assert overfitting_probability(returns, 8) == 0.0


def test_a_choice_that_always_reverses_is_always_overfit() -> None:
    """What is good in one half is bad in the other: the best never stays above the median."""
    size = np.array([0.01, 0.02, 0.03, 0.04])
    first = np.add.outer(two_sided(0.0, 40), size)
    assert overfitting_probability(np.vstack([first, first - 2 * size]), 2) == 1.0


def test_equal_trials_are_undecided() -> None:
    """Keys that change nothing: no choice was made, so it is neither right nor wrong."""
    assert overfitting_probability(np.repeat(noise(80, 1, 6), 5, axis=1), 4) == 0.5


@given(st.integers(0, 50))
def test_pooled_blocks_equal_the_returns_themselves(seed: int) -> None:
    """Two trials, two blocks: the splits can be counted by hand."""
    returns = noise(60, 2, seed)
    halves = returns[:30], returns[30:]
    missed = sum(
        np.argmax(sharpe_ratio(one)) != np.argmax(sharpe_ratio(other))
        for one, other in (halves, halves[::-1])
    )
    assert overfitting_probability(returns, 2) == missed / 2


def test_an_odd_number_of_blocks_is_refused() -> None:
    """Halves must be of the same size."""
    with pytest.raises(ValueError, match="halved"):
        overfitting_probability(noise(60, 2, 0), 3)
