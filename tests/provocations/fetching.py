"""Failures of fetches, each against a server on this machine that brings it about."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from basis_pipeline.market.fetch.feed import Fetched
from tests.market.fetch.clock import MarketClock
from tests.market.fetch.exchanges import exchanges
from tests.market.fetch.feeds import LIMITS, bars, feed, fetch
from tests.market.fetch.quotes import Market, Quotes
from tests.market.fetch.server import Fault, Server

BTC = Market("binance", "BTC", "USDT", "USDT")
NOW = "2024-01-08T12:30"


@contextmanager
def binance() -> Iterator[tuple[Server, Quotes, MarketClock]]:
    """An exchange with one perpetual."""
    quotes, clock = Quotes(), MarketClock.at(NOW)
    quotes.make(BTC, "2024-01-01", "2024-01-12", 40_000.0)
    with exchanges(quotes, clock) as server:
        yield server, quotes, clock


def raised(fetched: Fetched) -> None:
    """Raise the first failure of a fetch, or its first warning."""
    for error in (fetched.error, *fetched.warnings):
        if error:
            raise error


def source_lacks_a_column(place: Path) -> None:
    """Gas is to come from an exchange."""
    config = feed("ethereum_gas", **bars("http://127.0.0.1:9").source.model_dump())
    raised(fetch(place, config, MarketClock.at(NOW)))


def no_answer(place: Path) -> None:
    """A host that answers 503 for ever."""
    with binance() as (server, _, clock):
        server.fail(Fault(status=503), times=9)
        raised(fetch(place, bars(server.url), clock))


def unknown_symbol(place: Path) -> None:
    """A coin that the exchange does not trade."""
    with binance() as (server, _, clock):
        raised(fetch(place, bars(server.url, symbol="XYZ/USDT:USDT"), clock))


def page_of_a_proxy(place: Path) -> None:
    """Something between answers every question with a page of HTML."""
    with binance() as (server, _, clock):
        server.fail(Fault(garbage=b"<html>Sign in</html>", path="klines"), times=9)
        raised(fetch(place, bars(server.url), clock))


def another_symbol(place: Path) -> None:
    """Settlements of ETH where those of BTC were asked for."""
    with binance() as (server, _, clock):
        server.fail(Fault(change=lambda rows: [row | {"symbol": "ETHUSDT"} for row in rows],
                          path="fundingRate"))  # fmt: skip
        source = bars(server.url, data="funding").source
        config = feed("binance_btcusdt_funding", **source.model_dump())
        raised(fetch(place, config, clock))


def revision(place: Path) -> None:
    """The exchange changes a close that is stored."""
    with binance() as (server, quotes, clock):
        fetch(place, bars(server.url), clock)
        quotes.revise(BTC, "2024-01-08T10:00", 1.0)
        raised(fetch(place, bars(server.url), clock))


def two_at_once(place: Path) -> None:
    """Another process holds the feed's lock."""
    config = bars("http://127.0.0.1:9")
    lock = place / "data" / "fetched" / config.name / "lock"
    lock.parent.mkdir(parents=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        raised(fetch(place, config, MarketClock.at(NOW)))


def nowhere_to_store(place: Path) -> None:
    """A file lies where the data directory belongs."""
    (place / "data").write_text("")
    raised(fetch(place, bars("http://127.0.0.1:9"), MarketClock.at(NOW)))


def no_endpoint(place: Path) -> None:
    """Nobody has named an archive node."""
    gas = {"what": "gas", "percentile": 50.0}
    config = feed(
        "ethereum_gas", kind="ethereum_rpc", url_variable="BASIS_ETHEREUM_RPC_URL", chain_id=1,
        since="2024-01-01", read=gas,
    )  # fmt: skip
    raised(fetch(place, config, MarketClock.at(NOW)))


def outage_of_the_venue(place: Path) -> None:
    """The exchange has no bars of six hours."""
    with binance() as (server, quotes, clock):
        quotes.drop(BTC, "2024-01-06T03:00", "2024-01-06T09:00")
        raised(fetch(place, bars(server.url), clock))


def host_down_for_long(place: Path) -> None:
    """A host has failed so often that it is not asked any more."""
    limits = LIMITS.model_copy(update={"failures_to_open": 3})
    with binance() as (server, _, clock):
        server.fail(Fault(status=500), times=9)
        fetch(place, bars(server.url), clock, limits)
        raised(fetch(place, bars(server.url), clock, limits))


def edited_manifest(place: Path) -> None:
    """The dataset file names another symbol than the one that was fetched."""
    with binance() as (server, _, clock):
        config = bars(server.url)
        fetch(place, config, clock)
        manifest = place / "data" / "fetched" / config.name / "manifest.json"
        said = json.loads(manifest.read_text())
        said["source"]["symbol"] = "ETH/USDT:USDT"
        manifest.write_text(json.dumps(said))
        raised(fetch(place, config, clock))


PROVOCATIONS = {
    "FETCH-001": source_lacks_a_column,
    "FETCH-002": no_answer,
    "FETCH-003": unknown_symbol,
    "FETCH-004": page_of_a_proxy,
    "FETCH-005": another_symbol,
    "FETCH-006": revision,
    "FETCH-007": two_at_once,
    "FETCH-008": nowhere_to_store,
    "FETCH-009": no_endpoint,
    "FETCH-010": outage_of_the_venue,
    "FETCH-011": host_down_for_long,
    "FETCH-012": edited_manifest,
}
