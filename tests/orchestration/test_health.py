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
from dagster._daemon.types import DaemonHeartbeat

from basis_pipeline.config.health import load_health_limits
from basis_pipeline.operations.health.model import Status
from basis_pipeline.orchestration.assets.health import HEALTH, check_of
from basis_pipeline.orchestration.checks import PHASE
from basis_pipeline.orchestration.instance_metrics import instance_metrics
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
    """ERROR where the fault is, WARN where it is felt, passed elsewhere; and passed when fixed."""
    assert place.run("eth_basis").modes[0].run_id
    assert all(found.passed for found in observe(place).values())
    (path,) = place.data.glob(PERP)
    path.rename(place.data / "aside")
    found = observe(place)
    failed = {name for name, check in found.items() if not check.passed}
    fault = found[check_of("feed/bybit_ethusdt_perp")]
    assert fault.severity is dg.AssetCheckSeverity.ERROR
    assert fault.metadata["code"].value == "DATA-001"
    assert {check_of("panel/eth_basis"), check_of("mode/eth_basis")} < failed
    assert check_of("mode/pure_lending") not in failed
    affected = [found[name] for name in failed if found[name] is not fault]
    assert {check.severity for check in affected} == {dg.AssetCheckSeverity.WARN}
    assert {check.metadata["affected_by"].value for check in affected} == {
        "feed/bybit_ethusdt_perp"
    }
    (place.data / "aside").rename(path)
    assert all(check.passed for check in observe(place).values())


def test_metrics_hold_what_the_instance_recorded(
    shared_place: Place, outcome: PipelineOutcome
) -> None:
    """Verdicts of the feeds, the daemon's sign of life, and the duration of every step."""
    instance, configs, now = shared_place.instance, current_configs(), time.time()
    instance.add_daemon_heartbeat(DaemonHeartbeat(now, "SCHEDULER", "one", []))
    metrics = instance_metrics(instance, configs.datasets.values(), 100)
    assert set(metrics.feeds) == set(configs.datasets)
    assert not any(verdict.code for verdict in metrics.feeds.values())
    assert [(b.name, b.at) for b in metrics.heartbeats] == [
        ("SCHEDULER", datetime.fromtimestamp(now, UTC))
    ]
    assert metrics.triggers == []
    assert all(sample.seconds >= 0.0 for sample in metrics.samples)
    operations = {sample.operation for sample in metrics.samples}
    assert {f"backtest/simulation[{mode.mode}]" for mode in outcome.modes} <= operations


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
    ended = command(tmp_path, "--json")
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    statuses = {c["name"]: c["status"] for c in document["components"]}
    assert (statuses["feed/bybit_ethusdt_perp"], statuses["engine"]) == ("not ready", "healthy")
    assert place.run("eth_basis").modes[0].run_id
    shutil.copyfile(project_root() / "dagster.yaml", place.results / "dagster_home/dagster.yaml")
    (path,) = place.data.glob(PERP)
    path.unlink()
    ended = command(tmp_path)
    assert ended.returncode == 1
    assert "HEALTH-001" in ended.stderr
    assert "DATA-001" in ended.stdout
    assert "Traceback" not in ended.stderr
    ended = command(tmp_path, "--json")
    document = json.loads(ended.stdout)
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
    ended = command(tmp_path, "--json")
    assert ended.returncode == 0, ended.stderr
    durations = {entry["operation"]: entry for entry in json.loads(ended.stdout)["durations"]}
    limits = load_health_limits(project_root() / "configs")
    assert sum(entry["count"] for entry in durations.values()) > limits.history_runs
