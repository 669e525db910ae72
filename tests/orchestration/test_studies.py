"""Stress, drawn paths, sweep and walk-forward as assets, on sample data and a real instance."""

from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest

from basis_pipeline.operations.gates import Verdict
from basis_pipeline.orchestration.assets.studies import study_key
from basis_pipeline.orchestration.launch import PipelineOutcome
from basis_pipeline.orchestration.records import all_gates
from tests.orchestration.conftest import Place

MODE = "pure_lending"


def execute(place: Place, job: str) -> dg.ExecuteInProcessResult:
    """Run a job of the code location for one mode."""
    request = {name: value for name, value in place.request().model_dump().items() if value}
    config: dict[str, Any] = {"resources": {"request": {"config": request}}}
    return place.defs.resolve_job_def(job).execute_in_process(
        instance=place.instance, partition_key=MODE, run_config=config, raise_on_error=False
    )


@pytest.mark.parametrize(
    ("job", "kind"),
    [
        ("stress_tests", "stress"),
        ("montecarlo_paths", "montecarlo"),
        ("sweeps", "sweep"),
    ],
)
def test_scenarios_are_run_and_judged(
    outcome: PipelineOutcome, shared_place: Place, job: str, kind: str
) -> None:
    """A row a point lies below the results, and both gates are recorded for the mode."""
    assert outcome.modes
    done = execute(shared_place, job)
    assert done.success
    made = [e for e in done.get_asset_materialization_events() if e.asset_key == study_key(kind)]
    assert made[0].partition == MODE
    found = [g for g in all_gates(shared_place.instance, shared_place.defs) if g.mode == MODE]
    gates = {g.check: g.verdict for g in found if g.asset == f"{kind}/run"}
    assert gates == {"reconciliation": Verdict.PASS, "worst_case": Verdict.PASS}
    rows = sorted((shared_place.results / kind / MODE).rglob("points-*.parquet"))
    assert sum(pq.read_metadata(file).num_rows for file in rows) in (8, 200, 10_000)


def test_no_scenarios_of_a_mode_that_never_ran(place: Place) -> None:
    """Scenarios vary a backtest: without a sound one they are refused, and say why."""
    done = execute(place, "sweeps")
    assert not done.success
    assert not (place.results / "sweep").exists()


def test_a_walk_forward_longer_than_the_window_is_refused(
    outcome: PipelineOutcome, shared_place: Place
) -> None:
    """Ninety days of train do not fit into seven weeks; nothing is half-written."""
    assert outcome.modes
    assert not execute(shared_place, "walk_forwards").success
    assert not (shared_place.results / "walk_forward").exists()
