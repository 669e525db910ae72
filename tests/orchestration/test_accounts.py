"""Accounts in the graph: one step an account, its figures over time, its gates as checks."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.operations.accounts.signals import latest_signals
from basis_pipeline.operations.control import halt, resume
from basis_pipeline.orchestration.assets.account import PAGE, RUN, SIGNALS
from basis_pipeline.orchestration.build import build_defs
from basis_pipeline.settings import load_settings
from tests.market.fetch.clock import ms
from tests.orchestration.account_week import (
    ETH_PERP,
    GOOD,
    HOURS,
    KILL,
    LATE_SETTLEMENT,
    REVISED,
    REVISED_BAR,
    STALE,
    Week,
    account_week,
    configure,
    tick,
)
from tests.orchestration.conftest import Place, place_at


@pytest.fixture
def desk(tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Yield a platform with two accounts on its own configuration."""
    configure(tmp_path, monkeypatch)
    yield from place_at(tmp_path, sample, build_defs())


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


@pytest.fixture
def week(tmp_path: Path, sample: Path) -> Iterator[Week]:
    """Accounts that have not run yet."""
    with account_week(tmp_path, sample) as made:
        yield made


def test_a_week_with_everything_that_goes_wrong(week: Week) -> None:
    """An outage, a late settlement, a revised bar, a kill: no hour is lost or doubled.

    `python -m benchmarks week` does the same with a tick in every hour.
    """
    assert week.run(8) == (7, GOOD)
    # An outage of five hours: the account stays where it is, and catches up.
    week.fail_bars()
    assert week.run(13) == (7, STALE)
    week.exchange.faults.clear()
    # The settlement of 16:00 comes three hours late.
    funding = week.quotes.funding[ETH_PERP]
    settlement = funding.pop(ms(LATE_SETTLEMENT))
    assert week.run(43) == (39, STALE)
    funding[ms(LATE_SETTLEMENT)] = settlement
    assert week.run(59) == (58, GOOD)
    week.revise_bar(REVISED_BAR)
    assert week.run(60) == (59, REVISED)
    revision = week.accept()
    week.killed(KILL)
    assert [week.run(KILL), week.run(HOURS)] == [(KILL - 1, GOOD), (HOURS - 1, GOOD)]
    assert week.run(HOURS, "lent") == (144, GOOD)
    week.require_named_once(revision)
    assert week.signaled("carry") == [7, 39, 58, 59, KILL - 1, HOURS - 1]
