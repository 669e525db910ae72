"""The health asset and `basis health` on real instances."""

import json
import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.types import DaemonHeartbeat

from basis_pipeline.config.health import load_health_limits
from basis_pipeline.operations.health.durations import percentiles
from basis_pipeline.operations.health.model import Status
from basis_pipeline.orchestration.assets.health import HEALTH, check_of
from basis_pipeline.orchestration.checks import PHASE
from basis_pipeline.orchestration.facts import facts_of, step_samples
from basis_pipeline.orchestration.jobs import HEALTH_JOB
from basis_pipeline.orchestration.launch import PipelineOutcome
from basis_pipeline.orchestration.resources import current_configs
from basis_pipeline.settings import project_root
from tests import shell
from tests.orchestration.conftest import Place

PERP = "market_data/derivatives/futures_ohlcv/bybit_ETHUSDT_perp_1h_*.csv"
COUNTED = """WITH RECURSIVE copies(n) AS (
    SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < ?
)"""
NEW = "substr(run_id, 1, 24) || printf('%012d', n)"


def observe(place: Place) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the health job and give the evaluations of its checks by name."""
    asked = place.request().model_dump()
    config = {name: value for name, value in asked.items() if value}
    result = place.defs.resolve_job_def(HEALTH_JOB).execute_in_process(
        instance=place.instance, run_config={"resources": {"options": {"config": config}}}
    )
    assert result.success
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def test_every_component_is_a_check_of_phase_4(defs: dg.Definitions) -> None:
    """The gates see health; no component is left out."""
    graph = defs.resolve_asset_graph()
    checks = [key for key in graph.asset_check_keys if key.asset_key == HEALTH]
    configs = current_configs()
    assert len(checks) == 10 + len(configs.datasets) + 2 * len(configs.modes)
    assert {graph.get_check_spec(key).metadata[PHASE] for key in checks} == {4}


def test_the_schedule_is_hourly_and_shipped_off(defs: dg.Definitions) -> None:
    """Nothing runs by itself until somebody switches it on."""
    schedule = defs.resolve_schedule_def("hourly_health")
    assert schedule.cron_schedule == "0 * * * *"
    assert schedule.default_status is dg.DefaultScheduleStatus.STOPPED
    assert schedule.job_name == HEALTH_JOB


def test_checks_fail_for_what_is_unhealthy_and_warn_for_what_it_affects(place: Place) -> None:
    """ERROR where the fault is, WARN where it is felt, passed elsewhere; and passed when mended."""
    assert all(found.passed for found in observe(place).values())
    (path,) = place.data.glob(PERP)
    path.rename(place.data / "aside")
    found = observe(place)
    failed = {name for name, check in found.items() if not check.passed}
    fault = found[check_of("family/bybit_ethusdt_perp")]
    assert fault.severity is dg.AssetCheckSeverity.ERROR
    assert fault.metadata["code"].value == "DATA-001"
    assert {check_of("panel/eth_basis"), check_of("mode/eth_basis")} < failed
    assert check_of("mode/pure_lending") not in failed
    affected = [found[name] for name in failed if found[name] is not fault]
    assert {check.severity for check in affected} == {dg.AssetCheckSeverity.WARN}
    assert {check.metadata["affected_by"].value for check in affected} == {
        "family/bybit_ethusdt_perp"
    }
    (place.data / "aside").rename(path)
    assert all(check.passed for check in observe(place).values())


def test_durations_are_those_of_dagsters_steps(
    shared_place: Place, outcome: PipelineOutcome
) -> None:
    """Every step of every run that came through, as Dagster itself has measured it."""
    samples = step_samples(shared_place.instance, 100)
    measured = {
        (stats.run_id, stats.step_key): stats.end_time - stats.start_time
        for record in shared_place.instance.get_run_records()
        for stats in shared_place.instance.get_run_step_stats(record.dagster_run.run_id)
        if stats.end_time and stats.start_time
    }
    assert len(samples) == len(measured) > len(outcome.modes)
    assert sorted(s.seconds for s in samples) == pytest.approx(sorted(measured.values()), abs=1e-3)
    assert {sample.run_id for sample in samples} == {run for run, _ in measured}
    operations = {entry.operation for entry in percentiles(samples)}
    assert {f"backtest/simulation[{mode.mode}]" for mode in outcome.modes} <= operations


def test_facts_hold_verdicts_daemon_and_sensors(
    shared_place: Place, outcome: PipelineOutcome
) -> None:
    """What floor 3 is told is what the instance recorded."""
    assert outcome.modes
    instance = shared_place.instance
    configs = current_configs()
    now = time.time()
    instance.add_daemon_heartbeat(DaemonHeartbeat(now, "SCHEDULER", "one", []))
    facts = facts_of(instance, configs.datasets.values(), 10)
    assert set(facts.ingested) == set(configs.datasets)
    assert all(found.landed and not found.code for found in facts.ingested.values())
    assert [(b.name, b.at) for b in facts.heartbeats] == [
        ("SCHEDULER", datetime.fromtimestamp(now, UTC))
    ]
    assert facts.triggers == []


def command(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`basis health` in a process of its own."""
    environ = {
        **{k: v for k, v in os.environ.items() if k != "DAGSTER_HOME"},
        "BASIS_DATA_DIR": str(place / "data"),
        "BASIS_RESULTS_DIR": str(place / "results"),
    }
    return shell.run("basis_pipeline", "health", *arguments, env=environ)


def multiply_runs(home: Path, times: int) -> int:
    """Copy every run of an instance so many times, with all its events; how many there are then."""
    with closing(sqlite3.connect(home / "history" / "runs.db")) as runs, runs:
        columns = [row[1] for row in runs.execute("PRAGMA table_info(runs)")]
        copied = {"id": "NULL", "run_id": NEW, "run_body": f"REPLACE(run_body, run_id, {NEW})"}
        chosen = ", ".join(copied.get(column, column) for column in columns)
        runs.execute(f"{COUNTED} INSERT INTO runs SELECT {chosen} FROM runs, copies", [times])
        count = int(runs.execute("SELECT COUNT(*) FROM runs").fetchone()[0])
    with closing(sqlite3.connect(home / "event_log.db")) as log, log:
        columns = [row[1] for row in log.execute("PRAGMA table_info(event_logs)")]
        chosen = ", ".join({"id": "NULL", "run_id": NEW}.get(c, c) for c in columns)
        log.execute(
            f"{COUNTED} INSERT INTO event_logs SELECT {chosen} FROM event_logs, copies", [times]
        )
    return count


def test_the_command_tells_and_exits_by_what_it_found(place: Place, tmp_path: Path) -> None:
    """0 when nothing is unhealthy, 1 with one coded message when something is; JSON is whole."""
    assert place.data.is_dir()
    limits = load_health_limits(project_root() / "configs")
    assert limits.history_runs > 0
    told = command(tmp_path, "--json")
    assert told.returncode == 0, told.stderr
    document = json.loads(told.stdout)
    statuses = {c["name"]: c["status"] for c in document["components"]}
    assert statuses["family/bybit_ethusdt_perp"] == statuses["engine"] == "healthy"
    (path,) = place.data.glob(PERP)
    path.unlink()
    told = command(tmp_path)
    assert told.returncode == 1
    assert "HEALTH-001" in told.stderr
    assert "DATA-001" in told.stdout
    assert "Traceback" not in told.stderr
    told = command(tmp_path, "--json")
    document = json.loads(told.stdout)
    assert document["status"] == Status.UNHEALTHY
    (fault,) = [c for c in document["components"] if c["status"] == Status.UNHEALTHY]
    affected = {c["name"] for c in document["components"] if c["affected_by"]}
    assert set(fault["dependants"]) == affected


def test_the_latest_of_a_thousand_runs_are_summed_up(place: Place, tmp_path: Path) -> None:
    """However long the history, the durations are those of the last runs that limits name."""
    assert place.run("pure_lending").modes[0].run_id
    home = place.results / "dagster_home"
    assert multiply_runs(home, 334) > 1000
    shutil.copyfile(project_root() / "dagster.yaml", home / "dagster.yaml")
    told = command(tmp_path, "--json")
    assert told.returncode == 0, told.stderr
    durations = {entry["operation"]: entry for entry in json.loads(told.stdout)["durations"]}
    limits = load_health_limits(project_root() / "configs")
    assert sum(entry["count"] for entry in durations.values()) > limits.history_runs
