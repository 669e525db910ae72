"""Data versions: one hash over everything a value follows from."""

import hashlib
from collections.abc import Iterable

import dagster as dg


def version_of(parts: Iterable[str]) -> dg.DataVersion:
    """The data version of a value that follows from `parts`."""
    return dg.DataVersion(hashlib.sha256("\n".join(parts).encode()).hexdigest())
