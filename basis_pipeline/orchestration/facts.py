"""What a health report has to know of the Dagster instance."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
from dagster._core.scheduler.instigation import InstigatorStatus, TickStatus
from dagster._core.storage.event_log import SqliteEventLogStorage
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from sqlalchemy import text

from basis_pipeline.config import DatasetConfig
from basis_pipeline.market.quality import check_names
from basis_pipeline.operations.health import graph
from basis_pipeline.operations.health.durations import Sample
from basis_pipeline.operations.health.families import Ingested
from basis_pipeline.operations.health.platform import Facts, Heartbeat, Trigger
from basis_pipeline.orchestration.check_history import (
    described,
    evaluation_of,
    has_failed,
    latest_records,
)
from basis_pipeline.orchestration.partitions import PARTITION, part_of_key

STEPS = """
    SELECT run_id, step_key,
           MAX(CASE dagster_event_type WHEN 'STEP_SUCCESS' THEN timestamp END),
           MIN(CASE dagster_event_type WHEN 'STEP_START' THEN timestamp END)
    FROM event_logs
    WHERE dagster_event_type IN ('STEP_START', 'STEP_SUCCESS') {runs}
    GROUP BY run_id, step_key
"""
Row = tuple[str, str, object, object]


def facts_of(
    instance: dg.DagsterInstance, datasets: Iterable[DatasetConfig], history_runs: int
) -> Facts:
    """Read everything a health report needs from the instance.

    history_runs: durations are those of the steps of so many runs, the latest.
    """
    return Facts(
        heartbeats=_heartbeats(instance),
        triggers=_triggers(instance),
        samples=step_samples(instance, history_runs),
        ingested=_ingested(instance, datasets),
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


def _triggers(instance: dg.DagsterInstance) -> list[Trigger]:
    found = []
    for state in instance.all_instigator_state():
        if state.status is InstigatorStatus.STOPPED:
            continue
        ticks = instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=1)
        last = ticks[0] if ticks else None
        failed = last is not None and last.status is TickStatus.FAILURE
        error = last.error.message.strip() if failed and last and last.error else ""
        found.append(Trigger(state.name, error or ("its last tick failed" if failed else "")))
    return sorted(found, key=lambda trigger: trigger.name)


def _ingested(
    instance: dg.DagsterInstance, datasets: Iterable[DatasetConfig]
) -> dict[str, Ingested]:
    """The latest verdict on every family: of its files and of the dataset made of them."""
    asked = {
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
    records = latest_records(instance, [key for keys in asked.values() for key in keys])
    found = {}
    for name, keys in asked.items():
        known = [records[key] for key in keys if key in records]
        evaluated = [record for record in known if evaluation_of(record)]
        if not evaluated:
            continue
        failed = [record for record in evaluated if has_failed(record)]
        landed = records.get(keys[0])
        verdict = evaluation_of(landed) if landed else None
        is_there = verdict is not None and verdict.passed
        at = max(record.event.timestamp for record in evaluated if record.event)
        code, what, where = "", "", ""
        if failed:
            evaluation = evaluation_of(failed[0])
            assert evaluation is not None
            code_value = evaluation.metadata.get("code")
            what, where = described(failed[0])
            code = str(code_value.value) if code_value else "DATA-014"
            what = what.removeprefix(f"{code}: ")
        found[name] = Ingested(is_there, datetime.fromtimestamp(at, UTC), code, what, where)
    return found


def step_samples(instance: dg.DagsterInstance, runs: int) -> list[Sample]:
    """Seconds of every step of the latest runs that came through, in order of their runs.

    Read with SQL: Dagster's own interface would unpack every event of every run.
    """
    records = list(reversed(instance.get_run_records(limit=runs)))
    keys = {r.dagster_run.run_id: r.dagster_run.tags.get(PARTITION, "") for r in records}
    rows: dict[str, list[Row]] = {}
    for row in _rows(instance, list(keys)):
        rows.setdefault(row[0], []).append(row)
    return [
        sample
        for run_id, key in keys.items()
        for row in sorted(rows.get(run_id, []), key=lambda row: str(row[3]))
        if (sample := _sample(row, key))
    ]


def _rows(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> Iterator[Row]:
    storage = instance.event_log_storage
    if not run_ids:
        return
    if isinstance(storage, SqliteEventLogStorage):  # a file a run
        for run_id in run_ids:
            path = Path(storage.path_for_shard(run_id))
            if path.exists():
                with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                    yield from connection.execute(STEPS.format(runs=""))
    elif isinstance(storage, SqlEventLogStorage):
        names = {f"r{place}": run_id for place, run_id in enumerate(run_ids)}
        chosen = f"AND run_id IN ({', '.join(f':{name}' for name in names)})"
        with storage.index_connection() as connection:
            for row in connection.execute(text(STEPS.format(runs=chosen)), names):
                yield (row[0], row[1], row[2], row[3])


def _sample(row: Row, key: str) -> Sample | None:
    run_id, step, end, start = row
    if end is None or start is None:
        return None
    group, _, rest = step.partition("__")
    operation = f"{group}/{rest}" if rest else group
    operation += f"[{key}]" if key else ""
    seconds = (_moment(end) - _moment(start)).total_seconds()
    return Sample(operation, _component(operation, group, part_of_key(key).mode), seconds, run_id)


def _moment(value: object) -> datetime:
    return value if isinstance(value, datetime) else datetime.fromisoformat(str(value))


def _component(operation: str, group: str, mode: str) -> str:
    """The component a step belongs to."""
    match group:
        case "config":
            return graph.CONFIGURATION
        case "raw" | "dataset":
            return "families"
        case "market" if mode:
            return graph.panel(mode)
        case "backtest":
            return graph.ENGINE
        case "results" | "report":
            return graph.STORE
        case _:
            return operation
