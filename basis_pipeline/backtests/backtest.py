"""One backtest: a slice, a panel and a capital in; tables and figures out."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.backtests.benchmarks import LENDING
from basis_pipeline.backtests.inputs import first_midnight, market_arrays, parameters_of
from basis_pipeline.backtests.tables import result_tables
from basis_pipeline.config import ModeSlice
from basis_pipeline.engine import ENGINE_VERSION, FIGURES, Simulation, simulate
from basis_pipeline.engine.figures import COUNTED
from basis_pipeline.engine.model import Floats
from basis_pipeline.engine.risk import measure
from basis_pipeline.errors import BacktestError, ConfigError, MathError
from basis_pipeline.market.panel import Panel
from basis_pipeline.market.window import Window
from basis_pipeline.results import metrics
from basis_pipeline.results.store import RunIdentity, RunResult
from basis_pipeline.results.summary import floats, stamps, summarise
from basis_pipeline.results.tables import COMPONENTS

Benchmarks = tuple[pd.DataFrame | None, dict[str, str]]
NO_BENCHMARKS: Benchmarks = (None, {})
# Largest share of equity that the components may leave unexplained.
TOLERANCE = 1e-9


def capital_of(mode_slice: ModeSlice, capital: float | None) -> float:
    """Return the given capital, else the share class's own. Raises CONFIG-012 unless positive."""
    chosen = mode_slice.share_class.initial_capital if capital is None else capital
    if not (math.isfinite(chosen) and chosen > 0.0):
        raise ConfigError(
            "CONFIG-012",
            f"a capital of {chosen:g} {mode_slice.share_class.share_class} cannot be invested",
            where=f"mode {mode_slice.name}",
        )
    return float(chosen)


def simulate_slice(
    mode_slice: ModeSlice, panel: Panel, capital: float, *, risk_free: float = 0.0
) -> tuple[Simulation, dict[str, pd.DataFrame]]:
    """Run the engine over a panel and return the simulation and its result tables.

    Parameters
    ----------
    risk_free: annual rate that Sharpe and Sortino are measured against.

    Raises
    ------
    ConfigError: CONFIG-011 a flow outside the window, CONFIG-012 a withdrawal of all equity.
    """
    market, parameters = market_arrays(panel, mode_slice), parameters_of(mode_slice)
    simulation = simulate(
        market, parameters, capital, first_midnight=first_midnight(panel), risk_free=risk_free
    )
    _require_capital_left(simulation, mode_slice, panel)
    risk, by_venue = measure(market, parameters, simulation)
    return simulation, result_tables(simulation, risk, by_venue, mode_slice, panel, capital)


def _require_valid_figures(
    simulation: Simulation, mode_slice: ModeSlice, panel: Panel, capital: float
) -> None:
    """Reject a run whose figures would be meaningless."""
    where = f"mode {mode_slice.name}"
    invalid = ~simulation.finite
    if invalid.any():
        hour = panel.hours[int(np.argmax(invalid))]
        what = f"at {hour:%Y-%m-%d %H:%M} the book holds a value that is not finite"
        raise MathError("MATH-001", what, where=where, context={"capital": capital})
    if simulation.equity[0] <= 0.0:
        left = f"{simulation.equity[0]:.6g} {mode_slice.share_class.share_class}"
        what = f"of a capital of {capital:g}, {left} is left after the entry costs"
        raise BacktestError("BT-004", what, where=where)


def _require_capital_left(simulation: Simulation, mode_slice: ModeSlice, panel: Panel) -> None:
    """Reject a withdrawal that leaves no equity to invest."""
    emptied = np.flatnonzero((simulation.flow < 0.0) & (simulation.equity <= 0.0))
    if len(emptied):
        hour = emptied[0]
        withdrawn = -simulation.flow[hour]
        raise ConfigError(
            "CONFIG-012",
            f"the withdrawal of {withdrawn:g} at {panel.hours[hour]:%Y-%m-%d %H:%M} leaves nothing",
            where=f"mode {mode_slice.name}, flows",
            available=f"{simulation.equity[hour] + withdrawn:.8g} after the costs of raising it",
            action="withdraw less",
        )


def run_backtest(
    mode_slice: ModeSlice,
    panel: Panel,
    window: Window,
    capital: float,
    benchmarks: Benchmarks = NO_BENCHMARKS,
) -> RunResult:
    """Backtest one slice over its panel.

    Parameters
    ----------
    capital: equity before entry costs, in the share class's currency.
    benchmarks: growth indices to show beside the run, as `benchmark_table` returns them.

    Raises
    ------
    ConfigError: as `simulate_slice`. BacktestError: BT-004 a capital that the entry costs use up.
    MathError: MATH-001 a value that is not finite.
    """
    benchmark, benchmark_hashes = benchmarks
    risk_free = risk_free_rate(mode_slice, benchmark)
    simulation, frames = simulate_slice(mode_slice, panel, capital, risk_free=risk_free)
    _require_valid_figures(simulation, mode_slice, panel, capital)
    if benchmark is not None:
        frames["benchmark"] = benchmark
    identity = RunIdentity(
        config_hash=mode_slice.config_hash,
        data_hashes=dict(sorted({**panel.data_hashes, **benchmark_hashes}.items())),
        start=window.start.to_pydatetime(),
        end=window.end.to_pydatetime(),
        capital=capital,
        engine_version=ENGINE_VERSION,
    )
    repaired = {name: int(mask.sum()) for name, mask in panel.repairs.items() if mask.any()}
    summary: dict[str, Any] = {
        "share_class": mode_slice.share_class.share_class,
        **summarise(named_figures(simulation.figures), frames, capital, risk_free=risk_free),
        "hours": len(panel.timestamps),
        "repaired_hours": int(panel.repaired.sum()),
        "repairs": repaired,
        "repaired_spans": {name: _stretches(panel, name) for name in repaired},
    }
    return RunResult(
        identity=identity,
        mode=mode_slice.name,
        config=json.loads(mode_slice.canonical),
        summary=summary,
        frames=frames,
    )


def risk_free_rate(mode_slice: ModeSlice, benchmarks: pd.DataFrame | None) -> float:
    """Return the annual rate of `metrics.risk_free`; for `lending` the APY of that benchmark.

    Raises
    ------
    ConfigError: CONFIG-006 when the mode uses the lending rate and there are no rates.
    """
    rate = mode_slice.mode.metrics.risk_free
    if not isinstance(rate, str):
        return rate
    if benchmarks is None or LENDING not in benchmarks:
        raise ConfigError(
            "CONFIG-006",
            "metrics.risk_free is lending, but the window has no lending rates",
            where=f"mode {mode_slice.name}",
            action="deliver the rates of the share class's lending token, or state a rate",
        )
    grown = floats(benchmarks, LENDING)
    length = metrics.years(stamps(benchmarks))
    return metrics.annual_yield(float(grown[-1] / grown[0]) - 1.0, length)


def named_figures(figures: Floats) -> dict[str, float | int]:
    """Return a run's figures by name, without its status; counts as integers."""
    named = dict(zip(FIGURES, figures.tolist(), strict=True))
    del named["status"]
    return {name: int(value) if name in COUNTED else value for name, value in named.items()}


def _stretches(panel: Panel, dataset: str) -> list[list[str]]:
    """List first and last hour of every unbroken stretch with a repaired input of `dataset`."""
    hours = panel.hours
    return [
        [f"{hours[row]:%Y-%m-%dT%H:%MZ}" for row in stretch]
        for stretch in metrics.stretches(panel.repairs[dataset])
    ]


def unexplained(result: RunResult) -> Floats:
    """Return the change of equity by hour that no flow and no component explains, (n,)."""
    equity, flow = (result.frames["equity"][name].to_numpy() for name in ("equity", "flow"))
    parts = result.frames["attribution"][list(COMPONENTS)].to_numpy().sum(axis=1)
    gap: Floats = np.diff(equity, prepend=result.identity.capital) - flow - parts
    return gap


def require_reconciled(result: RunResult) -> None:
    """Raise BT-002 unless the components explain equity to 1e-9 of it at every hour."""
    gap = np.abs(unexplained(result))
    equity = result.frames["equity"]
    excess = gap - TOLERANCE * np.abs(equity["equity"].to_numpy())
    if not (excess <= 0.0).all():
        at = int(np.argmax(excess))
        raise BacktestError(
            "BT-002",
            f"{gap[at]:.3g} of the change at {equity['timestamp'].iloc[at]:%Y-%m-%d %H:%M} is left "
            f"unexplained, with an equity of {equity['equity'].iloc[at]:.6g}",
            where=f"mode {result.mode}, attribution",
        )
