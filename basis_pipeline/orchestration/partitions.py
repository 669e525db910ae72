"""Partitions: one per mode, from the files in `configs/modes/`."""

from collections.abc import Iterable

import dagster as dg

from basis_pipeline.errors import CommandError
from basis_pipeline.orchestration.failures import as_failure


def mode_partitions(modes: Iterable[str]) -> dg.StaticPartitionsDefinition:
    """One partition a mode, sorted by name."""
    return dg.StaticPartitionsDefinition(sorted(modes))


def mode_of(context: dg.AssetExecutionContext) -> str:
    """The mode a run is for; a run without one fails with API-001, which says how to name it."""
    if not context.has_partition_key:
        error = CommandError(
            "API-001",
            "this run names no mode: assets of a mode run one partition at a time",
            where=context.asset_key.to_user_string(),
            action="""--tags '{"dagster/partition": "btc_basis"}', or --partition; or basis run""",
        )
        raise as_failure(error)
    return str(context.partition_key)
