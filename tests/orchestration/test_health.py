"""The health asset and `basis health` on real instances."""

import json
import os
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._daemon.types import DaemonHeartbeat

from basis_pipeline.config.current import current_configs
from basis_pipeline.operations.health.model import Status
from basis_pipeline.orchestration.assets.health import HEALTH, check_of
from basis_pipeline.orchestration.checks import PHASE, verdict_of
from basis_pipeline.orchestration.instance_metrics import instance_metrics
from basis_pipeline.orchestration.jobs import HEALTH_JOB
from basis_pipeline.orchestration.launch import PipelineOutcome
from basis_pipeline.settings import project_root
from tests import shell
from tests.orchestration.conftest import Place

PERP = "market_data/derivatives/futures_ohlcv/bybit_BTCUSDT_perp_1h_*.csv"


def observe(place: Place) -> dict[str, dg.AssetCheckEvaluation]:
    """Run the health job and give the evaluations of its checks by name."""
    result = place.execute(job=HEALTH_JOB)
    assert result.success
    return {found.check_name: found for found in result.get_asset_check_evaluations()}


def test_every_component_is_a_check_of_phase_4(defs: dg.Definitions) -> None:
    """The gates see health; no component is left out."""
    graph = defs.resolve_asset_graph()
    checks = [key for key in graph.asset_check_keys if key.asset_key == HEALTH]
    configs = current_configs()
    assert len(checks) == 9 + len(configs.datasets) + len(configs.modes)
    assert {graph.get_check_spec(key).metadata[PHASE] for key in checks} == {4}


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
    assert all(0.0 <= d.p50 <= d.p95 <= d.p99 for d in metrics.durations)
    operations = {entry.operation for entry in metrics.durations}
    assert {f"backtest/simulation[{mode.mode}]" for mode in outcome.modes} <= operations


def command(place: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`basis health` of a place."""
    places = {"BASIS_DATA_DIR": place / "data", "BASIS_RESULTS_DIR": place / "results"}
    places["BASIS_CONFIG_DIR"] = Path(os.environ["BASIS_CONFIG_DIR"])
    environ = {name: str(path) for name, path in places.items()}
    return shell.call("health", *arguments, env=environ)


def test_a_fault_fails_its_check_warns_where_it_is_felt_and_exits_1(
    ran: Place, tmp_path: Path
) -> None:
    """ERROR where the fault is, WARN where it is felt, passed elsewhere; the command agrees."""
    place, new = ran, tmp_path / "new"
    new.mkdir()
    (new / "data").symlink_to(place.data)
    ended = command(new, "--json")
    assert ended.returncode == 0, ended.stderr
    statuses = {c["name"]: c["status"] for c in json.loads(ended.stdout)["components"]}
    assert (statuses["feed/bybit_btcusdt_perp"], statuses["disk"]) == ("not ready", "healthy")
    assert all(found.passed for found in observe(place).values())
    (path,) = place.data.glob(PERP)
    path.unlink()
    found = observe(place)
    failed = {name for name, check in found.items() if not check.passed}
    fault = found[check_of("feed/bybit_btcusdt_perp")]
    assert fault.severity is dg.AssetCheckSeverity.ERROR
    assert fault.metadata["code"].value == "DATA-001"
    assert check_of("mode/btc_basis") in failed
    assert check_of("mode/pure_lending") not in failed
    felt = [found[name] for name in failed if found[name] is not fault]
    assert {check.severity for check in felt} == {dg.AssetCheckSeverity.WARN}
    assert {check.metadata["affected_by"].value for check in felt} == {"feed/bybit_btcusdt_perp"}
    causes = {verdict_of(found[name]).cause for name in failed}
    assert len(causes) == 1, causes
    assert causes.pop().startswith("DATA-001 at ")
    shutil.copyfile(project_root() / "dagster.yaml", place.results / "dagster_home/dagster.yaml")
    ended = command(tmp_path)
    assert ended.returncode == 1
    assert "HEALTH-001" in ended.stderr
    assert "DATA-001" in ended.stdout
    assert "Traceback" not in ended.stderr
    document = json.loads(command(tmp_path, "--json").stdout)
    (at_fault,) = [c for c in document["components"] if c["status"] == Status.UNHEALTHY]
    affected = {c["name"] for c in document["components"] if c["affected_by"]}
    assert set(at_fault["dependants"]) == affected
