"""`alerts`: failed runs and gates, changes of control, failing ticks, degraded health."""

import json
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus

from basis_pipeline.config.automation import AlertKind, AlertSeverity, AutomationLimits
from basis_pipeline.errors import BasisError, PlatformError, ResultsError
from basis_pipeline.operations.alerts import Alert, deliver_waiting, raise_alerts
from basis_pipeline.operations.control import State, read_state
from basis_pipeline.operations.control.state import transitions
from basis_pipeline.orchestration.assets.health import HEALTH
from basis_pipeline.orchestration.control import CONTROL
from basis_pipeline.orchestration.failures import FIELDS, failures_of_run
from basis_pipeline.orchestration.instance_metrics import triggers
from basis_pipeline.orchestration.partitions import PARTITION, part_of_key
from basis_pipeline.orchestration.sensors.evaluation import finished_runs
from basis_pipeline.settings import Settings, load_settings

NAME = "alerts"
HEALTH_ASSETS = (HEALTH, CONTROL)
IMPLICIT_JOB, AD_HOC = "__ASSET_JOB", "assets run by hand"
SEVERITIES = {State.NORMAL: AlertSeverity.INFO, State.ALERT: AlertSeverity.WARN}  # else ERROR


@dataclass(slots=True)
class Cursor:
    """What the last tick found.

    Parameters
    ----------
    runs: cursor of `finished_runs`. control: version of the state, None before the first tick.
    pending: the change of control that the database does not hold yet.
    failing: schedules and sensors whose last tick failed. unhealthy: components at fault.
    retry_at: time of the next delivery after a failed one, in seconds of the epoch.
    """

    runs: str | None = None
    control: int | None = None
    pending: str = ""
    failing: list[str] = field(default_factory=list)
    unhealthy: list[str] = field(default_factory=list)
    retry_at: float = 0.0


def alert_sensor(limits: AutomationLimits) -> dg.SensorDefinition:
    """Watch every finished run of the instance, those of `basis run` too, and the platform."""

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=10,
        description=(
            "Failed runs, failed ERROR gates, changes of emergency control, failing schedules and "
            "sensors, degraded health: records an `alert` event for each, and sends a message to "
            "BASIS_ALERT_WEBHOOK_URL where it is set, again until it is delivered. Continues "
            "during a halt."
        ),
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        settings = load_settings()
        cursor = Cursor(**json.loads(context.cursor)) if context.cursor else Cursor()
        found = []
        for run, after in finished_runs(context.instance, cursor.runs, {}, limits.runs_a_tick):
            cursor.runs = after
            found += alerts_of_run(context.instance, run, cursor)
        found += _of_ticks(context.instance, cursor)
        with suppress(ResultsError):  # the state cannot be read: health reports it
            found += _of_control(settings, cursor)
        raise_alerts(found, settings, limits.alerts)
        delivered = 0
        if time.time() >= cursor.retry_at:
            try:
                delivered = deliver_waiting(settings, limits.alerts)
            except PlatformError:  # recorded as an event
                cursor.retry_at = time.time() + limits.alerts.retry_after_seconds
        reason = f"{len(found)} alerts, {delivered} delivered"
        return dg.SensorResult(skip_reason=reason, cursor=json.dumps(asdict(cursor)))

    return alerts


def alerts_of_run(instance: DagsterInstance, run: DagsterRun, cursor: Cursor) -> list[Alert]:
    """Return the alerts of a finished run: one if it failed, one per component newly at fault."""
    part, gates = part_of_key(run.tags.get(PARTITION)), _gates(instance, run)
    failed = [gate for gate in gates if not gate.passed and gate.asset_key not in HEALTH_ASSETS]
    found = []
    if components := [gate for gate in gates if gate.asset_key in HEALTH_ASSETS]:
        at_fault = {f"{g.severity.value} {g.check_name}": g for g in components if _is_at_fault(g)}
        new = [gate for name, gate in at_fault.items() if name not in cursor.unhealthy]
        cursor.unhealthy = sorted(at_fault)
        found = [_of_component(gate, run) for gate in new]
    why = [  # gates first; a failure that repeats the text of a gate is left out
        {"gate": f"{gate.asset_key.to_user_string()} {gate.check_name}", **_reason(gate)}
        for gate in failed
        if gate.severity is dg.AssetCheckSeverity.ERROR
    ]
    if run.status is DagsterRunStatus.FAILURE:
        messages = " ".join(reason["what"] for reason in why)
        why += [reason for reason in _failures(instance, run) if reason["what"] not in messages]
        kind = AlertKind.RUN_FAILED
    elif why:
        kind = AlertKind.GATES_FAILED
    else:
        return found
    place: dict[str, Any] = {"mode": part.mode, "scenario_set": part.scenario_set}
    job = AD_HOC if run.job_name == IMPLICIT_JOB else run.job_name
    return [*found, Alert(kind, job, run_id=run.run_id, reasons=why, **place)]


def _is_at_fault(gate: dg.AssetCheckEvaluation) -> bool:
    """Say whether a component is at fault itself, not only affected by another one's fault."""
    affected_by = gate.metadata.get("affected_by")
    return not gate.passed and (affected_by is None or affected_by.value == "none")


def _of_component(gate: dg.AssetCheckEvaluation, run: DagsterRun) -> Alert:
    """Return the alert of a component that was not at fault at the last observation."""
    is_error = gate.severity is dg.AssetCheckSeverity.ERROR
    severity = AlertSeverity.ERROR if is_error else AlertSeverity.WARN
    kind, why = AlertKind.HEALTH_DEGRADED, [_reason(gate)]
    return Alert(kind, gate.check_name, severity, run_id=run.run_id, reasons=why)


def _of_ticks(instance: DagsterInstance, cursor: Cursor) -> list[Alert]:
    """Return the alerts of schedules and sensors that have failed since the last tick."""
    failing = {trigger.name: trigger.error for trigger in triggers(instance) if trigger.error}
    new = sorted(set(failing) - {*cursor.failing, NAME})
    cursor.failing = sorted(failing)
    return [Alert(AlertKind.TICK_FAILED, name, reasons=[{"what": failing[name]}]) for name in new]


def _of_control(settings: Settings, cursor: Cursor) -> list[Alert]:
    """Return the alerts of changes since the last tick; at the first one, of the current state."""
    state = read_state(settings)
    if state.confirmed_at:  # the database is down: a change made meanwhile is pending
        changes = [(state.name, state.by, state.reason)] if state.is_pending else []
        pending = f"{state.name} {state.by} {state.reason}" if state.is_pending else cursor.pending
        new = [] if pending == cursor.pending else changes
        cursor.pending = pending
    else:
        is_first, seen = cursor.control is None, cursor.control or 0
        latest = transitions(settings, 1 if is_first else None, seen)[::-1]
        changes = [(State(t.state), t.by, t.reason) for t in latest]
        new = [c for c in changes if " ".join(c) != cursor.pending]
        if is_first and state.name is State.NORMAL:
            new = []
        cursor.control, cursor.pending = state.version, ""
    return [
        Alert(
            AlertKind.CONTROL_CHANGED,
            f"{name} by {by}",
            SEVERITIES.get(name, AlertSeverity.ERROR),
            reasons=[{"what": reason}],
        )
        for name, by, reason in new
    ]


def _gates(instance: DagsterInstance, run: DagsterRun) -> list[dg.AssetCheckEvaluation]:
    """Return the gates that the run evaluated."""
    entries = instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
    return [e.dagster_event.asset_check_evaluation_data for e in entries if e.dagster_event]


def _reason(gate: dg.AssetCheckEvaluation) -> dict[str, str]:
    fields = {name: str(v.value) for name, v in gate.metadata.items() if name in FIELDS}
    what = (gate.description or "").split(" | ")[0]
    return {**fields, "what": what}


def _failures(instance: DagsterInstance, run: DagsterRun) -> list[dict[str, str]]:
    """Return why the steps failed; where the process died, Dagster's own message."""
    found = []
    for step, reason in failures_of_run(instance, run.run_id):
        if isinstance(reason, BasisError):
            where = {"where": reason.where} if reason.where else {}
            found.append({"step": step, "code": reason.code, "what": reason.what, **where})
        else:
            found.append({"step": step, "what": reason})
    if not found:
        ends = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE)
        found = [{"what": entry.message or entry.user_message} for entry in ends]
    return found
