"""Asset checks from what the domain finds: names and severities in, Dagster records out."""

import warnings
from collections.abc import Iterable, Iterator
from typing import TypeVar

import dagster as dg
from dagster_shared.utils.warnings import PreviewWarning

from basis_pipeline.market.quality import QualityResult
from basis_pipeline.orchestration.tables import table

T = TypeVar("T")
PHASE = "phase"
SEVERITY = "severity"


def check_spec(
    key: dg.AssetKey,
    name: str,
    severity: str,
    asks: str,
    phase: int,
    partitions: dg.PartitionsDefinition[str] | None = None,
    *,
    blocking: bool = False,
) -> dg.AssetCheckSpec:
    """Declare a check; its phase of the quality gate and its severity are in the metadata."""
    with warnings.catch_warnings():
        # Checks by partition are a preview in the pinned release; a test holds them to their place.
        warnings.filterwarnings("ignore", "Specifying a partitions_def", PreviewWarning)
        return dg.AssetCheckSpec(
            name,
            asset=key,
            description=asks,
            blocking=blocking,
            metadata={PHASE: phase, SEVERITY: severity},
            partitions_def=partitions,
        )


def check_results(
    key: dg.AssetKey, findings: Iterable[QualityResult], selected: Iterable[dg.AssetCheckKey]
) -> list[dg.AssetCheckResult]:
    """Records of the checks that looked; one that never did stays planned, and has not passed."""
    wanted = {check.name for check in selected if check.asset_key == key}
    return [
        check_result(key, finding)
        for finding in findings
        if finding.evaluated and finding.name in wanted
    ]


def check_result(key: dg.AssetKey, finding: QualityResult) -> dg.AssetCheckResult:
    """One record, with its figures and its offending rows."""
    metadata: dict[str, dg.MetadataValue | float | int | str] = dict(finding.metrics)
    if not finding.offending.empty:
        metadata["offending_rows"] = table(finding.offending, limit=50)
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=finding.name,
        passed=finding.passed,
        severity=dg.AssetCheckSeverity(finding.severity),
        description=finding.description,
        metadata=metadata,
    )


def asked_for(context: dg.AssetExecutionContext) -> list[str]:
    """Last parts of the keys that a batch step is to look at: materialised, or only checked."""
    keys = context.selected_asset_keys | {c.asset_key for c in context.selected_asset_check_keys}
    return sorted(key.path[-1] for key in keys)


def results_only(
    context: dg.AssetExecutionContext, result: dg.MaterializeResult[T]
) -> Iterator[dg.MaterializeResult[T] | dg.AssetCheckResult]:
    """The result, or its checks alone where only they were asked for."""
    if result.asset_key in context.selected_asset_keys:
        yield result
    else:
        yield from result.check_results
