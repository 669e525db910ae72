"""Dataset files with a source on this machine, and limits that make a test short."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from basis_pipeline.config import DatasetConfig, load_configs
from basis_pipeline.config.automation import FetchLimits
from basis_pipeline.config.source import Source
from basis_pipeline.market.fetch.feed import Fetched, Request, fetch_feeds
from basis_pipeline.settings import Settings, load_settings, project_root
from tests.market.fetch.clock import MarketClock

LIMITS = FetchLimits(
    attempts=3,
    timeout_seconds=2.0,
    total_seconds=6.0,
    first_wait_seconds=0.01,
    longest_wait_seconds=0.02,
    failures_to_open=30,
    open_seconds=60.0,
    lock_seconds=0.1,
)
SHIPPED = load_configs(project_root() / "configs").datasets


def feed(like: str, /, **source: Any) -> DatasetConfig:
    """Return a shipped dataset file with another source."""
    made: Any = TypeAdapter(Source).validate_python(source)
    return SHIPPED[like].model_copy(update={"source": made})


def bars(url: str, **changes: Any) -> DatasetConfig:
    """Return the dataset of hourly bars of the BTC perpetual on Binance."""
    source = {
        "kind": "ccxt",
        "exchange": "binanceusdm",
        "symbol": "BTC/USDT:USDT",
        "data": "bars",
        "since": "2024-01-05",
        "url": url,
    }
    return feed("binance_btcusdt_perp", **{**source, **changes})


def settings_in(place: Path) -> Settings:
    """Return settings whose raw files lie in a directory of the test's own."""
    return load_settings({}, data_dir=place / "data", results_dir=place / "results")


def fetch(
    place: Path,
    config: DatasetConfig,
    clock: MarketClock,
    limits: FetchLimits = LIMITS,
    **asked: Any,
) -> Fetched:
    """Fetch one feed as of the clock's time."""
    request = Request(now=clock.now, **asked)
    return fetch_feeds([config], settings_in(place), limits, request)[config.name]
