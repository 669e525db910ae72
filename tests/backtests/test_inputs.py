"""The engine's inputs: flows at their hours, the prices chosen, the slice as numbers."""

from typing import Any

import numpy as np
import pytest

from basis_pipeline.backtests.inputs import market_arrays, parameters_of, plain_panel, plain_run
from basis_pipeline.config import slice_mode
from basis_pipeline.errors import ConfigError
from tests.backtests.trees import CONFIGS, HELD, MODES, Tree


def flow(date: Any, amount: float) -> dict[str, Any]:
    """Return one flow as in the configuration."""
    return {"date": str(date), "amount": amount}


def test_flows_stand_at_their_marks_and_add_up(sample: Tree) -> None:
    """Both ends of the window count; two flows at one hour are their sum."""
    hours = sample.windows["middle"].hours
    flows = [flow(hours[i], amount) for i, amount in ((0, 10.0), (7, 5.0), (7, -2.0), (-1, 1.0))]
    run = sample.run("pure_lending", "middle", {"flows": flows})
    expected = np.zeros(len(hours))
    expected[[0, 7, -1]] = (10.0, 3.0, 1.0)
    np.testing.assert_array_equal(market_arrays(run.panel, run.mode_slice).flow, expected)
    np.testing.assert_array_equal(run.column("equity", "flow"), expected)
    assert run.result.summary["net_flows"] == 14.0


@pytest.mark.parametrize("side", [-1, 1])
def test_a_flow_outside_the_window_is_rejected(sample: Tree, side: int) -> None:
    """CONFIG-011 with the window: a deposit the run never sees is not silently dropped."""
    window = sample.windows["middle"]
    outside = (window.hours[0 if side < 0 else -1]) + side * (window.hours[1] - window.hours[0])
    with pytest.raises(ConfigError, match="lies outside the window") as raised:
        sample.run("pure_lending", "middle", {"flows": [flow(outside, 10.0)]})
    assert raised.value.code == "CONFIG-011"
    assert raised.value.available == "2024-02-10 00:00 … 2024-03-20 00:00"
    assert f"{outside:%Y-%m-%d %H:%M}" in raised.value.what


def test_a_flow_changes_equity_and_not_the_return(sample: Tree) -> None:
    """A deposit into a mode without costs is no growth."""
    free = {"costs.enabled": False}
    hours = sample.windows["middle"].hours
    flows = [flow(hours[100], 50_000.0), flow(hours[300], -20_000.0)]
    plain = sample.run("pure_lending", "middle", free)
    moved = sample.run("pure_lending", "middle", {**free, "flows": flows})
    returns = [run.result.summary["total_return"] for run in (plain, moved)]
    assert returns[1] == pytest.approx(returns[0], rel=1e-9)
    added = moved.column("equity", "equity") - plain.column("equity", "equity")
    assert added[99] == 0.0
    assert added[100] == pytest.approx(50_000.0, rel=1e-12)


@pytest.mark.parametrize("mode", ["pure_lending", "usdt_market_neutral"])
def test_more_than_there_is_cannot_be_withdrawn(sample: Tree, mode: str) -> None:
    """CONFIG-012 with what is available: no run continues with negative equity and green gates."""
    hour = sample.windows["middle"].hours[300]
    capital = sample.run(mode, "middle").result.identity.capital
    with pytest.raises(ConfigError, match="leaves nothing") as raised:
        sample.run(mode, "middle", {"flows": [flow(hour, -1.2 * capital)]})
    assert raised.value.code == "CONFIG-012"
    assert f"{hour:%Y-%m-%d %H:%M}" in raised.value.what
    assert 0.8 * capital < float(raised.value.available.split()[0]) < 1.1 * capital
    most = sample.run(mode, "middle", {"flows": [flow(hour, -0.8 * capital)]})
    assert (most.column("equity", "equity") > 0.0).all()


def test_prices_are_those_the_mode_chose(sample: Tree) -> None:
    """LSTs by oracle or market, liquidation at the extreme or the mark; nothing else moves."""
    usual = sample.run("usdt_market_neutral", "middle")
    other = {"pricing.mark_lst": "market", "pricing.liquidation_price": "open"}
    changed = sample.run("usdt_market_neutral", "middle", other)
    first, second = (market_arrays(run.panel, run.mode_slice) for run in (usual, changed))
    assert first.lst_mark is usual.panel.oracle_rate
    assert second.lst_mark is changed.panel.market_rate
    assert parameters_of(usual.mode_slice).liquidates_at_extreme
    assert not parameters_of(changed.mode_slice).liquidates_at_extreme
    assert not np.array_equal(first.lst_mark, second.lst_mark)
    for name in set(first._fields) - {"lst_mark"}:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_a_closing_price_is_the_next_open_of_a_venue_without_holes(sample: Tree) -> None:
    """`price_field: close` reads the same bars an hour on, nearly; the extreme is the bar's own."""
    on_bybit = {"hedge.venues": {"bybit": 1.0}}
    opens = sample.run("eth_basis", "middle", on_bybit).panel
    closes = sample.run("eth_basis", "middle", {**on_bybit, "pricing.price_field": "close"}).panel
    assert np.abs(closes.perp_mark[:-1] / opens.perp_mark[1:] - 1.0).max() < 0.01
    np.testing.assert_array_equal(closes.perp_extreme[:-1], opens.perp_extreme[1:])
    assert (closes.perp_extreme >= closes.perp_mark).all()


def test_parameters_follow_the_venues_in_the_order_of_the_panel(sample: Tree) -> None:
    """Weights and terms by name, however the file orders them."""
    run = sample.run("eth_basis", "middle", {"hedge.venues": {"okx": 0.6, "binance": 0.4}})
    parameters = parameters_of(run.mode_slice)
    assert run.panel.venues == ("binance", "okx")
    assert parameters.hedge_weights.tolist() == [0.4, 0.6]
    assert parameters.margin_at_spot_venue == -1
    venues = CONFIGS.venues
    for name in ("maintenance", "liquidation_fee"):
        terms = [getattr(venues[v].perp_margin, name) for v in ("binance", "okx")]
        field = "maintenance_margin" if name == "maintenance" else name
        assert getattr(parameters, field).tolist() == terms


def test_the_legs_of_a_carry_share_its_margin_by_their_size() -> None:
    """Signs stay with the legs; no spot is traded, so that every change of margin is a transfer."""
    legs = {"okx": 0.3, "bybit": 0.5, "binance": -0.8}
    mode_slice = slice_mode(CONFIGS, "funding_arbitrage", {"asset": "ETH", "hedge.carry": legs})
    parameters = parameters_of(mode_slice)
    assert parameters.carry.tolist() == [-0.8, 0.5, 0.3]
    assert parameters.hedge_weights.tolist() == pytest.approx([0.5, 0.3125, 0.1875], rel=1e-15)
    assert parameters.hedge_ratio == 0.0
    assert parameters.margin_at_spot_venue == -1


def test_what_a_mode_does_not_do_is_neutral_in_its_numbers() -> None:
    """No loan to value without staking, no fee without costs, no venue without a hedge."""
    plain = {name: parameters_of(slice_mode(CONFIGS, name)) for name in MODES}
    assert {name for name, p in plain.items() if p.target_ltv > 0.0} == {
        "eth_leveraged", "usdt_market_neutral",
    }  # fmt: skip
    assert {name for name, p in plain.items() if len(p.hedge_weights)} == {
        "btc_basis", "eth_basis", "funding_arbitrage", "usdt_market_neutral",
        "usdt_market_neutral_no_leverage",
    }  # fmt: skip
    assert {name: p.margin_at_spot_venue for name, p in plain.items() if p.hedge_ratio} == {
        "btc_basis": 0, "eth_basis": 1, "usdt_market_neutral": 1,
        "usdt_market_neutral_no_leverage": 1,
    }  # fmt: skip
    assert plain["eth_leveraged"].liquidation_threshold == 0.95
    assert plain["eth_leveraged"].liquidation_bonus == 0.01
    fee = {"staking.flash_fee_bps": 5.0}
    assert parameters_of(slice_mode(CONFIGS, "eth_leveraged", fee)).flash_fee == 5e-4
    free = {**fee, "costs.enabled": False}
    assert parameters_of(slice_mode(CONFIGS, "eth_leveraged", free)).flash_fee == 0.0
    pool = slice_mode(CONFIGS, "eth_basis", {"spot.venue": "uniswapv3"})
    assert (parameters_of(pool).swaps_on_chain, plain["eth_basis"].swaps_on_chain) == (True, False)


def test_the_plain_run_is_the_mode_without_rebalancing_and_costs(sample: Tree) -> None:
    """What the closed-form gate runs is what the overrides of SEMANTICS 12 run."""
    for mode in MODES:
        run = sample.run(mode, "middle", {"gates.max_drawdown": 0.9})
        before = run.mode_slice.config_hash
        plain, panel = plain_run(run.mode_slice), plain_panel(run.panel)
        held = sample.run(mode, "middle", {**HELD, "gates.max_drawdown": 0.9})
        assert plain.mode == held.mode_slice.mode, mode
        assert plain.config_hash != before == run.mode_slice.config_hash, mode
        equity = sample.run_slice(plain, sample.windows["middle"]).column("equity", "equity")
        np.testing.assert_allclose(equity, held.column("equity", "equity"), rtol=1e-12)
        for name in ("gas_price", "cost_bps", "reward_tokens_per_unit"):
            assert not getattr(panel, name).any(), mode
            assert getattr(panel, name).shape == getattr(run.panel, name).shape, mode
        assert run.panel.gas_price.any(), mode
