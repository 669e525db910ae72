"""Accounts in the graph: one step an account, its figures over time, its gates as checks."""

import shutil
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
from tests.config.trees import COMMITTED
from tests.orchestration.conftest import Place, place_at

FILE = """
name: {name}
description: A test.
mode: {mode}
capital: 100000
since: 2024-02-20
"""


@pytest.fixture
def desk(tmp_path: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A platform with two accounts, on a configuration of its own."""
    configs = Path(shutil.copytree(COMMITTED, tmp_path / "configs"))
    for file in (configs / "accounts").glob("*.yaml"):
        file.unlink()
    for name, mode in (("carry", "eth_basis"), ("lent", "pure_lending")):
        (configs / "accounts" / f"{name}.yaml").write_text(FILE.format(name=name, mode=mode))
    monkeypatch.setenv("BASIS_CONFIG_DIR", str(configs))
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
