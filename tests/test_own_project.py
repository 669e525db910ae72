"""From an empty directory to backtests: `basis init`, `basis data fetch`, `basis run`.

The exchanges are on this machine, and quote what the sample data hold; what no exchange publishes
is copied from there. So the results must be those of the sample data.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from basis_pipeline.config import DatasetConfig, load_configs
from tests import shell
from tests.market.fetch.clock import MarketClock
from tests.market.fetch.exchanges import exchanges
from tests.market.fetch.quotes import Market, Quotes
from tests.market.fetch.server import Fault, Server

MODES = ("sol_basis", "funding_arbitrage")
SINCE, UNTIL = "2024-01-01", "2024-02-06"
WINDOW = ("--start", "2024-01-03", "--end", UNTIL)
# An outage of the exchange is waited for a moment, not for minutes.
BINANCE_BARS = "/fapi/v1/klines"
SHORT = {"attempts": 2, "first_wait_seconds": 0.01, "longest_wait_seconds": 0.02}


@dataclass
class Desk:
    """A project of one's own whose exchanges are on this machine."""

    place: Path
    server: Server

    def basis(self, *words: str) -> Any:
        """Run a command inside the project."""
        return shell.call(*words, cwd=self.place)


@pytest.fixture
def desk(sample: Path, tmp_path: Path) -> Iterator[Desk]:
    """What `basis init` writes, both modes, with the sources of its feeds moved here."""
    place = tmp_path / "desk"
    made = shell.call("init", place)
    assert made.returncode == 0, made.stderr
    quotes = Quotes()
    with exchanges(quotes, MarketClock.at("2024-03-01T00:00")) as server:
        for config in load_configs(place / "configs").datasets.values():
            file = place / "configs" / "datasets" / f"{config.name}.yaml"
            _move(file, config, quotes, server, sample)
        limits = place / "configs" / "automation" / "limits.yaml"
        content = yaml.safe_load(limits.read_text())
        content["fetch"] |= SHORT
        limits.write_text(yaml.safe_dump(content))
        yield Desk(place, server)


def _move(file: Path, config: DatasetConfig, quotes: Quotes, server: Server, sample: Path) -> None:
    """Let a feed come from the exchange here, which quotes what the sample holds; or a copy."""
    content = yaml.safe_load(file.read_text())
    if content.get("source", {}).get("kind") != "ccxt":
        content["source"] = {"kind": "file", "path": f"{sample}/{config.glob}"}
    else:
        content["source"] |= {"url": server.url, "since": SINCE}
        of, files = config.of, sorted(sample.glob(config.glob))
        base, quote = str(of.base), str(of.quote)
        market = Market(str(of.venue), base, quote, "" if of.kind == "spot_bars" else quote)
        read = quotes.read_funding if of.kind == "funding" else quotes.read_bars
        read(market, files)
    file.write_text(yaml.safe_dump(content, sort_keys=False))


def test_four_commands_from_nothing_and_an_outage_in_the_middle(
    desk: Desk, sample: Path, tmp_path: Path
) -> None:
    """What failed is fetched again, and both modes are as on the files themselves."""
    desk.server.fail(Fault(path=BINANCE_BARS))
    desk.server.fail(Fault(status=503, path=BINANCE_BARS), times=2)
    first = desk.basis("data", "fetch", "--until", UNTIL)
    assert first.returncode == 1
    assert "FETCH-002" in first.stderr
    assert "PASS" in first.stdout
    second = desk.basis("data", "fetch", "--until", UNTIL)
    assert second.returncode == 0, second.stdout + second.stderr
    ran = desk.basis("run", *WINDOW)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "Gates: 0 FAIL" in ran.stdout
    for mode in MODES:
        assert mode in ran.stdout
        equities = []
        for name, data in (("fetched", desk.place / "data"), ("sample", sample)):
            out = tmp_path / name / mode
            own = ("backtest", mode, "--out", out, "--data-dir", data, *WINDOW)
            done = shell.call(*own, cwd=desk.place)
            assert done.returncode == 0, done.stderr
            equities.append(pd.read_parquet(out / "equity.parquet"))
        pd.testing.assert_frame_equal(*equities, check_exact=True)
