"""The nightly upkeep: a backup, and removal of what is beyond the limits."""

from dataclasses import replace
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from basis_pipeline.backtests.signals import Action, Signal
from basis_pipeline.config.automation import Upkeep, load_automation_limits
from basis_pipeline.operations.accounts.signals import record_signal, signal_history
from basis_pipeline.operations.audit_log import read_events
from basis_pipeline.operations.audit_log.files import DIRECTORY
from basis_pipeline.operations.upkeep import keep_up
from basis_pipeline.orchestration.build import build_defs
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.backup import backups, restore
from basis_pipeline.results.database.runs import runs
from basis_pipeline.settings import Settings, load_settings, project_root
from tests.results.made_run import make_run

LIMITS = Upkeep(backups=2, runs_a_mode=1, signals_an_account=3)
SIGNAL = Signal(
    account="",
    leg=1,
    mode="btc_basis",
    since=pd.Timestamp("2024-06-01", tz="UTC"),
    hour=pd.Timestamp("2024-06-01", tz="UTC"),
    action=Action.HOLD,
    trigger="",
    equity=1.0,
    positions=(),
    orders=(),
    distances=(),
)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A place with three runs of one mode."""
    monkeypatch.setenv("BASIS_RESULTS_DIR", str(tmp_path / "results"))
    monkeypatch.setenv("BASIS_RESULTS_DB_URL", "sqlite:///${BASIS_RESULTS_DIR}/runs.sqlite")
    found = load_settings()
    archive = Archive(found.results_dir, found.results_db_url)
    for capital in (1.0, 2.0, 3.0):
        archive.keep(make_run(hours=48, capital=capital))
    return found


def test_what_is_removed_is_in_the_backup(settings: Settings) -> None:
    """The newest runs of a mode and the newest backups stay; both stand in the audit log."""
    archive = Archive(settings.results_dir, settings.results_db_url)
    for expected in (2, 0, 0):
        made, removed, _ = keep_up(settings, LIMITS)
        assert len(removed) == expected
        made.rename(made.with_name(f"kept-{made.name}")) if removed else None
    assert [record.capital for record in runs(archive.engine)] == [3.0]
    directory = settings.results_dir / "backups"
    assert len(backups(directory)) == 2
    (kept,) = directory.glob("kept-*")
    assert len(restore(kept, archive, overwrite=True)) == 3
    events = read_events(settings.results_dir / DIRECTORY, types=["runs_pruned"])
    assert [len(event.fields["runs"]) for event in events] == [2]


def test_the_newest_signals_of_each_account_stay(settings: Settings) -> None:
    """The older ones are in the backup; the audit log has their number and the oldest left."""
    for account, hours in (("many", 5), ("few", 2)):
        for hour in range(hours):
            at = SIGNAL.hour + pd.Timedelta(hours=hour)
            record_signal(settings, replace(SIGNAL, account=account, hour=at))
    made, _, removed = keep_up(settings, LIMITS)
    assert removed == 2
    left = {name: signal_history(settings, name, limit=9) for name in ("many", "few")}
    assert [row.hour.hour for row in left["many"]] == [4, 3, 2]
    assert [row.hour.hour for row in left["few"]] == [1, 0]
    (event,) = read_events(settings.results_dir / DIRECTORY, types=["signals_pruned"])
    assert (event.fields["account"], event.fields["signals"]) == ("many", 2)
    assert event.fields["before"] == "2024-06-01T02:00:00+00:00"
    assert keep_up(settings, LIMITS).signals == 0
    restore(made, Archive(settings.results_dir, settings.results_db_url), overwrite=True)
    assert len(signal_history(settings, "many", limit=9)) == 5


def test_the_schedule_runs_it_and_is_shipped_off(settings: Settings) -> None:
    """Its job uses the limits of the configuration."""
    defs = build_defs()
    schedule = defs.resolve_schedule_def("nightly_upkeep")
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def(schedule.job_name)
        assert job.execute_in_process(instance=instance).success
    assert len(backups(settings.results_dir / "backups")) == 1
    limits = load_automation_limits(project_root() / "configs").upkeep
    assert limits.runs_a_mode > 3
    assert limits.signals_an_account > 7 * 24
