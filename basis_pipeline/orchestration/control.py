"""Emergency control in Dagster: what is held against the limits, and the state in the UI.

The asset of a backtest holds its figures against the limits; a listener holds the gates of a run
against them when the run ends, however it was started. Failures are counted in Dagster's own
records of checks, so that no second count can differ.
"""

import sys
from collections.abc import Iterable, Iterator
from itertools import takewhile

import dagster as dg
from dagster import DagsterEventType, DagsterInstance, DagsterRun, EventLogEntry

from basis_pipeline.config.control import ControlLimits, Limit, load_control_limits
from basis_pipeline.errors import BasisError
from basis_pipeline.operations import control as emergency
from basis_pipeline.operations.audit_log import EventType, correlated, emit
from basis_pipeline.operations.control import ControlState, Measurement, State, read_state
from basis_pipeline.operations.health.probes import OUTSIDE_WINDOW
from basis_pipeline.orchestration.audit_listener import OUTCOMES
from basis_pipeline.orchestration.check_history import history_of
from basis_pipeline.orchestration.checks import check_result
from basis_pipeline.orchestration.partitions import part_of_key
from basis_pipeline.settings import Settings, config_directory
from basis_pipeline.verdict import Verdict, judge

CONTROL = dg.AssetKey(["platform", "control"])
STATE = "state"
PHASE = 4
DATA_LAYERS = ("raw", "dataset")
# Counted beside the gates of the data: a failure means a fault of the platform, not a poor figure.
RUN_GATES = {
    ("backtest/simulation", "reconciliation"),
    ("backtest/simulation", "closed_form"),
    ("backtest/simulation", "determinism"),
    ("results/record", "integrity"),
}


def enforce_limits(
    instance: DagsterInstance,
    settings: Settings,
    measurements: Iterable[Measurement],
    limits: ControlLimits | None = None,
) -> ControlState:
    """Hold measurements against the limits, and show a change of state in the UI at once.

    Raises
    ------
    ConfigError, ResultsError: as `operations.control.enforce_limits`.
    """
    before = read_state(settings)
    state = emergency.enforce_limits(settings, measurements, limits)
    if (state.name, state.version) != (before.name, before.version):
        show(instance, state)
    return state


def show(instance: DagsterInstance, state: ControlState) -> None:
    """Record the state as the verdict of the check of `platform/control`, outside any run."""
    result = check_result(CONTROL, verdict_of(state))
    evaluation = dg.AssetCheckEvaluation(
        asset_key=CONTROL,
        check_name=STATE,
        passed=result.passed,
        severity=result.severity,
        description=result.description,
        metadata=result.metadata,
    )
    instance.report_runless_asset_event(evaluation)


def verdict_of(state: ControlState) -> Verdict:
    """Return the verdict: NORMAL passes, ALERT is a warning, a halt or shutdown an error."""
    return judge(
        STATE,
        "WARN" if state.name is State.ALERT else "ERROR",
        state.name is State.NORMAL,
        state.description,
        evidence={
            "state": state.name.value,
            "since": state.since.isoformat() if state.since else "ever",
            "by": state.by or "nobody",
            "reason": state.reason or "none",
        },
        phase=PHASE,
    )


class ControlListener:
    """Listens to a run, and holds its gates against the limits when it ends."""

    def __init__(self, instance: DagsterInstance, run: DagsterRun, settings: Settings) -> None:
        self._instance, self._run, self._settings = instance, run, settings

    def __call__(self, entry: EventLogEntry) -> None:
        """Hold the gates of a run that has ended against the limits; report a failure to do so."""
        if not (entry.dagster_event and entry.dagster_event.event_type in OUTCOMES):
            return
        with correlated(self._run.run_id):
            try:
                limits = load_control_limits(config_directory())
                resumed = read_state(self._settings).resumed_at
                since = resumed.timestamp() if resumed else 0.0
                measured = consecutive_failures(self._instance, self._run.run_id, limits, since)
                enforce_limits(self._instance, self._settings, measured, limits)
            except BasisError as error:
                emit(self._settings, EventType.ERROR, "control", **error.as_json())
                what = "warning: the gates of this run were not held against the control limits"
                print(f"{what}\n{error.block()}", file=sys.stderr)


def consecutive_failures(
    instance: DagsterInstance, run_id: str, limits: ControlLimits, since: float
) -> Iterator[Measurement]:
    """Count the consecutive failures, over all runs, of each blocking gate that a run evaluated.

    Parameters
    ----------
    since: seconds of the epoch; failures before it are not counted.
    """
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION):
        assert entry.dagster_event is not None  # its type says so
        found = entry.dagster_event.asset_check_evaluation_data
        mode = part_of_key(found.partition).mode
        bounds = limits.of(mode)[Limit.FAILED_GATES]
        if bounds is None or not _is_blocking(found):
            continue
        most = int(max(bounds.alert or 0.0, bounds.halt or 0.0))  # a higher count has no effect
        count = _count(instance, found, most, since) if most and _fails(found) else 0
        gate = f"{found.asset_key.to_user_string()} {found.check_name}"
        yield Measurement(Limit.FAILED_GATES, float(count), mode, gate)


def _is_blocking(found: dg.AssetCheckEvaluation) -> bool:
    asset = found.asset_key.to_user_string()
    return found.asset_key.path[0] in DATA_LAYERS or (asset, found.check_name) in RUN_GATES


def _fails(found: dg.AssetCheckEvaluation) -> bool:
    """Say whether a gate fails; a window outside the data says nothing about the data."""
    code = found.metadata.get("code")
    is_error = found.severity is dg.AssetCheckSeverity.ERROR
    return not found.passed and is_error and (code is None or code.value != OUTSIDE_WINDOW)


def _count(
    instance: DagsterInstance, found: dg.AssetCheckEvaluation, most: int, since: float
) -> int:
    check = dg.AssetCheckKey(found.asset_key, found.check_name)
    evaluated = [
        (record.event.timestamp, record.event.get_dagster_event().asset_check_evaluation_data)
        for record in history_of(instance, check, most, found.partition)
        if record.event
    ]
    row = takewhile(lambda pair: pair[0] > since and _fails(pair[1]), evaluated)
    return sum(1 for _ in row)
