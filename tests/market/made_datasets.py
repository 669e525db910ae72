"""Generated datasets of every feed that a mode reads, over a few days, by closed formulas."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.loading import Configs, load_configs
from basis_pipeline.config.universe import BARS, Kind
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.events import COST_BUCKETS_USD
from basis_pipeline.market.window import Window, parse_window

WINDOW = parse_window("2024-10-04T06:00", "2024-10-08T18:00")
DAYS = pd.date_range("2024-10-04", "2024-10-09", freq="D", unit="ns", tz="UTC")
HOURS = WINDOW.hours
LEVELS = {"btc": 60_000.0, "sol": 150.0, "eth": 2_500.0, "eigen": 0.0015, "ethfi": 0.0006}
EIGEN_LISTED = pd.Timestamp("2024-10-05", tz="UTC")
PAIRS = ("ETH_USDT", "ETH_weETH", "ETH_wstETH", "EIGEN_USDT", "EIGEN_ETH")
PAIRS += ("ETHFI_USDT", "ETHFI_ETH", "ETHUSDT-PERP", "BTCUSDT-PERP")


@cache
def configs() -> Configs:
    """Return the committed configuration."""
    return load_configs(Path(__file__).parents[2] / "configs")


def wave(n: int, seed: str, size: float = 0.05) -> npt.NDArray[np.float64]:
    """Return a smooth factor around 1, different for each name."""
    phase = sum(map(ord, seed))
    return 1.0 + size * np.sin(np.arange(n) * (0.1 + 0.01 * (phase % 7)) + phase)


def bars(name: str) -> pd.DataFrame:
    """Return hourly bars whose prices differ in every field, so that none passes for another."""
    timestamps = HOURS[HOURS >= EIGEN_LISTED] if "eigen" in name else HOURS
    level = next(level for coin, level in LEVELS.items() if coin in name.split("_")[1])
    start = level * wave(len(timestamps), name)
    fields = {"open": start, "high": start * 1.02, "low": start * 0.98, "close": start * 1.01}
    return pd.DataFrame({"timestamp": timestamps, **fields, "volume": 1.0})


def aave(name: str) -> pd.DataFrame:
    """Return daily snapshots; no two days and no two reserves have equal growth."""
    growth = np.cumprod(1.0 + 1e-4 * wave(len(DAYS), name, 0.5))
    columns = {
        "liquidity_index": 1.0 + 0.1 * growth,
        "variable_borrow_index": 1.1 + 0.2 * growth,
        "liquidity_rate": 0.02,
        "variable_borrow_rate": 0.03,
        "total_a_token": 1e6,
        "total_variable_debt": 5e5,
        "price_usd": 2_480.0 * wave(len(DAYS), name),
    }
    return pd.DataFrame({"timestamp": DAYS, **columns})


def funding(name: str) -> pd.DataFrame:
    """Return a settlement every eight hours, or every hour, some below zero."""
    timestamps = HOURS[HOURS.hour % (1 if name.startswith("hyperliquid") else 8) == 0]
    return pd.DataFrame(
        {"timestamp": timestamps, "funding_rate": 1e-3 * (wave(len(timestamps), name) - 1)}
    )


def execution_costs() -> pd.DataFrame:
    """Return a rate for every day, pair and bucket, all different."""
    rows = [
        (day, pair, size, 1.0 + d + 10.0 * p + 100.0 * b)
        for d, day in enumerate(DAYS[:-1])
        for p, pair in enumerate(sorted(PAIRS))
        for b, size in enumerate(COST_BUCKETS_USD)
    ]
    return pd.DataFrame(rows, columns=["timestamp", "pair", "size_bucket_usd", "cost_bps"])


def rewards(name: str) -> pd.DataFrame:
    """Return payouts whose first period began before the window."""
    if name == "eigen_rewards":
        rows = [("2024-10-06", "2024-10-02", "2024-10-05", 0.2)]
        rows.append(("2024-10-08", "2024-10-06", "2024-10-07", 0.1))
    else:
        rows = [("2024-10-07", "2024-09-01", "2024-10-03", 0.3)]
        rows.append(("2024-10-08", "2024-10-04", "2024-10-07", 0.05))
    frame = pd.DataFrame(rows, columns=["timestamp", "period_start", "period_end", "tokens"])
    for column in ("timestamp", "period_start", "period_end"):
        frame[column] = pd.to_datetime(frame[column], format="ISO8601", utc=True).dt.as_unit("ns")
    return frame.rename(columns={"tokens": "tokens_per_unit"})


def hourly(name: str) -> pd.DataFrame:
    """Return oracle, peg or gas."""
    if name == "ethereum_gas":
        fees = {"base_fee_gwei": 20 * wave(len(HOURS), "base", 0.9), "priority_fee_p50_gwei": 0.5}
        return pd.DataFrame({"timestamp": HOURS, **fees})
    oracle = 1.05 + 1e-6 * np.arange(len(HOURS)) + 0.1 * name.startswith("wsteth")
    if name.endswith("_oracle"):
        return pd.DataFrame({"timestamp": HOURS, "oracle_rate": oracle})
    return pd.DataFrame({"timestamp": HOURS, "market_rate": oracle * wave(len(HOURS), name, 0.002)})


def made_frame(config: DatasetConfig) -> pd.DataFrame:
    """Return the value columns of one dataset."""
    if config.kind in BARS:
        return bars(config.name)
    makers: dict[Kind, Callable[[str], pd.DataFrame]] = {
        Kind.LENDING_RATES: aave,
        Kind.FUNDING: funding,
        Kind.REWARDS: rewards,
        Kind.EXECUTION_COSTS: lambda _: execution_costs(),
    }
    return makers.get(config.kind, hourly)(config.name)


def make_dataset(config: DatasetConfig, frame: pd.DataFrame, window: Window = WINDOW) -> Dataset:
    """Return a dataset with a frame."""
    frame = frame.assign(source=config.name, repair="").astype({"source": "str", "repair": "str"})
    hashes = {config.name: f"{config.name:0<64}"}
    return Dataset(config, window, frame, 1.0, hashes)


def make_datasets() -> dict[str, Dataset]:
    """Return new copies of every dataset that a mode reads."""
    catalogue = configs().datasets.values()
    read = [c for c in catalogue if c.kind not in (Kind.RISK_PARAMS, Kind.BENCHMARK)]
    return {config.name: make_dataset(config, made_frame(config)) for config in read}


def changed(dataset: Dataset, rows: object, column: str, value: object) -> Dataset:
    """Return the dataset with some rows of a column set to another value."""
    frame = dataset.frame.copy()
    frame.loc[rows, column] = value  # type: ignore[call-overload]
    return replace(dataset, frame=frame)
