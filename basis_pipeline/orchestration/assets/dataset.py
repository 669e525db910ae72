"""`dataset/<name>`: a feed in canonical form for the window; repairs are declared and marked."""

from collections.abc import Collection, Iterator
from typing import Any

import dagster as dg

from basis_pipeline.backtests.ingest import feeds_for, ingest, quoted_by
from basis_pipeline.config import Configs, DatasetConfig
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.quality import PHASE, check_names, rejected_verdicts
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.schemas import schema_for
from basis_pipeline.operations.control import require_not_shut_down
from basis_pipeline.orchestration.assets.raw import raw_key, rejection, stops
from basis_pipeline.orchestration.checks import (
    check_results,
    check_spec,
    results_only,
    selected_names,
)
from basis_pipeline.orchestration.descriptions import Readers, feed_description, readers
from basis_pipeline.orchestration.failures import RETRIES, coded_failures
from basis_pipeline.orchestration.io_managers import ParquetIOManager
from basis_pipeline.orchestration.metadata import column_schema, table, version_of
from basis_pipeline.orchestration.resources import RunOptions

CODE_VERSION = "1"


def dataset_key(name: str) -> dg.AssetKey:
    """Return the asset key of a dataset."""
    return dg.AssetKey(["dataset", name])


def dataset_assets(configs: Configs) -> dg.AssetsDefinition:
    """Return one asset per dataset of the catalogue, with its checks, all built in one step."""
    read = readers(configs)

    @dg.multi_asset(
        name="dataset",
        specs=[_spec(config, configs, read) for config in configs.datasets.values()],
        check_specs=[
            spec for config in configs.datasets.values() for spec in _checks(config, read)
        ],
        can_subset=True,
        retry_policy=RETRIES,
        pool="data",
    )
    def dataset(
        context: dg.AssetExecutionContext,
        options: RunOptions,
        warehouse: dg.ResourceParam[ParquetIOManager],
    ) -> Iterator[dg.MaterializeResult[Dataset | DataError] | dg.AssetCheckResult]:
        """Build every selected dataset; one that breaks its policy is recorded as rejected."""
        names = selected_names(context)
        with coded_failures():
            require_not_shut_down(options.settings, "dataset")
            outcomes = _build(options, warehouse, names)
        for name, outcome in outcomes.items():
            config = options.configs.datasets[name]
            result = _materialise(config, outcome, context.selected_asset_check_keys)
            yield from results_only(context, result)

    return dataset


def _spec(config: DatasetConfig, configs: Configs, read: Readers) -> dg.AssetSpec:
    asset = (
        "This is the feed for the window: on its hours, in canonical columns and units. Declared "
        f"repairs: {config.repair}. Every repaired row names its `source` and `repair`; a gap that "
        "no declared repair covers rejects the dataset."
    )
    return dg.AssetSpec(
        dataset_key(config.name),
        deps=[raw_key(name) for name in (config.name, *config.sources)],
        group_name="dataset",
        kinds={"parquet", "pandas"},
        owners=[f"team:{config.owner}"],
        description=feed_description(config, asset, configs, read),
        code_version=CODE_VERSION,
        tags={"kind": config.kind.value},
        metadata={"dagster/column_schema": column_schema(schema_for(config))},
    ).with_io_manager_key("warehouse")


def _checks(config: DatasetConfig, read: Readers) -> list[dg.AssetCheckSpec]:
    key = dataset_key(config.name)
    return [
        check_spec(key, name, severity, f"{text}. {stops(severity, read[config.name])}", PHASE)
        for name, (severity, text) in check_names(config).items()
    ]


def _build(
    options: RunOptions, warehouse: ParquetIOManager, names: Collection[str]
) -> dict[str, Dataset | DataError]:
    """Build from the raw feeds in the warehouse, and from its datasets outside the selection."""
    configs = options.configs
    feeds = {name: _feed(warehouse, name) for name in feeds_for(configs, names)}
    peers = {
        name: peer
        for name in sorted(quoted_by(configs, names) - set(names))
        if (peer := warehouse.find(dataset_key(name))) and peer.window == options.window
    }
    return ingest(configs, names, feeds, options.window, peers)


def _feed(warehouse: ParquetIOManager, name: str) -> RawFeed | DataError:
    try:
        feed: RawFeed = warehouse.load(raw_key(name))
    except DataError as error:
        return error
    return feed


def _materialise(
    config: DatasetConfig,
    outcome: Dataset | DataError,
    selected: Collection[dg.AssetCheckKey],
) -> dg.MaterializeResult[Dataset | DataError]:
    key = dataset_key(config.name)
    if isinstance(outcome, DataError):
        results = check_results(key, rejected_verdicts(config, outcome), selected)
        return rejection(key, outcome, results)
    return dg.MaterializeResult(
        key,
        value=outcome,
        data_version=_version(outcome),
        metadata=_facts(outcome),
        check_results=check_results(key, outcome.verdicts, selected),
    )


def _version(dataset: Dataset) -> dg.DataVersion:
    """Return the hash of what a dataset depends on: raw contents, catalogue entry, window."""
    hashes = [f"{name}={digest}" for name, digest in sorted(dataset.content_hashes.items())]
    return version_of([dataset.config.model_dump_json(), str(dataset.window), *hashes])


def _facts(dataset: Dataset) -> dict[str, Any]:
    return {
        "status": "validated",
        "dagster/row_count": len(dataset.frame),
        "window": str(dataset.window),
        "own_share": dataset.own_share,
        "repairs": ", ".join(f"{n} {kind}" for kind, n in dataset.repairs.items()) or "none",
        "repaired_rows": sum(dataset.repairs.values()),
        **{f"repaired_{kind}": count for kind, count in dataset.repairs.items()},
        "duplicates_dropped": dataset.findings.duplicates,
        "made_of": ", ".join(sorted(dataset.content_hashes)),
        "first_rows": table(dataset.frame, limit=5),
    }
