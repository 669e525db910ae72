"""Failures of the engine's parts and of backtests."""

import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import numpy as np

from basis_pipeline.backtests import cluster
from basis_pipeline.backtests.backtest import require_reconciled, run_backtest
from basis_pipeline.config import slice_mode
from basis_pipeline.market.panel import Panel, build_panel, require_fit
from basis_pipeline.operations.control import halt, require_not_halted
from basis_pipeline.orchestration.upstream_gate import require_passing
from basis_pipeline.results.store import RunResult
from basis_pipeline.settings import load_settings
from tests.market.made_datasets import WINDOW, configs, make_datasets

HELD = {"rebalance.enabled": True, "costs.enabled": False, "rewards.enabled": False}


@cache
def panel_of(mode: str) -> Panel:
    """A panel of some days, made by hand; nobody writes into it."""
    return build_panel(slice_mode(configs(), mode), make_datasets(), WINDOW)


def backtested(mode: str, capital: float, **overrides: Any) -> RunResult:
    """Backtest a mode over the panel."""
    sliced = slice_mode(configs(), mode, overrides)
    panel = build_panel(sliced, make_datasets(), WINDOW)
    return run_backtest(sliced, panel, WINDOW, capital)


def absent_cluster(_: Path) -> None:
    """An address at which nothing listens; nobody waits for it for long."""
    with patch.object(cluster, "CONNECT_SECONDS", 1), cluster.on_cluster("tcp://127.0.0.1:1"):
        pass


def unwritable_cache(place: Path) -> str:
    """A file where numba's cache directory should be, as a new process finds it."""
    (place / "cache").write_text("in the way")
    environ = {**os.environ, "NUMBA_CACHE_DIR": str(place / "cache"), "NUMBA_DISABLE_JIT": "0"}
    result = subprocess.run(
        [sys.executable, "-c", "import basis_pipeline.engine"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode != 0
    error = result.stderr.strip().splitlines()[-1]
    assert error.startswith("basis_pipeline.errors.ComponentError: ")
    return error.split()[1].removesuffix(":")


def unchecked_data(_: Path) -> None:
    """A backtest on an instance where nobody has looked at the data."""
    check = dg.AssetCheckKey(dg.AssetKey(["dataset", "aave_usdt_rates"]), "coverage")
    with dg.DagsterInstance.ephemeral() as instance:
        require_passing(instance, [check], "backtest/simulation[pure_lending]")


def next_to_nothing_left(_: Path) -> None:
    """A withdrawal that leaves so little of a fund that rounding exceeds 1e-9 of it."""
    usual = backtested("pure_lending", 100_000.0, **HELD).frames["equity"]
    at = len(usual) // 2
    flow = {
        "date": usual["timestamp"].iloc[at].isoformat(),
        "amount": -float(usual["equity"].iloc[at]) + 1e-7,
    }
    require_reconciled(backtested("pure_lending", 100_000.0, **HELD, flows=[flow]))


def holed_panel(_: Path) -> None:
    """A price that is missing in the middle of a panel."""
    panel = panel_of("eth_basis")
    spot = panel.spot.copy()
    spot[7] = np.nan
    require_fit(replace(panel, spot=spot))


def halted_work(place: Path) -> None:
    """A backtest asked for after a person halted work."""
    settings = load_settings({}, results_dir=place)
    halt(settings, reason="odd fills", by="ann")
    require_not_halted(settings, "backtest/simulation[btc_basis]")


PROVOCATIONS = {
    "MATH-001": lambda _: backtested("eth_leveraged", 1e308),
    "COMPONENT-001": unwritable_cache,
    "COMPONENT-002": absent_cluster,
    "BT-001": unchecked_data,
    "BT-002": next_to_nothing_left,
    "BT-003": holed_panel,
    "BT-004": lambda _: backtested("usdt_market_neutral", 1.0),
    "BT-005": halted_work,
}
