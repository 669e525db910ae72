"""The leveraged position: entry, unwind and every restoration between (SEMANTICS 5)."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from basis_pipeline.engine.leverage import released, solve_position

LTV = st.floats(0.05, 0.9)
FEE = st.sampled_from([0.0, 5e-4, 3e-3])


@given(eth=st.floats(0.01, 1e5), ltv=LTV, fee=FEE)
def test_entry_is_the_flash_loan_of_the_contract(eth: float, ltv: float, fee: float) -> None:
    """Protects the entry: F = ltv x eth / (1 + fee - ltv), all of it staked with the eth."""
    flash = ltv * eth / (1.0 + fee - ltv)
    staked, borrowed = solve_position(eth, 0.0, 0.0, ltv, fee, 0.999)
    assert staked == pytest.approx(eth + flash, rel=1e-12)
    assert borrowed == pytest.approx(flash * (1.0 + fee), rel=1e-12)


@given(
    eth=st.floats(-40.0, 40.0),
    collateral=st.floats(10.0, 500.0),
    drift=st.floats(-0.5, 0.3),
    ltv=LTV,
    fee=FEE,
    sale_rate=st.floats(0.95, 1.0),
)
def test_every_restoration_lands_on_the_target_and_pays_for_itself(
    eth: float, collateral: float, drift: float, ltv: float, fee: float, sale_rate: float
) -> None:
    """Protects conservation: what comes in plus what is released is nothing, at the target LTV."""
    debt = collateral * ltv * (1.0 + drift)
    assume(sale_rate - (1.0 + fee) * ltv > 0.02)
    assume(collateral * sale_rate - debt * (1.0 + fee) + eth > 0.02 * collateral)
    staked, borrowed = solve_position(eth, collateral, debt, ltv, fee, sale_rate)
    assert debt + borrowed == pytest.approx(ltv * (collateral + staked), rel=1e-9, abs=1e-9)
    assert eth + released(staked, borrowed, fee, sale_rate) == pytest.approx(
        0.0, abs=1e-9 * collateral
    )
    assert collateral + staked >= -1e-9


@given(part=st.floats(0.01, 0.99), ltv=LTV, fee=FEE, sale_rate=st.floats(0.97, 1.0))
def test_unwinding_a_fraction_is_the_contract_s(
    part: float, ltv: float, fee: float, sale_rate: float
) -> None:
    """Protects the unwind: repay p x D, withdraw R / ltv, sell it to repay, keep the rest."""
    collateral = 100.0
    debt = ltv * collateral
    kept = part * (collateral * sale_rate - debt * (1.0 + fee))
    assume(kept > 0.0)
    staked, borrowed = solve_position(-kept, collateral, debt, ltv, fee, sale_rate)
    assert -borrowed == pytest.approx(part * debt, rel=1e-9)
    assert -staked == pytest.approx(part * debt / ltv, rel=1e-9)


def test_collateral_that_sells_too_low_is_left_alone() -> None:
    """Protects a deep depeg: selling would raise the LTV, so nothing is sold."""
    assert solve_position(0.0, 100.0, 70.0, 0.65, 0.0, 0.6) == (0.0, 0.0)
    assert solve_position(5.0, 100.0, 90.0, 0.65, 0.0, 0.6) == (5.0, 0.0)


def test_without_leverage_it_is_a_purchase_or_a_sale() -> None:
    """Protects the unleveraged modes: they use the same formula."""
    assert solve_position(5.0, 100.0, 0.0, 0.0, 0.0, 0.99) == (5.0, 0.0)
    staked, borrowed = solve_position(-5.0, 100.0, 0.0, 0.0, 0.0, 0.99)
    assert (staked, borrowed) == (pytest.approx(-5.0 / 0.99), 0.0)
