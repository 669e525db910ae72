"""An account that has met with all that its page has to say."""

from pathlib import Path

import pandas as pd

from basis_pipeline.backtests.ingest import inputs_of
from basis_pipeline.config import slice_mode
from basis_pipeline.reports.account import AccountView
from basis_pipeline.settings import load_settings
from tests.live import Delivery
from tests.operations.accounts.conftest import CONFIGS, Desk, account

MODE, UNREWARDED = "usdt_market_neutral", {"rewards.enabled": False}
TIGHT = {"rebalance.delta_band": 0.001, "rebalance.ltv_band": 0.001}
SPOT, REVISED_HOUR = "bybit_ethusdt_spot", "2024-02-13T03:00"


def revised(text: str) -> str:
    """The bars of the spot market, with a different open in one hour."""
    lines = text.splitlines(keepends=True)
    (row,) = (number for number, line in enumerate(lines) if line.startswith(REVISED_HOUR))
    stamp, opened, *rest = lines[row].split(",")
    lines[row] = ",".join([stamp, f"{float(opened) * 1.0001:.2f}", *rest])
    return "".join(lines)


def made_account(sample: Path, directory: Path) -> AccountView:
    """Two legs, orders that are due, a revision, a stale feed, and repaired hours."""
    described = {"since": "2024-01-20", "description": "ETH staked with a loan, its price sold."}
    first = account("example", MODE, overrides=UNREWARDED, **described)
    second = account("example", MODE, overrides=UNREWARDED | TIGHT, **described)
    feeds = inputs_of(CONFIGS, slice_mode(CONFIGS, MODE, UNREWARDED))
    sources = {source for name in feeds for source in CONFIGS.datasets[name].sources}
    settings = load_settings(data_dir=directory / "data", results_dir=directory / "results")
    delivery = Delivery(sample, directory / "data", CONFIGS, sorted({*feeds, *sources}))
    desk = Desk(settings, delivery)
    desk.tick("2024-02-14T08:00", first)
    delivery.changed[SPOT] = revised
    desk.tick("2024-02-15T08:00", first)
    delivery.held_back["ethereum_gas"] = pd.Timestamp("2024-02-16T02:00", tz="UTC")
    (run,) = desk.tick("2024-02-16T08:00", second)
    assert run.error is None
    return run.view
