"""Accounts in the graph: one step an account, its figures over time, its gates as checks."""

import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest
import yaml

from basis_pipeline.backtests.judged import judged_backtest
from basis_pipeline.config.account import load_account
from basis_pipeline.config.current import current_configs
from basis_pipeline.market.window import Window
from basis_pipeline.operations.accounts import AccountFiles
from basis_pipeline.operations.accounts.signals import latest_signals
from basis_pipeline.operations.audit_log import log_directory, read_events
from basis_pipeline.operations.control import halt, resume
from basis_pipeline.orchestration.assets.account import PAGE, RUN, SIGNALS
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
since: 2024-02-20
overrides: {overrides}
"""
SINCE = pd.Timestamp("2024-02-20", tz="UTC")
ETH, ETH_PERP = Market("bybit", "ETH", "USDT"), Market("binance", "ETH", "USDT", "USDT")


def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **overrides: str) -> Path:
    """A configuration of its own with two accounts."""
    configs = Path(shutil.copytree(COMMITTED, tmp_path / "configs"))
    for file in (configs / "accounts").glob("*.yaml"):
        file.unlink()
    for name, mode in (("carry", "eth_basis"), ("lent", "pure_lending")):
        content = FILE.format(name=name, mode=mode, overrides=overrides.get(name, "{}"))
        (configs / "accounts" / f"{name}.yaml").write_text(content)
    monkeypatch.setenv("BASIS_CONFIG_DIR", str(configs))
    return configs


@pytest.fixture
def desk(tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A platform with two accounts, on a configuration of its own."""
    configure(tmp_path, monkeypatch)
    yield from place_at(tmp_path, sample, build_defs())


def tick(desk: Place, account: str, now: str) -> dg.ExecuteInProcessResult:
    """Run the job of accounts for one of them at an hour."""
    places = {"data_dir": str(desk.data), "results_dir": str(desk.results)}
    return desk.defs.resolve_job_def("accounts").execute_in_process(
        instance=desk.instance,
        partition_key=account,
        run_config={
            "resources": {"options": {"config": places}},
            "ops": {"account": {"config": {"now": now}}},
        },
        raise_on_error=False,
    )


def figures(desk: Place, key: dg.AssetKey, account: str) -> list[dict[str, object]]:
    """Metadata of an asset's materialisations, the latest first."""
    wanted = dg.AssetRecordsFilter(asset_key=key, asset_partitions=[account])
    found = desk.instance.fetch_materializations(wanted, limit=10).records
    return [
        {name: entry.value for name, entry in one.asset_materialization.metadata.items()}
        for one in found
        if one.asset_materialization
    ]


def test_an_account_hour_by_hour(desk: Place) -> None:
    """Its equity is metadata over time, its gates are checks, its signal a row; and a halt."""
    settings = load_settings(data_dir=desk.data, results_dir=desk.results)
    for hour in ("07", "08"):
        result = tick(desk, "carry", f"2024-02-20T{hour}:00")
        assert result.success
        checks = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
        assert checks == dict.fromkeys(("fresh", "history_unchanged", "sound", "actionable"), True)
    rows = figures(desk, RUN, "carry")
    assert [row["last_hour"] for row in rows] == ["2024-02-20T08:00Z", "2024-02-20T07:00Z"]
    assert all(row["leg"] == 1 and row["open_revisions"] == 0 for row in rows)
    assert [row["action"] for row in figures(desk, SIGNALS, "carry")] == ["hold", "enter"]
    page = Path(str(figures(desk, PAGE, "carry")[0]["page"])).read_text()
    assert "Equity since inception" in page
    halt(settings, reason="odd fills", by="ann")
    assert tick(desk, "carry", "2024-02-20T09:00").success
    assert [row.action for row in latest_signals(settings)] == ["halt"]
    resume(settings, reason="checked", by="ann")
    assert tick(desk, "carry", "2024-02-20T09:00").success
    assert [row.action for row in latest_signals(settings)] == ["hold"]


def test_the_schedule_asks_for_every_account_once_an_hour(desk: Place) -> None:
    """One run an account; the run key is the hour's, so that no hour is run twice."""
    schedule = desk.defs.resolve_schedule_def("hourly_accounts")
    at = datetime(2024, 2, 20, 8, 5, tzinfo=UTC)
    repository = desk.defs.get_repository_def()
    with dg.build_schedule_context(desk.instance, at, repository_def=repository) as context:
        requests = schedule.evaluate_tick(context).run_requests or []
    assert [r.run_key for r in requests] == [
        "accounts-2024-02-20T08/carry",
        "accounts-2024-02-20T08/lent",
    ]
    assert schedule.cron_schedule == "5 * * * *"


def test_a_broken_account_stops_itself_alone(desk: Place) -> None:
    """Its run fails with the code of its file; another account goes on."""
    file = Path(desk.results.parent / "configs" / "accounts" / "carry.yaml")
    file.write_text(file.read_text().replace("capital: 100000", "capital: -1"))
    result = tick(desk, "carry", "2024-02-20T08:00")
    assert not result.success
    assert tick(desk, "lent", "2024-02-20T08:00").success


@dataclass
class Week:
    """A platform whose feeds come from an exchange and a node on this machine, hour by hour."""

    desk: Place
    quotes: Quotes
    clock: MarketClock
    exchange: Server
    settings: Settings

    def go_to(self, offset: int) -> None:
        """Let it be five minutes past so many hours after the beginning."""
        self.clock.now = (SINCE + pd.Timedelta(hours=offset, minutes=5)).to_pydatetime()

    def run(self, offset: int, account: str = "carry") -> tuple[int, dict[str, bool]]:
        """Tick; the hour that the account reaches, and which of its gates pass.

        All that it has is what a backtest in one go makes of the same files, to the bit.
        """
        self.go_to(offset)
        result = tick(self.desk, account, f"{self.clock.now:%Y-%m-%dT%H:00}")
        assert result.success
        made = AccountFiles(self.settings, account).run(1)
        assert made is not None
        expected = self.one_shot(account, made)
        assert all(frame.equals(made.frames[table]) for table, frame in expected.frames.items())
        hours = pd.date_range(SINCE, made.identity.end, freq="h", unit="ns")
        assert pd.DatetimeIndex(made.frames["equity"]["timestamp"]).equals(hours)
        passed = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
        return len(hours) - 1, passed

    def one_shot(self, account: str, made: RunResult) -> RunResult:
        """The backtest of an account's mode, as its file says it."""
        of = load_account(self.desk.results.parent / "configs", account)
        window = Window(SINCE, pd.Timestamp(made.identity.end))
        data, more = self.settings.data_dir, {"capital": of.capital, "overrides": of.overrides}
        return judged_backtest(current_configs(), of.mode, data, window, **more).result

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


@pytest.fixture
def week(tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Week]:
    """Two accounts without costs: their feeds are bars, settlements, and an index of a chain."""
    carry = "{hedge.venues: {binance: 1.0}, costs.enabled: false}"
    configs = configure(tmp_path, monkeypatch, carry=carry, lent="{costs.enabled: false}")
    quotes, clock = Quotes(), MarketClock(SINCE.to_pydatetime())
    quotes.make(ETH_PERP, "2024-02-19", "2024-02-28", 3_000.0)
    for stamp, bar in quotes.bars[ETH_PERP].items():
        quotes.bars.setdefault(ETH, {})[stamp] = Bar(*(round(x / 1.0002, 4) for x in bar))
    for feed in ("binance_margin_requirements", "bybit_margin_requirements"):
        for file in sample.rglob(f"{feed}*.json"):
            place = tmp_path / "data" / file.relative_to(sample)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, place)
    with (
        exchanges(quotes, clock) as exchange,
        archive_node(clock, "2023-12-01T00:00:11") as (node, _),
    ):
        aave = {"what": "aave_reserve", "pool": POOL, "oracle": ORACLE, "asset": TOKEN}
        for name, keys in (
            ("binance_ethusdt_perp", {"url": exchange.url}),
            ("binance_ethusdt_funding", {"url": exchange.url}),
            ("bybit_ethusdt_spot", {"url": exchange.url}),
            ("aave_usdt_rates", {"url": node.url, "url_variable": None, "read": aave}),
        ):
            file = configs / "datasets" / f"{name}.yaml"
            content = yaml.safe_load(file.read_text())
            source = content["source"] | keys | {"since": "2024-02-19"}
            content["source"] = {key: value for key, value in source.items() if value is not None}
            file.write_text(yaml.safe_dump(content))
        # Another exchange that gaps could be filled from is not asked.
        file = configs / "datasets" / "bybit_ethusdt_perp.yaml"
        content = yaml.safe_load(file.read_text())
        del content["source"]
        file.write_text(yaml.safe_dump(content))
        limits = configs / "automation" / "limits.yaml"
        limits.write_text(limits.read_text().replace("attempts: 5", "attempts: 1"))
        settings = load_settings(data_dir=tmp_path / "data", results_dir=tmp_path / "results")
        for place in place_at(tmp_path, tmp_path / "data", build_defs()):
            yield Week(place, quotes, clock, exchange, settings)


def test_a_week_with_everything_that_goes_wrong(week: Week) -> None:
    """An outage, a late settlement, a revised bar, a kill: no hour is lost or doubled.

    The feeds come from an exchange and a node that advance hour by hour.
    """
    good = {"fresh": True, "history_unchanged": True, "sound": True, "actionable": True}
    stale = good | {"fresh": False, "actionable": False}
    revised = good | {"history_unchanged": False, "actionable": False}
    assert week.run(8) == (7, good)
    assert week.run(30, "lent") == (24, good)
    # An outage of five hours: the account stays where it is, and catches up.
    week.exchange.fail(Fault(status=503, path="/fapi/v1/klines"), times=1000)
    assert [week.run(offset) for offset in (9, 11, 13)] == [(7, good), (7, stale), (7, stale)]
    week.exchange.faults.clear()
    assert week.run(14) == (13, good)
    # The settlement of 16:00 comes three hours late.
    late = dict(week.quotes.funding[ETH_PERP])
    del week.quotes.funding[ETH_PERP][ms("2024-02-21T16:00")]
    assert [week.run(offset) for offset in (40, 43)] == [(39, good), (39, stale)]
    week.quotes.funding[ETH_PERP] = late
    assert week.run(44) == (43, good)
    # A revised bar counts when a person lets it replace what was stored, and accepts the change.
    bar = week.quotes.bars[ETH_PERP][ms("2024-02-22T07:00")]
    assert week.run(58) == (57, good)
    week.quotes.bars[ETH_PERP][ms("2024-02-22T07:00")] = bar._replace(open=bar.open * 1.0001)
    assert week.run(59) == (58, good)
    feed = current_configs().datasets["binance_ethusdt_perp"]
    fetch(week.desk.results.parent, feed, week.clock, accept=True)
    assert week.run(60) == (59, revised)
    (revision,) = AccountFiles(week.settings, "carry").accept(by="ann", reason="checked")
    assert (revision.hour, revision.feed) == ("2024-02-22T07:00:00+00:00", "binance_ethusdt_perp")
    assert week.run(61) == (60, good)
    week.killed(96)
    assert [week.run(offset) for offset in (96, 97, 168)] == [(95, good), (96, good), (167, good)]
    assert week.run(168, "lent") == (144, good)
    types = Counter(event.type for event in read_events(log_directory(week.settings)))
    assert (types["feed_stale"], types["feed_caught_up"]) == (2, 2)
    assert (types["revision_found"], types["revision_accepted"]) == (1, 1)
    hours = [event.fields["hour"] for event in read_events(log_directory(week.settings))
             if event.type == "signal" and event.fields["account"] == "carry"]  # fmt: skip
    assert hours == sorted(hours)
