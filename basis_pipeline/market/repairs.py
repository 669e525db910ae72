"""Repair of gaps by a dataset's declared policy, or its rejection. Nothing is filled silently."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from basis_pipeline.config.dataset import DatasetConfig, MeanOf, Substitution
from basis_pipeline.config.universe import BARS
from basis_pipeline.errors import CAUSE, DataError
from basis_pipeline.market.grid import Grid
from basis_pipeline.market.raw import RawFeed
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.timeline import Floats, locate
from basis_pipeline.market.timestamps import Int64, format_time
from basis_pipeline.market.window import Window
from basis_pipeline.times import HOUR_NS
from basis_pipeline.verdict import count_of

Sources = Mapping[str, "RawFeed | DataError"]

AS_READ = ""
SUBSTITUTED = "substituted"
MEAN_OF_VENUES = "mean_of_venues"
INTERPOLATED = "interpolated"
CARRIED = "carried"
ORACLE = "oracle"
REPAIRS = (AS_READ, SUBSTITUTED, MEAN_OF_VENUES, INTERPOLATED, CARRIED, ORACLE)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without own rows.

    first, last: positions in the grid · begin, end: timestamps, also beyond the window's edge ·
    before, after: the feed's rows next to it, None at the end of the data · hours: its length ·
    repair, source: how and from where it was filled; empty if it was not.
    """

    first: int
    last: int
    begin: int
    end: int
    before: int | None
    after: int | None
    hours: int
    repair: str = ""
    source: str = ""

    @property
    def rows(self) -> int:
        """Number of its rows in the grid."""
        return self.last - self.first + 1

    def __str__(self) -> str:
        length = count_of(self.hours, "hour")
        return f"{format_time(self.begin)} … {format_time(self.end)} ({length})"


@dataclass(frozen=True, slots=True)
class Repaired:
    """A grid without gaps: (n, c) values, source and repair by row, gaps, and datasets read."""

    values: Floats
    source: npt.NDArray[np.object_]
    repair: npt.NDArray[np.object_]
    gaps: tuple[Gap, ...]
    reads: tuple[str, ...]


def find_gaps(grid: Grid, own: Int64) -> list[Gap]:
    """List the stretches of the grid without own rows, in order of time."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], ~grid.present, [False]))))
    return [_gap(grid, own, a, b - 1) for a, b in edges.reshape(-1, 2).tolist()]


def _gap(grid: Grid, own: Int64, first: int, last: int) -> Gap:
    begin, end = int(grid.timestamps[first]), int(grid.timestamps[last])
    next_row = int(np.searchsorted(own, begin))
    before = next_row - 1 if next_row else None
    after = next_row if next_row < len(own) else None
    # A gap that extends beyond the window counts with its whole length.
    if first == 0 and before is not None:
        begin = min(begin, int(own[before] + grid.steps[first]))
    if last == len(grid.timestamps) - 1 and after is not None:
        end = max(end, int(own[after] - grid.steps[last]))
    hours = int(end - begin + grid.steps[last]) // HOUR_NS
    return Gap(first, last, begin, end, before, after, hours)


def repair_gaps(
    config: DatasetConfig, raw: RawFeed, grid: Grid, sources: Sources, window: Window
) -> Repaired:
    """Fill every gap by the first declared repair that covers all of it.

    Raises RejectedDataError: DATA-013 for a gap that no policy covers, DATA-012 when it is before
    the first or after the last row.
    """
    values = grid.values.copy()
    source = np.full(len(values), config.name, dtype=object)
    repair = np.full(len(values), AS_READ, dtype=object)
    reads: dict[str, None] = {}
    gaps = []
    for gap in find_gaps(grid, raw.distinct.timestamps):
        rows = slice(gap.first, gap.last + 1)
        values[rows], repair[rows], names = _fill(config, raw, grid, gap, sources, window)
        source[rows] = "+".join(names) or config.name
        gaps.append(replace(gap, repair=repair[gap.first], source=source[gap.first]))
        reads |= dict.fromkeys(names)
    return Repaired(values, source, repair, tuple(gaps), tuple(reads))


def _fill(
    config: DatasetConfig, raw: RawFeed, grid: Grid, gap: Gap, sources: Sources, window: Window
) -> tuple[Floats, str, tuple[str, ...]]:
    """Return the values for a gap, the repair, and the other feeds that they come from."""
    timestamps = grid.timestamps[gap.first : gap.last + 1]
    reasons: list[str] = []
    unusable: dict[str, str] = {}
    for repair, names, columns in _declared_sources(config, gap):
        values = _mean_of(sources, names, columns, timestamps)
        if not isinstance(values, str):
            return values, repair, names
        reasons.append(f"; {values}")
        unusable |= _fault_of_source(sources, names)
    if (grown := _interpolate(config, raw, gap, timestamps)) is not None:
        return grown, INTERPOLATED, ()
    if (carried := _carry_last(config, raw, gap)) is not None:
        return carried, CARRIED, ()
    policy = f"its policy is: {config.repair}{''.join(reasons)}"
    if gap.before is None or gap.after is None:
        first, last = (format_time(int(at)) for at in raw.distinct.timestamps[[0, -1]])
        raise RejectedDataError(
            "DATA-012",
            f"the window {window} lies outside {config.name}: its rows span {first} … {last}, "
            f"it lacks {gap}; {policy}",
            where=raw.paths,
            context=unusable,
        )
    what = f"{config.name} lacks {gap}; {policy}"
    raise RejectedDataError("DATA-013", what, where=raw.paths, context=unusable)


def _fault_of_source(sources: Sources, names: tuple[str, ...]) -> dict[str, str]:
    """Return the fault of the first rejected source, as context of an error."""
    rejected = [source for name in names if isinstance(source := sources.get(name), DataError)]
    return {CAUSE: rejected[0].fault} if rejected else {}


def _declared_sources(
    config: DatasetConfig, gap: Gap
) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...] | None]]:
    """Return declared repairs from other feeds that cover a gap: name, feeds and their columns."""
    policy = config.repair
    if (first := policy.before_first) and gap.before is None and gap.hours <= first.max_hours:
        yield ORACLE, (first.source,), None
    if (other := policy.substitute) and _is_covered(gap, other):
        yield SUBSTITUTED, (other.source,), config.value_columns
    if (mean := policy.mean_of) and _is_covered(gap, mean):
        yield MEAN_OF_VENUES, mean.datasets, config.value_columns


def _is_covered(gap: Gap, policy: Substitution | MeanOf) -> bool:
    if policy.before_first and gap.before is None:
        return True
    return policy.max_hours is None or gap.hours <= policy.max_hours


def _mean_of(
    sources: Sources, names: tuple[str, ...], columns: tuple[str, ...] | None, timestamps: Int64
) -> Floats | str:
    """Return the mean of the rows of other feeds at the timestamps, or why there is none."""
    parts = []
    for name in names:
        source = sources.get(name)
        if source is None:
            return f"{name} is missing"
        if isinstance(source, DataError):
            return f"{name} was rejected ({source.code})"
        at, present = locate(source.distinct.timestamps, timestamps)
        if not present.all():
            return f"{name} itself lacks {int((~present).sum())} of these hours"
        own = source.distinct.columns
        if lacking := [column for column in columns or () if column not in own]:
            return f"{name} has no {', '.join(lacking)}"
        wanted = [own.index(column) for column in columns or own]
        parts.append(source.distinct.values[at][:, wanted])
    return np.asarray(np.mean(parts, axis=0))


def _interpolate(config: DatasetConfig, raw: RawFeed, gap: Gap, timestamps: Int64) -> Floats | None:
    policy = config.repair.interpolate
    if policy is None or gap.before is None or gap.after is None or gap.hours > policy.max_hours:
        return None
    own = raw.distinct
    t0, t1 = own.timestamps[gap.before], own.timestamps[gap.after]
    share = ((timestamps - t0) / (t1 - t0))[:, None]
    x0, x1 = own.values[gap.before], own.values[gap.after]
    return np.asarray(x0 * (x1 / x0) ** share)


def _carry_last(config: DatasetConfig, raw: RawFeed, gap: Gap) -> Floats | None:
    policy = config.repair.carry_last
    if policy is None or gap.before is None or gap.hours > policy.max_hours:
        return None
    last = raw.distinct.values[gap.before].copy()
    if config.kind in BARS:
        columns = raw.distinct.columns
        last[:] = last[columns.index("close")]
        if "volume" in columns:
            last[columns.index("volume")] = 0.0
    return np.tile(last, (gap.rows, 1))


def allowed_sources(config: DatasetConfig) -> tuple[str, ...]:
    """Return every value that the `source` column of a dataset may have."""
    policy = config.repair
    mixed = ("+".join(policy.mean_of.datasets),) if policy.mean_of else ()
    return (config.name, *policy.sources, *mixed)
