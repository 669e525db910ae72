"""`alerts`: runs that failed, gates that failed in a run that did not, and work that was halted."""

import json

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus

from basis_pipeline.config.automation import AutomationLimits
from basis_pipeline.errors import BasisError
from basis_pipeline.operations.alerts import Alert, raise_alerts
from basis_pipeline.operations.audit_log import AlertKind
from basis_pipeline.operations.control import ControlState, read_state
from basis_pipeline.orchestration.failures import FIELDS, TELLING, reasons
from basis_pipeline.orchestration.partitions import PARTITION, part_of_key
from basis_pipeline.orchestration.sensors.working import runs_ended
from basis_pipeline.settings import load_settings


def alert_sensor(limits: AutomationLimits) -> dg.SensorDefinition:
    """Looks at every run of the instance that has ended, `basis run` among them."""

    @dg.sensor(
        name="alerts",
        minimum_interval_seconds=10,
        description=(
            "Failed runs, failed ERROR gates and changes of emergency control: an `alert` event "
            "each, and one message to BASIS_ALERT_WEBHOOK_URL where it is set. Goes on in a halt."
        ),
    )
    def alerts(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        settings = load_settings()
        known = json.loads(context.cursor) if context.cursor else {}
        ended, found = known.get("runs"), []
        for run, after in runs_ended(context.instance, ended, {}, limits.alerts_a_look):
            ended = after
            found += alerts_of(context.instance, run)
        state = read_state(settings)
        if state.version > known.get("control", 0) and state.stops_work:
            found.append(_of_control(state))
        delivered = raise_alerts(found, settings, limits.webhook)
        told = f"{len(found)} alerts{', delivered' if delivered else ''}"
        cursor = json.dumps({"runs": ended, "control": state.version})
        return dg.SensorResult(skip_reason=told, cursor=cursor)

    return alerts


def alerts_of(instance: DagsterInstance, run: DagsterRun) -> list[Alert]:
    """What a finished run has to alert of: one alert, or none."""
    part, why = part_of_key(run.tags.get(PARTITION)), _gates(instance, run)
    if run.status is DagsterRunStatus.FAILURE:
        why += _failures(instance, run)
        kind = AlertKind.RUN_FAILED
    elif why:
        kind = AlertKind.GATES_FAILED
    else:
        return []
    return [Alert(kind, run.job_name, run.run_id, part.mode, why, part.scenario_set)]


def _gates(instance: DagsterInstance, run: DagsterRun) -> list[dict[str, str]]:
    """ERROR gates that the run evaluated and that failed."""
    found = []
    for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION):
        assert entry.dagster_event is not None  # asked for by its type
        gate = entry.dagster_event.asset_check_evaluation_data
        if gate.passed or gate.severity is not dg.AssetCheckSeverity.ERROR:
            continue
        facts = {name: str(v.value) for name, v in gate.metadata.items() if name in FIELDS}
        what = (gate.description or "").split(" | ")[0]
        gate_name = f"{gate.asset_key.to_user_string()} {gate.check_name}"
        found.append({"gate": gate_name, **facts, "what": what})
    return found


def _failures(instance: DagsterInstance, run: DagsterRun) -> list[dict[str, str]]:
    """Why the steps failed; for a run whose process died what Dagster says of it."""
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


def _of_control(state: ControlState) -> Alert:
    reasons = [{"what": state.reason}]
    return Alert(AlertKind(state.name.lower()), f"emergency control by {state.by}", reasons=reasons)
