"""`raw/<family>`: the files of a family as they landed, typed, nothing repaired."""

from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd

from basis_pipeline.config import Configs, DatasetConfig
from basis_pipeline.config.automation import load_automation_limits
from basis_pipeline.config.dataset import Kind
from basis_pipeline.errors import DataError
from basis_pipeline.market.quality import PHASE
from basis_pipeline.market.raw import RawFeed, read_feeds
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.operations.control import require_open
from basis_pipeline.orchestration.checks import asked_for, check_results, check_spec, results_only
from basis_pipeline.orchestration.descriptions import Readers, feed_description, readers
from basis_pipeline.orchestration.failures import RETRIES, coded_failures, error_metadata
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.orchestration.tables import plain_schema, table
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Severity, Verdict, judge, rows_of

CODE_VERSION = "1"
READABLE = "readable"
AS_READ = (
    "This is the family as it landed: typed, hashed, nothing repaired. A file that contradicts "
    "itself, another file or its own name is refused, and stops exactly the modes that need it."
)


def raw_key(family: str) -> dg.AssetKey:
    """Asset key of a raw family."""
    return dg.AssetKey(["raw", family])


def raw_assets(configs: Configs) -> dg.AssetsDefinition:
    """One asset a family of the catalogue, all read in one step."""
    late = load_automation_limits(project_root() / "configs").raw_data
    freshness = dg.FreshnessPolicy.time_window(
        fail_window=timedelta(hours=late.fail_after_hours),
        warn_window=timedelta(hours=late.warn_after_hours),
    )
    read = readers(configs)

    @dg.multi_asset(
        name="raw",
        specs=[_spec(config, configs, read, freshness) for config in configs.datasets.values()],
        check_specs=[
            check_spec(
                raw_key(name), READABLE, "ERROR", "its files are there and believable", PHASE
            )
            for name in configs.datasets
        ],
        can_subset=True,
        retry_policy=RETRIES,
        pool="data",
    )
    def raw(
        context: dg.AssetExecutionContext, options: RunOptions
    ) -> Iterator[dg.MaterializeResult[RawFeed | DataError] | dg.AssetCheckResult]:
        """Read every selected family; one that cannot be believed is recorded as refused."""
        names = asked_for(context)
        with coded_failures():
            require_open(options.settings, "raw")
            wanted = [options.configs.datasets[name] for name in names]
            landed = read_feeds(options.data, wanted)
        for name, outcome in landed.items():
            result = _materialise(raw_key(name), outcome, context.selected_asset_check_keys)
            yield from results_only(context, result)

    return raw


def _spec(
    config: DatasetConfig, configs: Configs, read: Readers, freshness: dg.FreshnessPolicy
) -> dg.AssetSpec:
    return dg.AssetSpec(
        raw_key(config.name),
        group_name="raw",
        kinds={"json" if config.is_document else "csv"},
        owners=[f"team:{config.owner}"],
        description=feed_description(config, AS_READ, configs, read),
        code_version=CODE_VERSION,
        freshness_policy=freshness,
        tags={"kind": config.kind.value},
        metadata={"dagster/column_schema": plain_schema(_columns(config))},
    ).with_io_manager_key("warehouse")


def _columns(config: DatasetConfig) -> dict[str, tuple[str, str]]:
    """Columns as they landed: type and meaning by their names in the files."""
    file = {"file": ("category", "file the row was read from, below the data directory")}
    if config.kind is Kind.RISK_PARAMS:
        path = ("text", "dotted path in the document")
        return {"parameter": path, "value": ("float64", "as the file holds it"), **file}
    if config.kind is Kind.EXECUTION_COSTS:
        return {
            "timestamp": ("datetime64[ns, UTC]", "the day, at its 00:00 UTC"),
            "pair": ("text", "what is traded"),
            "size_bucket_usd": ("float64", "largest notional the rate holds for [USD]"),
            "cost_bps": ("float64", "cost of the trade [bp of notional]"),
            **file,
        }
    kinds = {"date": "datetime64[ns, UTC]"}
    columns = {
        raw: (kinds.get(c.values, "float64"), f"{c.description} [{c.unit}]")
        for raw, c in config.columns.items()
    }
    told = "when the row holds, as the file stamps it [UTC]"
    stamp = {config.stamp.column: ("datetime64[ns, UTC]", told)} if config.stamp else {}
    same = {
        name: ("category", f"identity of the file: {value} in every row")
        for name, value in config.identity.items()
    }
    return {**stamp, **columns, **same, **file}


def _materialise(
    key: dg.AssetKey, outcome: RawFeed | DataError, selected: Collection[dg.AssetCheckKey]
) -> dg.MaterializeResult[RawFeed | DataError]:
    results = check_results(key, [_readable(outcome)], selected)
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


def _readable(outcome: RawFeed | DataError) -> Verdict:
    if isinstance(outcome, RawFeed):
        message = f"{len(outcome.files)} files, {len(outcome.frame)} rows"
        return judge(READABLE, "ERROR", True, message, phase=PHASE)
    rows = rows_of(outcome.offending) if isinstance(outcome, RejectedDataError) else ()
    # An absent family is a fault only of the modes that need it, and they say so.
    severity: Severity = "WARN" if outcome.code == "DATA-001" else "ERROR"
    code = {"code": outcome.code}
    return judge(READABLE, severity, False, str(outcome), evidence=code, rows=rows, phase=PHASE)


def _facts(family: RawFeed) -> dict[str, Any]:
    files = pd.DataFrame(
        [(f.path, f.rows, f.size, f.sha256) for f in family.files],
        columns=["file", "rows", "bytes", "sha256"],
    )
    span = family.span
    age = (pd.Timestamp.now("UTC") - span[1]) / pd.Timedelta(days=1) if span else None
    return {
        "status": "validated",
        "dagster/row_count": len(family.frame),
        **({"age_days": float(age)} if age is not None else {}),
        "bytes": sum(file.size for file in family.files),
        "span": f"{span[0]:%Y-%m-%d %H:%M} … {span[1]:%Y-%m-%d %H:%M}" if span else "no time",
        "exact_duplicates": family.exact_duplicates,
        "content_hash": family.content_hash,
        "files": table(files),
    }
