"""Asset checks from verdicts: `check_result` records one, `verdict_of` reads it back unchanged.

The metadata name the figures and the code and place of an error, for readers of the UI, and hold
the whole verdict as JSON, for readers of the record. A check that is not applicable has passed for
Dagster.
"""

import warnings
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import dagster as dg

from basis_pipeline.orchestration.metadata import table_of
from basis_pipeline.orchestration.partitions import part_of_key
from basis_pipeline.verdict import Status, Verdict, judge

T = TypeVar("T")
PHASE = "phase"
SEVERITY = "severity"
VERDICT, ROWS = "verdict", "offending_rows"


def check_spec(
    key: dg.AssetKey,
    name: str,
    severity: str,
    description: str,
    phase: int,
    partitions: dg.PartitionsDefinition[str] | None = None,
    *,
    blocking: bool = False,
) -> dg.AssetCheckSpec:
    """Declare a check; its phase of the quality gate and its severity are in the metadata."""
    with warnings.catch_warnings():
        # Checks by partition are a preview in the pinned release; a test expects this warning.
        warnings.filterwarnings("ignore", "Specifying a partitions_def", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            name,
            asset=key,
            description=description,
            blocking=blocking,
            metadata={PHASE: phase, SEVERITY: severity},
            partitions_def=partitions,
        )


def check_results(
    key: dg.AssetKey, verdicts: Iterable[Verdict], selected: Iterable[dg.AssetCheckKey]
) -> list[dg.AssetCheckResult]:
    """Return the results of the selected checks; one that did not run stays planned."""
    wanted = {check.name for check in selected if check.asset_key == key}
    return [
        check_result(key, verdict)
        for verdict in verdicts
        if verdict.status is not Status.NOT_RUN and verdict.check in wanted
    ]


def check_result(key: dg.AssetKey, verdict: Verdict) -> dg.AssetCheckResult:
    """Return the result of one check, with its figures and its offending rows.

    A blocked check is a warning to Dagster: the failure that blocks it has its own record.
    """
    severity = "WARN" if verdict.status is Status.BLOCKED else verdict.severity
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=verdict.check,
        passed=verdict.passed,
        severity=dg.AssetCheckSeverity(severity),
        description=verdict.message,
        metadata=_metadata(verdict),
    )


def _metadata(verdict: Verdict) -> dict[str, Any]:
    bounds = {"measured": verdict.measured, "limit": verdict.limit, "unit": verdict.unit or None}
    metadata: dict[str, Any] = {
        **verdict.evidence,
        **{name: value for name, value in bounds.items() if value is not None},
        "status": verdict.status.value,
        VERDICT: dg.MetadataValue.json({**verdict.to_json(), "rows": []}),
    }
    if verdict.rows:
        metadata[ROWS] = table_of(verdict.rows)
    return metadata


def verdict_of(evaluation: dg.AssetCheckEvaluation) -> Verdict:
    """Return the verdict that an evaluation records, with its asset, mode and scenario set."""
    part, rows = part_of_key(evaluation.partition), evaluation.metadata.get(ROWS)
    return _recorded(evaluation).at(
        rows=tuple(record.data for record in rows.records)
        if isinstance(rows, dg.TableMetadataValue)
        else (),
        asset=evaluation.asset_key.to_user_string(),
        mode=part.mode,
        scenario_set=part.scenario_set,
    )


def _recorded(evaluation: dg.AssetCheckEvaluation) -> Verdict:
    """Return the verdict in the metadata; build one where a person or another tool reported it."""
    values = evaluation.metadata.get(VERDICT)
    if isinstance(values, dg.JsonMetadataValue) and isinstance(values.value, dict):
        return Verdict.from_json(values.value)
    where = evaluation.metadata.get("where")
    return judge(
        evaluation.check_name,
        "WARN" if evaluation.severity is dg.AssetCheckSeverity.WARN else "ERROR",
        evaluation.passed,
        evaluation.description or "",
        evidence={"where": str(where.value)} if where else None,
    )


def selected_names(context: dg.AssetExecutionContext) -> list[str]:
    """List the last parts of the asset keys that a step materialises, or only checks."""
    keys = context.selected_asset_keys | {c.asset_key for c in context.selected_asset_check_keys}
    return sorted(key.path[-1] for key in keys)


def results_only(
    context: dg.AssetExecutionContext, result: dg.MaterializeResult[T]
) -> Iterator[dg.MaterializeResult[T] | dg.AssetCheckResult]:
    """Yield the result, or its checks alone where only they are selected."""
    if result.asset_key in context.selected_asset_keys:
        yield result
    else:
        yield from result.check_results
