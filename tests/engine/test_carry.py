"""Carry: the perpetual of one venue against that of another (SEMANTICS 5)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.engine import COMPONENTS, FIGURES, MarketArrays, Parameters, simulate
from basis_pipeline.engine.model import EventKind, Floats
from basis_pipeline.engine.risk import measure
from tests.engine.markets import for_carry, free, made_market, made_parameters, still

CAPITAL = 100_000.0
HELD = {"rebalance_enabled": False, "liquidates_at_extreme": False}


def _case(
    carry: list[float], hours: int = 48, seed: int = 0, volatility: float = 0.006, **changes: object
) -> tuple[MarketArrays, Parameters]:
    """Return a market and parameters with these legs, one per venue."""
    legs = np.array(carry)
    sizes = np.abs(legs) / np.abs(legs).sum()
    fields = {"hedge_ratio": 0.0, "staking_weight": 0.0, "target_ltv": 0.0} | changes
    parameters = made_parameters(3, margin_at_spot_venue=-1, **fields)
    parameters = parameters._replace(
        carry=legs,
        hedge_weights=sizes,
        **{
            name: np.full(len(legs), getattr(parameters, name)[0])
            for name in ("initial_margin", "maintenance_margin", "liquidation_fee")
        },
    )
    market = made_market(seed, hours, leveraged=False, volatility=volatility, venues=len(legs))
    return for_carry(market, legs), parameters


def _two_venues(hours: int = 12, **changes: object) -> tuple[MarketArrays, Parameters]:
    """Short at 50,000 and long at 50,100, on a market that stands still and costs nothing."""
    market, parameters = _case([-0.8, 0.8], hours, **changes)
    marks = np.broadcast_to((50_000.0, 50_100.0), (hours, 2)).copy()
    market = free(still(market))._replace(perp_mark=marks, perp_extreme=marks.copy())
    return market._replace(spot=np.full(hours, 50_050.0)), parameters


def _restored(market: MarketArrays, carry: Floats) -> MarketArrays:
    """Return the market with the asset's price computed from its marks."""
    return market._replace(spot=np.average(market.perp_mark, axis=1, weights=np.abs(carry)))


def test_a_worked_example() -> None:
    """Sizes, fees, margins, funding, price changes and risk of two legs, written out by hand."""
    market, parameters = _two_venues(rebalance_enabled=False)
    market.cost_bps[:] = 5.0
    market.perp_mark[6:] = (51_000.0, 51_200.0)
    market.perp_extreme[:] = market.perp_mark
    market.funding_rate[8] = (0.0004, 0.0001)
    market = _restored(market, parameters.carry)
    run = simulate(market, parameters, CAPITAL)

    # 80,000 at the mean price of 50,050, on both sides.
    units = 80_000.0 / 50_050.0
    fees = (units * 50_000.0 * 0.0005, units * 50_100.0 * 0.0005)
    entered = CAPITAL - sum(fees)
    held = run.hourly.perps["quantity"]
    assert held[0].tolist() == pytest.approx([-units, units], rel=1e-14)
    assert held[0].sum() == 0.0
    assert run.equity[0] == pytest.approx(entered, rel=1e-14)
    assert run.hourly.perps["balance"][0].tolist() == pytest.approx([entered / 2.0] * 2, rel=1e-14)
    # The short loses 1,000 a unit, the long gains 1,100; then one receives and the other pays.
    moved = -units * 1_000.0 + units * 1_100.0
    received, paid = units * 51_000.0 * 0.0004, units * 51_200.0 * 0.0001
    assert run.equity[6] == pytest.approx(entered + moved, rel=1e-14)
    assert run.equity[8] == pytest.approx(entered + moved + received - paid, rel=1e-14)
    funding = run.events[run.events["kind"] == EventKind.FUNDING]
    assert funding["notional"].tolist() == pytest.approx([received, -paid], rel=1e-14)

    risk, by_venue = measure(market, parameters, run)
    left = entered / 2.0
    short = (left - units * 1_000.0 + received) / (units * 51_000.0)
    long = (left + units * 1_100.0 - paid) / (units * 51_200.0)
    assert by_venue["margin_ratio"][8].tolist() == pytest.approx([short, long], rel=1e-12)
    assert by_venue["margin_ratio_before"][8].tolist() == pytest.approx([short, long], rel=1e-12)
    assert risk["min_margin_ratio"][8] == pytest.approx(short, rel=1e-12)
    assert risk["gross_exposure"][8] == pytest.approx(2.0 * units * 51_100.0, rel=1e-14)
    assert risk["net_delta"][8] == risk["net_exposure"][8] == 0.0
    figures = dict(zip(FIGURES, run.figures, strict=True))
    closing = units * (51_000.0 + 51_200.0) * 0.0005
    assert figures["exit_cost"] == pytest.approx(closing, rel=1e-12)
    assert figures["max_abs_delta"] == 0.0


legs_that_sum_to_zero = st.tuples(
    st.lists(st.floats(0.05, 1.0), min_size=1, max_size=2),
    st.lists(st.floats(0.05, 1.0), min_size=1, max_size=2),
).map(lambda legs: [s / sum(legs[0]) for s in legs[0]] + [-s / sum(legs[1]) for s in legs[1]])


@given(
    legs=legs_that_sum_to_zero,
    size=st.floats(0.05, 2.0),
    lending=st.floats(0.0, 0.8),
    seed=st.integers(0, 10_000),
)
def test_the_closed_form_at_every_hour(
    legs: list[float], size: float, lending: float, seed: int
) -> None:
    """`E0 + Σ q ΔP - Σ rate q P` with signed units, and lending's growth on its share."""
    carry = [size * leg for leg in legs]
    market, parameters = _case(carry, 200, seed, 0.002, lending_weight=lending, **HELD)
    market = free(market)
    run = simulate(market, parameters._replace(maintenance_margin=np.zeros(len(legs))), CAPITAL)
    if run.equity.min() <= 0.0 or len(run.events[run.events["kind"] == EventKind.LIQUIDATION]):
        return  # a closed position has no closed form
    units = np.array(carry) * CAPITAL / np.average(market.perp_mark[0], weights=np.abs(carry))
    assert abs(units.sum()) <= 1e-12 * np.abs(units).max()
    paid = market.funding_rate * market.perp_mark * units
    paid[0] = 0.0  # nothing is held before the entry
    expected = CAPITAL + ((market.perp_mark - market.perp_mark[0]) * units).sum(axis=1)
    expected += lending * CAPITAL * (market.lending_index / market.lending_index[0] - 1.0)
    expected -= np.cumsum(paid.sum(axis=1))
    np.testing.assert_allclose(run.equity, expected, rtol=1e-9)


@given(legs=legs_that_sum_to_zero, seed=st.integers(0, 10_000))
def test_the_other_way_round_earns_what_this_way_loses(legs: list[float], seed: int) -> None:
    """Protects the signs: without costs a carry and its mirror image leave nothing together."""
    equity = []
    for sign in (0.5, -0.5):
        market, parameters = _case([sign * leg for leg in legs], 100, seed, 0.002, **HELD)
        equity.append(simulate(free(market), parameters, CAPITAL).equity)
    np.testing.assert_allclose(equity[0] + equity[1], 2.0 * CAPITAL, rtol=1e-12)


@pytest.mark.parametrize(("low", "due"), [(0.600, False), (0.390, True), (0.385, True)])
def test_a_long_is_liquidated_at_its_low(low: float, due: bool) -> None:
    """The long is closed there for its fee; the short stays open until a rebalance restores both.

    Margin is 0.625 of notional at entry: at a price factor x the ratio is `(x - 0.375) / x`, and
    maintenance of 5 % is met down to 0.375 / 0.95 = 0.3947.
    """
    market, parameters = _two_venues(rebalance_enabled=False)
    marks = np.full((12, 2), 50_000.0)
    market = market._replace(perp_mark=marks, perp_extreme=marks.copy(), spot=marks[:, 0].copy())
    market.perp_extreme[6, 1] *= low
    run = simulate(market, parameters, CAPITAL)
    liquidations = run.events[run.events["kind"] == EventKind.LIQUIDATION]
    figures = dict(zip(FIGURES, run.figures, strict=True))
    assert figures["min_margin_ratio"] == pytest.approx((low - 0.375) / low, rel=1e-12)
    assert len(liquidations) == due
    if not due:
        assert run.equity[-1] == pytest.approx(CAPITAL, rel=1e-14)
        return
    units, price = 1.6, low * 50_000.0
    fee = 0.0125 * units * price
    event = liquidations[0]
    assert (event.hour, event.quantity, event.price) == pytest.approx((6, -units, price))
    parts = {name: run.components[6, COMPONENTS.index(name)] for name in COMPONENTS}
    assert parts["perp_price"] == pytest.approx(-units * (50_000.0 - price), rel=1e-12)
    assert parts["liquidation"] == pytest.approx(-fee, rel=1e-12)
    # What is left stays at the venue, and the short stands alone.
    left = 50_000.0 - units * (50_000.0 - price) - fee
    assert run.hourly.perps["balance"][6, 1] == pytest.approx(left, rel=1e-12)
    assert run.hourly.perps["quantity"][-1].tolist() == pytest.approx([-units, 0.0], rel=1e-14)
    assert figures["max_abs_delta"] == pytest.approx(80_000.0 / run.equity[6], rel=1e-12)

    restored = simulate(market, parameters._replace(rebalance_enabled=True), CAPITAL)
    rebalances = restored.events[restored.events["kind"] == EventKind.REBALANCE]
    assert rebalances["hour"].tolist() == [6]
    units = 0.8 * run.equity[6] / 50_000.0
    assert restored.hourly.perps["quantity"][6].tolist() == pytest.approx([-units, units])
    assert restored.hourly.perps["balance"][6, 1] == pytest.approx(run.equity[6] / 2.0)


def test_a_short_is_liquidated_at_its_high_and_the_long_is_not() -> None:
    """A rise that no mark shows: the short's extreme is the high, the long's is the low."""
    market, parameters = _two_venues(rebalance_enabled=False)
    # The short's ratio is (1.625 - x) / x: maintenance of 5 % is met up to 1.5476.
    market.perp_extreme[6, 0] *= 1.56
    run = simulate(market, parameters, CAPITAL)
    assert (run.hourly.perps["quantity"][-1] != 0.0).tolist() == [False, True]
