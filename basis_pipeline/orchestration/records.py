"""Reading the records of checks: the gates as they stand, over all runs."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from basis_pipeline.orchestration.check_history import (
    CheckRecord,
    is_planned,
    latest_records,
)
from basis_pipeline.orchestration.checks import PHASE, SEVERITY, verdict_of
from basis_pipeline.orchestration.partitions import (
    MODE,
    Part,
    own_keys,
    part_of_key,
    scenario_sets,
)
from basis_pipeline.verdict import Status, Verdict

DATA_VERSION_TAG = "dagster/data_version"
HISTORY = 1_000  # records looked through, the latest first
STOPPED = {DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED}


def all_gates(instance: DagsterInstance, defs: dg.Definitions) -> list[Verdict]:
    """Every check the graph declares, for every partition, with its latest verdict."""
    graph = defs.resolve_asset_graph()
    specs = [graph.get_check_spec(key) for key in sorted(graph.asset_check_keys)]
    return gates_of_all(instance, specs)


def gates_of_all(instance: DagsterInstance, specs: Iterable[dg.AssetCheckSpec]) -> list[Verdict]:
    """The checks given, of every partition they belong to, by phase, mode and asset.

    Of a study those of its own scenario sets, and of any other set that it was run with.
    """
    by_key: dict[str, list[dg.AssetCheckSpec]] = {}
    keys: dict[dg.AssetKey, list[str]] = {}
    for spec in specs:
        if spec.asset_key not in keys:
            keys[spec.asset_key] = _keys(instance, spec)
        for key in keys[spec.asset_key]:
            by_key.setdefault(key, []).append(spec)
    gates = [gate for key, own in by_key.items() for gate in gates_of(instance, own, key)]
    return sorted(gates, key=lambda gate: (gate.phase, gate.mode, gate.asset, gate.scenario_set))


def _keys(instance: DagsterInstance, spec: dg.AssetCheckSpec) -> list[str]:
    """The partitions that a check is asked for; the empty one of what has none."""
    if spec.partitions_def is None:
        return [""]
    if not isinstance(spec.partitions_def, dg.MultiPartitionsDefinition):
        return list(spec.partitions_def.get_partition_keys())
    modes = spec.partitions_def.get_partitions_def_for_dimension(MODE).get_partition_keys()
    there = {Part(mode, name).key for mode in modes for name in scenario_sets()}
    run = there & set(instance.get_materialized_partitions(spec.asset_key))
    return sorted({*own_keys(spec.asset_key.path[0], modes), *run})


def gates_of(
    instance: DagsterInstance, specs: Iterable[dg.AssetCheckSpec], key: str = ""
) -> list[Verdict]:
    """The checks given with their latest verdicts, of one partition where they have them."""
    wanted = {spec.key: spec for spec in specs}
    records = latest_records(instance, wanted, key or None)
    unfinished = {r.run_id for r in records.values() if is_planned(r)}
    stopped = set(_stopped(instance, unfinished))
    return [_gate(spec, key, records.get(check), stopped) for check, spec in wanted.items()]


def _gate(
    spec: dg.AssetCheckSpec, key: str, record: CheckRecord | None, stopped: set[str]
) -> Verdict:
    if record is None or is_planned(record):
        part = part_of_key(key)
        is_blocked = record is not None and record.run_id in stopped
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


def _stopped(instance: DagsterInstance, run_ids: set[str]) -> Iterator[str]:
    if run_ids:
        for run in instance.get_runs(RunsFilter(run_ids=sorted(run_ids))):
            if run.status in STOPPED:
                yield run.run_id
