"""Figures counted by the hour loop, against tables, closed forms and an independent library."""

import empyrical
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.engine import COMPONENTS, FIGURES, simulate
from basis_pipeline.engine.figures import ANNUALISED_FROM_HOURS
from basis_pipeline.engine.hours import hour_coefficients
from basis_pipeline.engine.model import EventKind, Floats, parameter_record, venue_terms
from basis_pipeline.engine.risk import measure
from basis_pipeline.engine.sweep import simulate_scenarios
from basis_pipeline.results import metrics
from basis_pipeline.times import ANNUALISED_FROM_DAYS
from tests.engine.counting import count_marks
from tests.engine.markets import MODES, mode_case

CAPITAL = 1_000.0
HOUR_NS = 3_600 * 10**9

steps = st.lists(st.floats(-0.2, 0.2, allow_nan=False), min_size=30, max_size=36)


def unexplained(equity: Floats) -> Floats:
    """Components of a run that has none."""
    return np.zeros((len(equity), len(COMPONENTS)))


@given(changes=steps, rate=st.sampled_from([0.0, 0.03]))
def test_daily_figures_agree_with_empyrical(changes: list[float], rate: float) -> None:
    """Volatility, Sharpe, Sortino, drawdown and yields equal another implementation's."""
    path = CAPITAL * np.repeat(np.concatenate([[1.0], np.cumprod(1.0 + np.array(changes))]), 24)
    path = path[:-23]
    found = count_marks(path, np.zeros(len(path)), unexplained(path), CAPITAL, risk_free=rate)
    returns = np.array(changes)
    daily = (1.0 + rate) ** (1.0 / 365.0) - 1.0
    assert found["daily_returns"] == len(changes)
    assert found["apy"] == pytest.approx(
        empyrical.annual_return(returns, annualization=365), rel=1e-9, abs=1e-12
    )
    assert found["max_drawdown"] == pytest.approx(
        -empyrical.max_drawdown(returns), rel=1e-9, abs=1e-12
    )
    assert found["volatility"] == pytest.approx(
        empyrical.annual_volatility(returns, annualization=365), rel=1e-9, abs=1e-12
    )
    if np.std(returns) > 1e-6:
        assert found["sharpe"] == pytest.approx(
            empyrical.sharpe_ratio(returns, risk_free=daily, annualization=365), rel=1e-9
        )
        if (returns < -1e-6).any():
            assert found["sortino"] == pytest.approx(
                empyrical.sortino_ratio(returns, required_return=daily, annualization=365), rel=1e-9
            )
            assert found["calmar"] == pytest.approx(
                empyrical.calmar_ratio(returns, annualization=365), rel=1e-9
            )


@pytest.mark.parametrize("mode", MODES)
def test_figures_are_those_of_the_hourly_tables(mode: str) -> None:
    """Extremes, sums, counts and averages are those of the tables, to rounding."""
    market, parameters, capital = mode_case(mode, 4, 800, 0.02)
    market.flow[300], market.flow[500] = 0.4 * capital, -0.2 * capital
    run = simulate(market, parameters, capital, first_midnight=5)
    (risk, _), found = (
        measure(market, parameters, run),
        dict(zip(FIGURES, run.figures, strict=True)),
    )
    costs = run.components[:, 8] + run.components[:, 7]
    growth = metrics.growth(run.equity, run.flow, costs, capital)
    assert found["total_return"] == growth[-1] - 1.0
    assert found["max_drawdown"] == metrics.drawdown(growth).max()
    stamps = (np.arange(800) + 19) * HOUR_NS
    returns = metrics.daily_returns(stamps, growth)
    assert found["daily_returns"] == len(returns)
    assert found["volatility"] == pytest.approx(metrics.volatility(returns), rel=1e-12)
    assert found["final_equity"] == run.equity[-1]
    assert found["net_flows"] == run.flow.sum()
    for place, name in enumerate(COMPONENTS):
        expected = run.components[:, place].sum()
        assert found[name] == pytest.approx(expected, rel=1e-9, abs=1e-9 * capital)
    average = run.equity[:-1].mean()
    kinds, notional = run.events["kind"], np.abs(run.events["quantity"] * run.events["price"])
    traded = (kinds >= EventKind.TRADE) & (kinds <= EventKind.REPAY)
    assert found["turnover"] == pytest.approx(notional[traded].sum() / average)
    assert found["trades"] == (kinds == EventKind.TRADE).sum()
    assert found["rebalances"] == (kinds == EventKind.REBALANCE).sum()
    assert found["liquidations"] == (kinds == EventKind.LIQUIDATION).sum()
    margins = ("min_margin_ratio", "min_margin_ratio_before", "margin_ratio_extreme")
    extremes = {
        "max_ltv": ("ltv", "ltv_before"),
        "max_abs_delta": ("net_delta_ratio", "net_delta_ratio_before"),
        "min_health_factor": ("health_factor", "health_factor_before"),
        "min_margin_ratio": margins,
    }
    for name, columns in extremes.items():
        values = np.concatenate([risk[column] for column in columns])
        values = -values if name.startswith("min_") else np.abs(values)
        finite = values[np.isfinite(values)]
        if len(finite):
            assert found[name] == pytest.approx(abs(finite.max()), rel=1e-13), name
        else:
            assert np.isnan(found[name]), name
    residual = np.abs(run.residual) / np.abs(run.equity)
    assert found["max_abs_residual"] == residual.max() <= 1e-9


def test_undefined_figures_are_nan() -> None:
    """No variation, no loss, no trade, no debt: nothing is made up."""
    flat = np.full(24 * 31 + 1, CAPITAL)
    found = count_marks(flat, np.zeros(len(flat)), unexplained(flat), CAPITAL)
    for name in ("sharpe", "sortino", "calmar", "min_health_factor", "min_margin_ratio", "max_ltv"):
        assert np.isnan(found[name]), name
    assert found["volatility"] == found["turnover"] == 0.0
    one_day = count_marks(flat[:20], np.zeros(20), unexplained(flat[:20]), CAPITAL)
    assert one_day["daily_returns"] == 0


def test_a_short_window_has_no_annualised_figure() -> None:
    """29 days say nothing of a year; the return itself is stated."""
    path = CAPITAL * np.linspace(1.0, 1.01, 24 * 29 + 1)
    found = count_marks(path, np.zeros(len(path)), unexplained(path), CAPITAL)
    annualised = ("apr", "apy", "volatility", "sharpe", "sortino", "calmar", "cost_per_year")
    for name in (*annualised, "funding_per_year", "carry_per_year", "turnover_per_year"):
        assert np.isnan(found[name]), name
    assert found["total_return"] == pytest.approx(0.01)
    longer = np.append(path, np.full(24, path[-1]))
    assert count_marks(longer, np.zeros(len(longer)), unexplained(longer), CAPITAL)["apy"] > 0.1


def test_the_engine_annualises_from_the_days_that_all_others_do() -> None:
    """Its constant is its own, because its version is the hash of its own files."""
    assert ANNUALISED_FROM_HOURS == 24 * ANNUALISED_FROM_DAYS


def test_the_entry_is_in_the_first_daily_return() -> None:
    """Entry costs are a loss of the first day: volatility and drawdown include it."""
    flat = np.full(24 * 31 + 1, 0.98 * CAPITAL)
    parts = unexplained(flat)
    parts[0, COMPONENTS.index("execution_cost")] = -0.02 * CAPITAL
    found = count_marks(flat, np.zeros(len(flat)), parts, CAPITAL)
    returns = np.zeros(31)
    returns[0] = -0.02
    assert found["daily_returns"] == 31
    assert found["volatility"] == pytest.approx(np.std(returns, ddof=1) * np.sqrt(365.0))


@pytest.mark.parametrize("mode", MODES)
def test_scenarios_over_one_market_are_runs_of_their_own(mode: str) -> None:
    """No state of one scenario reaches the next, whatever happened in it."""
    market, parameters, capital = mode_case(mode, 5, 300, 0.05)
    market.perp_extreme[150] *= 2.5
    rows = np.repeat(parameter_record(parameters), 6)
    rows["drift_band"] = (0.5, 0.01, 0.02, 0.02, 0.001, 0.5)
    rows["gas_multiplier"] = (0.0, 1.0, 1.0, 2.0, 1.0, 0.0)
    capitals = capital * np.array([1.0, 1.0, 1e-6, 1.0, 5.0, 1.0])
    hours, terms = hour_coefficients(market), venue_terms(parameters)
    found, returns = simulate_scenarios(hours, rows, terms, capitals, first_midnight=3)
    assert (found[:, FIGURES.index("daily_returns")] == returns.shape[1]).all()
    for row, money, figures in zip(rows, capitals, found, strict=True):
        changed = parameters._replace(
            drift_band=row["drift_band"], gas_multiplier=row["gas_multiplier"]
        )
        assert parameter_record(changed).tobytes() == row.tobytes()
        alone = simulate(market, changed, money, first_midnight=3)
        assert alone.figures.tobytes() == figures.tobytes()
    assert found[0].tobytes() == found[5].tobytes()
