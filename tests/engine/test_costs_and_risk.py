"""What trading costs (SEMANTICS 8) and how risk is measured (SEMANTICS 10)."""

import numpy as np
import pytest

from basis_pipeline.engine import COMPONENTS, FIGURES, Simulation, simulate
from basis_pipeline.engine.hours import hour_coefficients
from basis_pipeline.engine.ledger import cost_share
from basis_pipeline.engine.model import LEG_SPOT
from basis_pipeline.engine.risk import measure
from tests.engine.markets import MODES, free, mode_case, still


def _part(simulation: Simulation, name: str) -> float:
    return float(simulation.components[:, COMPONENTS.index(name)].sum())


@pytest.mark.parametrize(
    ("usd", "bps"),
    [(1.0, 4.0), (10_000.0, 4.0), (10_001.0, 6.0), (100_000.0, 6.0), (1e6, 9.0), (5e7, 9.0)],
)
def test_the_size_bucket_sets_the_rate(usd: float, bps: float) -> None:
    """Protects the buckets: up to and including their bound, the last one beyond."""
    market, _, _ = mode_case("btc_basis", hours=2)
    assert cost_share(hour_coefficients(market), 0, LEG_SPOT, usd) == pytest.approx(bps * 1e-4)
    in_eth = market._replace(numeraire_usd=np.full(2, 2500.0))
    assert cost_share(hour_coefficients(in_eth), 0, LEG_SPOT, usd / 2500.0) == pytest.approx(
        bps * 1e-4
    )


def test_trades_above_the_last_bucket_are_counted() -> None:
    """Protects the reader: trades beyond the table are counted."""
    market, parameters, _ = mode_case("btc_basis", hours=30)
    market = still(market)
    above = FIGURES.index("trades_above_last_size_bucket")
    assert simulate(market, parameters, 1e5).figures[above] == 0
    assert simulate(market, parameters, 1e7).figures[above] == 4  # the spot and three shorts


@pytest.mark.parametrize(
    ("mode", "units"),
    [
        ("pure_lending", 250e3 + 55e3),
        ("eth_staking_only", 150e3),
        ("eth_leveraged", 1.25e6 + 2 * 55e3),
        ("btc_basis", 100e3 + 2 * 100e3),  # to the spot venue, and to two more for margin
        ("usdt_market_neutral_no_leverage", 150e3 + 100e3 + 2 * 100e3),
        ("usdt_market_neutral", 1.25e6 + 2 * 55e3 + 100e3 + 2 * 100e3),
    ],
)
def test_entry_pays_the_gas_of_its_operations(mode: str, units: float) -> None:
    """Protects the gas of an entry: units x price x multiplier, and no more."""
    market, parameters, capital = mode_case(mode, hours=30, rebalance_enabled=False)
    run = simulate(still(market), parameters, capital)
    assert -_part(run, "gas") == pytest.approx(units * market.gas_price[0] * 1.2, rel=1e-12)


def test_a_free_market_charges_nothing() -> None:
    """Protects `costs.enabled: false`: every trade is free."""
    for mode in MODES:
        market, parameters, capital = mode_case(mode, volatility=0.01)
        market = free(market)._replace(market_rate=market.oracle_rate)
        run = simulate(market, parameters, capital)
        assert _part(run, "gas") == 0.0, mode
        assert _part(run, "execution_cost") == pytest.approx(0.0, abs=1e-9 * capital), mode


def test_entering_the_wallet_never_pays_more_than_it_holds() -> None:
    """Protects unhedged modes: gas comes out of what is invested."""
    for mode in ("pure_lending", "eth_leveraged", "eth_staking_only"):
        market, parameters, capital = mode_case(mode)
        run = simulate(market, parameters, capital)
        assert run.hourly.rows["cash"].min() >= -1e-12 * capital


def test_risk_by_hand() -> None:
    """Protects each measure of SEMANTICS 10 at one mark."""
    market, parameters, capital = mode_case("usdt_market_neutral", hours=60)
    run = simulate(market, parameters, capital)
    risk, by_venue = measure(market, parameters, run)
    t = 40
    named = risk[t]
    collateral = run.hourly.rows["staked"][t] * market.collateral_index[t] * market.oracle_rate[t]
    debt = run.hourly.rows["debt"][t] * market.borrow_index[t]
    short = -run.hourly.perps["quantity"][t, :].sum()
    assert named["ltv"] == pytest.approx(debt / collateral)
    assert named["health_factor"] == pytest.approx(0.95 * collateral / debt)
    assert named["liquidation_distance"] == pytest.approx(1.0 - debt / (0.95 * collateral))
    assert named["net_delta"] == pytest.approx(collateral - debt - short, abs=1e-12)
    share = (collateral - debt - short) * market.spot[t] / run.equity[t]
    assert named["net_delta_ratio"] == pytest.approx(share, abs=1e-12)
    gross = (collateral + debt + short) * market.spot[t]
    assert named["gross_exposure"] == pytest.approx(gross)
    assert named["peg_deviation"] == pytest.approx(
        market.market_rate[t] / market.oracle_rate[t] - 1.0
    )
    quantity, balance, entry = run.hourly.perps[t, 1]
    mark = market.perp_mark[t, 1]
    ratio = (balance + quantity * (mark - entry)) / (-quantity * mark)
    assert by_venue[t, 1].margin_ratio == pytest.approx(ratio)
    assert by_venue[t, 1].basis_bp == pytest.approx((mark / market.spot[t] - 1.0) * 1e4)
    assert named["min_margin_ratio"] == pytest.approx(by_venue[t]["margin_ratio"].min())


@pytest.mark.parametrize("seed", range(5))
def test_a_debt_without_collateral_has_no_health_left(seed: int) -> None:
    """Protects the health gate: a loan whose collateral is all seized fails it, for good."""
    market, parameters, capital = mode_case("eth_leveraged", seed, 40, rebalance_enabled=False)
    market.oracle_rate[20:] *= 0.5
    run = simulate(market, parameters, capital)
    risk, _ = measure(market, parameters, run)
    assert (run.hourly.rows["debt"][20:] > 0.0).all()
    health_factor = risk["health_factor"]
    assert (health_factor[:20] > 1.4).all()
    assert health_factor[20:] == pytest.approx(0.0, abs=1e-12)
    assert np.max(np.abs(run.residual)) <= 1e-9 * capital


def test_what_does_not_apply_is_not_a_number() -> None:
    """Protects gates: without debt no health factor, without a hedge no margin ratio."""
    market, parameters, capital = mode_case("eth_staking_only", hours=30)
    run = simulate(market, parameters, capital)
    risk, _ = measure(market, parameters, run)
    for name in ("ltv", "health_factor", "min_margin_ratio"):
        assert np.isnan(risk[name]).all()
    assert (risk["net_delta"] == 0.0).all()


def test_the_hourly_table_holds_the_book_after_trades() -> None:
    """Protects the record: quantity, balance and entry price stand in their own columns."""
    market, parameters, capital = mode_case("btc_basis", hours=30)
    run = simulate(still(market), parameters, capital)
    quantity, balance, entry = run.hourly.perps[0, 0]
    assert quantity < 0.0 < balance
    assert entry == market.perp_mark[0, 0]
    assert -run.hourly.perps["quantity"][0, :].sum() == pytest.approx(run.hourly.rows["spot"][0])
