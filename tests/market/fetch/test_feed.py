"""Feeds of other sources, the variable of an endpoint, and the exchanges behind ccxt."""

from pathlib import Path

import pytest

from basis_pipeline.market.fetch.feed import Request, fetch_feeds, plan
from basis_pipeline.market.raw import read_feed
from basis_pipeline.settings import load_settings
from tests.market.fetch.archive_server import POOL, defillama
from tests.market.fetch.chain_server import LST, archive_node
from tests.market.fetch.clock import HOUR_MS, MarketClock, ms
from tests.market.fetch.conftest import Binance
from tests.market.fetch.exchanges import exchanges
from tests.market.fetch.feeds import LIMITS, bars, feed, fetch, settings_in
from tests.market.fetch.quotes import Market, Quotes
from tests.market.fetch.server import Fault


@pytest.mark.parametrize(
    ("venue", "exchange", "quote", "hours"),
    [
        ("binance", "binanceusdm", "USDT", 8),
        ("bybit", "bybit", "USDT", 8),
        ("okx", "okx", "USDT", 8),
        ("hyperliquid", "hyperliquid", "USDC", 1),
    ],
)
def test_bars_and_funding_of_each_venue(
    venue: str, exchange: str, quote: str, hours: int, tmp_path: Path
) -> None:
    """Whatever end of a window a venue answers from, and however few rows it gives at once."""
    quotes, clock = Quotes(), MarketClock.at("2024-02-03T05:30")
    market = Market(venue, "SOL", quote, quote)
    quotes.make(market, "2024-01-01", "2024-02-20", 90.0, every_hours=hours)
    with exchanges(quotes, clock) as server:
        source = {"exchange": exchange, "symbol": f"SOL/{quote}:{quote}"}
        perp = bars(server.url, **source)
        funding = bars(server.url, **source, data="funding").source
        assert funding is not None
        rates = feed("binance_btcusdt_funding", **funding.model_dump())
        request = Request(now=clock.now)
        done = fetch_feeds([perp, rates], settings_in(tmp_path), LIMITS, request)
    assert [one.error for one in done.values()] == [None, None]
    since, until = ms("2024-01-05"), ms("2024-02-03T05:00")
    assert done[perp.name].rows == (until - since) // HOUR_MS
    assert done[rates.name].rows == (until - since) // (hours * HOUR_MS) + 1
    found = read_feed(tmp_path / "data", rates).distinct
    truth = quotes.funding[market]
    timestamps = (found.timestamps // 10**6).tolist()
    assert found.values[:, 0].tolist() == [truth[timestamp] for timestamp in timestamps]


def test_the_benchmark_is_an_apr_of_days_that_have_ended(tmp_path: Path) -> None:
    """24.71 % a year compounded daily is an APR of 22.0888 %; today's point may still change."""
    clock = MarketClock.at("2024-02-20T12:00")
    with defillama(clock, "2024-02-16") as server:
        config = feed("susde_benchmark", kind="defillama", url=server.url, pool=POOL,
                      since="2024-02-01")  # fmt: skip
        done = fetch(tmp_path, config, clock)
    rows = read_feed(tmp_path / "data", config).distinct
    assert (done.error, done.warnings) == (None, ())
    assert (rows.timestamps // 10**6).tolist() == [ms(f"2024-02-{day}") for day in range(16, 20)]
    assert rows.values[0, 0] == pytest.approx(0.22088766647247238, rel=1e-12)


def test_files_are_copied_grow_and_are_not_overwritten(tmp_path: Path) -> None:
    """A longer file replaces its copy; another one is kept beside it."""
    clock, given = MarketClock.at("2024-02-20T12:00"), tmp_path / "given"
    given.mkdir()
    file = given / "binance_BTCUSDT_perp_1h_own.csv"
    config = feed("binance_btcusdt_perp", kind="file", path=f"{given}/*.csv")
    copy = tmp_path / "data" / "market_data/derivatives/futures_ohlcv" / file.name
    for text in ("a\n1\n", "a\n1\n2\n"):
        file.write_text(text)
        assert fetch(tmp_path, config, clock).warnings == ()
        assert copy.read_text() == text
    file.write_text("a\n7\n2\n")
    (warning,) = fetch(tmp_path, config, clock).warnings
    assert (warning.code, "line 2: 1, now 7" in warning.what) == ("FETCH-006", True)
    assert copy.read_text() == "a\n1\n2\n"
    assert fetch(tmp_path, config, clock, accept=True).warnings == ()
    assert copy.read_text() == "a\n7\n2\n"


def test_a_file_that_no_glob_finds_is_not_copied(tmp_path: Path) -> None:
    """It would lie in the data directory and be read by nobody."""
    (tmp_path / "x.csv").write_text("a\n")
    config = feed("binance_btcusdt_perp", kind="file", path=str(tmp_path / "x.csv"))
    error = fetch(tmp_path, config, MarketClock.at("2024-02-20T12:00")).error
    assert error is not None
    assert error.code == "FETCH-001"


def test_an_endpoint_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the project's own variable, or from another of the process."""
    clock = MarketClock.at("2024-01-04T05:30")
    with archive_node(clock, "2023-12-01T00:00") as (server, _):
        for name in ("BASIS_ETHEREUM_RPC_URL", "MY_NODE"):
            monkeypatch.setenv("MY_NODE", server.url)
            environ = {"BASIS_ETHEREUM_RPC_URL": server.url}
            place = tmp_path / name
            settings = load_settings(environ, data_dir=place, results_dir=place / "results")
            config = feed(
                "weeth_oracle", kind="ethereum_rpc", url_variable=name, chain_id=1,
                since="2024-01-04", read={"what": "rate", "contract": LST, "function": "getRate()"},
            )  # fmt: skip
            done = fetch_feeds([config], settings, LIMITS, Request(now=clock.now))
            assert done[config.name].error is None


def test_a_plan_sends_no_request(binance: Binance, tmp_path: Path) -> None:
    """What is missing is known from the manifest alone."""
    config, settings = bars(binance.server.url), settings_in(tmp_path)
    request = Request(now=binance.clock.now)
    assert plan(config, settings, request) == ["2024-01", "2024-02"]
    assert binance.server.asked == []
    fetch(tmp_path, config, binance.clock)
    assert plan(config, settings, request) == ["2024-02"]


def test_an_outage_is_recognised_for_every_exchange(tmp_path: Path) -> None:
    """For some exchanges ccxt maps a status of 503 with a JSON body to an exchange error."""
    quotes, clock = Quotes(), MarketClock.at("2024-02-03T05:30")
    quotes.make(Market("bybit", "SOL", "USDT", "USDT"), "2024-01-01", "2024-02-20", 90.0)
    with exchanges(quotes, clock) as server:
        perp = bars(server.url, exchange="bybit", symbol="SOL/USDT:USDT", since="2024-02-01")
        server.fail(Fault(status=503, path="kline"))
        assert fetch(tmp_path, perp, clock).error is None
        server.fail(Fault(status=503, path="kline"), times=LIMITS.attempts)
        error = fetch(tmp_path, perp, clock).error
    assert error is not None
    assert error.code == "FETCH-002"
