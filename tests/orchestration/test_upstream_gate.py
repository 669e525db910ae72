"""The upstream gate: the latest record decides, whichever run found it."""

import multiprocessing
import os
import threading
import time

import dagster as dg
import pytest
from dagster import DagsterEvent, DagsterEventType
from dagster._core.events import EngineEventData

from basis_pipeline.errors import BacktestError
from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.assets.config import MODE as SLICE
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.assets.market import PANEL
from basis_pipeline.orchestration.assets.raw import raw_key
from basis_pipeline.orchestration.upstream_gate import require_passing
from tests.orchestration.conftest import Place

MODE, FEED = "pure_lending", "aave_usdt_rates"
COVERAGE = dg.AssetCheckKey(dataset_key(FEED), "coverage")


def report(
    place: Place,
    passed: bool,
    key: dg.AssetCheckKey = COVERAGE,
    partition: str | None = None,
) -> None:
    """Record an evaluation outside any run, as a person or another tool would."""
    place.instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=passed,
            metadata={"where": "aave.csv"},
            severity=dg.AssetCheckSeverity.ERROR,
            description="DATA-010: half of it is missing | do: deliver it",
            partition=partition,
        )
    )


@pytest.mark.parametrize("key", [PANEL, SIMULATION])
def test_a_failing_check_of_an_earlier_run_blocks(ran: Place, key: dg.AssetKey) -> None:
    """Panel and backtest are blocked while a check of what they read fails, and run again after."""
    assert ran.run_mode(MODE, key) == []
    report(ran, passed=False)
    (problem,) = ran.run_mode(MODE, key)
    assert isinstance(problem, BacktestError)
    assert problem.code == "BT-001"
    assert "dataset/aave_usdt_rates coverage fails: DATA-010" in problem.what
    assert problem.where == "aave.csv"
    report(ran, passed=True)
    assert ran.run_mode(MODE, key) == []


def test_a_failing_check_of_another_mode_or_other_data_does_not_matter(ran: Place) -> None:
    """Records are read for the partition, the data and the window that are asked for."""
    inputs = dg.AssetCheckKey(PANEL, "inputs")
    report(ran, passed=False, key=inputs, partition="btc_basis")
    assert ran.run_mode(MODE, SIMULATION) == []
    other = ran.data.parent / "other"
    (other / "data").mkdir(parents=True)
    places = {"data_dir": str(other / "data"), "results_dir": str(other / "results")}
    assert ran.execute(raw_key(FEED), dataset_key(FEED), **places).success
    assert ran.run_mode(MODE, SLICE, PANEL, **places) != []
    assert ran.run_mode(MODE, SIMULATION) == []
    report(ran, passed=False, key=inputs, partition="pure_lending")
    assert ran.run_mode(MODE, SIMULATION) != []


def test_what_was_never_materialised_is_named(place: Place) -> None:
    """On a new instance the error of a mode names what to materialise first."""
    with pytest.raises(BacktestError, match="aave_usdt_rates coverage was never evaluated"):
        require_passing(place.instance, [COVERAGE], "market/panel[pure_lending]")


def test_what_fails_is_told_before_what_was_never_looked_at(place: Place) -> None:
    """The message leads to every cause, not to what merely follows from it."""
    gaps = dg.AssetCheckKey(COVERAGE.asset_key, "gaps")
    order = dg.AssetCheckKey(COVERAGE.asset_key, "order")
    report(place, passed=False)
    report(place, passed=False, key=order)
    with pytest.raises(BacktestError) as rejected:
        require_passing(place.instance, [gaps, COVERAGE, order], "market/panel[pure_lending]")
    assert "coverage fails" in rejected.value.what
    assert "order fails" in rejected.value.what
    assert "gaps" not in rejected.value.what


def planned(place: Place) -> dg.DagsterRun:
    """Create a run that waits in the queue: every check of its datasets is planned."""
    job = place.defs.resolve_job_def("datasets")
    return place.instance.create_run_for_job(job, asset_selection={COVERAGE.asset_key})


def begin(place: Place, run: dg.DagsterRun, pid: int) -> None:
    """Let the run execute in the process of that number."""
    data = EngineEventData({"pid": str(pid)})
    place.instance.report_engine_event("begun", run, data)
    start = DagsterEvent(DagsterEventType.RUN_START.value, job_name=run.job_name)
    place.instance.report_dagster_event(start, run.run_id)


def test_a_plan_of_a_run_that_waits_says_nothing_of_the_data(place: Place) -> None:
    """While another run is queued or was canceled the latest evaluation counts, good or bad."""
    report(place, passed=True)
    run = planned(place)
    require_passing(place.instance, [COVERAGE], "market/panel[pure_lending]")
    place.instance.report_run_canceled(run)
    require_passing(place.instance, [COVERAGE], "market/panel[pure_lending]")
    report(place, passed=False)
    planned(place)
    with pytest.raises(BacktestError, match="DATA-010"):
        require_passing(place.instance, [COVERAGE], "market/panel[pure_lending]")


def test_a_run_that_executes_is_waited_for(place: Place) -> None:
    """What it is about to find counts, not what was found before."""
    report(place, passed=True)
    begin(place, planned(place), os.getpid())
    threading.Timer(1.0, report, (place, False)).start()
    with pytest.raises(BacktestError, match="DATA-010"):
        require_passing(place.instance, [COVERAGE], "market/panel[pure_lending]")


def test_a_run_whose_process_was_killed_is_not_waited_for(place: Place) -> None:
    """It stays started in the records and will never evaluate what it planned."""
    report(place, passed=True)
    process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    process.start()
    assert process.pid
    begin(place, planned(place), process.pid)
    process.kill()
    began = time.monotonic()
    require_passing(place.instance, [COVERAGE], "market/panel[pure_lending]")
    assert time.monotonic() - began < 10.0
