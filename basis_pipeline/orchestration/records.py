"""The latest verdict of every gate, over all runs, from the records of checks."""

from collections.abc import Collection, Iterable

import dagster as dg
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from basis_pipeline.backtests.scenario_checks import PHASE as STUDIES
from basis_pipeline.errors import BasisError
from basis_pipeline.orchestration.check_history import (
    CheckRecord,
    history_of,
    is_planned,
    latest_records,
    recorded_verdict,
)
from basis_pipeline.orchestration.checks import PHASE, SEVERITY
from basis_pipeline.orchestration.failures import failures_of_run
from basis_pipeline.orchestration.groups import ACCOUNTS, FETCH
from basis_pipeline.orchestration.partitions import Part, part_of_key
from basis_pipeline.verdict import Status, Verdict

EVALUATIONS = 60  # of a gate: up to two a night, over 30 nights


def all_gates(instance: DagsterInstance, defs: dg.Definitions) -> list[Verdict]:
    """Return every check of the graph, for every partition, with its latest verdict."""
    graph = defs.resolve_asset_graph()
    specs = [graph.get_check_spec(key) for key in sorted(graph.asset_check_keys)]
    return gates_of_all(instance, specs)


def gates_of_all(instance: DagsterInstance, specs: Iterable[dg.AssetCheckSpec]) -> list[Verdict]:
    """Return these checks for every partition with their verdicts, by phase, mode and asset.

    Checks of studies, fetched feeds and accounts that were never evaluated are left out: the
    pipeline does not have to run all of them.
    """
    by_key: dict[str, list[dg.AssetCheckSpec]] = {}
    for spec in specs:
        partitions = spec.partitions_def
        for key in partitions.get_partition_keys() if partitions else [""]:
            by_key.setdefault(key, []).append(spec)
    gates = [gate for key, own in by_key.items() for gate in gates_of(instance, own, key)]
    gates = [gate for gate in gates if gate.status is not Status.NOT_RUN or not _is_optional(gate)]
    return sorted(gates, key=lambda gate: (gate.phase, gate.mode, gate.asset, gate.scenario_set))


def _is_optional(gate: Verdict) -> bool:
    return gate.phase == STUDIES or gate.asset.startswith((f"{FETCH}/", f"{ACCOUNTS}/"))


def gates_of(
    instance: DagsterInstance, specs: Iterable[dg.AssetCheckSpec], key: str = ""
) -> list[Verdict]:
    """Return these checks with their latest verdicts, of one partition where they have any.

    The latest evaluation counts. Where a later run planned the check and failed before it, the
    check is blocked by the cause of that failure. A later run that was canceled, is queued or is
    in progress changes nothing.
    """
    wanted = {spec.key: spec for spec in specs}
    records = latest_records(instance, wanted, key or None)
    causes = _causes(instance, {r.run_id for r in records.values() if is_planned(r)})
    gates = []
    for check, spec in wanted.items():
        record, cause = records.get(check), ""
        if record is not None and is_planned(record):
            cause = causes.get(record.run_id, "")
            record = next(iter(history_of(instance, check, 1, key or None)), None)
        verdict = _latest(spec, key, record)
        gates.append(_blocked(verdict, cause) if cause else verdict)
    return gates


def input_gates(
    instance: DagsterInstance, data_checks: Iterable[dg.AssetCheckSpec], names: Collection[str]
) -> list[Verdict]:
    """Return the evaluated checks of the datasets named, with their latest verdicts."""
    read = {dg.AssetKey(["dataset", name]) for name in names}
    gates = gates_of(instance, [spec for spec in data_checks if spec.asset_key in read])
    return [gate for gate in gates if gate.evaluated]


def evaluations(
    instance: DagsterInstance, gates: Iterable[Verdict], limit: int = EVALUATIONS
) -> dict[str, list[Verdict]]:
    """Return the last evaluations of the gates that fail or warn, by name, the latest first."""
    found = {}
    for gate in gates:
        if gate.status in (Status.WARN, Status.FAIL):
            key = Part(gate.mode, gate.scenario_set).key if gate.mode else ""
            check = dg.AssetCheckKey(dg.AssetKey.from_user_string(gate.asset), gate.check)
            records = history_of(instance, check, limit, key or None)
            found[gate.name] = [v for record in records if (v := recorded_verdict(record))]
    return found


def _latest(spec: dg.AssetCheckSpec, key: str, record: CheckRecord | None) -> Verdict:
    """Return the verdict of the latest evaluation; NOT RUN without one."""
    if record and (verdict := recorded_verdict(record)):
        return verdict.at(phase=spec.metadata[PHASE])
    part = part_of_key(key)
    return Verdict(
        check=spec.name,
        severity=spec.metadata[SEVERITY],
        status=Status.NOT_RUN,
        message="never evaluated",
        phase=spec.metadata[PHASE],
        asset=spec.asset_key.to_user_string(),
        mode=part.mode,
        scenario_set=part.scenario_set,
    )


def _blocked(last: Verdict, cause: str) -> Verdict:
    """Return BLOCKED for a check that a failed run did not reach, with its earlier verdict."""
    message = f"not evaluated: {cause}"
    if last.evaluated:
        message += f"; before: {last.status.value}, {last.message}"
    return last.at(status=Status.BLOCKED, message=message, cause=cause)


def _causes(instance: DagsterInstance, run_ids: set[str]) -> dict[str, str]:
    """Return why runs failed, by run; runs that did not fail are left out."""
    if not run_ids:
        return {}
    runs = instance.get_runs(RunsFilter(run_ids=sorted(run_ids)))
    return {r.run_id: _cause(instance, r) for r in runs if r.status is DagsterRunStatus.FAILURE}


def _cause(instance: DagsterInstance, run: dg.DagsterRun) -> str:
    for step, reason in failures_of_run(instance, run.run_id):
        return reason.fault if isinstance(reason, BasisError) else f"{reason} in {step}"
    return f"run {run.run_id[:8]} died"
