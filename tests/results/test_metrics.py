"""Growth, drawdown and months by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from basis_pipeline.results import metrics

Floats = NDArray[np.float64]
CAPITAL = 1_000.0


def marks(start: str, periods: int, freq: str = "h") -> NDArray[np.int64]:
    """Timestamps in nanoseconds."""
    stamps = pd.date_range(start, periods=periods, freq=freq, unit="ns")
    return stamps.to_numpy().astype(np.int64)


def no(n: int) -> Floats:
    """No flows, or no costs."""
    return np.zeros(n)


steps = st.lists(st.floats(-0.2, 0.2, allow_nan=False), min_size=3, max_size=60)


def test_years_and_annual_figures_by_hand() -> None:
    """Half a year at 5 % is 10.25 % compounded; years have 365 days."""
    stamps = marks("2023-01-01", 2, f"{365 * 12}h")
    assert metrics.years(stamps) == 0.5
    assert metrics.annual_yield(0.05, 0.5) == pytest.approx(0.1025, rel=1e-12)
    assert metrics.annual_yield(-1.3, 0.5) == -1.0
    assert np.isnan(metrics.annual_yield(0.05, 0.0))


def test_growth_without_flows_is_equity_over_capital_before_costs() -> None:
    """Entry costs are part of the return."""
    equity = np.array([990.0, 1_010.0])
    growth = metrics.growth(equity, no(2), np.array([-10.0, 0.0]), CAPITAL)
    np.testing.assert_array_equal(growth, equity / CAPITAL)


@given(
    changes=steps,
    amounts=st.lists(st.floats(-400.0, 5_000.0), min_size=60, max_size=60),
    seed=st.integers(0, 100),
)
def test_flows_do_not_change_a_costless_return(
    changes: list[float], amounts: list[float], seed: int
) -> None:
    """Deposits and withdrawals of any size leave the time-weighted return as it is."""
    path = np.concatenate([[1.0], np.cumprod(1.0 + np.array(changes))])
    flow = np.array(amounts[: path.size])
    flow[np.random.default_rng(seed).random(path.size) < 0.5] = 0.0
    equity = np.empty_like(path)
    held, last = CAPITAL, 1.0
    for i, level in enumerate(path):
        held *= level / last
        flow[i] = max(flow[i], -0.9 * held)
        held += flow[i]
        equity[i], last = held, level
    growth = metrics.growth(equity, flow, no(path.size), CAPITAL)
    np.testing.assert_allclose(growth, path, rtol=1e-9)


def test_the_cost_of_investing_a_deposit_is_borne_by_all() -> None:
    """A deposit of nine times the equity that costs 1 % costs 0.9 % of the whole, not 9 %."""
    equity = np.array([1_000.0, 10_000.0 - 90.0])
    growth = metrics.growth(equity, np.array([0.0, 9_000.0]), np.array([0.0, -90.0]), CAPITAL)
    np.testing.assert_allclose(growth, [1.0, 1.0 - 0.009], rtol=1e-12)


def test_growth_stands_still_after_everything_is_withdrawn() -> None:
    """An emptied account keeps the return it had."""
    equity, flow = np.array([1_000.0, 0.0, 0.0]), np.array([0.0, -1_100.0, 0.0])
    np.testing.assert_allclose(metrics.growth(equity, flow, no(3), CAPITAL), [1.0, 1.1, 1.1])


def test_a_loss_beyond_the_capital_is_shown_as_such() -> None:
    """Negative equity is a return below −100 %, not hidden."""
    growth = metrics.growth(np.array([1_000.0, -50.0]), no(2), no(2), CAPITAL)
    assert growth[-1] == pytest.approx(-0.05)
    assert metrics.drawdown(growth)[-1] == pytest.approx(1.05)


def test_daily_returns_are_taken_at_midnight() -> None:
    """A window that starts at noon has a first, shorter day, from the capital."""
    stamps = marks("2024-01-01 12:00", 61)
    growth = np.linspace(1.0, 1.6, 61)
    returns = metrics.daily_returns(stamps, growth)
    np.testing.assert_allclose(
        returns, growth[[12, 36, 60]] / np.append(1.0, growth[[12, 36]]) - 1.0
    )


def test_nothing_is_earned_on_nothing() -> None:
    """A day that starts without equity has no return, and enters no figure."""
    returns = metrics.daily_returns(marks("2024-01-01", 3, "D"), np.array([1.0, 0.0, 0.0]))
    np.testing.assert_array_equal(returns, [-1.0, np.nan])
    assert np.isnan(metrics.volatility(returns))
    assert np.isnan(metrics.volatility(returns[:1]))


def test_drawdown_starts_at_the_capital() -> None:
    """Entry costs are the first loss from the first peak."""
    np.testing.assert_allclose(
        metrics.drawdown(np.array([0.99, 1.10, 0.88, 1.10])), [0.01, 0.0, 0.2, 0.0], atol=1e-12
    )


@given(st.integers(0, 400), st.integers(1, 24 * 100))
def test_months_partition_the_window_and_compound(offset: int, hours: int) -> None:
    """Every hour is in one month, and the months' returns compound to the total."""
    stamps = marks("2024-01-01", hours + 1) + offset * 3_600 * 10**9
    growth = 1.0 + np.linspace(-0.01, 0.2, hours + 1)
    parts = metrics.months(stamps)
    assert [part.first for part in parts] == [0, *(part.last for part in parts[:-1])]
    assert parts[-1].last == hours + 1
    assert len({part.name for part in parts}) == len(parts)
    returns = np.array(list(metrics.monthly_returns(stamps, growth).values()))
    assert np.prod(1.0 + returns) == pytest.approx(growth[-1], rel=1e-12)


def test_midnight_on_the_first_closes_the_month_before() -> None:
    """A window of exactly two months has exactly two months."""
    stamps = marks("2024-06-01", 24 * 61 + 1)
    assert list(metrics.monthly_returns(stamps, np.linspace(1.0, 2.0, stamps.size))) == [
        "2024-06",
        "2024-07",
    ]


def test_growth_at_a_rate_by_hand() -> None:
    """A rate holds from its day to the next and earns simple interest between marks."""
    stamps = marks("2024-01-01", 49)
    days = marks("2024-01-01", 3, "D")
    growth = metrics.growth_at_rate(stamps, days, np.array([0.10, 0.20, 9.0]))
    assert growth[0] == 1.0
    assert growth[-1] == pytest.approx((1 + 0.1 / 8760) ** 24 * (1 + 0.2 / 8760) ** 24, rel=1e-12)
    late = metrics.growth_at_rate(stamps, days + 1, np.array([0.1, 0.1, 0.1]))
    assert np.isnan(late).all()


def test_against_a_benchmark() -> None:
    """A run is no better than itself, and a benchmark's scale does not matter."""
    stamps = marks("2024-01-01", 24 * 30 + 1)
    random = np.random.default_rng(3)
    growth = np.cumprod(1.0 + random.normal(0.0, 0.001, stamps.size))
    growth /= growth[0]
    same = metrics.against_benchmark(stamps, growth, 7.0 * growth)
    assert same.excess_return == pytest.approx(0.0, abs=1e-12)
    assert same.tracking_error == pytest.approx(0.0, abs=1e-12)
    assert same.correlation == pytest.approx(1.0)
    lending = 1.0 + 0.05 * (stamps - stamps[0]) / metrics.NS_PER_YEAR
    beside = metrics.against_benchmark(stamps, growth, lending)
    assert beside.total_return == pytest.approx(0.05 * 30 / 365)
    assert beside.excess_return == pytest.approx(growth[-1] - lending[-1])
