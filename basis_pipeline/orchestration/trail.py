"""The event log of a run: what Dagster records of it, in the log's own terms, as it happens.

Every event here follows from one that Dagster has just stored. So its log and ours tell the same,
no asset can forget to say what it did, and nothing is written to Dagster's log twice.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dagster as dg
from dagster import DagsterEvent, DagsterEventType, DagsterInstance, DagsterRun, EventLogEntry

from basis_pipeline.errors import BasisError, EventError
from basis_pipeline.operations.events.log import correlated, emit, open_log
from basis_pipeline.operations.events.model import EventType, Level
from basis_pipeline.orchestration.checks import verdict_of
from basis_pipeline.orchestration.failures import TELLING, reasons
from basis_pipeline.orchestration.partitions import PARTITION, part_of_key

FLUSH_SECONDS = 1.0  # a disk that takes longer is not waited for
LEVELS = {"FAIL": Level.ERROR, "WARN": Level.WARNING, "PASS": Level.INFO}
OUTCOMES = {
    DagsterEventType.RUN_SUCCESS: "succeeded",
    DagsterEventType.RUN_FAILURE: "failed",
    DagsterEventType.RUN_CANCELED: "canceled",
}
Facts = Mapping[str, Any]
Said = tuple[EventType, dict[str, Any]]

_told_unwritable: set[Path] = set()


@contextmanager
def recorded(
    directory: Path, instance: DagsterInstance, run: DagsterRun, asked: Mapping[str, Any]
) -> Iterator[None]:
    """What the run does in this process goes to the event log in `directory`, as it happens.

    A log that cannot be opened stops no run: it is told on stderr, once a process.
    `asked` is what the run was asked for, with what the environment says for the rest.
    """
    with correlated(run.run_id, part_of_key(run.tags.get(PARTITION)).mode):
        if not is_over(instance, run) and _is_open(directory):
            trail = Trail(instance, run)
            # A step's own process speaks for its step; who started it has spoken for the run.
            if not instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_WORKER_STARTING):
                trail.start(asked)
                with suppress(EventError):  # a run that is killed at once has left this much
                    open_log(directory).flush(FLUSH_SECONDS)
            instance.add_event_listener(run.run_id, trail)
        yield


def is_over(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether the resources are there again only to read what a finished run has made."""
    stored = instance.get_run_by_id(run.run_id)
    return stored is not None and stored.is_finished


def _is_open(directory: Path) -> bool:
    try:
        open_log(directory)
    except EventError as error:
        if directory not in _told_unwritable:
            _told_unwritable.add(directory)
            print(f"warning: this run leaves no event log\n{error.block()}", file=sys.stderr)
        return False
    return True


class Trail:
    """Listens to the events of a run and offers what they mean to the event log."""

    def __init__(self, instance: DagsterInstance, run: DagsterRun) -> None:
        self._instance, self._run = instance, run
        self._part = part_of_key(run.tags.get(PARTITION))
        self._started = time.time()

    def __call__(self, entry: EventLogEntry) -> None:
        """Tell of one event; what goes wrong here is told too, and never troubles the run."""
        try:
            self._tell(entry)
        except Exception as error:  # noqa: BLE001 - logging a run must not break it
            self._emit(EventType.ERROR, "event log", what=f"an event is not told of: {error!r}")

    def start(self, asked: Mapping[str, Any]) -> None:
        """Tell what was asked for, and that it begins."""
        run = self._run
        assets = sorted(key.to_user_string() for key in run.asset_selection or ())
        tags = {name: tag for name, tag in run.tags.items() if not name.startswith(".")}
        self._emit(EventType.RUN_REQUESTED, run.job_name, asked=asked, assets=assets, tags=tags)
        self._emit(EventType.RUN_STARTED, run.job_name)

    def _emit(self, kind: EventType, component: str, **fields: Any) -> None:
        # Named, not left to the context: a run's end is told when its resources are gone.
        part = self._part
        of_set = {"scenario_set": part.scenario_set} if part.scenario_set else {}
        emit(kind, component, run_id=self._run.run_id, mode=part.mode, **of_set, **fields)

    def _tell(self, entry: EventLogEntry) -> None:
        if not (event := entry.dagster_event):
            return
        if outcome := OUTCOMES.get(event.event_type):
            self._finish(outcome, entry.timestamp - self._started)
            return
        for kind, fields in said(event):
            self._emit(kind, _component(event), **fields)

    def _finish(self, outcome: str, seconds: float) -> None:
        """Tell how it ended; a failed run says why, by the code of every step that refused."""
        level = Level.INFO if outcome == "succeeded" else Level.WARNING
        if outcome == "failed":
            level = Level.ERROR
            failed = self._instance.all_logs(self._run.run_id, of_type=TELLING)
            events = (entry.dagster_event for entry in failed if entry.dagster_event)
            for step, reason in reasons(events):
                kind, fields = _refusal(reason)
                self._emit(kind, _asset(step), **fields)
        self._emit(EventType.RUN_FINISHED, self._run.job_name, outcome=outcome, level=level)
        self._emit(EventType.TIMING, self._run.job_name, operation="run", seconds=round(seconds, 3))


def _refusal(reason: BasisError | str) -> Said:
    if isinstance(reason, BasisError):
        where = {"where": reason.where} if reason.where else {}
        return EventType.RUN_REFUSED, {"code": reason.code, "reason": reason.what, **where}
    return EventType.ERROR, {"what": reason}


def _component(event: DagsterEvent) -> str:
    if event.event_type is DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
        return event.asset_key.to_user_string()
    if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
        return event.asset_check_evaluation_data.asset_key.to_user_string()
    return _asset(event.step_key or event.job_name)


def _asset(step: str) -> str:
    return step.replace("__", "/")  # a step of one asset has its key for a name


def said(event: DagsterEvent) -> Iterator[Said]:
    """What an event of Dagster says in the terms of the log; most say nothing."""
    if event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
        yield from _verdict(event.asset_check_evaluation_data)
    elif event.event_type is DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
        path = event.asset_key.path
        facts = {name: value.value for name, value in event.materialization.metadata.items()}
        if facts.get("status") in ("absent", "refused"):
            yield EventType.DATA_REFUSED, _refused(path[-1], facts)
        elif tell := BY_LAYER.get(path[0]):
            yield from tell(path[-1], facts)
    elif event.event_type is DagsterEventType.STEP_SUCCESS:
        seconds = round(event.step_success_data.duration_ms / 1000, 3)
        yield EventType.TIMING, {"operation": "step", "seconds": seconds}


def _verdict(evaluation: dg.AssetCheckEvaluation) -> Iterator[Said]:
    verdict = verdict_of(evaluation)
    held = {"measured": verdict.measured, "limit": verdict.limit}
    figures = {**verdict.evidence, **{name: v for name, v in held.items() if v is not None}}
    gate = {"gate": verdict.check, "verdict": verdict.status.value}
    gate |= {"level": LEVELS.get(verdict.status, Level.INFO), "evidence": verdict.message}
    yield EventType.GATE_VERDICT, {**gate, "figures": figures}
    if not verdict.passed and verdict.limit is not None:
        yield EventType.LIMIT_BREACHED, {"limit": verdict.check, "figures": figures}


def _refused(dataset: str, facts: Facts) -> dict[str, Any]:
    # An absent family is nobody's fault until a mode asks for it, and that mode is refused.
    level = Level.INFO if facts["status"] == "absent" else Level.ERROR
    told = {name: facts[name] for name in ("status", "code", "where") if name in facts}
    return {"dataset": dataset, "reason": facts.get("what", ""), "level": level, **told}


def _configuration(_: str, facts: Facts) -> Iterator[Said]:
    if "config_hash" in facts:  # of a mode
        told = {"config_hash": facts["config_hash"], "overrides": facts["overrides"]}
        yield EventType.CONFIGURATION_USED, {**told, "configuration": facts["slice"]}


def _raw(family: str, facts: Facts) -> Iterator[Said]:
    yield EventType.DATA_READ, {"dataset": family, "sha256": facts["content_hash"]}
    told = {"rows": facts["dagster/row_count"], "span": facts["span"]}
    told["files"] = [row.data["file"] for row in facts["files"].records]
    yield EventType.DATA_LANDED, {"dataset": family, **told}


def _dataset(name: str, facts: Facts) -> Iterator[Said]:
    if facts["repairs"] != "none":
        yield EventType.DATA_REPAIRED, {"dataset": name, "repaired": facts["repairs"]}


def _panel(_: str, facts: Facts) -> Iterator[Said]:
    for row in facts["inputs"].records:
        dataset, digest = row.data["dataset"], row.data["content_hash"]
        yield EventType.DATA_READ, {"dataset": dataset, "sha256": digest}


def _result(_: str, facts: Facts) -> Iterator[Said]:
    plain = {name: v for name, v in facts.items() if isinstance(v, str | int | float)}
    plain["record"] = plain.pop("run_id")  # the run's identity in the store; `run_id` is Dagster's
    yield EventType.RUN_RESULT, plain
    if facts.get("liquidations"):
        yield EventType.LIQUIDATION, {"count": facts["liquidations"]}


def _requests(_: str, facts: Facts) -> Iterator[Said]:
    told = [f"{row.data['request_id']} {row.data['status']}" for row in facts["requests"].records]
    yield EventType.MESSAGE, {"text": f"requests served: {', '.join(told)}"}


BY_LAYER: Mapping[str, Callable[[str, Facts], Iterator[Said]]] = {
    "config": _configuration,
    "raw": _raw,
    "dataset": _dataset,
    "market": _panel,
    "results": _result,
    "request": _requests,
}
