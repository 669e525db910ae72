"""`basis data fetch` as a person runs it, against an exchange on this machine."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from basis_pipeline.settings import project_root
from tests.market.fetch.clock import MarketClock
from tests.market.fetch.exchanges import exchanges
from tests.market.fetch.quotes import Market, Quotes
from tests.market.fetch.server import Fault, Server
from tests.shell import call

FEED = "binance_btcusdt_perp"
WINDOW = ("--since", "2024-01-01", "--until", "2024-01-20")


@pytest.fixture
def exchange() -> Iterator[Server]:
    """Binance with the BTC perpetual, long after the window."""
    quotes = Quotes()
    quotes.make(Market("binance", "BTC", "USDT", "USDT"), "2024-01-01", "2024-03-01", 40_000.0)
    with exchanges(quotes, MarketClock.at("2024-03-01T00:00")) as server:
        yield server


@pytest.fixture
def environ(exchange: Server, tmp_path: Path) -> dict[str, str]:
    """A project whose feeds of Binance come from this machine."""
    configs = tmp_path / "configs"
    shutil.copytree(project_root() / "configs", configs)
    for file in (configs / "datasets").glob("*.yaml"):
        config: dict[str, Any] = yaml.safe_load(file.read_text())
        if config.get("source", {}).get("kind") == "ccxt":
            source = file.read_text().replace("since:", f'url: "{exchange.url}", since:')
            file.write_text(source)
    return {
        "BASIS_CONFIG_DIR": str(configs),
        "BASIS_DATA_DIR": str(tmp_path / "data"),
        "BASIS_RESULTS_DIR": str(tmp_path / "results"),
    }


def test_a_feed_is_fetched_and_audited(environ: dict[str, str], tmp_path: Path) -> None:
    """One line per feed, and files that the audit can read."""
    done = call("data", "fetch", FEED, *WINDOW, env=environ)
    assert (done.returncode, done.stderr) == (0, f"[1/1] {FEED} 2024-01\n")
    assert FEED in done.stdout
    assert "457" in done.stdout  # 19 days of hours, and the one asked for as the last
    audit = call("data", "audit", env=environ)
    (line,) = (line for line in audit.stdout.splitlines() if FEED in line)
    assert "2024-01-20 00:00" in line
    assert (tmp_path / "data" / "fetched" / FEED / "manifest.json").exists()


def test_a_dry_run_asks_and_writes_nothing(
    environ: dict[str, str], exchange: Server, tmp_path: Path
) -> None:
    """A dry run lists the months that would be fetched."""
    done = call("data", "fetch", FEED, *WINDOW, "--dry-run", env=environ)
    assert (done.returncode, done.stdout) == (0, f"{FEED}  1: 2024-01\n")
    assert exchange.asked == []
    assert not (tmp_path / "data").exists()


def test_a_feed_that_fails_is_named_and_the_other_is_there(
    environ: dict[str, str], exchange: Server
) -> None:
    """Exit code 1; the message says what, where and what to do."""
    unknown = {"code": -1121, "msg": "Invalid symbol."}
    exchange.fail(Fault(change=lambda _: unknown, path="fundingRate"))
    done = call("data", "fetch", FEED, "binance_btcusdt_funding", *WINDOW, env=environ)
    assert done.returncode == 1
    assert "FETCH-003" in done.stderr
    assert "do:" in done.stderr
    statuses = {
        line.split()[1]: line.split()[-2] for line in done.stdout.splitlines() if "usdt" in line
    }
    assert statuses == {FEED: "PASS", "binance_btcusdt_funding": "FAIL"}


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("no_such_feed",), "FETCH-001"),
        (("eigen_rewards",), "FETCH-001"),
        ((FEED, "--since", "today"), "CONFIG-011"),
    ],
)
def test_bad_input_is_one_message(
    words: tuple[str, ...], code: str, environ: dict[str, str]
) -> None:
    """An unknown feed, one without a source, an invalid date."""
    done = call("data", "fetch", *words, env=environ)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{code}: ")


def test_nothing_is_fetched_into_sample_data(environ: dict[str, str], tmp_path: Path) -> None:
    """Real rows are not appended to sample rows."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "SAMPLE_DEFECTS.json").write_text("{}")
    done = call("data", "fetch", FEED, *WINDOW, env=environ)
    assert done.returncode == 2
    assert "sample data" in done.stderr
