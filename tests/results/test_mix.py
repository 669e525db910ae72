"""The efficient frontier against its closed form, and against every other mix."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_pipeline.results.mix import efficient_frontier, mix_of


def test_two_runs_have_the_closed_form() -> None:
    """The mix of least variance of two: (σ₂² − σ₁₂) / (σ₁² + σ₂² − 2 σ₁₂)."""
    random = np.random.default_rng(3)
    returns = random.normal([2e-4, 4e-4], [1e-3, 2e-3], (400, 2))
    (one, both), (_, two) = np.cov(returns, rowvar=False)
    least, *_, highest = efficient_frontier(returns)
    assert least.weights[0] == pytest.approx((two - both) / (one + two - 2 * both), abs=1e-5)
    assert highest.weights == pytest.approx([0.0, 1.0], abs=1e-6)


@settings(max_examples=12)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5))
def test_no_other_mix_is_less_varied_for_its_return(seed: int, runs: int) -> None:
    """Of random mixes none lies above the frontier; its weights are shares of one."""
    random = np.random.default_rng(seed)
    returns = random.normal(3e-4, 1e-3, (90, runs)) @ random.normal(0.5, 0.5, (runs, runs))
    frontier = efficient_frontier(returns, 9)
    means, deviations = [m.mean for m in frontier], [m.volatility for m in frontier]
    assert all(m.weights.min() >= 0.0 and m.weights.sum() == pytest.approx(1.0) for m in frontier)
    assert np.diff(means).min() >= -1e-9
    for weights in random.dirichlet(np.ones(runs), 30):
        other = mix_of(returns, weights)
        if means[0] <= other.mean <= means[-1]:
            bound = np.interp(other.mean, means, deviations)
            # The frontier is convex: its chord lies above it.
            chord = max(np.diff(deviations).max(), 0.0)
            assert other.volatility >= bound - chord - 1e-6


def test_too_little_to_choose_from_is_rejected() -> None:
    """One run, one day, or a day without a return."""
    for returns in (np.zeros((9, 1)), np.zeros((1, 2)), np.full((9, 2), np.nan)):
        with pytest.raises(ValueError, match="two days and two runs"):
            efficient_frontier(returns)
