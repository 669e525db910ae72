"""Filling holes by a dataset's declared policy, or refusing it. Nothing is filled silently."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from basis_pipeline.config.dataset import BARS, DatasetConfig, RepairPolicy
from basis_pipeline.errors import DataError
from basis_pipeline.market.grid import Grid, locate
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.timestamps import Int64, spell
from basis_pipeline.market.window import Window
from basis_pipeline.times import HOUR_NS

Float64 = npt.NDArray[np.float64]
Sources = Mapping[str, "RawFeed | DataError"]

AS_READ = ""
SUBSTITUTED = "substituted"
MEAN_OF_VENUES = "mean_of_venues"
INTERPOLATED = "interpolated"
CARRIED = "carried"
ORACLE = "oracle"
REPAIRS = (AS_READ, SUBSTITUTED, MEAN_OF_VENUES, INTERPOLATED, CARRIED, ORACLE)


@dataclass(frozen=True, slots=True)
class Hole:
    """A stretch without own rows.

    first, last: positions in the grid · begin, end: its stamps, also beyond the window's edge ·
    before, after: row of the family next to it, None at the end of the data · hours: its length.
    """

    first: int
    last: int
    begin: int
    end: int
    before: int | None
    after: int | None
    hours: int

    def __str__(self) -> str:
        unit = "hour" if self.hours == 1 else "hours"
        return f"{spell(self.begin)} … {spell(self.end)} ({self.hours} {unit})"


@dataclass(frozen=True, slots=True)
class Fill:
    """Values for a hole, where they came from and by which repair; `reads` names the datasets."""

    values: Float64
    source: str
    repair: str
    reads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Repaired:
    """A grid without holes: (n, c) values, and per row its source and repair."""

    values: Float64
    source: npt.NDArray[np.object_]
    repair: npt.NDArray[np.object_]
    reads: tuple[str, ...]


def find_holes(grid: Grid, own: Int64) -> list[Hole]:
    """Stretches of the grid without own rows, in order of time."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], ~grid.present, [False]))))
    return [_hole(grid, own, a, b - 1) for a, b in edges.reshape(-1, 2).tolist()]


def _hole(grid: Grid, own: Int64, first: int, last: int) -> Hole:
    begin, end = int(grid.timestamps[first]), int(grid.timestamps[last])
    next_row = int(np.searchsorted(own, begin))
    before = next_row - 1 if next_row else None
    after = next_row if next_row < len(own) else None
    # A hole that reaches over the window's edge counts whole: it is as long as it is.
    if first == 0 and before is not None:
        begin = min(begin, int(own[before]) + grid.step)
    if last == len(grid.timestamps) - 1 and after is not None:
        end = max(end, int(own[after]) - grid.step)
    hours = (end - begin + grid.step) // HOUR_NS
    return Hole(first, last, begin, end, before, after, hours)


def repair_holes(
    config: DatasetConfig, raw: RawFeed, grid: Grid, sources: Sources, window: Window
) -> Repaired:
    """Fill every hole by the first declared repair that covers all of it.

    Raises RejectedDataError: DATA-013 for a hole no policy covers, DATA-012 when it is the stretch
    before the first or after the last row.
    """
    values = grid.values.copy()
    source = np.full(len(values), config.name, dtype=object)
    repair = np.full(len(values), AS_READ, dtype=object)
    reads: dict[str, None] = {}
    for hole in find_holes(grid, raw.distinct.timestamps):
        fill = _fill(config, raw, grid, hole, sources, window)
        rows = slice(hole.first, hole.last + 1)
        values[rows], source[rows], repair[rows] = fill.values, fill.source, fill.repair
        reads |= dict.fromkeys(fill.reads)
    return Repaired(values, source, repair, tuple(reads))


def _fill(
    config: DatasetConfig,
    raw: RawFeed,
    grid: Grid,
    hole: Hole,
    sources: Sources,
    window: Window,
) -> Fill:
    stamps = grid.timestamps[hole.first : hole.last + 1]
    refused: list[str] = []
    for attempt in (_from_oracle, _substitute, _mean_of_venues):
        found = attempt(config, hole, stamps, sources)
        if isinstance(found, Fill):
            return found
        refused += [found] if found else []
    fill = _interpolate(config, raw, hole, stamps) or _carry_last(config, raw, hole, stamps)
    if fill is not None:
        return fill
    policy = f"its policy is: {config.repair}"
    reasons = "".join(f"; {reason}" for reason in refused)
    files = ", ".join(file.path for file in raw.files)
    if hole.before is None or hole.after is None:
        first, last = (spell(int(at)) for at in raw.distinct.timestamps[[0, -1]])
        raise RejectedDataError(
            "DATA-012",
            f"the window {window} lies outside {config.name}: its rows span {first} … {last}, "
            f"it lacks {hole}; {policy}{reasons}",
            where=files,
        )
    raise RejectedDataError(
        "DATA-013", f"{config.name} lacks {hole}; {policy}{reasons}", where=files
    )


def _is_covered(hole: Hole, max_hours: int | None, before_first: bool) -> bool:
    if before_first and hole.before is None:
        return True
    return max_hours is None or hole.hours <= max_hours


def _take(
    sources: Sources, name: str, columns: tuple[str, ...] | None, stamps: Int64
) -> Float64 | str:
    """Rows of another family at the stamps, or why there are none."""
    found = sources.get(name)
    if found is None:
        return f"{name} is not there"
    if isinstance(found, DataError):
        return f"{name} is refused: {found.code} {found.what}"
    at, present = locate(found.distinct.timestamps, stamps)
    if not present.all():
        return f"{name} itself lacks {int((~present).sum())} of these stamps"
    wanted = [found.distinct.columns.index(c) for c in columns or found.distinct.columns]
    return found.distinct.values[at][:, wanted]


def _from_oracle(config: DatasetConfig, hole: Hole, stamps: Int64, sources: Sources) -> Fill | str:
    policy = config.repair.before_first
    if policy is None or hole.before is not None or hole.hours > policy.max_hours:
        return ""
    taken = _take(sources, policy.source, None, stamps)
    if isinstance(taken, str):
        return taken
    return Fill(taken, policy.source, ORACLE, (policy.source,))


def _substitute(config: DatasetConfig, hole: Hole, stamps: Int64, sources: Sources) -> Fill | str:
    policy = config.repair.substitute
    if policy is None or not _is_covered(hole, policy.max_hours, policy.before_first):
        return ""
    taken = _take(sources, policy.source, config.value_columns, stamps)
    if isinstance(taken, str):
        return taken
    return Fill(taken, policy.source, SUBSTITUTED, (policy.source,))


def _mean_of_venues(
    config: DatasetConfig, hole: Hole, stamps: Int64, sources: Sources
) -> Fill | str:
    policy = config.repair.mean_of
    if policy is None or not _is_covered(hole, policy.max_hours, policy.before_first):
        return ""
    parts = []
    for name in policy.datasets:
        taken = _take(sources, name, config.value_columns, stamps)
        if isinstance(taken, str):
            return taken
        parts.append(taken)
    mean = np.mean(parts, axis=0)
    return Fill(mean, "+".join(policy.datasets), MEAN_OF_VENUES, policy.datasets)


def _interpolate(config: DatasetConfig, raw: RawFeed, hole: Hole, stamps: Int64) -> Fill | None:
    policy = config.repair.interpolate
    if policy is None or hole.before is None or hole.after is None:
        return None
    if hole.hours > policy.max_hours:
        return None
    own = raw.distinct
    t0, t1 = own.timestamps[hole.before], own.timestamps[hole.after]
    share = ((stamps - t0) / (t1 - t0))[:, None]
    x0, x1 = own.values[hole.before], own.values[hole.after]
    return Fill(x0 * (x1 / x0) ** share, config.name, INTERPOLATED, ())


def _carry_last(config: DatasetConfig, raw: RawFeed, hole: Hole, stamps: Int64) -> Fill | None:
    policy = config.repair.carry_last
    if policy is None or hole.before is None or hole.hours > policy.max_hours:
        return None
    last = raw.distinct.values[hole.before].copy()
    if config.kind in BARS:
        columns = raw.distinct.columns
        last[:] = last[columns.index("close")]
        last[columns.index("volume")] = 0.0
    return Fill(np.tile(last, (len(stamps), 1)), config.name, CARRIED, ())


def allowed_sources(config: DatasetConfig) -> tuple[str, ...]:
    """Every value the `source` column of a dataset may hold."""
    policy: RepairPolicy = config.repair
    mixed = ("+".join(policy.mean_of.datasets),) if policy.mean_of else ()
    return (config.name, *policy.sources, *mixed)
