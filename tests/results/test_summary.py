"""The summary agrees with the tables."""

import json

import numpy as np
import pytest

from basis_pipeline.results.summary import finite
from tests.results.made_run import CAPITAL, frames_of, make_run, summary_of


def test_figures_come_from_the_tables() -> None:
    """Return, costs, counts and extremes can be recomputed by hand from the frames."""
    run = make_run()
    figures, equity = run.summary, run.frames["equity"]["equity"]
    assert figures["total_return"] == pytest.approx(equity.iloc[-1] / CAPITAL - 1.0, rel=1e-12)
    assert figures["pnl"] == pytest.approx(equity.iloc[-1] - CAPITAL)
    assert figures["total_cost"] == 65.0
    assert figures["turnover"] == pytest.approx(40_000.0 / equity.iloc[:-1].mean())
    assert (figures["trades"], figures["rebalances"], figures["liquidations"]) == (2, 1, 1)
    assert figures["rebalance_times"] == ["2024-07-06T00:00Z"]
    assert figures["liquidation_times"] == ["2024-08-09T23:00Z"]
    assert figures["min_margin_ratio"] == pytest.approx(0.4)
    assert figures["max_abs_delta"] == pytest.approx(0.01)
    assert figures["max_drawdown"] == run.frames["equity"]["drawdown"].max()
    assert figures["daily_returns"] == 70
    assert "00:00 UTC" in figures["sampling"]


def test_parts_add_up() -> None:
    """Components, groups and months add up to the profit; the months compound to the return."""
    figures = make_run().summary
    assert sum(figures["attribution"].values()) == pytest.approx(figures["pnl"])
    assert sum(figures["groups"].values()) == pytest.approx(figures["pnl"])
    months = figures["months"]
    assert [month["month"] for month in months] == ["2024-06", "2024-07", "2024-08"]
    earned = sum(month["carry"] + month["basis"] + month["costs"] for month in months)
    assert earned == pytest.approx(figures["pnl"])
    compounded = np.prod([1.0 + month["return"] for month in months]) - 1.0
    assert compounded == pytest.approx(figures["total_return"])


def test_what_is_not_defined_is_null() -> None:
    """A run without debt has no health factor, and the summary is strict JSON."""
    figures = make_run().summary
    assert figures["min_health_factor"] is None
    assert json.loads(json.dumps(figures, allow_nan=False)) == figures


def test_a_benchmark_beside_the_run() -> None:
    """A benchmark is compared over the same window, and left out where it does not cover it."""
    frames = frames_of()
    growth = frames["benchmark"]["aave_usdt"]
    frames["benchmark"] = frames["benchmark"].assign(susde=growth.where(growth > growth.iloc[9]))
    figures = summary_of(frames)
    assert list(figures["benchmarks"]) == ["aave_usdt"]
    beside = figures["benchmarks"]["aave_usdt"]
    assert beside["apy"] == pytest.approx(0.05)
    assert beside["excess_apy"] == pytest.approx(figures["apy"] - 0.05)
    del frames["benchmark"]
    assert summary_of(frames)["benchmarks"] == {}


def test_the_largest_residual_is_a_share_of_equity() -> None:
    """One unexplained cent shows, relative to the equity of its mark."""
    frames = make_run().frames
    assert summary_of(frames)["max_abs_residual"] < 1e-15
    frames["attribution"].loc[7, "gas"] += 0.01
    expected = 0.01 / frames["equity"]["equity"].iloc[7]
    assert summary_of(frames)["max_abs_residual"] == pytest.approx(expected, rel=1e-6)


def test_risk_free_rate_is_stated_and_used() -> None:
    """Sharpe is measured against the rate that the summary names."""
    run = make_run()
    against = summary_of(run.frames, risk_free=0.05)
    assert (run.summary["risk_free_rate"], against["risk_free_rate"]) == (0.0, 0.05)
    assert against["sharpe"] < run.summary["sharpe"]


def test_figures_are_plain_numbers_at_any_depth() -> None:
    """Dagster's metadata reject NumPy's floats, and JSON has no NaN."""
    figures = {"value": np.float64(0.25), "chosen": {"ratio": np.float64(0.5)}, "none": [np.nan]}
    found = finite(figures)
    assert found == {"value": 0.25, "chosen": {"ratio": 0.5}, "none": [None]}
    assert {type(found["value"]), type(found["chosen"]["ratio"])} == {float}
