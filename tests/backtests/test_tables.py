"""The result tables: what a position and an event is called, and that both add up to the equity."""

from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.backtests.backtest import run_backtest
from basis_pipeline.backtests.checks import Finished
from basis_pipeline.results.tables import encode
from tests.backtests.by_hand import Floats
from tests.backtests.trees import CONFIGS, MODES, Tree, variants


def perps(coin: str, *venues: str) -> list[str]:
    """Return the position keys of the hedge."""
    return [
        key
        for v in venues
        for key in (f"{v}:Perp:{coin}USDT", f"{v}:BaseToken:USDT", f"{v}:EntryPrice:{coin}USDT")
    ]


REWARDS = ["wallet:BaseToken:EIGEN", "wallet:BaseToken:ETHFI"]
ALL = ("binance", "bybit", "okx")
KEYS = {
    "funding_arbitrage": ["wallet:BaseToken:USDT", *perps("BTC", "binance", "bybit")],
    "pure_lending": ["wallet:BaseToken:USDT", "aave_v3:aToken:aUSDT"],
    "pure_lending_eth": ["wallet:BaseToken:ETH", "aave_v3:aToken:aWETH"],
    "btc_basis": [
        "wallet:BaseToken:USDT", "binance:BaseToken:BTC", *perps("BTC", "binance", "bybit"),
    ],
    "eth_basis": ["wallet:BaseToken:USDT", "bybit:BaseToken:ETH", *perps("ETH", *ALL)],
    "eth_staking_only": ["wallet:BaseToken:ETH", "etherfi:LST:weETH", *REWARDS],
    "eth_leveraged": [
        "wallet:BaseToken:ETH", "aave_v3:aToken:aweETH", "aave_v3:debtToken:debtWETH", *REWARDS,
    ],
    "usdt_market_neutral_no_leverage": [
        "wallet:BaseToken:USDT", "etherfi:LST:weETH", *REWARDS, *perps("ETH", *ALL),
    ],
    "usdt_market_neutral": [
        "wallet:BaseToken:USDT", "aave_v3:aToken:aweETH", "aave_v3:debtToken:debtWETH", *REWARDS,
        *perps("ETH", *ALL),
    ],
}  # fmt: skip


def test_positions_have_the_keys_of_the_book(sample: Tree) -> None:
    """SEMANTICS 2: venue, type and instrument, what the mode holds and nothing it cannot hold."""
    for mode in MODES:
        positions = sample.run(mode).result.frames["positions"]
        assert list(positions.columns) == ["timestamp", *KEYS[mode]], mode


def test_keys_follow_the_token_and_the_venue(sample: Tree) -> None:
    """Another staking token stands with its own issuer, another spot venue in the asset's key."""
    lido = sample.run("eth_staking_only", "whole", {"staking.lst": "wstETH"})
    keys = list(lido.result.frames["positions"].columns)
    assert keys == ["timestamp", "wallet:BaseToken:ETH", "lido:LST:wstETH"]
    pool = sample.run("eth_basis", "whole", {"spot.venue": "uniswapv3"})
    assert "uniswapv3:BaseToken:ETH" in pool.result.frames["positions"].columns
    assert set(trades(pool, "ETHUSDT")["venue"]) == {"uniswapv3"}


def worth(run: Finished) -> Floats:
    """Compute equity from the positions and the panel, key by key."""
    panel, mode = run.panel, run.mode_slice.mode
    by_oracle = mode.pricing.mark_lst == "oracle"
    lst = (panel.oracle_rate if by_oracle else panel.market_rate) * panel.spot
    tokens = dict(zip(panel.reward_tokens, panel.reward_price.T, strict=True))
    positions = run.result.frames["positions"]
    total = np.zeros(len(positions))
    for key in positions.columns.drop("timestamp"):
        held = positions[key].to_numpy()
        venue, kind, instrument = key.split(":")
        if kind == "aToken" and instrument == f"a{mode.staking.lst}":
            total += held * panel.collateral_index * lst
        elif kind == "aToken":
            total += held * panel.lending_index
        elif kind == "debtToken":
            total -= held * panel.borrow_index * panel.spot
        elif kind == "LST":
            total += held * lst
        elif kind == "Perp":
            mark = panel.perp_mark[:, panel.venues.index(venue)]
            total += held * (mark - positions[f"{venue}:EntryPrice:{instrument}"].to_numpy())
        elif kind == "BaseToken" and instrument in tokens:
            total += np.where(held == 0.0, 0.0, held * np.nan_to_num(tokens[instrument]))
        elif kind == "BaseToken":
            total += held * (1.0 if instrument == mode.share_class else panel.spot)
    return total


@pytest.mark.parametrize("mode", MODES)
def test_positions_at_their_prices_are_the_equity(tree: Tree, mode: str) -> None:
    """Nothing is worth anything that is not a position, at any hour of any scenario."""
    for name, run in tree.scenarios(mode):
        equity = run.column("equity", "equity")
        np.testing.assert_allclose(worth(run), equity, rtol=1e-9, atol=0.0, err_msg=name)


def test_a_sound_book_is_long_what_it_owns_and_short_what_it_hedges(tree: Tree) -> None:
    """Signs of SEMANTICS 2: only perpetuals and the wallet's rounding are ever below zero."""
    for mode in MODES:
        positions = tree.run(mode).result.frames["positions"]
        equity = tree.run(mode).column("equity", "equity")
        for key in positions.columns.drop("timestamp"):
            held = positions[key].to_numpy()
            if ":Perp:" in key:
                is_long = tree.run(mode).mode_slice.mode.is_long_at(key.partition(":")[0])
                assert ((held > 0.0) if is_long else (held < 0.0)).all(), mode
            elif key in ("wallet:BaseToken:USDT", "wallet:BaseToken:ETH"):
                assert (held > -1e-9 * equity).all(), mode
            else:
                assert (held >= 0.0).all(), mode
                assert (held > 0.0).any(), mode


def events_of(run: Finished, *kinds: str) -> pd.DataFrame:
    """Return events of some kinds."""
    events = run.result.frames["events"]
    return events[events["kind"].isin(kinds)]


def trades(run: Finished, instrument: str, *kinds: str) -> pd.DataFrame:
    """Return trades in an instrument; with `kinds`, other events instead."""
    found = events_of(run, *(kinds or ("trade",)))
    return found[found["instrument"] == instrument]


def by_hour(run: Finished, events: pd.DataFrame, values: pd.Series) -> Floats:
    """Sum values by hour, (n,)."""
    marks = np.searchsorted(run.panel.hours, pd.DatetimeIndex(events["timestamp"]))
    return np.bincount(marks, weights=values.to_numpy(), minlength=len(run.panel.timestamps))


@pytest.mark.parametrize("mode", MODES)
def test_events_carry_every_payment(tree: Tree, mode: str) -> None:
    """Fees, gas, funding and flows of the ledger are those of the tables, hour by hour."""
    for name, run in tree.scenarios(mode):
        tolerance = 1e-11 * run.result.identity.capital
        events = run.result.frames["events"]
        costly = events_of(run, "trade", "stake", "borrow", "repay")
        funding = events_of(run, "funding")
        flows = events_of(run, "flow")
        for found, expected in (
            (by_hour(run, costly, -costly["fee"]), run.column("attribution", "execution_cost")),
            (by_hour(run, events, -events["gas"]), run.column("attribution", "gas")),
            (by_hour(run, funding, funding["amount"]), run.column("attribution", "funding")),
            (by_hour(run, flows, flows["amount"]), run.column("equity", "flow")),
        ):
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=tolerance, err_msg=name)
        assert (events["gas"] >= 0.0).all(), name
        assert (trades(run, f"{run.mode_slice.mode.asset}USDT-PERP")["fee"] >= 0.0).all(), name


def test_events_say_what_moved_where(sample: Tree) -> None:
    """Venue, instrument, units and amounts of each kind of event mean what the docstring says."""
    for mode in MODES:
        run = sample.run(mode, "whole", variants(mode, sample.windows["whole"])["flows"])
        events, config = run.result.frames["events"], run.mode_slice.mode
        perp = [(venue, f"{config.asset}USDT-PERP") for venue in config.hedge_venues]
        where = {
            "entry": {("wallet", config.share_class)},
            "rebalance": {("wallet", config.share_class)},
            "flow": {("wallet", config.share_class)},
            "supply": {("aave_v3", f"a{config.lending.token}")},
            "withdraw": {("aave_v3", f"a{config.lending.token}")},
            "stake": {("etherfi", "weETH")},
            "borrow": {("aave_v3", "debtWETH")},
            "repay": {("aave_v3", "debtWETH")},
            "reward": {("etherfi", "EIGEN"), ("etherfi", "ETHFI")},
            "funding": set(perp),
            "transfer": set(perp),
            "liquidation": set(perp),
            "trade": {
                *perp, (config.spot.venue, f"{config.asset}USDT"), ("etherfi", "weETH"),
                ("etherfi", "EIGEN"), ("etherfi", "ETHFI"),
            },
        }  # fmt: skip
        for kind, venue, instrument in set(
            events[["kind", "venue", "instrument"]].itertuples(False)
        ):
            assert (venue, instrument) in where[kind], mode
        assert list(events["sequence"]) == list(range(len(events))), mode
        assert list(events["kind"][:1]) == ["entry"], mode
        moved = events["kind"].isin(["funding", "reward", "flow"])
        assert (events.loc[~moved, "amount"] == 0.0).all(), mode
        assert (events.loc[moved, "amount"] != 0.0).all(), mode
        size = (events["quantity"] * events["price"]).abs()
        whole = ~events["kind"].isin(["entry", "rebalance"])
        np.testing.assert_allclose(events.loc[whole, "notional"], size[whole], rtol=1e-12)
        given = events[events["kind"].isin(["reward", "flow"])]
        np.testing.assert_allclose(given["amount"].abs(), given["notional"], rtol=1e-12)
        assert (given.loc[given["kind"] == "reward", "amount"] > 0.0).all(), mode


def test_a_short_is_paid_the_rate_on_what_it_held_and_a_long_pays_it(tree: Tree) -> None:
    """SEMANTICS 3: - rate × quantity × price at each settlement, before any trade of the hour."""
    for mode in [mode for mode in MODES if CONFIGS.mode(mode).is_hedged]:
        run = tree.run(mode)
        panel, positions = run.panel, run.result.frames["positions"]
        funding = events_of(run, "funding")
        for column, venue in enumerate(panel.venues):
            key = f"{venue}:Perp:{run.mode_slice.mode.asset}USDT"
            held = positions[key].shift(fill_value=0.0).to_numpy()
            due = -panel.funding_rate[:, column] * held * panel.perp_mark[:, column]
            own = funding[funding["venue"] == venue]
            np.testing.assert_allclose(
                by_hour(run, own, own["amount"]), due, rtol=1e-12, atol=1e-12
            )
            assert len(own) == np.count_nonzero(due), mode


@pytest.mark.parametrize(("venue", "wick"), [("bybit", 1.0 / 2.6), ("binance", 1.6)])
def test_a_liquidation_at_a_wick_is_named_on_both_sides(
    sample: Tree, venue: str, wick: float
) -> None:
    """A low that the marks around it do not show ends a long, such a high a short."""
    plain = sample.run("funding_arbitrage", "middle")
    panel, sliced = plain.panel, plain.mode_slice
    extremes = panel.perp_extreme.copy()
    extremes[40, panel.venues.index(venue)] *= wick
    struck = replace(panel, perp_extreme=extremes)
    run = run_backtest(sliced, struck, sample.windows["middle"], 100_000.0)
    events = run.frames["events"]
    (found,) = events[events["kind"] == "liquidation"].itertuples()
    assert (found.venue, found.reason) == (venue, "wick")
    assert (found.quantity < 0.0) == (venue == "bybit")


class Perpetual(NamedTuple):
    """A perpetual's position by the rules of SEMANTICS 2."""

    quantity: float
    balance: float
    entry: float


def after(held: Perpetual, event: pd.Series) -> Perpetual:
    """Return the position after one event of its venue."""
    if event["kind"] == "transfer":
        return held._replace(balance=held.balance + event["quantity"])
    if event["kind"] == "funding":
        return held._replace(balance=held.balance + event["amount"])
    quantity = held.quantity + event["quantity"]
    if held.quantity * event["quantity"] >= 0.0:  # opened or grown: entered at the average price
        paid = held.quantity * held.entry + event["quantity"] * event["price"]
        return Perpetual(quantity, held.balance - event["fee"], paid / quantity)
    realised = -event["quantity"] * (event["price"] - held.entry)
    return Perpetual(quantity, held.balance + realised - event["fee"], held.entry)


@pytest.mark.parametrize(
    ("mode", "name"),
    [
        *(("btc_basis", "as committed"), ("eth_basis", "three quarters")),
        *(("usdt_market_neutral", "flows"), ("usdt_market_neutral", "held still")),
        *(("funding_arbitrage", "as committed"), ("funding_arbitrage", "flows")),
    ],
)
def test_perpetuals_follow_from_their_events(tree: Tree, mode: str, name: str) -> None:
    """Quantity, margin balance and average entry price replayed from the ledger, at every hour."""
    run = tree.run(mode, "whole", variants(mode, tree.windows["whole"])[name])
    positions, hours = run.result.frames["positions"], run.panel.hours
    coin = run.mode_slice.mode.asset
    for venue in run.panel.venues:
        events = trades(run, f"{coin}USDT-PERP", "trade", "transfer", "funding", "liquidation")
        replayed, held = np.empty((len(hours), 3)), Perpetual(0.0, 0.0, 0.0)
        own = events[events["venue"] == venue]
        bounds = np.searchsorted(pd.DatetimeIndex(own["timestamp"]), hours, side="right")
        for hour, (first, last) in enumerate(pairwise([0, *bounds])):
            for i in range(first, last):
                held = after(held, own.iloc[i])
            replayed[hour] = held
        keys = [f"{venue}:Perp:{coin}USDT", f"{venue}:BaseToken:USDT"]
        actual = positions[keys].to_numpy()
        np.testing.assert_allclose(actual, replayed[:, :2], rtol=1e-9, atol=1e-7)
        is_open = actual[:, 0] != 0.0
        entry = positions[f"{venue}:EntryPrice:{coin}USDT"].to_numpy()
        np.testing.assert_allclose(entry[is_open], replayed[is_open, 2], rtol=1e-9)
        assert (entry[~is_open] == 0.0).all()


def test_balances_follow_from_their_events(tree: Tree) -> None:
    """Aave's scaled balances, staked and bought units are sums of events over each one's index."""
    for mode in MODES:
        run = tree.run(mode, "whole", variants(mode, tree.windows["whole"])["flows"])
        panel, positions, config = run.panel, run.result.frames["positions"], run.mode_slice.mode
        ones = np.ones(len(panel.timestamps))
        lst = (config.staking.lst, ("stake", "trade"), panel.collateral_index)
        lent = (f"a{config.lending.token}", ("supply", "withdraw"), panel.lending_index)
        debt = ("debtWETH", ("borrow", "repay"), panel.borrow_index)
        bought = (f"{config.asset}USDT", ("trade",), ones)
        sums = {"LST": lst, "debtToken": debt}
        sums["aToken"] = lst if config.is_leveraged else lent
        for key in positions.columns.drop("timestamp"):
            venue, kind, instrument = key.split(":")
            if kind == "BaseToken" and instrument in panel.reward_tokens:
                source = (instrument, ("reward", "trade"), ones)
            elif kind == "BaseToken" and venue == config.spot.venue and instrument == config.asset:
                source = bought
            elif kind in sums:
                source = sums[kind]
            else:
                continue
            name_, kinds, index = source
            events = trades(run, name_, *kinds)
            held = np.cumsum(by_hour(run, events, events["quantity"]) / index)
            scale = np.abs(held).max()
            np.testing.assert_allclose(positions[key], held, rtol=1e-9, atol=1e-9 * scale)


def test_every_table_is_one_the_store_takes(tree: Tree) -> None:
    """Columns, types and stamps of all tables are those of the command contract."""
    for mode in MODES:
        run = tree.run(mode)
        for name, frame in run.result.frames.items():
            assert encode(name, frame), mode
            if name != "events":
                assert frame["timestamp"].tolist() == list(run.panel.hours), mode
        equity, growth = run.column("equity", "equity"), run.result.identity.capital
        peak = np.maximum.accumulate(np.append(growth, equity))[1:]
        np.testing.assert_allclose(
            run.column("equity", "drawdown"), 1.0 - equity / peak, atol=1e-12
        )
