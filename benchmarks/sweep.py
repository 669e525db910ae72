"""Sweeps: nanoseconds a scenario-hour on one and two cores, what bounds them, and memory.

Hours pass one by one, so what bounds them is their arithmetic. What rebalances cost is found by
running without them.
"""

import resource
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from basis_pipeline.backtests.backtest import capital_of
from basis_pipeline.backtests.fan_out import PIECE
from basis_pipeline.backtests.inputs import parameters_of
from basis_pipeline.config import load_configs, slice_mode
from basis_pipeline.engine.figures import FIGURES
from basis_pipeline.engine.hours import hour_coefficients
from basis_pipeline.engine.model import Floats, parameter_record, venue_terms
from basis_pipeline.engine.sweep import simulate_scenarios
from basis_pipeline.settings import project_root
from benchmarks.made_market import HOURS, made_market
from benchmarks.measuring import Timing, repeat

MODE = "usdt_market_neutral"
SCENARIOS, REPEATS = 1_000, 5
TARGET_SECONDS, TARGET_NS, TARGET_EFFICIENCY = 0.2, 17.0, 0.85


class Sweep:
    """A thousand scenarios that differ in leverage, hedge, bands and capital."""

    def __init__(self, mode: str, scenarios: int = SCENARIOS) -> None:
        sliced = slice_mode(load_configs(project_root() / "configs"), mode)
        self.market, parameters = hour_coefficients(made_market(sliced)), parameters_of(sliced)
        self.rows = np.repeat(parameter_record(parameters), scenarios)
        self.venues = venue_terms(parameters)
        rng = np.random.default_rng(1)
        spread = {"drift_band": (0.01, 0.1), "delta_band": (0.01, 0.05)}
        if parameters.target_ltv > 0.0:
            spread["target_ltv"] = (0.4, 0.75)
        for name, (low, high) in spread.items():
            self.rows[name] = rng.uniform(low, high, scenarios)
        self.capitals = capital_of(sliced, None) * rng.uniform(0.5, 2.0, scenarios)

    def run(self, threads: int) -> Floats:
        """Figures of all scenarios."""

        def piece(first: int) -> Floats:
            part = slice(first, first + PIECE)
            rows, capitals = self.rows[part], self.capitals[part]
            figures, _ = simulate_scenarios(
                self.market, rows, self.venues, capitals, first_midnight=0
            )
            return figures

        with ThreadPoolExecutor(threads) as pool:
            return np.concatenate(list(pool.map(piece, range(0, len(self.rows), PIECE))))


def memory_bound(sweep: Sweep) -> float:
    """Nanoseconds an hour of only reading the market: what a scenario cannot do without."""
    tables = [table.view(np.float64) for table in sweep.market[:3]]
    read = repeat(lambda: sum(np.isnan(table).sum() for table in tables), 50)
    return read.least / HOURS * 1e9


def rebalance_cost(sweep: Sweep) -> tuple[float, float, float]:
    """Of a piece: nanoseconds a scenario-hour, without rebalances, and rebalances a scenario."""
    least = []
    part = slice(0, PIECE)
    for enabled in (True, False):
        rows = sweep.rows[part].copy()
        rows["rebalance_enabled"] = enabled
        spent = []
        for _ in range(20 * REPEATS):
            start = time.thread_time()
            made, _ = simulate_scenarios(
                sweep.market, rows, sweep.venues, sweep.capitals[part], first_midnight=0
            )
            spent.append(time.thread_time() - start)
        least.append(min(spent) / len(rows) / HOURS * 1e9)
        if enabled:
            rebalances = float(made[:, FIGURES.index("rebalances")].mean())
    return least[0], least[1], rebalances


def main() -> None:
    """Print a line a number of threads, then the bounds."""
    sweep = Sweep(MODE)
    first = sweep.run(1).tobytes()
    found: dict[int, Timing] = {}
    processor: dict[int, float] = {}
    for threads in (1, 2):
        spent = time.process_time()
        found[threads] = repeat(lambda: sweep.run(threads), REPEATS)  # noqa: B023 called at once
        processor[threads] = (time.process_time() - spent) / REPEATS
        if sweep.run(threads).tobytes() != first:
            raise SystemExit("another number of threads gave other figures")
        per_hour = found[threads].least / SCENARIOS / HOURS * 1e9
        print(
            f"{MODE}: {SCENARIOS:,} scenarios x {HOURS:,} hours, {threads} threads: "
            f"{found[threads]}, {per_hour:.1f} ns a scenario-hour; "
            f"{processor[threads] / SCENARIOS / HOURS * 1e9:.1f} ns of processor",
            flush=True,
        )
    efficiency = found[1].least / found[2].least / 2.0
    print(
        f"target {TARGET_SECONDS} s and {TARGET_NS:.0f} ns on two cores: "
        f"{found[2].least / TARGET_SECONDS:.2f}x of it; scaling efficiency {efficiency:.2f} "
        f"(target {TARGET_EFFICIENCY}); a million would take {found[2].least * 1e3:.0f} s"
    )
    print(
        f"processor time of two threads over that of one: {processor[2] / processor[1]:.2f}, "
        "whatever else the machine is doing"
    )
    table = sum(part.nbytes for part in sweep.market[:3])
    print(
        f"bounds: reading the market ({table / 1e6:.1f} MB, {table / HOURS:.0f} bytes an hour) "
        f"takes {memory_bound(sweep):.1f} ns an hour, and a block of it serves {PIECE} scenarios"
    )
    whole, passing, rebalances = rebalance_cost(sweep)
    each = (whole - passing) * HOURS / rebalances
    print(
        f"of {whole:.1f} ns of processor a scenario-hour, {passing:.1f} without rebalances; "
        f"{rebalances:.0f} rebalances a scenario take {each / 1e3:.1f} us each, triggers included"
    )
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    Sweep(MODE, 4 * SCENARIOS).run(2)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"memory: {before / 1024:.0f} MB at most, {(after - before) / 1024:.1f} MB more for four "
        f"times the scenarios ({time.perf_counter() - start:.1f} s)"
    )
