"""Reading the records of checks: the gates as they stand, over all runs."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter
from dagster._core.definitions.data_version import DATA_VERSION_TAG
from dagster._core.event_api import PartitionKeyFilter
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from basis_pipeline.operations.gates import Gate, Verdict, verdict_of
from basis_pipeline.orchestration.checks import PHASE, SEVERITY
from basis_pipeline.orchestration.guard import latest_records, told

HISTORY = 1_000  # records looked through, the latest first
STOPPED = {DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}


def all_gates(instance: DagsterInstance, defs: dg.Definitions) -> list[Gate]:
    """Every check the graph declares, for every mode it belongs to, with its latest verdict."""
    graph = defs.resolve_asset_graph()
    specs = [graph.get_check_spec(key) for key in sorted(graph.asset_check_keys)]
    return gates_of_all(instance, specs)


def gates_of_all(instance: DagsterInstance, specs: Iterable[dg.AssetCheckSpec]) -> list[Gate]:
    """The checks given, of every mode they belong to, by phase, mode and asset."""
    wanted = list(specs)
    gates = gates_of(instance, [spec for spec in wanted if spec.partitions_def is None])
    parted = [spec for spec in wanted if spec.partitions_def is not None]
    modes = {m for spec in parted if (p := spec.partitions_def) for m in p.get_partition_keys()}
    for mode in sorted(modes):
        gates += gates_of(instance, parted, mode)
    return sorted(gates, key=lambda gate: (gate.phase, gate.mode, gate.asset))


def gates_of(
    instance: DagsterInstance, specs: Iterable[dg.AssetCheckSpec], mode: str = ""
) -> list[Gate]:
    """The checks given with their latest verdicts, of one mode where they belong to modes."""
    wanted = {spec.key: spec for spec in specs}
    records = latest_records(instance, wanted, mode or None)
    unfinished = {r.run_id for r in records.values() if _is_planned(r)}
    stopped = set(_stopped(instance, unfinished))
    return [_gate(spec, mode, records.get(key), stopped) for key, spec in wanted.items()]


def gates_of_result(
    instance: DagsterInstance, defs: dg.Definitions, asset: dg.AssetKey, mode: str, version: str
) -> list[Gate]:
    """What the checks of a mode said when `asset` got this data version, not what they say now.

    Empty where no run on record made it.
    """
    made_by = _maker(instance, asset, mode, version)
    if made_by is None:
        return []
    graph = defs.resolve_asset_graph()
    specs = [graph.get_check_spec(key) for key in sorted(graph.asset_check_keys)]
    gates = []
    for spec in specs:
        if spec.partitions_def is not None:
            told = instance.event_log_storage.get_asset_check_execution_history(
                spec.key, limit=HISTORY, partition_filter=PartitionKeyFilter(key=mode)
            )
            own = [record for record in told if record.run_id == made_by]
            gates += [_gate(spec, mode, record, set()) for record in own[:1]]
    return gates


def _maker(instance: DagsterInstance, asset: dg.AssetKey, mode: str, version: str) -> str | None:
    """The latest Dagster run that gave a partition of an asset this data version."""
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[mode])
    for record in instance.fetch_materializations(wanted, limit=HISTORY).records:
        made = record.asset_materialization
        if made and (made.tags or {}).get(DATA_VERSION_TAG) == version:
            return record.run_id
    return None


def _gate(
    spec: dg.AssetCheckSpec, mode: str, record: AssetCheckExecutionRecord | None, stopped: set[str]
) -> Gate:
    asset = spec.asset_key.to_user_string()
    phase, severity = spec.metadata[PHASE], spec.metadata[SEVERITY]
    if record is None or _is_planned(record):
        halted = record is not None and record.run_id in stopped
        said = "its run failed before it was evaluated" if halted else "never evaluated"
        verdict = Verdict.NOT_RUN
        return Gate(phase, asset, spec.name, mode, severity, verdict, said, stopped=halted)
    event = record.event
    assert event is not None  # an evaluation has its event
    evaluation = event.get_dagster_event().asset_check_evaluation_data
    figures = {
        name: value.value
        for name, value in evaluation.metadata.items()
        if isinstance(value.value, str | int | float)
    }
    return Gate(
        phase,
        asset,
        spec.name,
        mode,
        severity,
        verdict_of(evaluation.passed, evaluation.severity.value),
        told(record)[0],
        datetime.fromtimestamp(event.timestamp, UTC),
        record.run_id,
        metrics=figures,
    )


def _is_planned(record: AssetCheckExecutionRecord) -> bool:
    return record.status is AssetCheckExecutionRecordStatus.PLANNED


def _stopped(instance: DagsterInstance, run_ids: set[str]) -> Iterator[str]:
    if run_ids:
        for run in instance.get_runs(RunsFilter(run_ids=sorted(run_ids))):
            if run.status in STOPPED:
                yield run.run_id
