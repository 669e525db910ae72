"""Partitions: modes from `configs/modes/`, and modes by scenario set from `configs/scenarios/`.

Modes are fixed when the code location is loaded. Scenario sets are dynamic partitions: a set's file
that appears while the platform runs becomes one, and one whose file is gone ceases to be.
"""

from collections.abc import Iterable
from contextlib import suppress
from typing import NamedTuple

import dagster as dg
from dagster import DagsterInstance
from dagster._core.storage.tags import PARTITION_NAME_TAG
from sqlalchemy.exc import IntegrityError

from basis_pipeline.config.scenario import DIRECTORY, own_sets, sets_in
from basis_pipeline.errors import CommandError
from basis_pipeline.orchestration.failures import as_failure
from basis_pipeline.settings import project_root

MODE, SET = "mode", "scenario_set"  # the dimensions; the second one's name in the instance too
BETWEEN = "|"
PARTITION = PARTITION_NAME_TAG  # of a run
SETS = dg.DynamicPartitionsDefinition(name=SET)


class Part(NamedTuple):
    """What a partition key names; the set is empty where an asset is by mode alone."""

    mode: str
    scenario_set: str = ""

    @property
    def key(self) -> str:
        """The partition key, as Dagster writes it: `mode` or `mode|scenario_set`."""
        return BETWEEN.join(filter(None, self))


def mode_partitions(modes: Iterable[str]) -> dg.StaticPartitionsDefinition:
    """One partition a mode, sorted by name."""
    return dg.StaticPartitionsDefinition(sorted(modes))


def study_partitions(modes: dg.StaticPartitionsDefinition) -> dg.MultiPartitionsDefinition:
    """One partition a mode and scenario set."""
    return dg.MultiPartitionsDefinition({MODE: modes, SET: SETS})


def part_of_key(key: str | None) -> Part:
    """The mode, and the set where there is one, that a partition key names; both may be empty."""
    mode, _, scenario_set = (key or "").partition(BETWEEN)
    return Part(mode, scenario_set)


def mode_of(context: dg.AssetExecutionContext) -> str:
    """The mode a run is for; a run without one fails with API-001, which says how to name it."""
    part = part_of_key(context.partition_key if context.has_partition_key else None)
    if not part.mode:
        raise as_failure(unnamed("mode", "btc_basis", context.asset_key.to_user_string()))
    return part.mode


def unnamed(what: str, example: str, where: str) -> CommandError:
    """API-001 for a run that names no partition, or only half of one."""
    return CommandError(
        "API-001",
        f"this run names no {what}: it is of one partition",
        where=where,
        action=f"""--tags '{{"{PARTITION}": "{example}"}}', or --partition '{example}'""",
    )


def scenario_sets() -> list[str]:
    """The scenario sets there are: the files of `configs/scenarios/`. Partitions are made of it."""
    return sets_in(project_root() / "configs" / DIRECTORY)


def own_keys(kind: str, modes: Iterable[str]) -> list[str]:
    """Partition keys that a kind of study has by itself: its own sets, as far as they have files.

    Any other set can be run too; these are the ones that are asked for when nobody names one.
    """
    there = set(scenario_sets())
    return [
        Part(mode, name).key for mode in modes for name in own_sets(kind, mode) if name in there
    ]


def set_changes(instance: DagsterInstance) -> tuple[list[str], list[str]]:
    """Sets whose file is new to an instance, and those it knows whose file is gone."""
    known, there = set(instance.get_dynamic_partitions(SET)), set(scenario_sets())
    return sorted(there - known), sorted(known - there)


def know_sets(instance: DagsterInstance) -> None:
    """Make every scenario set a partition in an instance, and nothing else; records are kept."""
    new, gone = set_changes(instance)
    if new:
        with suppress(IntegrityError):  # another process was quicker, and knows the same files
            instance.add_dynamic_partitions(SET, new)
    for name in gone:
        instance.delete_dynamic_partition(SET, name)
