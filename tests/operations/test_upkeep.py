"""The nightly upkeep: a backup, and removal of what is beyond the limits."""

from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.config.automation import Upkeep, load_automation_limits
from basis_pipeline.operations.audit_log import read_events
from basis_pipeline.operations.audit_log.files import DIRECTORY
from basis_pipeline.operations.upkeep import keep_up
from basis_pipeline.orchestration.build import build_defs
from basis_pipeline.results.database.archive import Archive
from basis_pipeline.results.database.backup import backups, restore
from basis_pipeline.results.database.runs import runs
from basis_pipeline.settings import Settings, load_settings, project_root
from tests.results.made_run import make_run


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
        made, removed = keep_up(settings, Upkeep(backups=2, runs_a_mode=1))
        assert len(removed) == expected
        made.rename(made.with_name(f"kept-{made.name}")) if removed else None
    assert [record.capital for record in runs(archive.engine)] == [3.0]
    directory = settings.results_dir / "backups"
    assert len(backups(directory)) == 2
    (kept,) = directory.glob("kept-*")
    assert len(restore(kept, archive, overwrite=True)) == 3
    events = read_events(settings.results_dir / DIRECTORY, types=["runs_pruned"])
    assert [len(event.fields["runs"]) for event in events] == [2]


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
