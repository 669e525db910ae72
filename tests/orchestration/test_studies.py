"""Stress, drawn paths, sweep and walk-forward as assets, on sample data and a real instance."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow.parquet as pq
import pytest
import yaml

from basis_pipeline.operations.audit_log import read_events
from basis_pipeline.operations.audit_log.files import DIRECTORY
from basis_pipeline.orchestration.failures import failures
from basis_pipeline.orchestration.instance_metrics import instance_metrics
from basis_pipeline.orchestration.records import all_gates
from basis_pipeline.orchestration.sensors.alerts import Cursor, alerts_of_run
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Status
from tests import shell
from tests.orchestration.conftest import WINDOW, FirstNight, Place, place_at, take_along

MODE = "pure_lending"
GRID = {"method": "grid"}
CALM = {"calm": [], "dear": [{"shock": "gas_spike", "at": 240, "hours": 72, "size": 9.0}]}
SETS: dict[str, dict[str, Any]] = {
    "crises": {"sampling": GRID, "markets": CALM},
    "replays": {
        "sampling": GRID,
        "windows": {
            "january": {"start": "2024-01-10", "end": "2024-01-20"},
            "later": {"start": "2024-05-01", "end": "2024-05-20"},
        },
        "limits": dict.fromkeys(("max_liquidations", "min_health_factor", "min_margin_ratio"))
        | {"max_drawdown": 1e-12},
    },
    "later": {
        "sampling": GRID,
        "windows": {"later": {"start": "2024-05-01", "end": "2024-05-20"}},
    },
    "bootstrapped": {
        "sampling": GRID,
        "bootstrap": {"paths": 3, "mean_block_hours": 72, "seed": 1},
    },
    MODE: {
        "sampling": {"method": "sobol", "points": 5, "seed": 1},
        "keys": {"allocation.lending": {"low": 0.5, "high": 1.0}},
    },
    "btc_basis": {
        "sampling": {"method": "sobol", "points": 5, "seed": 1},
        "keys": {"allocation.spot": {"low": 0.4, "high": 0.7}},
    },
}
PLAN = {
    "mode": MODE,
    "description": "How much to lend, in weeks.",
    "keys": {"allocation.lending": {"low": 0.5, "high": 1.0, "steps": 3}},
    "train_days": 14,
    "test_days": 7,
    "step_days": 14,
    "blocks": 4,
    "objective": "total_return",
    "constraints": dict.fromkeys(
        ("max_liquidations", "max_drawdown", "min_health_factor", "min_margin_ratio")
    ),
    "limits": {"max_degradation": 1e9, "min_deflated_sharpe": 0.0, "max_overfitting": 1.0},
    "natural_edges": {"allocation.lending": [1.0]},
}


@pytest.fixture(scope="module")
def studied(
    tmp_path_factory: pytest.TempPathFactory,
    first_night: FirstNight,
    project: Path,
    defs: dg.Definitions,
) -> Iterator[Place]:
    """Yield a place where a mode has run, with small scenario sets and a small plan."""
    directory = tmp_path_factory.mktemp("studied")
    shutil.copytree(first_night.directory, directory, dirs_exist_ok=True)
    configs = shutil.copytree(project, directory / "configs")
    shutil.rmtree(configs / "scenarios")
    (configs / "scenarios").mkdir()
    for name, content in SETS.items():
        result = yaml.safe_dump({"name": name, "description": "Small.", **content})
        (configs / "scenarios" / f"{name}.yaml").write_text(result)
    (configs / "walk_forward" / f"{MODE}.yaml").write_text(yaml.safe_dump(PLAN))
    for place in place_at(directory, directory / "data", defs):
        take_along(place)
        yield place


@pytest.fixture(autouse=True)
def configs(studied: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Return the configuration with the small sets."""
    monkeypatch.setenv("BASIS_CONFIG_DIR", str(studied.results.parent / "configs"))


def rejection(done: dg.ExecuteInProcessResult) -> str:
    """Why the one step of a run did not run."""
    assert not done.success
    return str(dict(failures(done.all_events)).popitem()[1])


def gates_in(place: Place, asset: str) -> dict[str, dict[str, Status]]:
    """Verdicts of an asset's gates of the mode that has run, by scenario set."""
    found: dict[str, dict[str, Status]] = {}
    for gate in all_gates(place.instance, place.defs):
        if gate.asset == asset and gate.mode == MODE:
            found.setdefault(gate.scenario_set, {})[gate.check] = gate.status
    return found


KINDS = (
    ("stress_tests", "stress/scenarios", "crises", 2),
    ("montecarlo_paths", "montecarlo/paths", "bootstrapped", 3),
    ("sweeps", "sweep/points", MODE, 5),
)


@pytest.mark.parametrize(("job", "asset", "name", "points"), KINDS)
def test_scenarios_are_run_and_judged(
    studied: Place, job: str, asset: str, name: str, points: int
) -> None:
    """A row a point below the results, a page, and both gates; without limits one has none."""
    done = studied.execute(job=job, mode=f"{MODE}|{name}")
    assert done.success
    (made,) = done.asset_materializations_for_node(asset.replace("/", "__"))
    assert made.partition == f"{MODE}|{name}"
    assert made.metadata["points"].value == points
    assert Path(str(made.metadata["page"].value)).is_file()
    verdicts = gates_in(studied, asset)[name]
    assert verdicts == {"reconciliation": Status.PASS, "worst_case": Status.NOT_APPLICABLE}
    rows = (studied.results / asset.partition("/")[0] / MODE).rglob("points-*.parquet")
    assert sum(pq.read_metadata(file).num_rows for file in rows) == points


def test_each_set_stands_alone(studied: Place) -> None:
    """Replays that break their limits change nothing of the crises; alerts and events name them."""
    assert studied.execute(job="stress_tests", mode=f"{MODE}|crises").success
    before = gates_in(studied, "stress/scenarios")["crises"]
    done = studied.execute(job="stress_tests", mode=f"{MODE}|replays")
    assert done.success
    (made,) = done.asset_materializations_for_node("stress__scenarios")
    assert made.metadata["left_out"].value == "later"
    after = gates_in(studied, "stress/scenarios")
    assert after["replays"]["worst_case"] is Status.FAIL
    assert after["crises"] == before
    events = list(read_events(studied.results / DIRECTORY, run_id=done.run_id))
    assert {event.mode for event in events} == {MODE}
    verdicts = [event for event in events if event.type == "gate_verdict"]
    assert {event.fields["scenario_set"] for event in verdicts} == {"replays"}
    durations = instance_metrics(studied.instance, [], 50).durations
    timed = {duration.operation for duration in durations}
    assert f"stress/scenarios[{MODE}|crises]" in timed
    run = studied.instance.get_run_by_id(done.run_id)
    assert run is not None
    (alert,) = alerts_of_run(studied.instance, run, Cursor())
    assert (alert.mode, alert.scenario_set) == (MODE, "replays")
    assert f"of replays of {MODE}" in alert.message


@pytest.mark.parametrize("job", ["stress_tests", "walk_forwards"])
def test_a_run_without_a_partition_is_told_how_to_name_one(studied: Place, job: str) -> None:
    """API-001, whatever lies upstream, before anything is mapped."""
    done = studied.execute(job=job)
    message = rejection(done)
    assert message.startswith("API-001")
    assert "dagster/partition" in message
    run = studied.instance.get_run_by_id(done.run_id)
    assert run is not None
    assert run.tags["dagster/max_retries"] == "0"
    (alert,) = alerts_of_run(studied.instance, run, Cursor())
    assert "API-001" in alert.message
    unknown = {"dagster/partition": "nobody|crises"}
    assert "CONFIG-007" in rejection(studied.execute(job=job, tags=unknown))


def test_the_weekly_sweep_asks_for_what_its_job_can_run(studied: Place) -> None:
    """Modes that have a set of their name."""
    repository = studied.defs.get_repository_def()
    saturday = datetime(2024, 3, 2, 6, tzinfo=UTC)
    with dg.build_schedule_context(
        studied.instance, saturday, repository_def=repository
    ) as context:
        asked = repository.get_schedule_def("weekly_sweeps").evaluate_tick(context).run_requests
    keys = [request.partition_key for request in asked or []]
    assert keys == ["btc_basis|btc_basis", f"{MODE}|{MODE}"]
    assert studied.execute(job="sweeps", mode=keys[1]).success


def test_no_scenarios_of_a_mode_that_never_ran(studied: Place) -> None:
    """Scenarios vary a backtest: without a sound one they are rejected, and say why."""
    message = rejection(studied.execute(job="stress_tests", mode="eth_basis|crises"))
    assert "BT-001" in message
    assert "stress/scenarios[eth_basis|crises]" in message
    assert not (studied.results / "stress" / "eth_basis").exists()


def test_a_walk_forward_chooses_and_is_judged(studied: Place) -> None:
    """Folds of fourteen days of train and seven of test; every gate has its verdict."""
    done = studied.execute(job="walk_forwards", mode=MODE)
    assert done.success
    (made,) = done.asset_materializations_for_node("walk_forward__folds")
    assert made.partition == MODE
    assert made.metadata["folds"].value == 2
    assert Path(str(made.metadata["page"].value)).is_file()
    (verdicts,) = gates_in(studied, "walk_forward/folds").values()
    assert len(verdicts) > 3
    assert Status.NOT_RUN not in verdicts.values()
    assert verdicts["reconciliation"] is Status.PASS


def test_a_walk_forward_longer_than_the_window_is_refused(
    studied: Place, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ninety days of train do not fit into seven weeks; nothing is half-written."""
    monkeypatch.setenv("BASIS_CONFIG_DIR", str(project))  # the plan as it is committed
    before = sorted((studied.results / "walk_forward").rglob("*"))
    assert not studied.execute(job="walk_forwards", mode=MODE).success
    assert sorted((studied.results / "walk_forward").rglob("*")) == before


def test_a_set_from_the_command_line_and_the_table_of_gates(studied: Place) -> None:
    """Dagster's own command takes mode and set as one key; `basis gates` has a line for each.

    The process leaves its trail: one request, one start, one end, the verdicts between them.
    """
    assert studied.execute(job="stress_tests", mode=f"{MODE}|replays").success
    home = studied.results / "dagster_home"
    shutil.copyfile(project_root() / "dagster.yaml", home / "dagster.yaml")
    places = {"BASIS_DATA_DIR": studied.data, "BASIS_RESULTS_DIR": studied.results}
    window = {f"BASIS_DATA_{edge.upper()}_DATE": at for edge, at in WINDOW.items()}
    environment = {name: str(path) for name, path in places.items()} | window
    environment |= {"DAGSTER_HOME": str(home), "COLUMNS": "200"}
    environment["BASIS_CONFIG_DIR"] = os.environ["BASIS_CONFIG_DIR"]

    command = ("dagster", "asset", "materialize", "-m", "basis_pipeline.definitions")
    chosen = ("--select", "stress/scenarios", "--partition", f"{MODE}|crises")
    before = {event.run_id for event in read_events(studied.results / DIRECTORY)}
    done = shell.run(*command, *chosen, env=shell.clean() | environment)
    assert done.returncode == 0, done.stderr
    events = [e for e in read_events(studied.results / DIRECTORY) if e.run_id not in before]
    assert len({event.run_id for event in events}) == 1
    types = [event.type for event in events]
    assert all(types.count(f"run_{once}") == 1 for once in ("requested", "started", "finished"))
    assert types[0] == "run_requested"
    assert "gate_verdict" in types
    gates = shell.call("gates", "--phase", "6", "--mode", MODE, env=environment)
    assert gates.returncode == 1, gates.stderr  # of the replays
    lines = [
        line.split("│")[1:-1] for line in gates.stdout.splitlines() if "stress/scenarios" in line
    ]
    cells = {tuple(cell.strip() for cell in line)[:4] for line in lines if len(line) > 4}
    assert (MODE, "crises", "stress/scenarios", "PASS") in cells
    assert (MODE, "replays", "stress/scenarios", "FAIL") in cells
    assert f"stress/scenarios[{MODE}|replays] worst_case" in gates.stdout
