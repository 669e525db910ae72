"""Liquidations of the loan and of the hedge (SEMANTICS 7)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.engine import (
    COMPONENTS,
    FIGURES,
    MarketArrays,
    Parameters,
    Simulation,
    simulate,
)
from basis_pipeline.engine.hours import hour_coefficients
from basis_pipeline.engine.liquidation import liquidate_loan
from basis_pipeline.engine.model import ROW, EventKind, parameter_record
from basis_pipeline.engine.risk import measure
from basis_pipeline.engine.simulation import empty_book
from tests.engine.markets import free, made_parameters, mode_case, still


def _liquidations(simulation: Simulation) -> np.ndarray:
    return simulation.events[simulation.events["kind"] == EventKind.LIQUIDATION]


def _booked(simulation: Simulation) -> float:
    return float(simulation.components[:, COMPONENTS.index("liquidation")].sum())


@given(
    health_factor=st.floats(0.5, 0.999),
    collateral_index=st.floats(1.0, 1.3),
    borrow_index=st.floats(1.0, 1.3),
    oracle=st.floats(1.0, 1.2),
)
def test_a_seized_loan_loses_exactly_the_bonus(
    health_factor: float, collateral_index: float, borrow_index: float, oracle: float
) -> None:
    """Protects conversion: each side with its own token's index, and money conserved."""
    market, _, _ = mode_case("eth_leveraged", hours=2)
    market = still(market)._replace(
        spot=np.full(2, 2500.0),
        collateral_index=np.full(2, collateral_index),
        borrow_index=np.full(2, borrow_index),
        oracle_rate=np.full(2, oracle),
        lst_mark=np.full(2, oracle),
    )
    parameters = parameter_record(made_parameters(0))
    debt = 0.95 * 100.0 / health_factor
    hours = hour_coefficients(market)
    book = empty_book(hours)
    book.holdings.staked = 100.0 / (collateral_index * oracle)
    book.holdings.debt = debt / borrow_index
    row = np.zeros(1, ROW)[0]
    liquidate_loan(book, hours, parameters, 1, row)
    repaid = debt - book.holdings.debt * borrow_index
    seized = 100.0 - book.holdings.staked * collateral_index * oracle
    wanted = debt if health_factor < 0.95 else 0.5 * debt
    assert repaid == pytest.approx(min(wanted, 100.0 / 1.01), rel=1e-12)
    assert seized == pytest.approx(1.01 * repaid, rel=1e-12)
    assert row.liquidation == pytest.approx(-0.01 * repaid * 2500.0, rel=1e-9)


@pytest.mark.parametrize(
    ("ltv", "fall", "times"), [(0.9, 0.94, 0), (0.9, 0.946, 0), (0.9, 0.93, 1)]
)
def test_only_the_oracle_liquidates_a_loan(ltv: float, fall: float, times: int) -> None:
    """Protects the trigger: the redemption rate counts, a depeg on the market does not."""
    market, parameters, capital = mode_case(
        "eth_leveraged", hours=30, target_ltv=ltv, rebalance_enabled=False
    )
    market = free(still(market))
    oracle = market.oracle_rate.copy()
    oracle[10:] *= fall if times else 1.0
    depegged = market.market_rate * (1.0 if times else fall)
    run = simulate(
        market._replace(oracle_rate=oracle, lst_mark=oracle, market_rate=depegged),
        parameters,
        capital,
    )
    assert len(_liquidations(run)) == times


@pytest.mark.parametrize("spike", [1.8, 1.95])
def test_the_intrabar_high_liquidates_a_short(spike: float) -> None:
    """Protects the check: at the high the venue's equity against maintenance, fee and all."""
    market, parameters, capital = mode_case("btc_basis", hours=30, rebalance_enabled=False)
    market = free(still(market))
    price = float(market.perp_mark[0, 0])
    extreme = market.perp_extreme.copy()
    extreme[10, 0] = spike * price
    run = simulate(market._replace(perp_extreme=extreme), parameters, capital)
    # Margin equals notional at entry, so maintenance of 5 % is met up to 2 / 1.05 = 1.905.
    due = spike > 2.0 / 1.05
    assert len(_liquidations(run)) == due
    if due:
        quantity = -run.hourly.perps["quantity"][9, 0]
        fee = 0.0125 * quantity * spike * price
        path = quantity * (spike - 1.0) * price
        loss = path + fee
        assert _booked(run) == pytest.approx(-fee, rel=1e-12)
        perp_price = run.components[:, COMPONENTS.index("perp_price")].sum()
        assert perp_price == pytest.approx(-path, rel=1e-12)
        left = run.hourly.perps["balance"][9, 0] - loss
        assert run.hourly.perps["balance"][10, 0] == pytest.approx(left, rel=1e-12)


def test_a_closed_hedge_is_rebuilt_when_rebalancing_is_on() -> None:
    """Protects the book after a liquidation: it continues, hedged again, smaller."""
    market, parameters, capital = mode_case("btc_basis", hours=30)
    market = free(still(market))
    extreme = market.perp_extreme.copy()
    extreme[10, 0] *= 1.95
    run = simulate(market._replace(perp_extreme=extreme), parameters, capital)
    assert len(_liquidations(run)) == 1
    assert run.equity[-1] < 0.9 * capital
    short = -run.hourly.perps["quantity"][10, :]
    assert short == pytest.approx(short.sum() * parameters.hedge_weights, rel=1e-9)


def test_ruin_stops_trading_and_is_recorded() -> None:
    """Protects against a crash or a reset: equity below zero stays on the record."""
    market, parameters, capital = mode_case("btc_basis", hours=60, spot_weight=0.9)
    market = free(still(market))._replace()
    for name in ("perp_mark", "perp_extreme"):
        getattr(market, name)[20:] *= 3.0  # the hedge triples, the spot does not
    run = simulate(market, parameters, capital)
    assert run.equity[20] < 0.0
    assert np.isfinite(run.equity).all()
    assert np.max(np.abs(run.residual)) <= 1e-9 * capital


def _one_short(hours: int = 12) -> tuple[MarketArrays, Parameters, float]:
    """Return a constant market at 50,000: one venue, funding at hour 8, half in spot."""
    market, parameters, capital = mode_case(
        "btc_basis", hours=hours, venues=1, margin_at_spot_venue=-1, rebalance_enabled=False
    )
    price = np.full(hours, 50_000.0)
    market = free(still(market))._replace(
        spot=price, perp_mark=price[:, None].copy(), perp_extreme=price[:, None].copy()
    )
    return market, parameters, capital


@pytest.mark.parametrize(
    ("ratio", "funding", "liquidated"),
    [(0.05105, -0.0029, False), (0.0499, 0.0029, True)],
)
def test_the_high_comes_before_the_funding(ratio: float, funding: float, liquidated: bool) -> None:
    """A later funding neither kills a position that survived its high, nor saves one that did not.

    Maintenance is 5 %: the high of the bar that ends at 08:00 leaves `ratio`.
    """
    market, parameters, capital = _one_short()
    # Margin equals notional at entry: at a price p the ratio is 2 x 50,000 / p - 1.
    market.perp_extreme[8, 0] = 2.0 * 50_000.0 / (1.0 + ratio)
    market.funding_rate[8, 0] = funding
    run = simulate(market, parameters, capital)
    assert bool(len(_liquidations(run))) == liquidated
    assert dict(zip(FIGURES, run.figures, strict=True))["min_margin_ratio"] == pytest.approx(ratio)
    if liquidated:
        assert run.components[:, COMPONENTS.index("funding")].sum() == 0.0
    else:
        assert run.equity[-1] == pytest.approx(capital * (1.0 + 0.5 * funding), rel=1e-12)


def test_a_price_that_opens_beyond_the_last_high_liquidates_at_once() -> None:
    """BTC x 2.2 between two bars, at 0.8 in spot: the venue closes at that mark, not an hour later.

    Rebalancing on would restore the margin of a position that the venue has closed.
    """
    market, parameters, capital = _one_short()
    parameters = parameters._replace(
        spot_weight=0.8, margin_ratio_min=0.1, rebalance_enabled=True, drift_band=np.inf
    )
    for name in ("spot", "perp_mark", "perp_extreme"):
        getattr(market, name)[6:] *= 2.2
    market.perp_extreme[6] = 50_000.0  # the high of the bar before
    run = simulate(market, parameters, capital)
    (event,) = _liquidations(run)
    assert (event.hour, event.price) == (6, pytest.approx(110_000.0))
    figures = dict(zip(FIGURES, run.figures, strict=True))
    assert figures["min_margin_ratio"] < 0.05


def test_two_venues_closed_at_one_hour_are_two_liquidations() -> None:
    """Each venue closes its own position."""
    market, parameters, capital = mode_case("btc_basis", hours=30, rebalance_enabled=False)
    market = free(still(market))
    market.perp_extreme[10, :2] *= 1.95
    figures = dict(zip(FIGURES, simulate(market, parameters, capital).figures, strict=True))
    assert figures["liquidations"] == 2


def test_a_liquidated_loan_shows_a_health_factor_below_one() -> None:
    """The worst is the value before the liquidation, not after it."""
    market, parameters, capital = mode_case(
        "eth_leveraged", hours=30, target_ltv=0.9, rebalance_enabled=False
    )
    market = free(still(market))
    oracle = market.oracle_rate.copy()
    oracle[10:] *= 0.94
    run = simulate(market._replace(oracle_rate=oracle, lst_mark=oracle), parameters, capital)
    figures = dict(zip(FIGURES, run.figures, strict=True))
    assert figures["liquidations"] >= 1
    assert figures["min_health_factor"] == pytest.approx(0.95 * 0.94 / 0.9, rel=1e-9)
    risk, _ = measure(market._replace(oracle_rate=oracle, lst_mark=oracle), parameters, run)
    assert risk["health_factor_before"][10] < 1.0
