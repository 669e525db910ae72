"""What a health report needs from the Dagster instance."""

from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg
import numpy as np

from basis_pipeline.config import DatasetConfig
from basis_pipeline.market.quality import check_names
from basis_pipeline.operations.health.model import (
    Durations,
    FeedVerdict,
    Heartbeat,
    InstanceMetrics,
    Trigger,
)
from basis_pipeline.orchestration.check_history import latest_records, recorded_verdict
from basis_pipeline.orchestration.partitions import PARTITION
from basis_pipeline.verdict import Verdict


def instance_metrics(
    instance: dg.DagsterInstance, datasets: Iterable[DatasetConfig], history_runs: int
) -> InstanceMetrics:
    """Read everything a health report needs from the instance.

    history_runs: durations are those of the steps of this many latest runs.
    """
    return InstanceMetrics(
        heartbeats=_heartbeats(instance),
        triggers=triggers(instance),
        feeds=_feeds(instance, datasets),
        durations=_durations(instance, history_runs),
    )


def _heartbeats(instance: dg.DagsterInstance) -> list[Heartbeat]:
    required = set(instance.get_required_daemon_types())
    return [
        Heartbeat(
            beat.daemon_type,
            datetime.fromtimestamp(beat.timestamp, UTC),
            beat.errors[0].message.strip() if beat.errors else "",
        )
        for name, beat in sorted(instance.get_daemon_heartbeats().items())
        if name in required
    ]


def triggers(instance: dg.DagsterInstance) -> list[Trigger]:
    """Return the schedules and sensors that are switched on, with the error of the last tick."""
    found = []
    for state in instance.all_instigator_state():
        # Dagster exports no names for the states of sensors and their ticks.
        if state.status.value == "STOPPED":
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        failed = [tick for tick in ticks if tick.status.value == "FAILURE"]
        messages = [tick.error.message.strip() if tick.error else "" for tick in failed]
        error = messages[0] or "its last tick failed" if messages else ""
        found.append(Trigger(state.name, error))
    return sorted(found, key=lambda trigger: trigger.name)


def _feeds(
    instance: dg.DagsterInstance, datasets: Iterable[DatasetConfig]
) -> dict[str, FeedVerdict]:
    """Return the latest verdict on every feed that was read at least once."""
    checks = {
        config.name: [
            dg.AssetCheckKey(dg.AssetKey(["raw", config.name]), "readable"),
            *(
                dg.AssetCheckKey(dg.AssetKey(["dataset", config.name]), check)
                for check, (severity, _) in check_names(config).items()
                if severity == "ERROR"
            ),
        ]
        for config in datasets
    }
    records = latest_records(instance, [key for keys in checks.values() for key in keys])
    found = {}
    for name, keys in checks.items():
        verdicts = [v for k in keys if k in records and (v := recorded_verdict(records[k]))]
        if not verdicts:
            continue
        at = max(verdict.evaluated_at for verdict in verdicts if verdict.evaluated_at)
        failed = [verdict for verdict in verdicts if not verdict.passed]
        # A failure says more than a check that it blocks.
        failed.sort(key=lambda verdict: not verdict.evaluated)
        found[name] = _failure(at, failed[0]) if failed else FeedVerdict(at)
    return found


def _failure(at: datetime, verdict: Verdict) -> FeedVerdict:
    code, where = (str(verdict.evidence.get(name, "")) for name in ("code", "where"))
    message = verdict.message.partition(" | ")[0].removeprefix(f"{code}: ")
    return FeedVerdict(at, code or "DATA-014", message, where, verdict.cause)


def _durations(instance: dg.DagsterInstance, runs: int) -> list[Durations]:
    """Return the percentiles of how long the steps of the latest runs took, by operation."""
    seconds: dict[str, list[float]] = {}
    for record in reversed(instance.get_run_records(limit=runs)):
        run = record.dagster_run
        key = run.tags.get(PARTITION)
        for stats in instance.get_run_step_stats(run.run_id):
            if stats.start_time and stats.end_time:
                asset = stats.step_key.replace("__", "/", 1)
                operation = f"{asset}[{key}]" if key else asset
                seconds.setdefault(operation, []).append(stats.end_time - stats.start_time)
    found = []
    for operation, taken in sorted(seconds.items()):
        p50, p95, p99 = (float(p) for p in np.percentile(taken, (50, 95, 99)))
        found.append(Durations(operation, len(taken), p50, p95, p99, taken[-1]))
    return found
