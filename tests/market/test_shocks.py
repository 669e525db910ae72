"""Shocks change what they state, from their moment on, and components still explain equity."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from basis_pipeline.backtests.inputs import market_arrays, parameters_of
from basis_pipeline.config import ModeSlice, slice_mode
from basis_pipeline.config.loading import validate
from basis_pipeline.config.scenario import Shock
from basis_pipeline.engine import simulate
from basis_pipeline.errors import ConfigError
from basis_pipeline.market.panel import ARRAYS, Panel, build_panel
from basis_pipeline.market.shocks import apply_shocks, why_unaffected
from tests.market.made_datasets import WINDOW, configs, make_datasets

MODES = tuple(configs().modes)
HEDGED, PANEL_HOURS = "usdt_market_neutral", 109

moments = st.integers(0, PANEL_HOURS - 1)
hours = st.integers(1, 60)
shares = st.floats(0.0, 0.5)
SHOCKS = st.one_of(
    st.fixed_dictionaries({"shock": st.just("spot_path"), "size": st.floats(-1.0, 2.0)}),
    st.fixed_dictionaries(
        {
            "shock": st.just("price_gap"),
            "at": moments,
            "size": st.floats(-0.6, 1.0),
            "recovery_hours": st.one_of(st.none(), hours),
        }
    ),
    st.fixed_dictionaries(
        {
            "shock": st.just("funding"),
            "at": moments,
            "hours": hours,
            "factor": st.floats(-2.0, 2.0),
            "shift": st.floats(-1e-3, 1e-3),
        }
    ),
    st.fixed_dictionaries(
        {"shock": st.just("lst_depeg"), "at": moments, "size": shares, "recovery_hours": hours}
    ),
    st.fixed_dictionaries(
        {"shock": st.just("gas_spike"), "at": moments, "hours": hours, "size": st.floats(0, 20)}
    ),
    st.fixed_dictionaries(
        {"shock": st.just("borrow_rate_spike"), "at": moments, "hours": hours, "size": shares}
    ),
)
OUTAGE = {"shock": "venue_outage", "at": 30, "hours": 12, "venue": "bybit"}


def shock(document: dict[str, Any]) -> Shock:
    """Return a shock as a scenario file defines it."""
    found: Shock = validate(TypeAdapter(Shock), document, "made up")
    return found


@cache
def case(mode: str) -> tuple[ModeSlice, Panel]:
    """Return a mode and its panel of some days, which tests must not change."""
    sliced = slice_mode(configs(), mode)
    return sliced, build_panel(sliced, make_datasets(), WINDOW)


def panels_equal(one: Panel, other: Panel, until: int | None = None) -> bool:
    """Return whether every array has the same bytes, up to a row."""
    return all(
        getattr(one, name)[:until].tobytes() == getattr(other, name)[:until].tobytes()
        for name in ARRAYS
    )


@pytest.mark.parametrize("mode", MODES)
@given(documents=st.lists(SHOCKS, min_size=1, max_size=3))
@settings(max_examples=25, deadline=None)
def test_every_shock_leaves_the_books_balanced(mode: str, documents: list[dict[str, Any]]) -> None:
    """Protects conservation: components explain equity to 1e-9 of it under any combination."""
    sliced, panel = case(mode)
    changed = apply_shocks(panel, [shock(one) for one in documents], sliced)
    run = simulate(market_arrays(changed, sliced), parameters_of(sliced), 1e5)
    assert run.finite.all()
    assert np.all(np.abs(run.residual) <= 1e-9 * np.abs(run.equity))


@pytest.mark.parametrize("mode", MODES)
@given(document=SHOCKS, cut=st.integers(1, PANEL_HOURS - 1))
@settings(max_examples=25, deadline=None)
def test_no_shock_looks_ahead(mode: str, document: dict[str, Any], cut: int) -> None:
    """What lies after an hour changes no shocked hour up to it, nor any hour before its moment."""
    sliced, panel = case(mode)
    changed = apply_shocks(panel, [shock(document)], sliced)
    if "at" in document:
        assert panels_equal(changed, panel, document["at"])
    doubled = {name: getattr(panel, name).copy() for name in ARRAYS}
    for array in doubled.values():
        array[cut:] *= 1.5
    altered = apply_shocks(replace(panel, **doubled), [shock(document)], sliced)
    assert panels_equal(changed, altered, cut)


@pytest.mark.parametrize(
    "document",
    [
        {"shock": "spot_path", "size": 0.0},
        {"shock": "price_gap", "at": 5, "size": 0.0},
        {"shock": "funding", "at": 5, "hours": 50},
        {"shock": "lst_depeg", "at": 5, "size": 0.0, "recovery_hours": 9},
        {"shock": "gas_spike", "at": 5, "hours": 9, "size": 0.0},
        {"shock": "borrow_rate_spike", "at": 5, "hours": 9, "size": 0.0},
    ],
)
def test_a_shock_of_no_size_changes_nothing(document: dict[str, Any]) -> None:
    """The same object is returned."""
    for mode in MODES:
        sliced, panel = case(mode)
        assert apply_shocks(panel, [shock(document)], sliced) is panel, mode


REACH = (
    {"shock": "funding", "at": 5, "hours": 90, "factor": -3.0},
    {"shock": "lst_depeg", "at": 5, "size": 0.3, "recovery_hours": 90},
    {"shock": "gas_spike", "at": 0, "hours": 90, "size": 9.0},
    {"shock": "borrow_rate_spike", "at": 5, "hours": 90, "size": 0.9},
    {"shock": "price_gap", "at": 50, "size": -0.4},
)


def test_equity_changes_exactly_where_a_shock_can_affect_the_mode() -> None:
    """Without trades, equity is the same to the bit where `why_unaffected` gives a reason."""
    for mode in MODES:
        overrides = {"rebalance.enabled": False, "rewards.enabled": False}
        sliced = slice_mode(configs(), mode, overrides)
        panel = build_panel(sliced, make_datasets(), WINDOW)
        calm = simulate(market_arrays(panel, sliced), parameters_of(sliced), 1e5)
        for document in REACH:
            changed = apply_shocks(panel, [shock(document)], sliced)
            run = simulate(market_arrays(changed, sliced), parameters_of(sliced), 1e5)
            reason = why_unaffected(shock(document), sliced)
            assert bool(reason) == np.array_equal(run.equity, calm.equity), (document, reason)


@given(st.lists(SHOCKS, min_size=2, max_size=4))
@settings(max_examples=25, deadline=None)
def test_shocks_compose(documents: list[dict[str, Any]]) -> None:
    """Several at once equal one after the other; the given panel is unchanged."""
    sliced, panel = case(HEDGED)
    before = {name: getattr(panel, name).tobytes() for name in ARRAYS}
    shocks = [shock(one) for one in documents]
    step = panel
    for one in shocks:
        step = apply_shocks(step, [one], sliced)
    assert panels_equal(apply_shocks(panel, shocks, sliced), step)
    assert before == {name: getattr(panel, name).tobytes() for name in ARRAYS}


def test_a_gap_moves_everything_quoted_in_the_asset() -> None:
    """Spot, perpetuals, gas and reward tokens fall together; the extreme before it stays."""
    sliced, panel = case(HEDGED)
    gap = shock({"shock": "price_gap", "at": 40, "size": -0.3})
    changed = apply_shocks(panel, [gap], sliced)
    for name in ("spot", "perp_mark", "gas_price", "reward_price"):
        ratio = getattr(changed, name)[40:] / getattr(panel, name)[40:]
        assert np.allclose(ratio[np.isfinite(ratio)], 0.7), name
    assert np.allclose(changed.perp_extreme[40], panel.perp_extreme[40])
    assert np.allclose(changed.perp_extreme[41:], 0.7 * panel.perp_extreme[41:])
    back = apply_shocks(panel, [gap.model_copy(update={"recovery_hours": 20})], sliced)
    assert back.spot[50] / panel.spot[50] == pytest.approx(1.0 - 0.3 * 0.5)
    assert np.array_equal(back.spot[60:], panel.spot[60:])


def test_a_path_scaled_doubles_every_return() -> None:
    """A size of -1 makes the price constant; the basis is unchanged."""
    sliced, panel = case("eth_basis")
    wild = apply_shocks(panel, [shock({"shock": "spot_path", "size": 1.0})], sliced)
    assert np.allclose(np.diff(np.log(wild.spot)), 2.0 * np.diff(np.log(panel.spot)), atol=1e-12)
    still = apply_shocks(panel, [shock({"shock": "spot_path", "size": -1.0})], sliced)
    assert np.allclose(still.spot, panel.spot[0])
    basis = panel.perp_mark / panel.spot[:, None]
    assert np.allclose(still.perp_mark / still.spot[:, None], basis)


def test_funding_changes_only_where_it_settles() -> None:
    """A flip of one venue leaves the others, a shift adds to settlements alone."""
    sliced, panel = case(HEDGED)
    document = {"shock": "funding", "at": 10, "hours": 40, "venues": ["okx"], "factor": -1.0}
    changed = apply_shocks(panel, [shock({**document, "shift": -1e-4})], sliced)
    okx, rates = panel.venues.index("okx"), panel.funding_rate[10:50]
    settles = rates[:, okx] != 0.0
    assert settles.sum() == 5
    expected = np.where(settles, -rates[:, okx] - 1e-4, 0.0)
    assert np.array_equal(changed.funding_rate[10:50, okx], expected)
    others = [v for v in range(3) if v != okx]
    assert np.array_equal(changed.funding_rate[:, others], panel.funding_rate[:, others])


def test_an_outage_freezes_a_venue_and_ends_at_the_worst_price_of_it() -> None:
    """Its price, its extreme and its funding stop; then the extreme is that of the whole outage."""
    sliced, panel = case(HEDGED)
    changed, bybit = apply_shocks(panel, [shock(OUTAGE)], sliced), panel.venues.index("bybit")
    assert np.all(changed.perp_mark[30:42, bybit] == panel.perp_mark[29, bybit])
    assert np.all(changed.funding_rate[30:42, bybit] == 0.0)
    assert np.any(panel.funding_rate[30:42, bybit] != 0.0)
    assert changed.perp_extreme[42, bybit] == panel.perp_extreme[30:43, bybit].max()
    assert np.array_equal(changed.perp_mark[42:], panel.perp_mark[42:])


def test_a_long_is_shocked_at_its_low() -> None:
    """A gap takes the low with it where the price falls, an outage ends at the lowest it missed."""
    sliced, panel = case("funding_arbitrage")
    long, short = panel.venues.index("binance"), panel.venues.index("hyperliquid")
    changed = apply_shocks(panel, [shock({**OUTAGE, "venue": "binance"})], sliced)
    assert changed.perp_extreme[42, long] == panel.perp_extreme[30:43, long].min()
    for size in (-0.3, 0.3):
        gap = {"shock": "price_gap", "at": 40, "size": size, "recovery_hours": None}
        changed = apply_shocks(panel, [shock(gap)], sliced)
        ratio = changed.perp_extreme / panel.perp_extreme
        assert ratio[40, short] == pytest.approx(max(1.0, 1.0 + size), rel=1e-15)
        assert ratio[40, long] == pytest.approx(min(1.0, 1.0 + size), rel=1e-15)
        assert np.allclose(changed.perp_mark[40:] / panel.perp_mark[40:], 1.0 + size, rtol=1e-14)
        mean = changed.perp_mark.mean(axis=1)
        assert np.allclose(changed.spot, mean, rtol=1e-14)


def test_borrowing_costs_more_for_its_hours_and_keeps_the_debt() -> None:
    """A year at 20 % more would grow the index by that; afterwards it grows as before."""
    sliced, panel = case("eth_leveraged")
    spike = {"shock": "borrow_rate_spike", "at": 20, "hours": 24, "size": 0.2}
    changed = apply_shocks(panel, [shock(spike)], sliced)
    growth = changed.borrow_index / panel.borrow_index
    assert np.all(growth[:21] == 1.0)
    assert growth[-1] == growth[44] == pytest.approx(np.exp(0.2 * 24 / 8760))
    assert np.all(np.diff(changed.borrow_index) > 0.0)


def test_inapplicable_shocks_are_rejected_and_applied_ones_hashed() -> None:
    """A moment outside, a venue the mode does not hedge at; a shocked panel has other hashes."""
    sliced, panel = case(HEDGED)
    late = {"shock": "price_gap", "at": "2024-12-01", "size": 0.1}
    with pytest.raises(ConfigError, match="CONFIG-011"):
        apply_shocks(panel, [shock(late)], sliced)
    with pytest.raises(ConfigError, match="CONFIG-008"):
        apply_shocks(panel, [shock({**OUTAGE, "venue": "deribit"})], sliced)
    dated = apply_shocks(panel, [shock({**OUTAGE, "at": "2024-10-05T12:00"})], sliced)
    assert dated.data_hashes.keys() - panel.data_hashes.keys() == {"shocks"}
    assert np.array_equal(dated.perp_mark, apply_shocks(panel, [shock(OUTAGE)], sliced).perp_mark)
