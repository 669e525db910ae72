"""Partitions: one per mode, from the files in `configs/modes/`."""

from collections.abc import Iterable

import dagster as dg


def mode_partitions(modes: Iterable[str]) -> dg.StaticPartitionsDefinition:
    """One partition a mode, sorted by name."""
    return dg.StaticPartitionsDefinition(sorted(modes))
