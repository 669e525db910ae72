"""The inbox and the queue, served by runs that the sensor asks for one at a time."""

from datetime import UTC, datetime

import dagster as dg

from basis_pipeline.config.current import current_configs
from basis_pipeline.operations.control import halt
from basis_pipeline.operations.requests import BacktestRequest, Status, submit
from basis_pipeline.operations.requests.inbox import inbox_of
from basis_pipeline.operations.requests.queue import begin, requests_of
from basis_pipeline.orchestration.assets.report import COMPARISON
from basis_pipeline.orchestration.assets.requests import REQUESTS
from basis_pipeline.orchestration.batches import page_run
from basis_pipeline.settings import load_settings
from tests.orchestration.platform_alone import Platform, aged

SENSOR = "backtest_requests"


def test_files_of_the_inbox_end_as_recorded_runs(platform: Platform) -> None:
    """One run serves what waits, in order; the row and the run in the UI say what became of it."""
    settings = load_settings()
    inbox = inbox_of(settings)
    inbox.mkdir(parents=True)
    (inbox / "a.json").write_text('{"request_id": "one", "mode": "pure_lending"}')
    (inbox / "b.yaml").write_text("request_id: two\nmode: pure_lending\nend: 2031-01-01\n")
    (inbox / "c.json").write_text('{"request_id": "three"}')
    aged(inbox)
    (run,) = platform.settle(SENSOR)
    assert run.status is dg.DagsterRunStatus.SUCCESS
    one, two = requests_of(settings)
    assert (one.status, two.status) == (Status.DONE, Status.REJECTED)
    assert {one.pipeline_run, two.pipeline_run} == {run.run_id}
    assert (settings.results_dir / "runs" / one.run_id / "summary.json").is_file()
    assert (inbox / "rejected" / "c.json.error.json").is_file()
    (made,) = platform.instance.fetch_materializations(REQUESTS, limit=1).records
    assert made.asset_materialization is not None
    assert made.asset_materialization.metadata["done"].value == 1
    assert platform.settle(SENSOR) == []


def test_one_run_at_a_time_and_what_it_left_is_asked_for_again(platform: Platform) -> None:
    """While a run serves, nobody else does; one that was killed leaves its requests to the next."""
    settings = load_settings()
    submit(settings, BacktestRequest(request_id="one", mode="pure_lending"))
    (first,) = platform.look(SENSOR)
    dead = platform.instance.create_run_for_job(
        platform.place.defs.resolve_job_def("serve_requests"),
        run_config=first.run_config,
        status=dg.DagsterRunStatus.STARTED,
    )
    begin(settings, 1, dead.run_id)
    assert platform.look(SENSOR) == []
    assert "is serving" in platform.skipped[SENSOR]
    platform.instance.report_run_failed(dead, "killed")
    (again,) = platform.look(SENSOR)
    assert again.run_key != first.run_key
    assert platform.execute(again, SENSOR).success
    assert [served.status for served in requests_of(settings)] == [Status.DONE]


def test_a_halt_in_the_middle_leaves_the_rest_in_the_queue(platform: Platform) -> None:
    """The run that was to serve them is rejected; nobody of them is."""
    settings = load_settings()
    submit(settings, BacktestRequest(request_id="one", mode="pure_lending"))
    (asked,) = platform.look(SENSOR)
    halt(settings, reason="looks wrong", by="ann")
    assert not platform.execute(asked, SENSOR).success
    assert [served.status for served in requests_of(settings)] == [Status.QUEUED]


def test_a_request_is_not_taken_for_the_mode(running: Platform) -> None:
    """The comparison goes on to show the mode's own run, not a later one that was asked for."""
    own = running.results()["pure_lending"]
    settings = load_settings()
    submit(settings, BacktestRequest(request_id="one", mode="pure_lending", capital=5000.0))
    running.settle(SENSOR)
    (served,) = requests_of(settings)
    assert served.run_id not in ("", own)
    (latest,) = running.instance.get_runs(limit=1)
    pages = page_run(running.instance, latest)
    assert running.execute(pages, "pages").success
    (page,) = running.instance.fetch_materializations(COMPARISON, limit=1).records
    assert page.asset_materialization is not None
    shown = page.asset_materialization.metadata["modes"].records  # type: ignore[union-attr]
    equities = {row.data["mode"]: row.data["final_equity"] for row in shown}
    assert equities["pure_lending"] > 90_000.0


def test_everything_is_shipped_switched_off(platform: Platform) -> None:
    """Nothing runs by itself until somebody switches it on; every job they ask for exists."""
    repository = platform.place.defs.get_repository_def()
    for sensor in repository.sensor_defs:
        assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
        assert sensor.description
    for schedule in repository.schedule_defs:
        assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    names = {schedule.name for schedule in repository.schedule_defs}
    hourly = {"hourly_accounts", "hourly_fetch", "hourly_health"}
    assert names == {"nightly", "nightly_upkeep", "weekly_sweeps", *hourly}


def test_the_week_ends_with_a_sweep_of_every_mode(platform: Platform) -> None:
    """One run a mode and its own set, once a week; none while work is halted."""
    saturday = datetime(2024, 3, 2, 6, tzinfo=UTC)
    asked = platform.clock("weekly_sweeps", saturday)
    modes = sorted(current_configs().modes)
    assert [request.partition_key for request in asked] == [f"{mode}|{mode}" for mode in modes]
    assert all(request.tags["basis/cause"] for request in asked)
    again = platform.clock("weekly_sweeps", saturday)
    assert [request.run_key for request in again] == [request.run_key for request in asked]
    halt(load_settings(), reason="odd fills", by="ann")
    assert platform.clock("weekly_sweeps", datetime(2024, 3, 9, 6, tzinfo=UTC)) == []
    assert "HALT" in platform.skipped["weekly_sweeps"]
