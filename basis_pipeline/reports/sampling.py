"""Downsampling of series for charts, which keeps extremes and gaps."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basis_pipeline.results.metrics import NS_PER_DAY, Floats, Stamps, stretches

BUCKETS = 400
HOUR_NS = 3_600 * 10**9
Places = NDArray[np.intp]
Span = tuple[int, int]


def extremes(values: Floats, buckets: int = BUCKETS) -> Places:
    """Return the places of the lowest and highest value of each of `buckets` equal stretches.

    The first and the last place are kept, and so is the first missing value of every stretch: gaps
    stay gaps. A series that is short enough is kept whole. Shape (k,), increasing.
    """
    size = values.size
    if size <= 2 * buckets:
        return np.arange(size)
    edges = np.linspace(0, size, buckets + 1).astype(np.intp)
    starts = edges[:-1]
    known = np.isfinite(values)
    owner = np.repeat(np.arange(buckets), np.diff(edges))
    low = np.where(known, values, np.inf)
    high = np.where(known, values, -np.inf)
    at_low = _first_at(low == np.minimum.reduceat(low, starts)[owner], starts)
    at_high = _first_at(high == np.maximum.reduceat(high, starts)[owner], starts)
    at_hole = _first_at(~known, starts)
    return np.unique(np.concatenate([[0, size - 1], at_low, at_high, at_hole]))


def _first_at(flags: NDArray[np.bool_], starts: Places) -> Places:
    """Return the place of the first True of every stretch that has one."""
    places = np.where(flags, np.arange(flags.size), flags.size)
    first = np.minimum.reduceat(places, starts)
    found: Places = first[first < flags.size]
    return found


def days(stamps: Stamps) -> Places:
    """Return the places of 00:00 UTC of each day, with the first and the last hour.

    Where there are more than `BUCKETS` days, of every nth day.
    """
    midnight = np.flatnonzero(stamps % NS_PER_DAY == 0)
    midnight = midnight[:: midnight.size // BUCKETS + 1]
    return np.unique(np.concatenate([[0], midnight, [stamps.size - 1]]))


def repaired_flags(
    repaired: Mapping[str, Iterable[Sequence[str]]], stamps: Stamps
) -> dict[str, NDArray[np.bool_]]:
    """Return by dataset whether each hour rests on repaired data: (n,) flags.

    Parameters
    ----------
    repaired: `repaired_spans` of a run's summary: dataset → first and last hour of every stretch.
    """
    return {name: _flags(spans, stamps) for name, spans in repaired.items()}


def _flags(spans: Iterable[Sequence[str]], stamps: Stamps) -> NDArray[np.bool_]:
    flags = np.zeros(stamps.size, dtype=bool)
    for first, last in spans:
        begin, end = (pd.Timestamp(text).as_unit("ns").value for text in (first, last))
        flags[np.searchsorted(stamps, begin) : np.searchsorted(stamps, end, side="right")] = True
    return flags


def shaded(flags: NDArray[np.bool_], stamps: Stamps, buckets: int = BUCKETS) -> list[Span]:
    """Return the stretches of True in nanoseconds, an hour at least; invisible gaps are closed."""
    shortest = max((stamps[-1] - stamps[0]) // buckets, HOUR_NS)
    merged: list[Span] = []
    for first, last in stretches(flags):
        begin, end = int(stamps[first]), int(stamps[last]) + HOUR_NS
        if merged and begin - merged[-1][1] < shortest:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return merged
