"""Coins, tokens and currencies that no list knows: a mode of them means what the others mean."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.backtests.backtest import run_backtest
from basis_pipeline.backtests.checks import Finished, backtest_checks
from basis_pipeline.config import Configs, slice_mode
from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import Kind, Of
from basis_pipeline.config.venue import LendingProtocol
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.panel import build_panel
from tests.backtests.trees import HELD, Tree
from tests.market.made_datasets import DAYS, HOURS, WINDOW, configs, make_dataset, make_datasets

DATASETS = make_datasets()


def described(like: str, name: str, of: Of, columns: tuple[str, ...] = ()) -> DatasetConfig:
    """Return a dataset file like a shipped one, of something else, with these columns only."""
    config = configs().datasets[like]
    kept = {raw: c for raw, c in config.columns.items() if not columns or c.to in columns}
    changes = {"name": name, "of": of, "columns": kept, "outliers": (), "agreement": None}
    return DatasetConfig.model_validate(config.model_copy(update=changes).model_dump())


def run(found: Configs, mode: str, datasets: dict[str, Dataset], **overrides: Any) -> Finished:
    """Backtest a mode on made datasets."""
    changes = {key.replace("__", "."): value for key, value in overrides.items()}
    sliced = slice_mode(found, mode, changes)
    panel = build_panel(sliced, datasets, WINDOW)
    capital = sliced.share_class.initial_capital
    return Finished(run_backtest(sliced, panel, WINDOW, capital), sliced, panel)


def series(kind: Kind, column: str, **keys: str) -> np.ndarray:
    """Return a column of a made dataset over the window; 0 where no event happens."""
    frame = DATASETS[configs().find(kind, **keys).name].frame.set_index("timestamp")
    return frame[column].reindex(HOURS).fillna(0.0).to_numpy(copy=True)


def marks(venue: str) -> np.ndarray:
    """Return the prices of a venue's SOL perpetual."""
    return series(Kind.PERP_BARS, "open", venue=venue, base="SOL")


def short_by_hand(venue: str, quantity: float) -> np.ndarray:
    """Return what a short of SOL earns at a venue; a long where the quantity is negative."""
    price, rate = marks(venue), series(Kind.FUNDING, "funding_rate", venue=venue, base="SOL")
    rate[0] = 0.0
    return quantity * (price[0] - price + np.cumsum(rate * price))


def hedge_by_hand(quantity: float) -> np.ndarray:
    """Return what a short of SOL earns, half on each venue, one with hourly funding."""
    return sum(short_by_hand(venue, quantity / 2) for venue in ("binance", "hyperliquid"))


@pytest.mark.parametrize("share_class", ["USDT", "USDC"])
def test_sol_hedged_on_two_exchanges_is_its_closed_form(share_class: str) -> None:
    """Hourly funding counts every hour; USDC and USDT are at par where the class says so."""
    made = run(configs(), "sol_basis", DATASETS, **HELD, share_class=share_class)
    spot = series(Kind.SPOT_BARS, "open", venue="binance", base="SOL")
    quantity = 0.5 * 100_000.0 / spot[0]
    expected = 100_000.0 + quantity * (spot - spot[0]) + hedge_by_hand(quantity)
    np.testing.assert_allclose(made.column("equity", "equity"), expected, rtol=1e-9)
    assert "hyperliquid:BaseToken:USDC" in made.result.frames["positions"]


def test_sol_carried_between_two_exchanges_is_its_closed_form() -> None:
    """Units of one price on both sides; one venue settles every hour, the other every eighth."""
    made = run(configs(), "funding_arbitrage", DATASETS, **HELD)
    quantity = 0.8 * 100_000.0 / ((marks("binance")[0] + marks("hyperliquid")[0]) / 2)
    carried = short_by_hand("hyperliquid", quantity) + short_by_hand("binance", -quantity)
    np.testing.assert_allclose(made.column("equity", "equity"), 100_000.0 + carried, rtol=1e-9)


def test_the_sample_pays_a_carry_between_its_exchanges(sample: Tree) -> None:
    """Longs of Hyperliquid pay 8 % a year more: four fifths of equity earn it, less taker fees."""
    window = sample.windows["whole"]
    made = sample.run_slice(slice_mode(configs(), "funding_arbitrage"), window)
    years = (len(window.hours) - 1) / 8760
    earned = made.result.frames["attribution"][["funding", "execution_cost"]].sum()
    assert earned["funding"] == pytest.approx(100_000.0 * 0.8 * 0.08 * years, rel=0.1)
    assert made.column("equity", "equity")[-1] == pytest.approx(101_965.29715107, rel=1e-9)


def test_a_staked_coin_other_than_eth_is_its_closed_form() -> None:
    """What is staked follows from the file of the venue that issues the token."""
    rate = 1.1 + 1e-5 * np.arange(len(HOURS))
    found, datasets = configs(), dict(DATASETS)
    for like, name, of, column in (
        ("weeth_oracle", "x1", Of(kind=Kind.ORACLE, lst="jitoSOL"), "oracle_rate"),
        ("weeth_peg", "x2", Of(kind=Kind.PEG, venue="orca", lst="jitoSOL"), "market_rate"),
    ):
        config = described(like, name, of)
        frame = pd.DataFrame({"timestamp": HOURS, column: rate})
        datasets[name] = make_dataset(config, frame)
        found = replace(found, datasets={**found.datasets, name: config})
    chosen = {"allocation": {"lending": 0.0, "spot": 0.0, "staking": 0.5}, "staking.lst": "jitoSOL"}
    made = run(found, "sol_basis", datasets, **HELD, **chosen)
    spot = series(Kind.SPOT_BARS, "open", venue="binance", base="SOL")
    staked = 0.5 * 100_000.0 / spot[0]
    expected = 50_000.0 + staked * spot * rate / rate[0] + hedge_by_hand(staked)
    np.testing.assert_allclose(made.column("equity", "equity"), expected, rtol=1e-9)
    assert "jito:LST:jitoSOL" in made.result.frames["positions"]


def test_two_indices_are_enough_to_lend_in_a_class_of_its_own() -> None:
    """BTC lent as WBTC: no rates, no totals, no price; what needs them does not apply."""
    of = Of(kind=Kind.LENDING_RATES, venue="aave_v3", token="WBTC")
    indices = ("liquidity_index", "variable_borrow_index")
    config = described("aave_weth_rates", "wbtc", of, indices)
    assert config.value_columns == indices
    growth = 1.0 + 1e-4 * np.arange(len(DAYS))
    frame = pd.DataFrame({"timestamp": DAYS, indices[0]: growth, indices[1]: 1.1 * growth})
    found = replace(configs(), datasets={**configs().datasets, "wbtc": config})
    protocol = found.venues["aave_v3"]
    assert isinstance(protocol, LendingProtocol)
    assert protocol.tokens["WBTC"] == "BTC"
    made = run(
        found,
        "pure_lending",
        {**DATASETS, "wbtc": make_dataset(config, frame)},
        **{**HELD, "share_class": "BTC", "asset": "BTC", "lending.token": "WBTC"},
    )
    index = made.panel.lending_index
    np.testing.assert_allclose(made.column("equity", "equity"), 2.0 * index / index[0], rtol=1e-9)
    verdicts = {v.check: v for v in backtest_checks(made.result, made.mode_slice, made.panel)}
    assert verdicts["pool_share"].status == "N/A"
    assert verdicts["closed_form"].status == "PASS"
