"""The kernel: nanoseconds an hour, beside a plain Python loop; its first and its later starts."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from basis_pipeline.backtests.backtest import capital_of
from basis_pipeline.backtests.ingest import Feeds
from basis_pipeline.backtests.inputs import market_arrays, parameters_of
from basis_pipeline.config import ModeSlice, load_configs, slice_mode
from basis_pipeline.engine import MarketArrays, Parameters
from basis_pipeline.engine.hours import hour_coefficients
from basis_pipeline.engine.model import parameter_record, venue_terms
from basis_pipeline.engine.risk import RISK, VENUE_RISK, measure_hours
from basis_pipeline.engine.simulation import empty_book, empty_table, run_hours
from basis_pipeline.engine.tally import begin
from basis_pipeline.market.panel import build_panel
from basis_pipeline.settings import project_root
from benchmarks.made_market import HOURS, made_market
from benchmarks.measuring import Timing, child_environment, figures_of_child, market_data, repeat
from benchmarks.plain_basis import plain_basis

REPEATS = 200
PLAIN_MODE = "btc_basis"
TARGET_NS, TARGET_COMPILE, TARGET_START = 42.0, 15.0, 0.3


class Kernel:
    """One mode's run over preallocated arrays."""

    def __init__(self, market: MarketArrays, parameters: Parameters, capital: float) -> None:
        self.market, self.capital = hour_coefficients(market), capital
        self.parameters, self.venues = parameter_record(parameters), venue_terms(parameters)
        self.shape = (*market.perp_mark.shape, market.reward_price.shape[1])
        self.hours, venues, _ = self.shape
        self.hourly = empty_table(*self.shape)
        self.events = empty_book(self.market).events
        self.risk = np.zeros(self.hours, RISK)
        self.venue_risk = np.zeros((self.hours, venues), VENUE_RISK)

    def run(self) -> None:
        """Run every hour."""
        self.book = empty_book(self.market, ledger=False)._replace(events=self.events)
        begin(self.book, self.parameters, self.capital)
        run_hours(
            self.market, self.parameters, self.venues, 0, self.hours, 0, self.book, self.hourly
        )

    def measure(self) -> None:
        """Risk at every hour."""
        measure_hours(
            self.market, self.parameters, self.venues, self.hourly, self.risk, self.venue_risk
        )


def print_modes(cases: Iterator[tuple[str, Kernel]]) -> None:
    """A line a mode: nanoseconds an hour of the run, of the risk measures, of both."""
    print(f"{'':34}{'ns/hour: run':>13}{'median':>8}{'risk':>7}{'both':>7}{'of target':>11}")
    for mode, kernel in cases:
        run, measure = repeat(kernel.run, REPEATS), repeat(kernel.measure, REPEATS)
        per_hour = 1e9 / kernel.hours
        both = (run.least + measure.least) * per_hour
        print(
            f"{mode:34}{run.least * per_hour:13.1f}{run.median * per_hour:8.1f}"
            f"{measure.least * per_hour:7.1f}{both:7.1f}{both / TARGET_NS:10.2f}x"
            f"   {kernel.book.tally.events} events, {kernel.book.tally.rebalances} rebalances",
            flush=True,
        )


def made_cases(slices: dict[str, ModeSlice]) -> Iterator[tuple[str, Kernel]]:
    """Every mode on the made-up market."""
    for mode, mode_slice in slices.items():
        market, parameters = made_market(mode_slice), parameters_of(mode_slice)
        yield mode, Kernel(market, parameters, capital_of(mode_slice, None))


def real_cases(slices: dict[str, ModeSlice]) -> Iterator[tuple[str, Kernel]]:
    """Every mode on its panel."""
    configs = load_configs(project_root() / "configs")
    names = {name for mode_slice in slices.values() for name in mode_slice.datasets}
    with market_data() as (_, data_dir, window):
        datasets = Feeds(configs, data_dir).datasets(names, window)
    for mode, mode_slice in slices.items():
        panel = build_panel(mode_slice, datasets, window)
        market, parameters = market_arrays(panel, mode_slice), parameters_of(mode_slice)
        yield mode, Kernel(market, parameters, capital_of(mode_slice, None))


def print_plain_loop(mode_slice: ModeSlice) -> None:
    """The same strategy as a plain Python loop, and how many times longer it takes."""
    parameters, capital = parameters_of(mode_slice), capital_of(mode_slice, None)
    market = made_market(mode_slice)
    kernel = Kernel(market, parameters, capital)
    fast = repeat(kernel.run, REPEATS)
    seconds, equities = [], []
    for _ in range(5):
        loop = plain_basis(market, parameters, capital)
        timing = repeat(lambda: equities.append(loop.run()), 1)  # noqa: B023 called at once
        seconds.append(timing.least)
    slow = Timing(tuple(seconds))
    difference = float(np.max(np.abs(np.array(equities[-1]) / kernel.hourly.rows["equity"] - 1.0)))
    if not difference <= 1e-9:
        raise SystemExit(f"the plain loop's equity differs from the engine's by {difference:.1e}")
    print(
        f"{PLAIN_MODE} as a plain Python loop: {slow.least * 1e3:.1f} ms min,"
        f" {slow.median * 1e3:.1f} ms median, engine {fast.least * 1e3:.3f} ms:"
        f" {slow.least / fast.least:.0f}x; equity agrees to {difference:.1e} at every hour"
    )


def print_starts() -> None:
    """First compilation, then starts from the disk cache, each in a fresh process."""
    with tempfile.TemporaryDirectory() as scratch:
        cache = Path(scratch) / "numba"
        environment = child_environment(Path(scratch), NUMBA_CACHE_DIR=str(cache))
        figures_of_child("first_call", ["--addition"], environment)  # writes the bytecode

        def start(*arguments: str) -> float:
            return float(figures_of_child("first_call", arguments, environment)["seconds"])

        print(f"first compile: {start():.1f} s (target {TARGET_COMPILE:.0f} s)", flush=True)
        size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
        warm = Timing(tuple(start() for _ in range(5)))
        least = Timing(tuple(start("--addition") for _ in range(5)))
        bare = Timing(tuple(start("--without-scipy") for _ in range(5)))
    print(f"later start:   {warm} (target {TARGET_START} s; cache {size / 1e6:.1f} MB)")
    print(f"  a one-line function's:  {least}: {warm.least / least.least:.2f}x")
    print(f"  without scipy, which numba imports where it finds it:  {bare}")


def main() -> None:
    """Print everything about the kernel."""
    configs = load_configs(project_root() / "configs")
    slices = {mode: slice_mode(configs, mode) for mode in configs.modes}
    print(f"made-up market, {HOURS:,} hours; target {TARGET_NS:.0f} ns/hour, 0.5 ms a mode")
    print_modes(made_cases(slices))
    if os.environ.get("BASIS_REAL_DATA_DIR"):
        print("real panels, 2024-06-01 to 2025-03-01")
        print_modes(real_cases(slices))
    print_plain_loop(slices[PLAIN_MODE])
    print_starts()
