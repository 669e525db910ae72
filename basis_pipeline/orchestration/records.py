"""Reading the records of checks: the gates as they stand, over all runs."""

from collections.abc import Iterable
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from basis_pipeline.orchestration.check_history import (
    CheckRecord,
    history_of,
    is_planned,
    latest_records,
)
from basis_pipeline.orchestration.checks import PHASE, SEVERITY, verdict_of
from basis_pipeline.orchestration.partitions import part_of_key
from basis_pipeline.runs.scenario_checks import PHASE as PHASE_OF_STUDIES
from basis_pipeline.verdict import Status, Verdict

DATA_VERSION_TAG = "dagster/data_version"
HISTORY = 1_000  # records looked through, the latest first


def all_gates(instance: DagsterInstance, defs: dg.Definitions) -> list[Verdict]:
    """Every check the graph declares, for every partition, with its latest verdict."""
    graph = defs.resolve_asset_graph()
    specs = [graph.get_check_spec(key) for key in sorted(graph.asset_check_keys)]
    return gates_of_all(instance, specs)


def gates_of_all(instance: DagsterInstance, specs: Iterable[dg.AssetCheckSpec]) -> list[Verdict]:
    """The checks given, of every partition they belong to, by phase, mode and asset."""
    by_key: dict[str, list[dg.AssetCheckSpec]] = {}
    for spec in specs:
        partitions = spec.partitions_def
        for key in partitions.get_partition_keys() if partitions else [""]:
            by_key.setdefault(key, []).append(spec)
    gates = [gate for key, own in by_key.items() for gate in gates_of(instance, own, key)]
    return sorted(gates, key=lambda gate: (gate.phase, gate.mode, gate.asset, gate.scenario_set))


def gates_of(
    instance: DagsterInstance, specs: Iterable[dg.AssetCheckSpec], key: str = ""
) -> list[Verdict]:
    """The checks given with their latest verdicts, of one partition where they have them.

    A check that a failed run had planned is blocked, one that a finished run left out is not run.
    While the run waits or executes, and when it was canceled or killed, the evaluation before it
    stands. A study is a gate once it was asked for: one that nobody wanted is not missing.
    """
    wanted = {spec.key: spec for spec in specs}
    records = dict(latest_records(instance, wanted, key or None))
    planned = {check: record for check, record in records.items() if is_planned(record)}
    finished = _finished_runs(instance, {record.run_id for record in planned.values()})
    for check, record in planned.items():
        is_open = record.run_id not in finished
        if is_open and (earlier := history_of(instance, check, 1, key or None)):
            records[check] = earlier[0]
    failed = {run_id for run_id, is_success in finished.items() if not is_success}
    return [
        _gate(spec, key, records.get(check), failed)
        for check, spec in wanted.items()
        if check in records or spec.metadata[PHASE] != PHASE_OF_STUDIES
    ]


def gates_of_result(
    instance: DagsterInstance, defs: dg.Definitions, asset: dg.AssetKey, mode: str, version: str
) -> list[Verdict]:
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
            history = history_of(instance, spec.key, HISTORY, mode)
            own = [record for record in history if record.run_id == made_by]
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
    spec: dg.AssetCheckSpec, key: str, record: CheckRecord | None, failed: set[str]
) -> Verdict:
    if record is None or is_planned(record):
        part = part_of_key(key)
        is_blocked = record is not None and record.run_id in failed
        why = "its run failed before it was evaluated" if is_blocked else "never evaluated"
        return Verdict(
            check=spec.name,
            severity=spec.metadata[SEVERITY],
            status=Status.BLOCKED if is_blocked else Status.NOT_RUN,
            message=why,
            phase=spec.metadata[PHASE],
            asset=spec.asset_key.to_user_string(),
            mode=part.mode,
            scenario_set=part.scenario_set,
        )
    event = record.event
    assert event is not None  # an evaluation has its event
    evaluation = event.get_dagster_event().asset_check_evaluation_data
    at = datetime.fromtimestamp(event.timestamp, UTC)
    return verdict_of(evaluation).at(evaluated_at=at, run_id=record.run_id)


def _finished_runs(instance: DagsterInstance, run_ids: set[str]) -> dict[str, bool]:
    """Those of the runs that came to their own end, and whether it was a success."""
    if not run_ids:
        return {}
    ended = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE]
    runs = instance.get_runs(RunsFilter(run_ids=sorted(run_ids), statuses=ended))
    return {run.run_id: run.is_success for run in runs}
