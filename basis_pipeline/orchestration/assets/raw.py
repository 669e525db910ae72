"""`raw/<family>`: the files of a family as they landed, typed, nothing repaired."""

from collections.abc import Collection, Iterator
from typing import Any

import dagster as dg
import pandas as pd

from basis_pipeline.config import Configs, DatasetConfig
from basis_pipeline.errors import DataError
from basis_pipeline.market.quality import PHASE, QualityResult, Severity
from basis_pipeline.market.raw import RawFamily, read_families
from basis_pipeline.market.refusal import RefusedDataError
from basis_pipeline.operations.control import require_open
from basis_pipeline.orchestration.checks import asked_for, check_results, check_spec, results_only
from basis_pipeline.orchestration.failures import coded_failures, error_metadata
from basis_pipeline.orchestration.resources import RunRequest
from basis_pipeline.orchestration.tables import plain_schema, table

CODE_VERSION = "1"
LANDED = "landed"


def raw_key(family: str) -> dg.AssetKey:
    """Asset key of a raw family."""
    return dg.AssetKey(["raw", family])


def raw_assets(configs: Configs) -> dg.AssetsDefinition:
    """One asset a family of the catalogue, all read in one step."""

    @dg.multi_asset(
        name="raw",
        specs=[_spec(config) for config in configs.datasets.values()],
        check_specs=[
            check_spec(raw_key(name), LANDED, "ERROR", "its files are there and believable", PHASE)
            for name in configs.datasets
        ],
        can_subset=True,
    )
    def raw(
        context: dg.AssetExecutionContext, request: RunRequest
    ) -> Iterator[dg.MaterializeResult[RawFamily | DataError] | dg.AssetCheckResult]:
        """Read every selected family; one that cannot be believed is recorded as refused."""
        names = asked_for(context)
        with coded_failures():
            require_open(request.settings, "raw")
            read = read_families(request.data, [request.configs.datasets[name] for name in names])
        for name, outcome in read.items():
            result = _materialise(raw_key(name), outcome, context.selected_asset_check_keys)
            yield from results_only(context, result)

    return raw


def _spec(config: DatasetConfig) -> dg.AssetSpec:
    documents = {"parameter": ("text", "dotted path"), "value": ("float64", "as in the file")}
    columns = {raw: ("float64", f"{c.description} [{c.unit}]") for raw, c in config.columns.items()}
    stamp = {config.stamp.column: ("datetime64[ns, UTC]", "stamp")} if config.stamp else {}
    return dg.AssetSpec(
        raw_key(config.name),
        group_name="raw",
        kinds={"json" if config.is_document else "csv"},
        owners=[f"team:{config.owner}"],
        description=(
            f"{config.description}.\n\nThe files `{config.glob}` below the data directory as they "
            "landed: typed, hashed, nothing repaired. A file that contradicts itself, another file "
            "or its own name is refused, and stops the modes that need it."
        ),
        code_version=CODE_VERSION,
        tags={"kind": config.kind.value},
        metadata={"dagster/column_schema": plain_schema({**stamp, **columns} or documents)},
    ).with_io_manager_key("warehouse")


def _materialise(
    key: dg.AssetKey, outcome: RawFamily | DataError, selected: Collection[dg.AssetCheckKey]
) -> dg.MaterializeResult[RawFamily | DataError]:
    results = check_results(key, [_landed(outcome)], selected)
    if isinstance(outcome, DataError):
        return refused(key, outcome, results)
    return dg.MaterializeResult(
        key,
        value=outcome,
        data_version=dg.DataVersion(outcome.content_hash),
        metadata=_facts(outcome),
        check_results=results,
    )


def refused(
    key: dg.AssetKey, error: DataError, results: list[dg.AssetCheckResult]
) -> dg.MaterializeResult[Any]:
    """The record of a family or dataset that is absent or refused: its error is its value."""
    status = "absent" if error.code == "DATA-001" else "refused"
    return dg.MaterializeResult(
        key,
        value=error,
        data_version=dg.DataVersion(f"{status}:{error.code}"),
        metadata={"status": status, **error_metadata(error)},
        check_results=results,
    )


def _landed(outcome: RawFamily | DataError) -> QualityResult:
    if isinstance(outcome, RawFamily):
        told = f"{len(outcome.files)} files, {len(outcome.frame)} rows"
        return QualityResult(LANDED, True, "ERROR", told)
    rows = outcome.offending if isinstance(outcome, RefusedDataError) else pd.DataFrame()
    # An absent family is a fault only of the modes that need it, and they say so.
    severity: Severity = "WARN" if outcome.code == "DATA-001" else "ERROR"
    return QualityResult(LANDED, False, severity, str(outcome), {"code": outcome.code}, rows)


def _facts(family: RawFamily) -> dict[str, Any]:
    files = pd.DataFrame(
        [(f.path, f.rows, f.size, f.sha256) for f in family.files],
        columns=["file", "rows", "bytes", "sha256"],
    )
    span = family.span
    return {
        "status": "landed",
        "dagster/row_count": len(family.frame),
        "span": f"{span[0]:%Y-%m-%d %H:%M} … {span[1]:%Y-%m-%d %H:%M}" if span else "no time",
        "exact_duplicates": family.exact_duplicates,
        "content_hash": family.content_hash,
        "files": table(files),
    }
