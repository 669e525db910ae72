"""Partitions: modes from `configs/modes/`, and for studies pairs of a mode and a scenario set.

A study has the pairs that its sets are meant for (`own_sets`); the command line runs any set over
any mode. Partitions are fixed when the code location is loaded: a new file needs a reload.
"""

from collections.abc import Iterable
from typing import NamedTuple

import dagster as dg

from basis_pipeline.config.scenario import DIRECTORY, own_sets, sets_in
from basis_pipeline.errors import CommandError
from basis_pipeline.orchestration.failures import as_failure
from basis_pipeline.settings import config_directory

PARTITION = "dagster/partition"  # the tag of a run that names its partition
SEPARATOR = "|"


class Part(NamedTuple):
    """What a partition key names; the set is empty where an asset is partitioned by mode alone."""

    mode: str
    scenario_set: str = ""

    @property
    def key(self) -> str:
        """The partition key: `mode` or `mode|scenario_set`."""
        return SEPARATOR.join(filter(None, self))


def same_mode_mapping(studies: dg.StaticPartitionsDefinition) -> dg.StaticPartitionMapping:
    """Map the partitions of modes to those of a study of the same mode."""
    keys: dict[str, list[str]] = {}
    for key in studies.get_partition_keys():
        keys.setdefault(part_of_key(key).mode, []).append(key)
    return dg.StaticPartitionMapping(keys)


def part_of_key(key: str | None) -> Part:
    """Return the mode and the scenario set that a partition key names; both may be empty."""
    mode, _, scenario_set = (key or "").partition(SEPARATOR)
    return Part(mode, scenario_set)


def mode_of(context: dg.AssetExecutionContext) -> str:
    """Return the mode of a run; a run without one fails with API-001, which says how to name it."""
    part = part_of_key(context.partition_key if context.has_partition_key else None)
    if not part.mode:
        asset = context.asset_key.to_user_string()
        raise as_failure(missing_partition("mode", "btc_basis", asset))
    return part.mode


def missing_partition(what: str, example: str, where: str) -> CommandError:
    """Return the error API-001 of a run that names no partition."""
    return CommandError(
        "API-001",
        f"this run names no {what}: it needs one partition",
        where=where,
        action=f"""--tags '{{"{PARTITION}": "{example}"}}', or --partition '{example}'""",
    )


def study_partition_keys(kind: str, modes: Iterable[str]) -> list[str]:
    """List the partitions of a kind of study: each mode with its own sets that have a file."""
    files = set(sets_in(config_directory() / DIRECTORY))
    return [
        Part(mode, name).key for mode in modes for name in own_sets(kind, mode) if name in files
    ]
