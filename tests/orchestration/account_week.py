"""Accounts whose feeds come from an exchange and a node on this machine, hour by hour."""

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import yaml

from basis_pipeline.backtests.judged import judged_backtest
from basis_pipeline.config.account import load_account
from basis_pipeline.config.current import current_configs
from basis_pipeline.market.window import Window
from basis_pipeline.operations.accounts import AccountFiles, Revision
from basis_pipeline.operations.audit_log import Event, log_directory, read_events
from basis_pipeline.orchestration.build import build_defs
from basis_pipeline.results.store import RunResult
from basis_pipeline.settings import Settings, load_settings
from tests.config.trees import COMMITTED
from tests.market.fetch.chain_server import ORACLE, POOL, TOKEN, archive_node
from tests.market.fetch.clock import MarketClock, ms
from tests.market.fetch.exchanges import exchanges
from tests.market.fetch.feeds import fetch
from tests.market.fetch.quotes import Bar, Market, Quotes
from tests.market.fetch.server import Fault, Server
from tests.orchestration.conftest import Place, place_at

FILE = """
name: {name}
description: A test.
mode: {mode}
capital: 100000
since: {since}
overrides: {overrides}
"""
SINCE = pd.Timestamp("2024-02-20", tz="UTC")
ETH, ETH_PERP = Market("bybit", "ETH", "USDT"), Market("binance", "ETH", "USDT", "USDT")
# Hours of the week: bars are missing at the ticks of the one, a settlement at those of the other.
OUTAGE, LATE = range(9, 14), range(41, 44)
LATE_SETTLEMENT = "2024-02-21T16:00"
REVISED_BAR, KILL, HOURS = 55, 96, 168
GOOD = {"fresh": True, "history_unchanged": True, "sound": True, "actionable": True}
STALE = GOOD | {"fresh": False, "actionable": False}
REVISED = GOOD | {"history_unchanged": False, "actionable": False}


def configure(
    directory: Path,
    patch: pytest.MonkeyPatch,
    since: pd.Timestamp = SINCE,
    **overrides: str,
) -> Path:
    """Write a configuration with two accounts, and let the process read it."""
    configs = Path(shutil.copytree(COMMITTED, directory / "configs"))
    for file in (configs / "accounts").glob("*.yaml"):
        file.unlink()
    for name, mode in (("carry", "eth_basis"), ("lent", "pure_lending")):
        more = {"since": f"{since:%Y-%m-%d}", "overrides": overrides.get(name, "{}")}
        content = FILE.format(name=name, mode=mode, **more)
        (configs / "accounts" / f"{name}.yaml").write_text(content)
    patch.setenv("BASIS_CONFIG_DIR", str(configs))
    return configs


def tick(desk: Place, account: str, now: str) -> dg.ExecuteInProcessResult:
    """Run the job of accounts for one of them at an hour."""
    places = {"data_dir": str(desk.data), "results_dir": str(desk.results)}
    return desk.defs.resolve_job_def("accounts").execute_in_process(
        instance=desk.instance,
        partition_key=account,
        run_config={
            "resources": {"options": {"config": places}},
            "ops": {"account": {"config": {"now": now}}},
            "loggers": {"console": {"config": {"log_level": "ERROR"}}},
        },
        raise_on_error=False,
    )


@dataclass
class Week:
    """A platform whose feeds come from an exchange and a node on this machine."""

    desk: Place
    quotes: Quotes
    clock: MarketClock
    exchange: Server
    settings: Settings
    since: pd.Timestamp

    def go_to(self, offset: int) -> None:
        """Set the clock to five minutes past this many hours after the start."""
        self.clock.now = (self.since + pd.Timedelta(hours=offset, minutes=5)).to_pydatetime()

    def run(self, offset: int, account: str = "carry") -> tuple[int | None, dict[str, bool]]:
        """Run one tick; return the hour the account reaches and which gates pass."""
        self.go_to(offset)
        result = tick(self.desk, account, f"{self.clock.now:%Y-%m-%dT%H:00}")
        assert result.success
        passed = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
        return self.reached(account), passed

    def reached(self, account: str) -> int | None:
        """Return the last hour of an account, None before its first run.

        All that it has is what a backtest in one go makes of the same files, to the bit.
        """
        made = AccountFiles(self.settings, account).run(1)
        if made is None:
            return None
        expected = self.one_shot(account, made)
        assert all(frame.equals(made.frames[table]) for table, frame in expected.frames.items())
        hours = pd.date_range(self.since, made.identity.end, freq="h", unit="ns")
        assert pd.DatetimeIndex(made.frames["equity"]["timestamp"]).equals(hours)
        return len(hours) - 1

    def one_shot(self, account: str, made: RunResult) -> RunResult:
        """Return a backtest of the account's mode in one go."""
        of = load_account(self.desk.results.parent / "configs", account)
        window = Window(self.since, pd.Timestamp(made.identity.end))
        data, more = self.settings.data_dir, {"capital": of.capital, "overrides": of.overrides}
        return judged_backtest(current_configs(), of.mode, data, window, **more).result

    def fail_bars(self) -> None:
        """Let the exchange answer no question for bars of the perpetual."""
        self.exchange.fail(Fault(status=503, path="/fapi/v1/klines"), times=100_000)

    def revise_bar(self, offset: int) -> None:
        """Change a bar at the exchange, and let a person say that it replaces the stored one."""
        stamp = ms((self.since + pd.Timedelta(hours=offset)).to_pydatetime())
        bar = self.quotes.bars[ETH_PERP][stamp]
        self.quotes.bars[ETH_PERP][stamp] = bar._replace(open=bar.open * 1.0001)
        feed = current_configs().datasets["binance_ethusdt_perp"]
        fetch(self.desk.results.parent, feed, self.clock, accept=True)

    def accept(self) -> Revision:
        """Let a person accept the one change of the past."""
        (revision,) = AccountFiles(self.settings, "carry").accept(by="ann", reason="checked")
        return revision

    def killed(self, offset: int) -> None:
        """Kill the process that runs the hourly job when it has written a part of its files."""
        self.go_to(offset)
        files = AccountFiles(self.settings, "carry").directory
        before, deadline = set(files.glob("market-*.npz")), time.monotonic() + 240.0
        child = os.fork()
        if child == 0:
            tick(self.desk, "carry", f"{self.clock.now:%Y-%m-%dT%H:00}")
            os._exit(0)
        while set(files.glob("market-*.npz")) == before and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])

    def events(self) -> list[Event]:
        """Return all events of the audit log."""
        return list(read_events(log_directory(self.settings)))

    def require_named_once(self, revision: Revision) -> None:
        """Require one event each for two stale feeds, their return and the revised bar."""
        hour = self.since + pd.Timedelta(hours=REVISED_BAR)
        found = pd.Timestamp(revision.hour), revision.feed
        assert found == (hour, "binance_ethusdt_perp")
        types = Counter(event.type for event in self.events())
        assert (types["feed_stale"], types["feed_caught_up"]) == (2, 2)
        assert (types["revision_found"], types["revision_accepted"]) == (1, 1)

    def signaled(self, account: str) -> list[int]:
        """Return the hours of an account's signals, in the order they were made."""
        hours = [
            pd.Timestamp(event.fields["hour"]) - self.since
            for event in self.events()
            if event.type == "signal" and event.fields["account"] == account
        ]
        return [int(hour / pd.Timedelta(hours=1)) for hour in hours]


@contextmanager
def account_week(
    directory: Path, sample: Path, since: pd.Timestamp = SINCE, genesis: str = "2023-12-01T00:00:11"
) -> Iterator[Week]:
    """Yield two accounts without costs, on bars, settlements and an index of a chain.

    Parameters
    ----------
    directory: of its own. sample: raw files that the margin requirements are taken from.
    since: the accounts' first hour, a midnight. genesis: when the chain began.
    """
    quotes, clock = Quotes(), MarketClock(since.to_pydatetime())
    before, after = (f"{since + pd.Timedelta(days=days):%Y-%m-%d}" for days in (-1, 8))
    quotes.make(ETH_PERP, before, after, 3_000.0)
    for stamp, bar in quotes.bars[ETH_PERP].items():
        quotes.bars.setdefault(ETH, {})[stamp] = Bar(*(round(x / 1.0002, 4) for x in bar))
    for feed in ("binance_margin_requirements", "bybit_margin_requirements"):
        for file in sample.rglob(f"{feed}*.json"):
            place = directory / "data" / file.relative_to(sample)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    carry, lent = "{hedge.venues: {binance: 1.0}, costs.enabled: false}", "{costs.enabled: false}"
    with (
        pytest.MonkeyPatch.context() as patch,
        exchanges(quotes, clock) as exchange,
        archive_node(clock, genesis) as (node, _),
    ):
        configs = configure(directory, patch, since, carry=carry, lent=lent)
        _point(configs, before, exchange.url, node.url)
        settings = load_settings(data_dir=directory / "data", results_dir=directory / "results")
        for place in place_at(directory, directory / "data", build_defs()):
            yield Week(place, quotes, clock, exchange, settings, since)


def _point(configs: Path, since: str, exchange: str, node: str) -> None:
    """Let the feeds of the two accounts have their sources on this machine."""
    aave = {"what": "aave_reserve", "pool": POOL, "oracle": ORACLE, "asset": TOKEN}
    for name, keys in (
        ("binance_ethusdt_perp", {"url": exchange}),
        ("binance_ethusdt_funding", {"url": exchange}),
        ("bybit_ethusdt_spot", {"url": exchange}),
        ("aave_usdt_rates", {"url": node, "url_variable": None, "read": aave}),
    ):
        file = configs / "datasets" / f"{name}.yaml"
        content = yaml.safe_load(file.read_text())
        source = content["source"] | keys | {"since": since}
        content["source"] = {key: value for key, value in source.items() if value is not None}
        file.write_text(yaml.safe_dump(content))
    # Another exchange that gaps could be filled from is not asked.
    file = configs / "datasets" / "bybit_ethusdt_perp.yaml"
    content = yaml.safe_load(file.read_text())
    del content["source"]
    file.write_text(yaml.safe_dump(content))
    limits = configs / "automation" / "limits.yaml"
    limits.write_text(limits.read_text().replace("attempts: 5", "attempts: 1"))
