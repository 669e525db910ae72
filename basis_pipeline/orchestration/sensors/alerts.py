"""`alerts`: runs and gates that failed, changes of control, failing ticks, degraded health."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus

from basis_pipeline.config.automation import AlertKind, AlertSeverity, AutomationLimits
from basis_pipeline.errors import BasisError, PlatformError, ResultsError
from basis_pipeline.operations.alerts import Alert, deliver_now, deliver_waiting, raise_alerts
from basis_pipeline.operations.control import State, read_state
from basis_pipeline.operations.control.state import transitions
from basis_pipeline.orchestration.failures import FIELDS, TELLING, reasons
from basis_pipeline.orchestration.instance_metrics import triggers
from basis_pipeline.orchestration.jobs import HEALTH_JOB
from basis_pipeline.orchestration.partitions import PARTITION, part_of_key
from basis_pipeline.orchestration.sensors.working import runs_ended
from basis_pipeline.settings import Settings, load_settings

NAME = "alerts"
SEVERITIES = {State.NORMAL: AlertSeverity.INFO, State.ALERT: AlertSeverity.WARN}  # else ERROR


@dataclass(slots=True)
class _Cursor:
    """What the last tick has seen.

    Parameters
    ----------
    runs: cursor of `runs_ended`. control: version of the control state, None before the first tick.
    pending: key of the change that the database has not taken over yet.
    failing: schedules and sensors whose last tick failed. retry_at: seconds of the epoch.
    """

    runs: str | None = None
    control: int | None = None
    pending: str = ""
    failing: list[str] = field(default_factory=list)
    retry_at: float = 0.0


def alert_sensor(limits: AutomationLimits) -> dg.SensorDefinition:
    """Watch every run of the instance that has ended, `basis run` among them, and the platform."""

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=10,
        description=(
            "Failed runs, failed ERROR gates, changes of emergency control, failing schedules and "
            "sensors, degraded health: an `alert` event each, and a message to "
            "BASIS_ALERT_WEBHOOK_URL where it is set, which waits until it is delivered. Goes on "
            "in a halt."
        ),
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        settings = load_settings()
        before = _Cursor(**json.loads(context.cursor)) if context.cursor else _Cursor()
        cursor = replace(before)
        found = []
        for run, after in runs_ended(context.instance, cursor.runs, {}, limits.runs_a_tick):
            cursor.runs = after
            found += alerts_of(context.instance, run)
        found += _of_ticks(context.instance, cursor)
        try:
            found += _of_control(settings, cursor)
            raise_alerts(found, settings, limits.alerts)
        except ResultsError as error:  # they cannot wait in the database
            return _without_database(found, settings, limits, (before, cursor), error)
        delivered = _deliver(settings, limits, cursor)
        reason = f"{len(found)} alerts, {delivered} delivered"
        return dg.SensorResult(skip_reason=reason, cursor=_dump(cursor))

    return alerts


def _without_database(
    found: Sequence[Alert],
    settings: Settings,
    limits: AutomationLimits,
    cursors: tuple[_Cursor, _Cursor],
    error: ResultsError,
) -> dg.SensorResult:
    """Deliver at once; what is not delivered is found again by a later tick."""
    before, after = cursors
    if time.time() < before.retry_at:
        return dg.SensorResult(skip_reason=str(error), cursor=_dump(before))
    try:
        deliver_now(found, settings, limits.alerts)
    except PlatformError:
        before.retry_at = time.time() + limits.alerts.retry_after_seconds
        after = before
    return dg.SensorResult(skip_reason=str(error), cursor=_dump(after))


def _dump(cursor: _Cursor) -> str:
    return json.dumps(asdict(cursor))


def _deliver(settings: Settings, limits: AutomationLimits, cursor: _Cursor) -> int:
    """Deliver what waits, unless the receiver has failed a short while ago."""
    if time.time() < cursor.retry_at:
        return 0
    try:
        return deliver_waiting(settings, limits.alerts)
    except PlatformError:  # recorded as an event
        cursor.retry_at = time.time() + limits.alerts.retry_after_seconds
    except ResultsError:  # the database is down: nothing is lost, it all waits there
        pass
    return 0


def alerts_of(instance: DagsterInstance, run: DagsterRun) -> list[Alert]:
    """Return the alerts of a finished run: one for a failure, one a component for its health."""
    part, failed = part_of_key(run.tags.get(PARTITION)), _failed_gates(instance, run)
    if run.job_name == HEALTH_JOB and run.status is DagsterRunStatus.SUCCESS:
        found = (_of_component(gate, run) for gate in failed)
        return [alert for alert in found if alert]
    why = _gate_reasons(failed)
    if run.status is DagsterRunStatus.FAILURE:
        why += _failures(instance, run)
        kind = AlertKind.RUN_FAILED
    elif why:
        kind = AlertKind.GATES_FAILED
    else:
        return []
    place: dict[str, Any] = {"mode": part.mode, "scenario_set": part.scenario_set}
    key = f"run {run.run_id}"
    return [Alert(kind, run.job_name, key, run_id=run.run_id, reasons=why, **place)]


def _of_component(gate: dg.AssetCheckEvaluation, run: DagsterRun) -> Alert | None:
    """Return the alert of a component, once while its status lasts; none for what others affect."""
    found = {name: str(value.value) for name, value in gate.metadata.items()}
    if found.get("affected_by", "nobody") != "nobody":
        return None
    reason = {name: found[name] for name in FIELDS if name in found}
    reason["what"] = (gate.description or "").split(" | ")[0]
    is_error = gate.severity is dg.AssetCheckSeverity.ERROR
    severity = AlertSeverity.ERROR if is_error else AlertSeverity.WARN
    key = f"health {gate.check_name} {found.get('since', run.run_id)}"
    kind = AlertKind.HEALTH_DEGRADED
    return Alert(kind, gate.check_name, key, severity, run_id=run.run_id, reasons=[reason])


def _of_ticks(instance: DagsterInstance, cursor: _Cursor) -> list[Alert]:
    """Return the alerts of schedules and sensors that fail and did not at the last tick."""
    failing = {trigger.name: trigger.error for trigger in triggers(instance) if trigger.error}
    new = sorted(set(failing) - {*cursor.failing, NAME})
    cursor.failing = sorted(failing)
    return [
        Alert(
            AlertKind.TICK_FAILED,
            name,
            f"tick {name} {time.time():.0f}",
            reasons=[{"what": failing[name]}],
        )
        for name in new
    ]


def _of_control(settings: Settings, cursor: _Cursor) -> list[Alert]:
    """Return the alerts of the changes since the last tick; at first of the state as it stands."""
    state = read_state(settings)
    if state.confirmed_at:  # the database is down: what is demanded meanwhile is pending
        key = f"control {state.since:%Y-%m-%dT%H:%M:%S.%f}"
        if not state.is_pending or key == cursor.pending:
            return []
        cursor.pending = key
        changes = [(key, state.name, state.by, state.reason)]
    else:
        is_first, seen = cursor.control is None, cursor.control or 0
        found = transitions(settings, 1 if is_first else None, seen)
        cursor.control = state.version
        if is_first and state.name is State.NORMAL:
            return []
        changes = [
            (f"control {t.at:%Y-%m-%dT%H:%M:%S.%f}", State(t.state), t.by, t.reason)
            for t in reversed(found)
        ]
    return [
        Alert(
            AlertKind.CONTROL_CHANGED,
            f"{name} by {by}",
            key,
            SEVERITIES.get(name, AlertSeverity.ERROR),
            reasons=[{"what": reason}],
        )
        for key, name, by, reason in changes
    ]


def _failed_gates(instance: DagsterInstance, run: DagsterRun) -> list[dg.AssetCheckEvaluation]:
    """Return the gates that the run evaluated and that failed."""
    entries = instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
    found = [e.dagster_event.asset_check_evaluation_data for e in entries if e.dagster_event]
    return [gate for gate in found if not gate.passed]


def _gate_reasons(gates: Iterable[dg.AssetCheckEvaluation]) -> list[dict[str, str]]:
    """Describe the gates of severity ERROR."""
    found = []
    for gate in gates:
        if gate.severity is not dg.AssetCheckSeverity.ERROR:
            continue
        facts = {name: str(v.value) for name, v in gate.metadata.items() if name in FIELDS}
        what = (gate.description or "").split(" | ")[0]
        gate_name = f"{gate.asset_key.to_user_string()} {gate.check_name}"
        found.append({"gate": gate_name, **facts, "what": what})
    return found


def _failures(instance: DagsterInstance, run: DagsterRun) -> list[dict[str, str]]:
    """Return why the steps failed; of a run whose process died, Dagster's own message."""
    entries = instance.all_logs(run.run_id, of_type=TELLING)
    found = []
    for step, reason in reasons(e.dagster_event for e in entries if e.dagster_event):
        if isinstance(reason, BasisError):
            where = {"where": reason.where} if reason.where else {}
            found.append({"step": step, "code": reason.code, "what": reason.what, **where})
        else:
            found.append({"step": step, "what": reason})
    if not found:
        ends = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_FAILURE)
        found = [{"what": entry.message or entry.user_message} for entry in ends]
    return found
