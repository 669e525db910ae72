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
# Share of equity that may stay unexplained, and of a withdrawal that rounding may overdraw.
TOLERANCE = 1e-9


def capital_of(mode_slice: ModeSlice, capital: float | None) -> float:
    """The capital asked for, or the share class's own; CONFIG-012 when it is not positive."""
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
    """Run the engine over a panel and lay its result out in tables.

    Parameters
    ----------
    risk_free: annual rate that Sharpe and Sortino are measured against.

    Raises
    ------
    ConfigError: CONFIG-011 a flow outside the window, CONFIG-012 a withdrawal of all there is.
    """
    market, parameters = market_arrays(panel, mode_slice), parameters_of(mode_slice)
    simulation = simulate(
        market, parameters, capital, first_midnight=first_midnight(panel), risk_free=risk_free
    )
    _require_capital_left(simulation, mode_slice, panel)
    risk, by_venue = measure(market, parameters, simulation)
    return simulation, result_tables(simulation, risk, by_venue, mode_slice, panel, capital)


def _require_book(
    simulation: Simulation, mode_slice: ModeSlice, panel: Panel, capital: float
) -> None:
    """Reject a run whose figures would mean nothing and still look like any other's."""
    where = f"mode {mode_slice.name}"
    unsound = ~simulation.finite
    if unsound.any():
        mark = panel.hours[int(np.argmax(unsound))]
        what = f"at {mark:%Y-%m-%d %H:%M} the book holds a value that is no finite number"
        raise MathError("MATH-001", what, where=where, context={"capital": capital})
    if simulation.equity[0] <= 0.0:
        left = f"{simulation.equity[0]:.6g} {mode_slice.share_class.share_class}"
        what = f"a capital of {capital:g} is {left} after the costs of entering"
        raise BacktestError("BT-004", what, where=where)


def _require_capital_left(simulation: Simulation, mode_slice: ModeSlice, panel: Panel) -> None:
    """Reject a withdrawal that leaves nothing: what comes after it would be no investment."""
    emptied = np.flatnonzero((simulation.flow < 0.0) & (simulation.equity <= 0.0))
    if len(emptied):
        mark = emptied[0]
        withdrawn = -simulation.flow[mark]
        raise ConfigError(
            "CONFIG-012",
            f"the withdrawal of {withdrawn:g} at {panel.hours[mark]:%Y-%m-%d %H:%M} leaves nothing",
            where=f"mode {mode_slice.name}, flows",
            available=f"{simulation.equity[mark] + withdrawn:.8g} after the costs of paying it",
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
    benchmarks: growth indices to stand beside the run, as `benchmark_table` returns them.

    Raises
    ------
    ConfigError: as `simulate_slice`. BacktestError: BT-004 a capital that entering uses up.
    MathError: MATH-001 a value that is no finite number.
    """
    beside, benchmark_hashes = benchmarks
    risk_free = risk_free_rate(mode_slice, beside)
    simulation, frames = simulate_slice(mode_slice, panel, capital, risk_free=risk_free)
    _require_book(simulation, mode_slice, panel, capital)
    if beside is not None:
        frames["benchmark"] = beside
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
    """Return the annual rate of `metrics.risk_free`; `lending` is what lending grew at.

    Raises
    ------
    ConfigError: CONFIG-006 when the mode asks for the lending rate and there are no rates.
    """
    rate = mode_slice.mode.metrics.risk_free
    if not isinstance(rate, str):
        return rate
    if benchmarks is None or LENDING not in benchmarks:
        raise ConfigError(
            "CONFIG-006",
            "metrics.risk_free is lending, and the window has no lending rates",
            where=f"mode {mode_slice.name}",
            action="deliver the rates of the share class's lending token, or state a rate",
        )
    grown = floats(benchmarks, LENDING)
    length = metrics.years(stamps(benchmarks))
    return metrics.annual_yield(float(grown[-1] / grown[0]) - 1.0, length)


def named_figures(figures: Floats) -> dict[str, float | int]:
    """A run's figures by name, without its status; counts are whole numbers."""
    named = dict(zip(FIGURES, figures.tolist(), strict=True))
    del named["status"]
    return {name: int(value) if name in COUNTED else value for name, value in named.items()}


def _stretches(panel: Panel, dataset: str) -> list[list[str]]:
    """First and last hour of every unbroken stretch at which an input of `dataset` was repaired."""
    hours = panel.hours
    return [
        [f"{hours[place]:%Y-%m-%dT%H:%MZ}" for place in stretch]
        for stretch in metrics.stretches(panel.repairs[dataset])
    ]


def unexplained(result: RunResult) -> Floats:
    """Change of equity that neither flows nor the ten components explain, by mark, (n,)."""
    equity, flow = (result.frames["equity"][name].to_numpy() for name in ("equity", "flow"))
    parts = result.frames["attribution"][list(COMPONENTS)].to_numpy().sum(axis=1)
    gap: Floats = np.diff(equity, prepend=result.identity.capital) - flow - parts
    return gap


def require_reconciled(result: RunResult) -> None:
    """Raise BT-002 unless the components explain equity to 1e-9 of it at every mark."""
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
