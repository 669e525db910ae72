"""A study: a mode and a scenario set over data, and how its points become engine input.

Points that share the structure of their slice share a market: they differ only in numbers, which go
straight into the engine's parameters. Everything else takes the path of a single run, through the
validated slice and its panel. Both paths give the same parameters and market to the bit.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np

from basis_pipeline.backtests.backtest import Benchmarks, capital_of, risk_free_rate
from basis_pipeline.backtests.benchmarks import LENDING, benchmark_names, benchmark_table
from basis_pipeline.backtests.inputs import first_midnight, market_arrays, parameters_of
from basis_pipeline.backtests.probes import DIRECT, STRUCTURAL, checked_slices, is_direct
from basis_pipeline.config import Configs, ModeSlice, slice_mode
from basis_pipeline.config.points import (
    Column,
    Indices,
    Point,
    columns,
    coordinates,
    point,
    size,
)
from basis_pipeline.config.scenario import CAPITAL, Axis, Choice, ScenarioSet
from basis_pipeline.engine.hours import HourCoefficients, hour_coefficients
from basis_pipeline.engine.model import Floats, Record, Records, parameter_record, venue_terms
from basis_pipeline.errors import ConfigError, DataError
from basis_pipeline.market.bootstrap import draw_path, source_rows
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.panel import Panel, build_panel
from basis_pipeline.market.shocks import apply_shocks, require_applicable
from basis_pipeline.market.window import Window, parse_window
from basis_pipeline.verdict import Verdict

Loader = Callable[[Collection[str], Window], Mapping[str, Dataset | DataError]]

KEPT = 4  # latest panels and markets that a study keeps in memory
BPS = 1e-4


@dataclass(frozen=True, slots=True)
class Prepared:
    """The market and parameters that the points of one group share."""

    hours: HourCoefficients
    parameters: Record  # of the group's first point
    venues: Records  # (K,)
    leveraged: bool
    charged: bool
    first_midnight: int
    risk_free: float


@dataclass(frozen=True)
class Study:
    """A scenario set over a mode and its data, made and checked by `study_of`.

    Parameters
    ----------
    overrides: of every point; a key of the set takes precedence.
    window: of every point, unless the set names windows.
    capital: of every point, in the share class's currency, unless the set varies it.
    datasets: built for a window that contains all windows of the study.
    """

    configs: Configs
    mode: str
    scenarios: ScenarioSet
    window: Window
    capital: float
    overrides: Mapping[str, Any]
    datasets: Mapping[str, Dataset | DataError]
    _panels: dict[Any, tuple[ModeSlice, Panel]] = field(default_factory=dict, repr=False)
    _markets: dict[Any, Prepared] = field(default_factory=dict, repr=False)

    @cached_property
    def windows(self) -> dict[str | None, Window]:
        """Windows by name; None is the study's own."""
        return windows_of(self.scenarios, self.window)

    @property
    def verdicts(self) -> list[Verdict]:
        """The verdicts on the data that the points read."""
        datasets = [d for d in self.datasets.values() if isinstance(d, Dataset)]
        return [v.at(asset=f"dataset/{d.name}") for d in datasets for v in d.verdicts]

    def point(self, index: int) -> Point:
        """Return one scenario. Raises IndexError outside of the set."""
        return point(self.scenarios, index)

    def slice_of(self, overrides: Mapping[str, Any]) -> ModeSlice:
        """Return the validated slice of a point's keys."""
        keys = {key: value for key, value in overrides.items() if key != CAPITAL}
        return slice_mode(self.configs, self.mode, {**self.overrides, **keys})

    def panel_of(self, mode_slice: ModeSlice, chosen: Point) -> Panel:
        """Return the panel of a point: its window's, with its bootstrapped path and its shocks."""
        panel = build_panel(mode_slice, self.datasets, self.windows[chosen.window])
        return self._altered(panel, mode_slice, chosen)

    def benchmarks_of(self, mode_slice: ModeSlice, chosen: Point) -> Benchmarks:
        """Return the lending benchmark of a point, where it is the risk-free rate."""
        names = lending_rates(mode_slice, self.configs)
        return benchmark_table(names, self.datasets, self.windows[chosen.window])

    def _altered(self, panel: Panel, mode_slice: ModeSlice, chosen: Point) -> Panel:
        if chosen.path is not None and self.scenarios.bootstrap is not None:
            panel = draw_path(panel, self.scenarios.bootstrap, chosen.path, mode_slice)
        shocks = (self.scenarios.markets or {}).get(chosen.market or "", ())
        return apply_shocks(panel, shocks, mode_slice)

    def _prepared(self, chosen: Point) -> Prepared:
        """Return what the group of a point shares; the latest few are kept for the next batch."""
        structure = (chosen.window, _structure(chosen, self.scenarios.keys))
        group = (*structure, chosen.market, chosen.path)
        if group in self._markets:
            return self._markets[group]
        if structure not in self._panels:
            mode_slice = self.slice_of(chosen.overrides)
            panel = build_panel(mode_slice, self.datasets, self.windows[chosen.window])
            _keep(self._panels, structure, (mode_slice, panel))
        mode_slice, panel = self._panels[structure]
        panel = self._altered(panel, mode_slice, chosen)
        parameters = parameters_of(mode_slice)
        benchmarks, _ = self.benchmarks_of(mode_slice, chosen)
        prepared = Prepared(
            hours=hour_coefficients(market_arrays(panel, mode_slice)),
            parameters=parameter_record(parameters),
            venues=venue_terms(parameters),
            leveraged=mode_slice.mode.is_leveraged,
            charged=mode_slice.mode.costs.enabled,
            first_midnight=first_midnight(panel),
            risk_free=risk_free_rate(mode_slice, benchmarks),
        )
        _keep(self._markets, group, prepared)
        return prepared

    def groups(self, indices: Indices) -> Iterator[tuple[Prepared, Records, Floats, Indices]]:
        """Yield market, parameters, capitals and positions in `indices`, group by group."""
        window, market, path, sample = coordinates(self.scenarios, indices)
        values = columns(self.scenarios, sample)
        axes = self.scenarios.keys
        labels = [window, market, path]
        for key, axis in axes.items():
            if not is_direct(key, axis):
                labels.append(np.unique(values[key], return_inverse=True)[1])
            elif key in STRUCTURAL:
                labels.append((direct_values(axis, values[key]) > 0.0).astype(np.int64))
        groups, group_of = np.unique(np.stack(labels), axis=1, return_inverse=True)
        for number in range(groups.shape[1]):
            inside = np.flatnonzero(group_of == number)
            chosen = self.point(int(indices[inside[0]]))
            prepared = self._prepared(chosen)
            direct = {
                key: direct_values(axis, values[key][inside])
                for key, axis in axes.items()
                if is_direct(key, axis)
            }
            capitals = direct.get(CAPITAL, np.full(len(inside), self.capital))
            yield prepared, parameter_rows(prepared, direct, len(inside)), capitals, inside


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    while len(kept) >= KEPT:
        kept.pop(next(iter(kept)))
    kept[key] = value


def _structure(chosen: Point, axes: Mapping[str, Axis]) -> tuple[Any, ...]:
    """Return the part of a point's keys that determines the structure of its slice."""
    parts: list[Any] = []
    for key, axis in axes.items():
        value = chosen.overrides[key]
        if not is_direct(key, axis):
            parts.append(repr(value))
        elif key in STRUCTURAL:
            parts.append(value > 0.0)
    return tuple(parts)


def direct_values(axis: Axis, column: Column) -> Column:
    """Return the numbers of a direct key's column."""
    if isinstance(axis, Choice):
        return np.array(axis.values, dtype=np.float64)[column.astype(np.int64)]
    return column


def parameter_rows(prepared: Prepared, direct: Mapping[str, Column], count: int) -> Records:
    """Return the parameters of the group's points, each with its own direct numbers.

    As in `parameters_of`, a mode without leverage has no target LTV, one without costs no fee.
    """
    rows = np.repeat(prepared.parameters, count)
    for key, column in direct.items():
        name = DIRECT[key]
        if not name or (name == "target_ltv" and not prepared.leveraged):
            continue
        scale = 1.0
        if name == "flash_fee":
            scale = BPS if prepared.charged else 0.0
        rows[name] = column * scale
    return rows


def windows_of(scenarios: ScenarioSet, window: Window) -> dict[str | None, Window]:
    """Return the windows of a set by name. Raises ConfigError CONFIG-011."""
    if scenarios.windows is None:
        return {None: window}
    return {name: parse_window(r.start, r.end) for name, r in scenarios.windows.items()}


def lending_rates(mode_slice: ModeSlice, configs: Configs) -> dict[str, str]:
    """Return the lending benchmark and its dataset, where it is the risk-free rate."""
    if mode_slice.mode.metrics.risk_free != LENDING:
        return {}
    return {k: v for k, v in benchmark_names(mode_slice, configs).items() if k == LENDING}


def study_of(
    configs: Configs,
    mode: str,
    scenarios: ScenarioSet,
    load: Loader,
    window: Window,
    *,
    capital: float | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Study:
    """Check a scenario set against a mode, then load the datasets of all its points.

    Parameters
    ----------
    load: returns datasets for a window, as `ingest.Feeds.datasets` does.

    Raises
    ------
    ConfigError: CONFIG-MGR-005 too many points; CONFIG-005 to 012 a point that cannot run, for its
        keys, window, shocks or capital. Raised before anything is loaded. DataError: as `load`.
    """
    size(scenarios)
    chosen = dict(overrides or {})
    windows = windows_of(scenarios, window)
    names: set[str] = set()
    hedged: set[tuple[str, ...]] = set()
    for mode_slice in checked_slices(configs, mode, scenarios, capital, chosen):
        names |= mode_slice.datasets.keys()
        names |= set(lending_rates(mode_slice, configs).values())
        hedged.add(mode_slice.mode.hedge_venues)
    for span in windows.values():
        stamps = span.hours.asi8
        if scenarios.bootstrap is not None:
            source_rows(len(stamps), scenarios.bootstrap, 0)
        for shocks, venues in product((scenarios.markets or {}).values(), sorted(hedged)):
            require_applicable(shocks, stamps, venues, mode)
    whole = Window(min(w.start for w in windows.values()), max(w.end for w in windows.values()))
    return Study(
        configs=configs,
        mode=mode,
        scenarios=scenarios,
        window=window,
        capital=capital_of(slice_mode(configs, mode, chosen), capital),
        overrides=chosen,
        datasets=load(sorted(names), whole),
    )


def inside(scenarios: ScenarioSet, window: Window) -> tuple[ScenarioSet | None, list[str]]:
    """Return the set without the replays that extend beyond a window, and their names.

    The set is None when no replay is left. Raises ConfigError CONFIG-011 as `windows_of`.
    """
    if scenarios.windows is None:
        return scenarios, []
    spans = windows_of(scenarios, window)
    kept = {
        name: replay
        for name, replay in scenarios.windows.items()
        if spans[name].start >= window.start and spans[name].end <= window.end
    }
    outside = [name for name in scenarios.windows if name not in kept]
    return scenarios.model_copy(update={"windows": kept}) if kept else None, outside


def nothing_inside(outside: Sequence[str], window: Window) -> ConfigError:
    """Return the error CONFIG-011 for replays none of which lies in a window."""
    return ConfigError("CONFIG-011", f"no replay lies in {window}", where=", ".join(outside))
