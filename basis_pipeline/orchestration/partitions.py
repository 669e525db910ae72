"""Partitions: modes from `configs/modes/`, and for a study the pairs of a mode and a scenario set.

A study has the pairs its sets are meant for (`own_sets`); any set can be run over any mode from
the command line. All are fixed when the code location is loaded: a new file needs a reload.
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
    """What a partition key names; the set is empty where an asset is by mode alone."""

    mode: str
    scenario_set: str = ""

    @property
    def key(self) -> str:
        """The partition key: `mode` or `mode|scenario_set`."""
        return SEPARATOR.join(filter(None, self))


def mode_partitions(modes: Iterable[str]) -> dg.StaticPartitionsDefinition:
    """One partition a mode, sorted by name."""
    return dg.StaticPartitionsDefinition(sorted(modes))


def study_partitions(
    kind: str, modes: dg.StaticPartitionsDefinition
) -> dg.StaticPartitionsDefinition:
    """One partition a mode and scenario set that a kind of study is meant for."""
    return dg.StaticPartitionsDefinition(own_keys(kind, modes.get_partition_keys()))


def of_the_same_mode(studies: dg.StaticPartitionsDefinition) -> dg.StaticPartitionMapping:
    """How a study's partitions follow from those of the modes upstream."""
    keys: dict[str, list[str]] = {}
    for key in studies.get_partition_keys():
        keys.setdefault(part_of_key(key).mode, []).append(key)
    return dg.StaticPartitionMapping(keys)


def part_of_key(key: str | None) -> Part:
    """The mode, and the set where there is one, that a partition key names; both may be empty."""
    mode, _, scenario_set = (key or "").partition(SEPARATOR)
    return Part(mode, scenario_set)


def mode_of(context: dg.AssetExecutionContext) -> str:
    """The mode a run is for; a run without one fails with API-001, which says how to name it."""
    part = part_of_key(context.partition_key if context.has_partition_key else None)
    if not part.mode:
        raise as_failure(unnamed("mode", "btc_basis", context.asset_key.to_user_string()))
    return part.mode


def unnamed(what: str, example: str, where: str) -> CommandError:
    """API-001 for a run that names no partition."""
    return CommandError(
        "API-001",
        f"this run names no {what}: it is of one partition",
        where=where,
        action=f"""--tags '{{"{PARTITION}": "{example}"}}', or --partition '{example}'""",
    )


def own_keys(kind: str, modes: Iterable[str]) -> list[str]:
    """Partition keys of a kind of study: each mode with the sets meant for it that have a file."""
    files = set(sets_in(config_directory() / DIRECTORY))
    return [
        Part(mode, name).key for mode in modes for name in own_sets(kind, mode) if name in files
    ]
