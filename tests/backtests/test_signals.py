"""Signals: the trades that the engine makes, at the last hour and at the next when all stands."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.backtests.backtest import simulate_slice
from basis_pipeline.backtests.signals import SIDES, Signal, signal_of, standing_still
from basis_pipeline.config import ModeSlice, slice_mode
from basis_pipeline.market.panel import ARRAYS, Panel, build_panel
from tests.backtests.trees import MODES, Tree, carries, is_hedged, variants
from tests.market.made_datasets import WINDOW, configs, make_datasets

CAPITAL = 100_000.0
HOUR = pd.Timedelta(hours=1)


def until(panel: Panel, hours: int) -> Panel:
    """Return the first hours of a panel."""
    cut = {name: getattr(panel, name)[:hours].copy() for name in ARRAYS}
    repairs = {name: flags[:hours] for name, flags in panel.repairs.items()}
    rest = {"timestamps": panel.timestamps[:hours], "repaired": panel.repaired[:hours]}
    return replace(panel, repairs=repairs, **rest, **cut)


def flat_hour(panel: Panel, hours: int) -> Panel:
    """Return the first hours of a panel and one more, in which the market does not move."""
    longer = until(panel, hours + 1)
    for name in ARRAYS:
        getattr(longer, name)[-1] = getattr(longer, name)[-2]
    longer.funding_rate[-1] = 0.0
    longer.perp_extreme[-1] = longer.perp_mark[-2]
    longer.reward_tokens_per_unit[-1] = 0.0
    longer.reward_payout[-1] = -1.0
    return longer


def signal(sliced: ModeSlice, panel: Panel) -> Signal:
    """Return the signal of the last hour alone."""
    since = panel.hours[-1] - HOUR
    return signal_of(sliced, panel, CAPITAL, since, account="a", leg=1)


def assert_signals_are_trades(sliced: ModeSlice, panel: Panel) -> None:
    """Compare orders and trades to 1e-9, at the first hours with trades and some without."""
    events = simulate_slice(sliced, panel, CAPITAL)[1]["events"]
    traded = events[events["kind"].isin(list(SIDES)) & (events["timestamp"] > panel.hours[0])]
    busy = [int(row) for row in np.unique(panel.hours.get_indexer(traded["timestamp"]))]
    for row in {*busy[:4], 5, len(panel.hours) // 2}:
        found = signal(sliced, until(panel, row + 1))
        made = simulate_slice(sliced, flat_hour(panel, row + 1), CAPITAL)[1]["events"]
        made = made[made["kind"].isin(list(SIDES)) & (made["timestamp"] >= panel.hours[row])]
        assert len(found.orders) == len(made)
        assert (found.action == "hold") == (row not in busy)
        for order, event in zip(found.orders, made.to_dict("records"), strict=True):
            assert (order.at, order.venue, order.instrument) == (
                event["timestamp"],
                event["venue"],
                event["instrument"],
            )
            for name, value in (
                ("quantity", abs(event["quantity"])),
                ("price", event["price"]),
                ("notional", event["notional"]),
                ("cost", event["fee"]),
                ("gas", event["gas"]),
            ):
                assert getattr(order, name) == pytest.approx(value, rel=1e-9, abs=1e-12)


def test_signals_are_the_trades_of_the_engine(sample: Tree) -> None:
    """In every mode those of the last hour, and of the next when the price stands."""
    for mode in MODES:
        window = sample.windows["middle"]
        choice = "tight bands" if is_hedged(mode) or carries(mode) else "as committed"
        overrides = variants(mode, window)[choice]
        sliced = slice_mode(sample.configs, mode, overrides)
        assert_signals_are_trades(sliced, sample.run(mode, "middle", overrides).panel)


@pytest.mark.parametrize(
    ("mode", "band"),
    [
        ("sol_basis", {"rebalance.margin_ratio": {"min": 0.9, "max": 1.1}}),
        ("funding_arbitrage", {"rebalance.drift_band": 0.01}),
    ],
)
def test_signals_of_another_coin_are_the_trades_of_the_engine(
    mode: str, band: dict[str, Any]
) -> None:
    """SOL on two exchanges, of which one settles its funding every hour."""
    sliced = slice_mode(configs(), mode, band)
    panel = build_panel(sliced, make_datasets(), WINDOW)
    kinds = set(simulate_slice(sliced, panel, CAPITAL)[1]["events"]["kind"])
    assert {"rebalance", "trade", "transfer"} <= kinds
    assert_signals_are_trades(sliced, panel)


def test_the_orders_lead_to_the_targets(sample: Tree) -> None:
    """What is traded of the asset is the difference of the two columns of the positions."""
    for mode in MODES:
        sliced = slice_mode(sample.configs, mode)
        panel = until(sample.run(mode, "middle").panel, 2)
        found = signal_of(sliced, panel, CAPITAL, None, account="a", leg=1)
        assert found.action == "enter", mode
        assert all(one.current == 0.0 for one in found.positions), mode
        perps = {one.key: one.target for one in found.positions if ":Perp:" in one.key}
        for key, target in perps.items():
            orders = [
                o for o in found.orders if key.startswith(f"{o.venue}:") and "PERP" in o.instrument
            ]
            traded = sum({"buy": 1.0, "sell": -1.0}.get(o.side, 0.0) * o.quantity for o in orders)
            assert traded == pytest.approx(target, rel=1e-12), mode
        for order in found.orders:
            worse = order.limit_price - order.price
            assert worse * {"buy": 1.0, "sell": -1.0}.get(order.side, 0.0) >= 0.0, mode


def test_an_entry_is_due_for_a_day(sample: Tree) -> None:
    """A mode that lends comes to its first midnight a day after it began: it is to be entered."""
    sliced = slice_mode(sample.configs, "pure_lending")
    panel = sample.run("pure_lending", "middle").panel
    found = [
        signal_of(sliced, until(panel, hours), CAPITAL, None, account="a", leg=1).action
        for hours in (2, 25, 26)
    ]
    assert found == ["enter", "enter", "hold"]


def test_an_hour_that_stands_still_changes_nothing(sample: Tree) -> None:
    """Equity, and every position, are those of the hour before."""
    sliced = slice_mode(sample.configs, "usdt_market_neutral")
    panel = sample.run("usdt_market_neutral", "middle").panel
    frames = simulate_slice(sliced, standing_still(panel), CAPITAL)[1]
    equity = frames["equity"]["equity"].to_numpy()
    assert equity[-1] == pytest.approx(equity[-2], rel=1e-15)
    positions = frames["positions"].drop(columns="timestamp").to_numpy()
    np.testing.assert_array_equal(positions[-1], positions[-2])


def test_carry_drifts_from_its_shares(sample: Tree) -> None:
    """The distance of `drift` is that of the leg farthest from its share of equity."""
    sliced = slice_mode(sample.configs, "funding_arbitrage", {"rebalance.drift_band": 10.0})
    panel = until(sample.run("funding_arbitrage", "middle").panel, 200)
    panel.spot[100:] *= 1.15
    panel.perp_mark[100:] *= 1.15
    panel.perp_extreme[100:] *= 1.15
    found = signal(sliced, panel)
    (drift,) = (one for one in found.distances if one.name == "drift")
    carry = sliced.mode.hedge.carry
    legs = {p.key.split(":")[0]: p.current for p in found.positions if ":Perp:" in p.key}
    shares = {venue: units * panel.spot[-1] / found.equity for venue, units in legs.items()}
    assert drift.value == pytest.approx(max(abs(shares[v] - carry[v]) for v in carry), rel=1e-12)
    assert drift.value > 0.05


def test_a_price_beyond_the_move_liquidates(sample: Tree) -> None:
    """A price just short of the stated move leaves a position, one just beyond it closes it."""
    for mode in [mode for mode in MODES if is_hedged(mode)]:
        sliced = slice_mode(sample.configs, mode, {"rebalance.enabled": False})
        panel = until(sample.run(mode, "middle").panel, 12)
        found = signal(sliced, panel)
        nearest = {
            one.venue: one for one in found.distances if one.name == "liquidation" and one.venue
        }
        for place, venue in enumerate(panel.venues):
            for share, closed in ((0.999, False), (1.001, True)):
                moved = standing_still(panel)
                move = 1.0 + share * (nearest[venue].price_move or 0.0)
                moved.perp_mark[-1, place] *= move
                moved.perp_extreme[-1] = moved.perp_mark[-1]
                held = simulate_slice(sliced, moved, CAPITAL)[1]["positions"]
                key = next(k for k in held.columns if k.startswith(f"{venue}:Perp:"))
                assert bool(held[key].iloc[-1] == 0.0) is closed, mode


def test_a_signal_is_json(sample: Tree) -> None:
    """Its times are ISO 8601 at any depth, and a number that is not finite is null."""
    sliced = slice_mode(sample.configs, "btc_basis")
    panel = until(sample.run("btc_basis", "middle").panel, 2)
    found = signal_of(sliced, panel, CAPITAL, None, account="a", leg=1)
    order = replace(found.orders[0], price=np.nan)
    document = json.loads(json.dumps(replace(found, orders=(order,)).to_json(), allow_nan=False))
    assert document["hour"] == found.hour.isoformat()
    assert document["orders"][0]["at"] == order.at.isoformat()
    assert document["orders"][0]["price"] is None
    assert document["action"] == found.action
    assert len(document["positions"]) == len(found.positions)
