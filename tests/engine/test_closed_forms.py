"""The machine against the formulas of SEMANTICS 12."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.engine import simulate
from basis_pipeline.engine.closed_forms import closed_form_equity
from tests.engine.markets import MODES, free, mode_case


@pytest.mark.parametrize("mode", MODES)
@given(seed=st.integers(0, 10_000))
def test_every_mode_equals_its_closed_form_at_every_hour(mode: str, seed: int) -> None:
    """Protects the meaning of each mode: entry, accrual, marking and funding."""
    market, parameters, capital = mode_case(mode, seed, hours=200, rebalance_enabled=False)
    market = free(market)
    expected = closed_form_equity(market, parameters, capital)
    assert np.allclose(simulate(market, parameters, capital).equity, expected, rtol=1e-12, atol=0)


@given(
    weights=st.tuples(*[st.floats(0.0, 0.3)] * 3),
    ltv=st.floats(0.0, 0.85),
    hedge_ratio=st.floats(0.1, 1.2),
    seed=st.integers(0, 10_000),
)
def test_any_mixture_equals_the_sum_of_its_sleeves(
    weights: tuple[float, float, float], ltv: float, hedge_ratio: float, seed: int
) -> None:
    """Protects that modes are weights of one machine, with no case of their own."""
    lending, spot, staking = weights
    market, parameters, capital = mode_case(
        "usdt_market_neutral",
        seed,
        hours=100,
        rebalance_enabled=False,
        lending_weight=lending,
        spot_weight=spot,
        staking_weight=staking,
        target_ltv=ltv,
        hedge_ratio=hedge_ratio,
    )
    market = free(market)
    expected = closed_form_equity(market, parameters, capital)
    assert np.allclose(simulate(market, parameters, capital).equity, expected, rtol=1e-12, atol=0)


def test_the_form_itself_is_the_formula_of_the_leveraged_mode() -> None:
    """Protects the closed form: written out by hand for one mode and one hour."""
    market, parameters, capital = mode_case("eth_leveraged", hours=10)
    growth = {
        name: getattr(market, name)[9] / getattr(market, name)[0]
        for name in ("collateral_index", "oracle_rate", "borrow_index")
    }
    leverage = 1.0 / 0.35
    by_hand = capital * (
        leverage * growth["collateral_index"] * growth["oracle_rate"]
        - (leverage - 1.0) * growth["borrow_index"]
    )
    assert closed_form_equity(market, parameters, capital)[9] == pytest.approx(by_hand, rel=1e-14)
