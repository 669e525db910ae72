"""A snapshot of the Dagster instance and of health, read by a separate process.

Reading some thousand records keeps an interpreter busy for a second. In a separate process no call
waits for it, and the service itself imports none of Dagster's modules.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from basis_pipeline.config import Configs
from basis_pipeline.config.current import current_configs
from basis_pipeline.errors import BasisError, EventError, PlatformError
from basis_pipeline.operations.audit_log import EventType, log_directory, read_events
from basis_pipeline.operations.health.check import check_health
from basis_pipeline.operations.health.model import InstanceMetrics
from basis_pipeline.settings import Settings, existing_dagster_home, load_settings
from basis_pipeline.verdict import Status, Verdict

if TYPE_CHECKING:
    import dagster as dg

HISTORY = 100  # latest runs whose steps are in the snapshot
YESTERDAY, LOOK_BACK = timedelta(hours=24), timedelta(days=3)
FIELDS = (
    *("check", "severity", "message", "measured", "limit", "unit", "phase", "asset", "mode"),
    *("scenario_set", "run_id", "cause"),
)


@dataclass
class Collector:
    """Makes snapshots in a process that is restarted when it was killed."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _pool: ProcessPoolExecutor | None = None
    _is_closed: bool = False

    def collect(self) -> dict[str, Any]:
        """Return a snapshot of JSON values: see `snapshot`."""
        return dict(self._run(snapshot))

    def show_control(self) -> None:
        """Record the state of emergency control for Dagster's UI, if there is an instance."""
        self._run(show_control)

    def close(self) -> None:
        """Kill the process: the service does not wait for a snapshot when it stops."""
        with self._lock:
            self._is_closed = True
            if self._pool:
                children = list(self._pool._processes.values())  # noqa: SLF001 - public from 3.14
                self._pool.shutdown(wait=False, cancel_futures=True)
                for child in children:
                    child.kill()

    def _run(self, function: Any) -> Any:
        for attempt in range(2):
            with self._lock:
                if self._pool is None:
                    context = multiprocessing.get_context("spawn")
                    self._pool = ProcessPoolExecutor(1, context, _end_with_the_service)
                pool = self._pool
            try:
                return pool.submit(function).result()
            except BrokenProcessPool:
                with self._lock:
                    self._pool = None if self._pool is pool else self._pool
                if attempt or self._is_closed:
                    raise
        raise AssertionError("the second attempt returns or raises")


def _end_with_the_service() -> None:
    """Ignore interrupts, which the service handles, and exit when the service has ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def snapshot() -> dict[str, Any]:
    """Read a snapshot; what cannot be read is reported as a fault in its health.

    Returns
    -------
    at; health: the report; gates: every gate, `before` its verdict of a day ago where that was
    different; runs: pipeline runs by state; steps: the latest, with seconds and whether they
    failed; feeds: when each was last read.
    """
    found: dict[str, Any] = {"at": datetime.now(UTC).isoformat(), "gates": [], "runs": {}}
    found |= {"steps": [], "feeds": {}}
    metrics: InstanceMetrics | None = None
    try:
        settings, configs = load_settings(), current_configs()
        metrics = _of_the_instance(settings, configs, found)
        found["feeds"] = {name: verdict.at.isoformat() for name, verdict in metrics.feeds.items()}
    except BasisError:
        pass  # the health report shows the error
    return found | {"health": check_health(metrics).to_json()}


def _of_the_instance(
    settings: Settings, configs: Configs, found: dict[str, Any]
) -> InstanceMetrics:
    if (home := existing_dagster_home(settings)) is None:
        return InstanceMetrics()
    from dagster import DagsterRunStatus, RunsFilter

    from basis_pipeline.orchestration.build import build_defs
    from basis_pipeline.orchestration.instance import opened_instance
    from basis_pipeline.orchestration.instance_metrics import instance_metrics
    from basis_pipeline.orchestration.records import all_gates

    try:
        with opened_instance(home) as instance:
            found["runs"] = {
                status.value.lower(): instance.get_runs_count(RunsFilter(statuses=[status]))
                for status in DagsterRunStatus
            }
            if sum(found["runs"].values()):
                if not _built or _built[0][0] is not configs:  # the files have changed
                    _built[:] = [(configs, build_defs())]
                gates = all_gates(instance, _built[0][1])
                found["gates"] = _with_yesterday(settings, gates)
            found["steps"] = _steps(instance)
            return instance_metrics(instance, configs.datasets.values(), 1)
    except BasisError as error:
        return InstanceMetrics(fault=error)
    except Exception as error:  # noqa: BLE001 - health reports it, and shows the rest
        what = f"the Dagster instance cannot be read: {type(error).__name__}: {error}"
        return InstanceMetrics(fault=PlatformError("PLATFORM-001", what, where=str(home)))


_built: list[tuple[Configs, "dg.Definitions"]] = []


def _with_yesterday(settings: Settings, gates: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return the gates, each with its verdict of a day ago where that was different."""
    now = datetime.now(UTC)
    before: dict[tuple[str, ...], str] = {}
    try:
        logged = read_events(
            log_directory(settings),
            types=[EventType.GATE_VERDICT],
            since=now - LOOK_BACK,
            until=now - YESTERDAY,
            damages=[],
        )
    except EventError:
        logged = []
    for event in logged:
        fields = event.fields
        key = event.component, event.mode, fields.get("scenario_set", ""), fields["gate"]
        before[key] = fields["verdict"]
    rows = []
    for gate in gates:
        at = gate.evaluated_at
        row = {name: getattr(gate, name) for name in FIELDS}
        row |= {"name": gate.name, "status": gate.status.value, "fault": gate.fault}
        row |= {"evaluated_at": at.isoformat() if at else None, "before": None}
        then = before.get((gate.asset, gate.mode, gate.scenario_set, gate.check))
        if then not in (None, gate.status.value) and gate.status is not Status.NOT_RUN:
            row["before"] = then
        rows.append(row)
    return rows


_ended: dict[str, list[dict[str, Any]]] = {}  # cached steps of finished runs


def _steps(instance: "dg.DagsterInstance") -> list[dict[str, Any]]:
    """Return the finished steps of the latest runs, the latest run first."""
    from basis_pipeline.orchestration.partitions import PARTITION

    found: list[dict[str, Any]] = []
    latest = [record.dagster_run for record in instance.get_run_records(limit=HISTORY)]
    for run in latest:
        key = run.tags.get(PARTITION)
        steps = _ended.get(run.run_id)
        if steps is None:
            steps = [
                {
                    "operation": stats.step_key.replace("__", "/", 1) + (f"[{key}]" if key else ""),
                    "ended_at": stats.end_time,
                    "seconds": stats.end_time - stats.start_time,
                    "failed": stats.status is not None and stats.status.value == "FAILURE",
                }
                for stats in instance.get_run_step_stats(run.run_id)
                if stats.start_time and stats.end_time
            ]
            if run.is_finished:
                _ended[run.run_id] = steps
        found += steps
    for run_id in _ended.keys() - {run.run_id for run in latest}:
        del _ended[run_id]
    return found


def show_control() -> None:
    """Record the state of emergency control in the Dagster instance, if there is one."""
    from basis_pipeline.operations.control import read_state

    settings = load_settings()
    if (home := existing_dagster_home(settings)) is None:
        return
    from basis_pipeline.orchestration.control import show
    from basis_pipeline.orchestration.instance import opened_instance

    with opened_instance(home) as instance:
        show(instance, read_state(settings))
