"""Every mode against SEMANTICS 12, at every hour: the engine's form, and one from the CSV files."""

from typing import Any

import numpy as np
import pytest

from basis_pipeline.backtests.checks import Finished
from basis_pipeline.backtests.inputs import market_arrays, parameters_of
from basis_pipeline.engine.closed_forms import closed_form_equity
from basis_pipeline.market.window import parse_window
from tests.backtests.by_hand import Files, equity_by_hand
from tests.backtests.trees import (
    CONFIGS,
    HELD,
    MODES,
    Overrides,
    Tree,
    carries,
    is_hedged,
    is_leveraged,
    stakes,
)

REFERENCE = {
    "pure_lending": 104342.25754557,
    "funding_arbitrage": 99909.43636311,
    "pure_lending_eth": 101.53951404,
    "btc_basis": 103902.14962672,
    "eth_basis": 102990.82736242,
    "eth_staking_only": 102.08082726,
    "eth_leveraged": 102.39933038,
    "usdt_market_neutral_no_leverage": 103609.50877845,
    "usdt_market_neutral": 103704.20763684,
}


THIN = {"hedge.carry": {"binance": -0.3, "bybit": 0.3}}


def overrides_of(mode: str) -> dict[str, dict[str, Any]]:
    """Return venue sets, tokens and weights a mode can run with unrebalanced, by name."""
    if carries(mode):  # legs so small that no rise of the real prices liquidates one
        return {
            "thin legs": THIN,
            "the other way round": {"hedge.carry": {"binance": 0.2, "bybit": -0.2}},
            "lending beside": THIN | {"allocation.lending": 0.3},
        }
    found: dict[str, dict[str, Any]] = {"as committed": {}}
    pool = "binance" if mode == "btc_basis" else "uniswapv3"
    if CONFIGS.mode(mode).buys_asset:
        found["binance only"] = {"hedge.venues": {"binance": 1.0}, "spot.venue": pool}
        found["unhedged"] = {"hedge": {"ratio": 0.0, "venues": {}, "carry": {}}}
    if is_hedged(mode) and mode != "btc_basis":
        found["bybit and okx"] = {"hedge.venues": {"bybit": 0.25, "okx": 0.75}}
        sleeve = "staking" if stakes(mode) else "spot"
        found["a quarter"] = {f"allocation.{sleeve}": 0.25}
    if stakes(mode):
        found["wstETH"] = {"staking.lst": "wstETH"}
    if is_leveraged(mode):
        found["at 0.9"] = {"staking.target_ltv": 0.9}
    return found


def deviation(tree: Tree, run: Finished) -> float:
    """Return the largest deviation of equity from the engine's closed form and the one by hand."""
    market, parameters = market_arrays(run.panel, run.mode_slice), parameters_of(run.mode_slice)
    capital = run.result.identity.capital
    by_hand = equity_by_hand(Files(tree.root, run.panel.hours), run.mode_slice.mode, capital)
    forms = np.stack([closed_form_equity(market, parameters, capital), by_hand])
    return float(np.abs(run.column("equity", "equity") / forms - 1.0).max())


def held(tree: Tree, mode: str, window: Any, overrides: Overrides) -> Finished:
    """Run a mode without rebalancing, costs and rewards; nothing may be liquidated."""
    run = tree.run(mode, window, {**HELD, **overrides})
    assert set(run.result.frames["events"]["kind"]) <= {
        "entry", "trade", "stake", "borrow", "supply", "transfer", "funding",
    }  # fmt: skip
    return run


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_held_still_is_its_closed_form_at_every_hour(tree: Tree, mode: str) -> None:
    """Protects what each mode means, from the raw file to the equity table."""
    deviations = {
        (window, name): deviation(tree, held(tree, mode, window, overrides))
        for window in tree.windows
        for name, overrides in overrides_of(mode).items()
    }
    assert {case: found for case, found in deviations.items() if not found <= 1e-9} == {}


@pytest.mark.parametrize("mode", MODES)
def test_the_reference_figures_come_out(real: Tree, mode: str) -> None:
    """The final equities stated for the real data, to the last digit given."""
    window = parse_window("2024-06-01", "2025-03-01")
    overrides: dict[str, Any] = THIN if carries(mode) else {}
    if is_hedged(mode):
        overrides = {"spot.venue": "bybit", "hedge.venues": {"bybit": 1.0}}
    run = held(real, mode, window, overrides)
    equity = run.column("equity", "equity")
    assert f"{equity[-1]:.8f}" == f"{REFERENCE[mode]:.8f}"
    assert deviation(real, run) <= 1e-9


def test_the_forms_differ_where_the_modes_do(sample: Tree) -> None:
    """No two cases are the same run under two names, so that each comparison compares something."""
    finals = {
        (mode, name): held(sample, mode, "whole", overrides).column("equity", "equity")[-1]
        for mode in MODES
        for name, overrides in overrides_of(mode).items()
    }
    assert len({f"{value:.9g}" for value in finals.values()}) == len(finals)
