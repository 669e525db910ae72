"""The audit log of a run: Dagster's events of it, in the terms of the audit log, as they happen.

Every event is derived from one that Dagster has just stored. Therefore the two logs agree, no
asset can forget to record its work, and nothing is written to Dagster's log twice.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, EventLogEntry

from basis_pipeline.errors import BasisError, EventError
from basis_pipeline.operations.audit_log import EventType, Level, correlated, emit, log_directory
from basis_pipeline.operations.audit_log.files import retire_old_files
from basis_pipeline.orchestration.checks import verdict_of
from basis_pipeline.orchestration.failures import failures_of_run
from basis_pipeline.orchestration.partitions import PARTITION, part_of_key
from basis_pipeline.settings import Settings

LEVELS = {"FAIL": Level.ERROR, "WARN": Level.WARNING, "PASS": Level.INFO}
OUTCOMES = {
    DagsterEventType.RUN_SUCCESS: "succeeded",
    DagsterEventType.RUN_FAILURE: "failed",
    DagsterEventType.RUN_CANCELED: "canceled",
}
Metadata = Mapping[str, Any]
Entry = tuple[EventType, dict[str, Any]]


@contextmanager
def recorded(
    settings: Settings, instance: DagsterInstance, run: DagsterRun, options: Mapping[str, Any]
) -> Iterator[None]:
    """Record the events of a run in this process, as they happen.

    Parameters
    ----------
    options: the options of the run, completed from the environment.
    """
    with correlated(run.run_id, part_of_key(run.tags.get(PARTITION)).mode):
        if not is_over(instance, run):
            listener = AuditListener(settings, instance, run)
            # The process of a step records the step; its parent process has recorded the run.
            if not instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_WORKER_STARTING):
                listener.start(options)
            instance.add_event_listener(run.run_id, listener)
        yield


def is_over(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Say whether the run has ended: then its resources only serve to read its outputs."""
    stored = instance.get_run_by_id(run.run_id)
    return stored is not None and stored.is_finished


class AuditListener:
    """Listens to the events of a run, and records them in the audit log."""

    def __init__(self, settings: Settings, instance: DagsterInstance, run: DagsterRun) -> None:
        self._settings, self._instance, self._run = settings, instance, run
        self._part = part_of_key(run.tags.get(PARTITION))
        self._started = time.time()

    def __call__(self, entry: EventLogEntry) -> None:
        """Record one event; a failure to do so is recorded too, and does not stop the run."""
        try:
            self._record(entry)
        except Exception as error:  # noqa: BLE001 - logging a run must not break it
            self._emit(EventType.ERROR, "audit log", what=f"an event was not recorded: {error!r}")

    def start(self, options: Mapping[str, Any]) -> None:
        """Record the request and the start of the run; compress and remove old log files."""
        run = self._run
        assets = sorted(key.to_user_string() for key in run.asset_selection or ())
        tags = {name: tag for name, tag in run.tags.items() if not name.startswith(".")}
        self._emit(EventType.RUN_REQUESTED, run.job_name, options=options, assets=assets, tags=tags)
        self._emit(EventType.RUN_STARTED, run.job_name)
        try:
            retire_old_files(log_directory(self._settings))
        except EventError as error:
            self._emit(EventType.ERROR, "audit log", level=Level.WARNING, **error.as_json())

    def _emit(self, kind: EventType, component: str, **fields: Any) -> None:
        # Run and mode are passed on: the context is gone when the run ends after its resources.
        part = self._part
        origin = {"run_id": self._run.run_id, "mode": part.mode}
        if part.scenario_set:
            origin["scenario_set"] = part.scenario_set
        emit(self._settings, kind, component, **{**fields, **origin})

    def _record(self, entry: EventLogEntry) -> None:
        if not (event := entry.dagster_event):
            return
        if outcome := OUTCOMES.get(event.event_type):
            self._finish(outcome, entry.timestamp - self._started)
            return
        for kind, fields in entries_of(event):
            self._emit(kind, _component(event), **fields)

    def _finish(self, outcome: str, seconds: float) -> None:
        """Record how the run ended, and the error of every step that failed."""
        level = Level.INFO if outcome == "succeeded" else Level.WARNING
        if outcome == "failed":
            level = Level.ERROR
            for step, reason in failures_of_run(self._instance, self._run.run_id):
                kind, fields = _failure(reason)
                self._emit(kind, _asset(step), **fields)
        self._emit(EventType.RUN_FINISHED, self._run.job_name, outcome=outcome, level=level)
        self._emit(EventType.TIMING, self._run.job_name, operation="run", seconds=round(seconds, 3))


def _failure(reason: BasisError | str) -> Entry:
    if isinstance(reason, BasisError):
        where = {"where": reason.where} if reason.where else {}
        return EventType.RUN_BLOCKED, {"code": reason.code, "reason": reason.what, **where}
    return EventType.ERROR, {"what": reason}


def _component(event: DagsterEvent) -> str:
    if event.event_type is DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
        return event.asset_key.to_user_string()
    if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
        return event.asset_check_evaluation_data.asset_key.to_user_string()
    return _asset(event.step_key or event.job_name)


def _asset(step: str) -> str:
    # The name of a step of one asset is the asset's key.
    return step.replace("__", "/")


def entries_of(event: DagsterEvent) -> Iterator[Entry]:
    """Yield the audit entries of a Dagster event; most have none."""
    if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
        yield from _verdict(event.asset_check_evaluation_data)
    elif event.event_type is DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
        path = event.asset_key.path
        metadata = {name: value.value for name, value in event.materialization.metadata.items()}
        if metadata.get("status") in ("absent", "rejected"):
            yield EventType.DATA_REJECTED, _rejected(path[-1], metadata)
        elif entries := ENTRIES_BY_LAYER.get(path[0]):
            yield from entries(path[-1], metadata)
    elif event.event_type is DagsterEventType.STEP_SUCCESS:
        seconds = round(event.step_success_data.duration_ms / 1000, 3)
        yield EventType.TIMING, {"operation": "step", "seconds": seconds}


def _verdict(evaluation: dg.AssetCheckEvaluation) -> Iterator[Entry]:
    verdict = verdict_of(evaluation)
    bounds = {"measured": verdict.measured, "limit": verdict.limit}
    figures = {**verdict.evidence, **{name: n for name, n in bounds.items() if n is not None}}
    yield (
        EventType.GATE_VERDICT,
        {
            "gate": verdict.check,
            "verdict": verdict.status.value,
            "level": LEVELS.get(verdict.status, Level.INFO),
            "evidence": verdict.message,
            "figures": figures,
        },
    )
    if not verdict.passed and verdict.limit is not None:
        yield EventType.LIMIT_BREACHED, {"limit": verdict.check, "figures": figures}


def _rejected(dataset: str, metadata: Metadata) -> dict[str, Any]:
    # An absent feed is an error only for a mode that reads it, and that mode is blocked.
    level = Level.INFO if metadata["status"] == "absent" else Level.ERROR
    fields = {name: metadata[name] for name in ("status", "code", "where") if name in metadata}
    return {"dataset": dataset, "reason": metadata.get("what", ""), "level": level, **fields}


def _configuration(_: str, metadata: Metadata) -> Iterator[Entry]:
    # The catalogue has no hash of its own.
    if "config_hash" in metadata:
        fields = {"config_hash": metadata["config_hash"], "overrides": metadata["overrides"]}
        yield EventType.CONFIGURATION_USED, {**fields, "configuration": metadata["slice"]}


def _raw(feed: str, metadata: Metadata) -> Iterator[Entry]:
    yield EventType.DATA_READ, {"dataset": feed, "sha256": metadata["content_hash"]}
    fields = {"rows": metadata["dagster/row_count"], "span": metadata["span"]}
    fields["files"] = [row.data["file"] for row in metadata["files"].records]
    yield EventType.FEED_READ, {"dataset": feed, **fields}


def _dataset(name: str, metadata: Metadata) -> Iterator[Entry]:
    if metadata["repairs"] != "none":
        yield EventType.DATA_REPAIRED, {"dataset": name, "repaired": metadata["repairs"]}


def _panel(_: str, metadata: Metadata) -> Iterator[Entry]:
    for row in metadata["inputs"].records:
        dataset, digest = row.data["dataset"], row.data["content_hash"]
        yield EventType.DATA_READ, {"dataset": dataset, "sha256": digest}


def _result(_: str, metadata: Metadata) -> Iterator[Entry]:
    plain = {name: v for name, v in metadata.items() if isinstance(v, str | int | float)}
    # `record` is the run's identity in the store; `run_id` of an event is Dagster's.
    plain["record"] = plain.pop("run_id")
    yield EventType.RUN_RESULT, plain
    if metadata.get("liquidations"):
        yield EventType.LIQUIDATION, {"count": metadata["liquidations"]}


ENTRIES_BY_LAYER: Mapping[str, Callable[[str, Metadata], Iterator[Entry]]] = {
    "config": _configuration,
    "raw": _raw,
    "dataset": _dataset,
    "market": _panel,
    "results": _result,
}
