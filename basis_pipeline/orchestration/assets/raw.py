"""`raw/<feed>`: the files of a feed as delivered, typed, without repairs."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Any

import dagster as dg
import pandas as pd

from basis_pipeline.config import Configs, DatasetConfig
from basis_pipeline.config.automation import load_automation_limits
from basis_pipeline.errors import DataError
from basis_pipeline.market.quality import PHASE, rejection_verdict
from basis_pipeline.market.raw import RawFeed, read_feeds
from basis_pipeline.operations.control import require_not_shut_down
from basis_pipeline.orchestration.checks import (
    check_results,
    check_spec,
    results_only,
    selected_names,
)
from basis_pipeline.orchestration.descriptions import Readers, feed_description, readers
from basis_pipeline.orchestration.failures import RETRIES, coded_failures, error_metadata
from basis_pipeline.orchestration.metadata import table
from basis_pipeline.orchestration.resources import RunOptions
from basis_pipeline.settings import config_directory
from basis_pipeline.verdict import count_of, judge

CODE_VERSION = "1"
READABLE = "readable"
AS_READ = (
    "This is the feed as delivered: typed and hashed, without repairs. A file that contradicts "
    "itself, another file or its own name is rejected, and stops only the modes that need it."
)


def raw_key(feed: str) -> dg.AssetKey:
    """Return the asset key of a raw feed."""
    return dg.AssetKey(["raw", feed])


def raw_assets(configs: Configs) -> dg.AssetsDefinition:
    """Return one asset per feed of the catalogue, all read in one step."""
    late = load_automation_limits(config_directory()).raw_data
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
                raw_key(name),
                READABLE,
                "ERROR",
                f"its files exist and are valid. {stops('ERROR', read[name])}",
                PHASE,
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
        """Read every selected feed; an invalid one is recorded as rejected."""
        names = selected_names(context)
        with coded_failures():
            require_not_shut_down(options.settings, "raw")
            wanted = [options.configs.datasets[name] for name in names]
            feeds = read_feeds(options.data, wanted)
        for name, outcome in feeds.items():
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
    ).with_io_manager_key("warehouse")


def stops(severity: str, modes: Sequence[str]) -> str:
    """Say what a failure of a check stops.

    For Dagster these checks are non-blocking, because a failure stops no step of its own run: it
    stops the modes that read the data, in every run.
    """
    if severity != "ERROR":
        return "A warning: it stops nothing."
    return f"A failure rejects the data and stops {', '.join(modes) or 'no mode'}, but no other."


def _materialise(
    key: dg.AssetKey, outcome: RawFeed | DataError, selected: Collection[dg.AssetCheckKey]
) -> dg.MaterializeResult[RawFeed | DataError]:
    if isinstance(outcome, DataError):
        return rejection(
            key, outcome, check_results(key, [rejection_verdict(READABLE, outcome)], selected)
        )
    files, rows = count_of(len(outcome.files), "file"), count_of(len(outcome.frame), "row")
    verdict = judge(READABLE, "ERROR", True, f"{files}, {rows}", phase=PHASE)
    return dg.MaterializeResult(
        key,
        value=outcome,
        data_version=dg.DataVersion(outcome.content_hash),
        metadata=_facts(outcome),
        check_results=check_results(key, [verdict], selected),
    )


def rejection(
    key: dg.AssetKey, error: DataError, results: list[dg.AssetCheckResult]
) -> dg.MaterializeResult[Any]:
    """Return the materialization of an absent or rejected feed or dataset: its value is its error.

    Without an output Dagster would skip every step downstream, also those of modes that do not read
    it. The status, the data version and the failed check show that it is rejected.
    """
    status = "absent" if error.code == "DATA-001" else "rejected"
    return dg.MaterializeResult(
        key,
        value=error,
        data_version=dg.DataVersion(f"{status}:{error.code}"),
        metadata={"status": status, **error_metadata(error)},
        check_results=results,
    )


def _facts(feed: RawFeed) -> dict[str, Any]:
    files = pd.DataFrame(
        [(f.path, f.rows, f.size, f.sha256) for f in feed.files],
        columns=["file", "rows", "bytes", "sha256"],
    )
    span = feed.span
    age = (pd.Timestamp.now("UTC") - span[1]) / pd.Timedelta(days=1) if span else None
    return {
        "status": "validated",
        "dagster/row_count": len(feed.frame),
        **({"age_days": float(age)} if age is not None else {}),
        "bytes": sum(file.size for file in feed.files),
        "span": f"{span[0]:%Y-%m-%d %H:%M} … {span[1]:%Y-%m-%d %H:%M}" if span else "no time",
        "exact_duplicates": feed.exact_duplicates,
        "content_hash": feed.content_hash,
        "files": table(files),
    }
