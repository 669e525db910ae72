"""Servers shared by tests of fetches."""

from collections.abc import Iterator
from dataclasses import dataclass

import ccxt
import pytest

from tests.market.fetch.clock import MarketClock
from tests.market.fetch.exchanges import exchanges
from tests.market.fetch.quotes import Market, Quotes
from tests.market.fetch.server import Server

BTC = Market("binance", "BTC", "USDT", "USDT")


@dataclass
class Binance:
    """An exchange with the BTC perpetual, its history, and the time it lives in."""

    server: Server
    quotes: Quotes
    clock: MarketClock


@pytest.fixture(autouse=True)
def unthrottled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove ccxt's waits between requests: a server on this machine has no rate limit."""
    monkeypatch.setattr(ccxt.Exchange, "throttle", lambda *_: None)


@pytest.fixture
def binance() -> Iterator[Binance]:
    """Run an exchange in the middle of an hour of the tenth of February."""
    quotes, clock = Quotes(), MarketClock.at("2024-02-10T12:30")
    quotes.make(BTC, "2024-01-01", "2024-03-20", 40_000.0)
    with exchanges(quotes, clock) as server:
        yield Binance(server, quotes, clock)
