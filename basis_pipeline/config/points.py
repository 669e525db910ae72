"""The points of a scenario set: how many there are, and any one of them by its index.

Points are computed, never listed, so that a million of them take no memory. An index counts
windows, then markets, then paths, then samples; samples change fastest.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from basis_pipeline.config.scenario import MAX_POINTS, Axis, Choice, Range, ScenarioSet
from basis_pipeline.errors import ConfigError

Indices = npt.NDArray[np.int64]
Column = npt.NDArray[np.float64]

BLOCK = 1024  # samples drawn at once; each block has its own random stream
NO_NAMES: tuple[str | None, ...] = (None,)


@dataclass(frozen=True, slots=True)
class Point:
    """One scenario: the values of its keys, its window, its market and its path."""

    index: int
    overrides: Mapping[str, Any]
    window: str | None
    market: str | None
    path: int | None


def window_names(scenarios: ScenarioSet) -> tuple[str | None, ...]:
    """Return the names of the windows in their order; one None when there are none."""
    return tuple(scenarios.windows) if scenarios.windows else NO_NAMES


def market_names(scenarios: ScenarioSet) -> tuple[str | None, ...]:
    """Return the names of the markets in their order; one None when there are none."""
    return tuple(scenarios.markets) if scenarios.markets else NO_NAMES


def counts(scenarios: ScenarioSet) -> dict[str, int]:
    """Count the windows, markets, paths and samples that a set crosses."""
    if scenarios.sampling.points is not None:
        samples = scenarios.sampling.points
    else:
        samples = math.prod(len(grid_values(axis)) for axis in scenarios.keys.values())
    return {
        "windows": len(window_names(scenarios)),
        "markets": len(market_names(scenarios)),
        "paths": scenarios.bootstrap.paths if scenarios.bootstrap else 1,
        "samples": samples,
    }


def size(scenarios: ScenarioSet) -> int:
    """Count the points of a set.

    Raises
    ------
    ConfigError: CONFIG-MGR-005 when there are more than `MAX_POINTS`.
    """
    crossed = counts(scenarios)
    total = math.prod(crossed.values())
    if total > MAX_POINTS:
        text = " x ".join(f"{count:,} {name}" for name, count in crossed.items())
        raise ConfigError(
            "CONFIG-MGR-005",
            f"{text} are {total:,} points; a sweep runs at most {MAX_POINTS:,}",
            where=f"scenario set {scenarios.name}",
        )
    return total


def grid_values(axis: Axis) -> tuple[Any, ...] | range:
    """Return the values of a choice, or the indices of a range's steps on a grid."""
    if isinstance(axis, Choice):
        return axis.values
    return range(axis.steps or 0)


def coordinates(
    scenarios: ScenarioSet, indices: Indices
) -> tuple[Indices, Indices, Indices, Indices]:
    """Return window, market, path and sample of every index, as numbers from 0."""
    crossed = tuple(counts(scenarios).values())
    window, market, path, sample = np.unravel_index(indices, crossed)
    return window, market, path, sample


def columns(scenarios: ScenarioSet, samples: Indices) -> dict[str, Column]:
    """Return the values of every key at samples; for a choice, the number of its value, from 0."""
    if scenarios.sampling.method == "grid":
        return _grid(scenarios, samples)
    blocks = samples // BLOCK
    drawn = np.empty((len(samples), len(scenarios.keys)))
    canonical = scenarios.model_dump_json()
    for block in np.unique(blocks):
        inside = blocks == block
        drawn[inside] = _drawn(canonical, int(block))[samples[inside] % BLOCK]
    return {key: drawn[:, place] for place, key in enumerate(scenarios.keys)}


def _grid(scenarios: ScenarioSet, samples: Indices) -> dict[str, Column]:
    axes = scenarios.keys
    if not axes:
        return {}
    steps = np.unravel_index(samples, [len(grid_values(axis)) for axis in axes.values()])
    found = {}
    for (key, axis), step in zip(axes.items(), steps, strict=True):
        found[key] = step.astype(float) if isinstance(axis, Choice) else range_values(axis)[step]
    return found


def range_values(axis: Range) -> Column:
    """Return the numbers of a range on a grid, ends included; 0.3, not 0.30000000000000004."""
    make = np.geomspace if axis.scale == "log" else np.linspace
    between = make(axis.low, axis.high, axis.steps or 2)[1:-1]
    return np.array([axis.low, *(float(f"{value:.12g}") for value in between), axis.high])


@lru_cache(maxsize=64)
def _drawn(canonical: str, block: int) -> Column:
    """Draw a whole block of samples, (BLOCK, keys), so that each sample is always the same."""
    scenarios = ScenarioSet.model_validate_json(canonical)
    axes, seed = list(scenarios.keys.values()), scenarios.sampling.seed or 0
    if scenarios.sampling.method == "sobol":
        from scipy.stats import qmc

        engine = qmc.Sobol(len(axes), scramble=True, rng=np.random.default_rng(seed))
        if block:
            engine.fast_forward(block * BLOCK)
        unit = engine.random(BLOCK)
    else:
        stream = np.random.Philox(np.random.SeedSequence(seed, spawn_key=(block,)))
        unit = np.random.Generator(stream).random((BLOCK, len(axes)))
    values: Column = np.empty((BLOCK, len(axes)))
    for place, axis in enumerate(axes):
        share = unit[:, place]
        if isinstance(axis, Choice):
            values[:, place] = np.minimum(np.floor(share * len(axis.values)), len(axis.values) - 1)
        elif axis.scale == "log":
            values[:, place] = axis.low * (axis.high / axis.low) ** share
        else:
            values[:, place] = axis.low + share * (axis.high - axis.low)
        if isinstance(axis, Range):
            values[:, place] = np.clip(values[:, place], axis.low, axis.high)
    return values


def plain_value(axis: Axis, number: float) -> Any:
    """Return the value that a column's number stands for."""
    return axis.values[int(number)] if isinstance(axis, Choice) else float(number)


def point(scenarios: ScenarioSet, index: int) -> Point:
    """Return the scenario of an index. Raises IndexError outside of `0 … size - 1`."""
    if not 0 <= index < size(scenarios):
        raise IndexError(index)
    window, market, path, sample = coordinates(scenarios, np.array([index]))
    values = columns(scenarios, sample)
    return Point(
        index=index,
        overrides={key: plain_value(axis, values[key][0]) for key, axis in scenarios.keys.items()},
        window=window_names(scenarios)[window[0]],
        market=market_names(scenarios)[market[0]],
        path=int(path[0]) if scenarios.bootstrap else None,
    )
