"""Figures of daily returns: by hand, and as empyrical, pyfolio and quantstats have them."""

import warnings
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from basis_pipeline.reports.returns import MEANINGS
from basis_pipeline.results import metrics, returns
from basis_pipeline.times import DAY_NS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import empyrical
    import quantstats.stats as quantstats
RATE = 0.03


@pytest.fixture(scope="module")
def days() -> pd.Series:
    """Two years of daily returns with fat tails."""
    random = np.random.default_rng(7)
    index = pd.date_range("2023-01-01", periods=730, tz="UTC", name="timestamp")
    return pd.Series(0.0004 + 0.01 * random.standard_t(4, 730), index)


def compounded(days: pd.Series) -> tuple[metrics.Stamps, metrics.Floats]:
    """Marks at each midnight and the growth at them."""
    ends = np.arange(len(days) + 1, dtype=np.int64) * DAY_NS
    return ends, np.concatenate([[1.0], np.cumprod(1.0 + days.to_numpy())])


@pytest.mark.parametrize("other", [empyrical, quantstats], ids=["empyrical", "quantstats"])
def test_ratios_agree_with_the_libraries(days: pd.Series, other: ModuleType) -> None:
    """Sharpe, Sortino, volatility and the deepest drawdown of the same returns."""
    stamps, growth = compounded(days)
    daily = metrics.daily_rate(RATE)
    own = days.to_numpy()
    deepest = -returns.drawdowns(stamps, growth)[0].depth
    assert deepest == pytest.approx(-metrics.drawdown(growth).max(), rel=1e-12)
    if other is empyrical:
        theirs = (
            empyrical.sharpe_ratio(days, daily, annualization=365),
            empyrical.sortino_ratio(days, daily, annualization=365),
            empyrical.annual_volatility(days, annualization=365),
            empyrical.max_drawdown(days),
        )
    else:
        theirs = (
            quantstats.sharpe(days, rf=RATE, periods=365),
            quantstats.sortino(days, rf=RATE, periods=365),
            quantstats.volatility(days, periods=365, prepare_returns=False),
            quantstats.max_drawdown(days),
        )
    ours = (metrics.sharpe(own, RATE), metrics.sortino(own, RATE), metrics.volatility(own), deepest)
    assert ours == pytest.approx(theirs, rel=1e-9)


def test_the_distribution_agrees_with_the_libraries(days: pd.Series) -> None:
    """Value at risk, its shortfall, skew, kurtosis, best, worst and winning days, beta."""
    found = returns.distribution(days)
    market = 0.5 * days.shift(1).fillna(0.0) + 0.5 * days
    theirs = {
        "var": empyrical.value_at_risk(days),
        "cvar": empyrical.conditional_value_at_risk(days),
        "var_normal": quantstats.value_at_risk(days),
        "skew": quantstats.skew(days),
        "kurtosis": quantstats.kurtosis(days),
        "best": quantstats.best(days),
        "worst": quantstats.worst(days),
        "positive": quantstats.win_rate(days),
        "tail": empyrical.tail_ratio(days),
        "omega": empyrical.omega_ratio(days),
        "stability": empyrical.stability_of_timeseries(days),
    }
    assert found == pytest.approx(theirs, rel=1e-9)
    assert returns.beta(days, market) == pytest.approx(empyrical.beta(days, market), rel=1e-9)


def test_where_definitions_differ_the_page_says_so(days: pd.Series) -> None:
    """Skew, kurtosis and value at risk of pyfolio (perf_stats), winning days of quantstats."""
    found, n = returns.distribution(days), len(days)
    skew, kurtosis = stats.skew(days), stats.kurtosis(days)
    adjusted = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * kurtosis + 6.0)
    assert found["skew"] == pytest.approx(skew * np.sqrt(n * (n - 1)) / (n - 2), rel=1e-9)
    assert found["kurtosis"] == pytest.approx(adjusted, rel=1e-9)
    two = days.mean() - 2.0 * days.std(ddof=1)
    mean, quantile = days.mean(), stats.norm.ppf(returns.TAIL)
    assert found["var_normal"] == pytest.approx(mean + (two - mean) * quantile / -2.0, rel=1e-9)
    flat = pd.concat([days, pd.Series(0.0, pd.date_range("2026-01-01", periods=70, tz="UTC"))])
    counted = returns.distribution(flat)["positive"] * len(flat) / n
    assert counted == pytest.approx(quantstats.win_rate(flat), rel=1e-9)
    for name, library in {"skew": "pyfolio", "kurtosis": "pyfolio", "var_normal": "pyfolio",
                          "positive": "quantstats"}.items():  # fmt: skip
        assert library in MEANINGS[name][1]


def test_rolling_figures_agree_with_the_libraries(days: pd.Series) -> None:
    """Volatility and Sharpe of quantstats, the total of empyrical, over the last 90 days."""
    rolled = returns.rolling(days, 90)
    sharpe = quantstats.rolling_sharpe(days, rolling_period=90, periods_per_year=365)
    volatility = quantstats.rolling_volatility(days, rolling_period=90, periods_per_year=365)
    assert rolled["sharpe"].to_numpy() == pytest.approx(sharpe.dropna().to_numpy(), rel=1e-9)
    assert rolled["volatility"].to_numpy() == pytest.approx(volatility.dropna().to_numpy())
    for end in (0, 300, len(rolled) - 1):
        total = empyrical.cum_returns_final(days.iloc[end : end + 90])
        assert rolled["total"].iloc[end] == pytest.approx(total, rel=1e-9)


def test_drawdowns_are_those_of_quantstats(days: pd.Series) -> None:
    """Depth, trough and length of each, apart from the one that is not over."""
    found = returns.drawdowns(*compounded(days))
    table = quantstats.drawdown_details(quantstats.to_drawdown_series(days))
    theirs = sorted(-table["max drawdown"].to_numpy() / 100.0)[::-1]
    assert [fall.depth for fall in found] == pytest.approx(theirs, rel=1e-9)


def test_a_drawdown_by_hand() -> None:
    """From the peak over the trough to the mark that reaches the peak; the last one is open."""
    growth = np.array([0.9, 1.0, 1.2, 0.6, 1.2, 1.1])
    stamps = np.arange(6, dtype=np.int64) * DAY_NS
    half, tenth, last = returns.drawdowns(stamps, growth)
    assert half == pytest.approx((0.5, 2 * DAY_NS, 3 * DAY_NS, 4 * DAY_NS, 2.0))
    assert (tenth.start, tenth.trough, tenth.recovery) == (0, 0, DAY_NS)
    assert (last.start, last.recovery, last.days) == (4 * DAY_NS, None, 1.0)


@given(st.lists(st.floats(-0.5, 0.5), min_size=1, max_size=60))
def test_drawdowns_cover_exactly_the_marks_below_a_peak(changes: list[float]) -> None:
    """They do not overlap, and none is deeper than the maximum drawdown."""
    stamps, growth = compounded(pd.Series(changes))
    lost, covered = metrics.drawdown(growth), 0
    for fall in returns.drawdowns(stamps, growth):
        end = stamps.size if fall.recovery is None else fall.recovery // DAY_NS
        inside = lost[fall.start // DAY_NS + 1 : end]
        assert inside.max() == fall.depth == lost[fall.trough // DAY_NS]
        covered += inside.size
    assert covered == np.count_nonzero(lost)


def test_too_short_a_run_has_no_figures() -> None:
    """Every figure is NaN without enough days."""
    none = returns.distribution(pd.Series(dtype=float))
    assert tuple(none) == returns.FIGURES
    assert all(np.isnan(value) for value in none.values())
    assert np.isnan(returns.beta(pd.Series([0.1]), pd.Series([0.1])))
