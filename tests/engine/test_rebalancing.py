"""Triggers and what they restore (SEMANTICS 6), flows and rewards."""

from typing import Any

import numpy as np
import pytest

from basis_pipeline.engine import MarketArrays, Simulation, simulate
from basis_pipeline.engine.model import LEG_REWARD, EventKind, Floats, Reason
from tests.engine.markets import TOKENS, free, mode_case, still


def _reasons(simulation: Simulation) -> dict[int, str]:
    """Return hour → reason of every rebalance."""
    events = simulation.events
    chosen = events[events["kind"] == EventKind.REBALANCE]
    return {int(event.hour): Reason(event.reason).name.lower() for event in chosen}


def _moved(market: MarketArrays, at: int, **factors: float) -> MarketArrays:
    """Return the market with some series multiplied from hour `at` on."""
    changed: dict[str, Floats] = {}
    for name, factor in factors.items():
        values = getattr(market, name).copy()
        values[at:] *= factor
        changed[name] = values
    return market._replace(**changed)


def _prices(factor: float) -> dict[str, float]:
    return {"spot": factor, "perp_mark": factor, "perp_extreme": factor}


OFF: dict[str, Any] = {
    "margin_ratio_min": 0.0,
    "margin_ratio_max": 1e9,
    "delta_band": 1e9,
    "ltv_band": 1e9,
    "health_factor_floor": 0.0,
    "idle_band": 1e9,
    "drift_band": np.inf,
}


@pytest.mark.parametrize(
    ("reason", "mode", "band", "factors"),
    [
        ("margin_ratio", "btc_basis", {"margin_ratio_min": 0.8}, _prices(1.2)),
        ("margin_ratio", "btc_basis", {"margin_ratio_max": 1.2}, _prices(0.8)),
        ("ltv", "eth_leveraged", {"ltv_band": 0.01}, {"oracle_rate": 0.98, "lst_mark": 0.98}),
        (
            "health_factor",
            "eth_leveraged",
            {"health_factor_floor": 1.45},
            {"oracle_rate": 0.98, "lst_mark": 0.98},
        ),
        (
            "delta",
            "usdt_market_neutral",
            {"delta_band": 0.02},
            {"oracle_rate": 1.05, "lst_mark": 1.05},
        ),
        ("drift", "btc_basis", {"drift_band": 0.02}, _prices(1.05)),
        ("drift", "funding_arbitrage", {"drift_band": 0.02}, _prices(1.05)),
        ("margin_ratio", "funding_arbitrage", {"margin_ratio_min": 0.6}, _prices(1.05)),
        ("margin_ratio", "funding_arbitrage", {"margin_ratio_max": 0.64}, _prices(1.05)),
    ],
)
def test_each_trigger_fires_alone_and_at_once(
    reason: str, mode: str, band: dict[str, Any], factors: dict[str, float]
) -> None:
    """Protects every trigger: with all others off it fires at the mark it should, once."""
    market, parameters, capital = mode_case(mode, hours=50, **{**OFF, **band})
    market = _moved(free(still(market)), 20, **factors)
    assert _reasons(simulate(market, parameters, capital)) == {20: reason}
    quiet = parameters._replace(rebalance_enabled=False)
    assert not _reasons(simulate(market, quiet, capital))


def test_inside_its_bands_nothing_trades() -> None:
    """Protects against trading for rounding: a still market never rebalances."""
    market, parameters, capital = mode_case("usdt_market_neutral", hours=50)
    assert not _reasons(simulate(free(still(market)), parameters, capital))


@pytest.mark.parametrize("factor", [1.1, 0.9])
def test_a_restored_book_is_the_contract_s(factor: float) -> None:
    """Protects the restore of a spot and perp book: sizes, costs, margins, by hand."""
    market, parameters, capital = mode_case("btc_basis", hours=50, drift_band=0.02)
    market = still(market)._replace(gas_price=np.zeros(50))
    market = market._replace(
        perp_mark=np.repeat(market.spot[:, None], 3, axis=1),
        perp_extreme=np.repeat(market.spot[:, None], 3, axis=1),
    )
    cost = 1e-3
    market.cost_bps[:] = cost * 1e4
    market = _moved(market, 20, **_prices(factor))
    run = simulate(market, parameters, capital)
    held, price = run.hourly.rows["spot"][19], market.spot[20]
    unchanged = simulate(market, parameters._replace(rebalance_enabled=False), capital)
    before = unchanged.equity[20]
    difference = 0.5 * before - held * price
    traded = abs(difference) / price * (1.0 - cost if difference > 0 else 1.0)
    expected = held + np.sign(difference) * traded
    assert run.hourly.rows["spot"][20] == pytest.approx(expected, rel=1e-12)
    assert -run.hourly.perps["quantity"][20, :].sum() == pytest.approx(expected, rel=1e-12)
    paid = abs(difference) * cost + traded * price * cost
    assert before - run.equity[20] == pytest.approx(paid, rel=1e-9)
    margins = run.equity[20] - run.hourly.rows["spot"][20] * price
    perps = run.hourly.perps[20]
    venue = perps["balance"] + perps["quantity"] * (price - perps["entry"])
    assert venue == pytest.approx(margins * parameters.hedge_weights, rel=1e-12)


def test_restoring_the_staked_position_lands_on_its_targets() -> None:
    """Protects weights, LTV and hedge after a rebalance of the leveraged neutral mode."""
    market, parameters, capital = mode_case(
        "usdt_market_neutral", hours=600, volatility=0.01, drift_band=0.02
    )
    market = free(market)._replace(market_rate=market.oracle_rate)
    run = simulate(market, parameters, capital)
    marks = np.array([hour for hour, reason in _reasons(run).items() if reason == "drift"])
    assert len(marks) > 3
    collateral = run.hourly.rows["staked"] * market.collateral_index * market.oracle_rate
    debt = run.hourly.rows["debt"] * market.borrow_index
    net = (collateral - debt)[marks]
    assert debt[marks] / collateral[marks] == pytest.approx(0.65, rel=1e-12)
    assert net * market.spot[marks] == pytest.approx(0.5 * run.equity[marks], rel=1e-9)
    short = -run.hourly.perps["quantity"][marks, :]
    assert short == pytest.approx(net[:, None] * parameters.hedge_weights, rel=1e-12)


@pytest.mark.parametrize(
    "mode", ["pure_lending", "eth_leveraged", "usdt_market_neutral", "funding_arbitrage"]
)
@pytest.mark.parametrize("share", [0.5, -0.4])
def test_a_flow_is_no_profit_and_is_put_to_work(mode: str, share: float) -> None:
    """Protects flows: equity moves by the flow, the book follows, the wallet is not overdrawn."""
    market, parameters, capital = mode_case(mode, hours=60)
    market = free(still(market))._replace(market_rate=market.oracle_rate[0] * np.ones(60))
    flow = np.zeros(60)
    flow[30] = share * capital
    run = simulate(market._replace(flow=flow), parameters, capital)
    assert run.equity[30] - run.equity[29] == pytest.approx(flow[30], rel=1e-9)
    assert _reasons(run) == {30: "idle_cash" if share > 0.0 else "cash_shortfall"}
    assert run.hourly.rows["cash"].min() >= -1e-9 * capital
    assert run.components[30].sum() == pytest.approx(0.0, abs=1e-9 * capital)


def test_a_small_withdrawal_is_paid_though_no_band_is_left() -> None:
    """Protects the wallet: what is withdrawn must come from somewhere."""
    market, parameters, capital = mode_case("pure_lending", hours=60)
    flow = np.zeros(60)
    flow[30] = -0.001 * capital
    run = simulate(free(still(market))._replace(flow=flow), parameters, capital)
    assert _reasons(run) == {30: "cash_shortfall"}
    assert run.hourly.rows["cash"][30:] == pytest.approx(0.0, abs=1e-9 * capital)


def test_rewards_are_credited_at_their_payout_and_sold_above_the_threshold() -> None:
    """Protects rewards: earned on gross staked ETH, paid later, held until worth 0.2 % of equity.

    What a sale brings stays in the wallet.
    """
    market, parameters, capital = mode_case("eth_staking_only", hours=600)
    per_unit, slot = np.zeros((600, TOKENS)), np.zeros((600, TOKENS), dtype=np.int64)
    payout = np.full((600, TOKENS), -1)
    for period in range(1, 6):  # each paid 20 hours after its end, while the next one earns
        hours = slice(100 * period - 49, 100 * period + 30)
        per_unit[hours, 0], slot[hours, 0] = 0.9 / 79, period % 2
        payout[100 * period + 50, 0] = period % 2
    market = still(market)._replace(
        reward_tokens_per_unit=per_unit,
        reward_slot=slot,
        reward_payout=payout,
        reward_price=np.full((600, TOKENS), 1e-3),
        gas_price=np.zeros(600),
    )
    run = simulate(market, parameters, capital)
    staked = run.hourly.rows["staked"][99] * market.oracle_rate[99]
    assert (run.hourly.tokens[:150, 0] == 0.0).all()
    assert run.hourly.tokens[150, 0] == pytest.approx(0.9 * staked, rel=1e-12)
    sold = run.events[(run.events["kind"] == EventKind.TRADE) & (run.events["leg"] == LEG_REWARD)]
    # One payout is worth 0.09 % of equity: the third crosses 0.2 %.
    assert sold[0].hour == 350
    assert run.hourly.tokens[350, 0] == 0.0
    assert run.hourly.rows["cash"][350:] == pytest.approx(run.hourly.rows["cash"][350])
    assert run.hourly.rows["cash"][350] > 0.002 * capital


def test_reward_tokens_are_not_priced_before_their_first_quote() -> None:
    """Protects against inventing a price: what has no quote yet is never multiplied."""
    market, parameters, capital = mode_case("eth_leveraged", hours=300)
    price = market.reward_price.copy()
    price[:50] = np.nan
    run = simulate(market._replace(reward_price=price), parameters, capital)
    assert np.isfinite(run.equity).all()


def test_entry_is_the_first_event_and_happens_once() -> None:
    """Protects the order of events: the book is entered at the first mark, at its prices."""
    market, parameters, capital = mode_case("usdt_market_neutral", hours=50)
    events = simulate(market, parameters, capital).events
    kinds = events["kind"]
    assert kinds[0] == EventKind.ENTRY
    assert (kinds == EventKind.ENTRY).sum() == 1
