"""Profit and loss by component: the parts make the whole, at every mark (SEMANTICS 9)."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.engine import COMPONENTS, Simulation, simulate
from basis_pipeline.engine.model import EventKind
from tests.engine.markets import MODES, mode_case


def _largest_residual(simulation: Simulation, capital: float) -> float:
    scale = np.maximum(np.abs(simulation.equity), 1e-6 * capital)
    return float(np.max(np.abs(simulation.residual) / scale))


def _component(simulation: Simulation, name: str) -> float:
    return float(simulation.components[:, COMPONENTS.index(name)].sum())


@pytest.mark.parametrize("mode", MODES)
@given(
    seed=st.integers(0, 10_000),
    volatility=st.sampled_from([0.002, 0.01, 0.04]),
    flash_fee=st.sampled_from([0.0, 5e-4]),
    depeg=st.sampled_from([0.0, 0.03, 0.2]),
    by_market=st.booleans(),
    flow=st.floats(-0.6, 2.0),
)
def test_the_parts_make_the_whole_with_everything_on(
    mode: str,
    seed: int,
    volatility: float,
    flash_fee: float,
    depeg: float,
    by_market: bool,
    flow: float,
) -> None:
    """Protects reconciliation under costs, rewards, crashes, depegs, liquidations and flows."""
    market, parameters, capital = mode_case(mode, seed, 400, volatility, flash_fee=flash_fee)
    market_rate = market.market_rate.copy()
    market_rate[200:260] *= 1.0 - depeg
    flows = market.flow.copy()
    flows[150] = flow * capital
    market = market._replace(
        market_rate=market_rate,
        lst_mark=market_rate if by_market else market.oracle_rate,
        flow=flows,
    )
    simulation = simulate(market, parameters, capital)
    assert np.isfinite(simulation.equity).all()
    assert _largest_residual(simulation, capital) <= 1e-9


@pytest.mark.parametrize("jump", [2.2, 2.5, 4.0])
def test_a_liquidated_hedge_reconciles(jump: float) -> None:
    """Protects money across a liquidation: the loss is booked once, whole, and never fatal."""
    market, parameters, capital = mode_case("btc_basis", rebalance_enabled=False)
    up = np.ones(len(market.spot))
    up[300:] = jump
    market = market._replace(
        spot=market.spot * up,
        perp_mark=market.perp_mark * up[:, None],
        perp_extreme=market.perp_extreme * up[:, None],
    )
    simulation = simulate(market, parameters, capital)
    kinds = simulation.events["kind"]
    assert (kinds == EventKind.LIQUIDATION).sum() == 3
    assert _component(simulation, "liquidation") < 0.0
    assert _largest_residual(simulation, capital) <= 1e-9
    assert (simulation.hourly.perps["quantity"][300:] == 0.0).all()


def test_components_name_what_earned() -> None:
    """Protects the meaning of the parts: each moves only for its own reason."""
    market, parameters, capital = mode_case("usdt_market_neutral")
    totals = simulate(market, parameters, capital).components.sum(axis=0)
    earned = dict(zip(COMPONENTS, totals, strict=True))
    assert earned["borrowing"] < 0.0 < earned["staking"]
    assert earned["rewards"] > 0.0 > earned["gas"]
    assert earned["execution_cost"] < 0.0
    assert earned["liquidation"] == 0.0
    assert abs(earned["spot_price"] + earned["perp_price"]) < 0.02 * abs(earned["spot_price"])


@pytest.mark.parametrize(
    ("changes", "absent"),
    [
        ({"funding_rate": 0.0}, "funding"),
        ({"reward_tokens_per_unit": 0.0}, "rewards"),
        ({"cost_bps": 0.0}, "execution_cost"),
        ({"gas_price": 0.0}, "gas"),
    ],
)
def test_a_source_switched_off_leaves_its_part_empty(changes: dict[str, Any], absent: str) -> None:
    """Protects the parts from standing in for one another."""
    market, parameters, capital = mode_case("usdt_market_neutral")
    market = market._replace(
        market_rate=market.oracle_rate,
        **{name: getattr(market, name) * factor for name, factor in changes.items()},
    )
    simulation = simulate(market, parameters, capital)
    assert abs(_component(simulation, absent)) <= 1e-9 * capital
    assert _largest_residual(simulation, capital) <= 1e-9


def test_in_an_eth_share_class_eths_price_is_no_profit() -> None:
    """Protects the numeraire: ETH investors neither gain nor lose from ETH's price."""
    market, parameters, capital = mode_case("eth_leveraged")
    assert _component(simulate(market, parameters, capital), "spot_price") == 0.0
