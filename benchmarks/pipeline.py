"""`basis run` of all modes as a whole process, beside `basis backtest` of each."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from basis_pipeline.config import load_configs
from basis_pipeline.settings import project_root
from benchmarks.measuring import child_environment, market_data

LATER_RUNS = 3
TARGET_SECONDS, TARGET_GB = 30.0, 1.5
PEAK_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process and its children took."""

    wall: float
    cpu: float
    peak_gb: float
    code: int

    def __str__(self) -> str:
        return f"{self.wall:6.2f} s wall, {self.cpu:6.2f} s CPU, {self.peak_gb:.2f} GB peak"


def cost_of(arguments: Sequence[str], environment: dict[str, str]) -> Cost:
    """Run `basis …` in a fresh process; exit codes above 1 end the benchmark."""
    command = [sys.executable, "-m", "basis_pipeline", *arguments]
    with tempfile.TemporaryFile() as screen:
        start = time.perf_counter()
        child = subprocess.Popen(command, env=environment, stdout=screen, stderr=screen)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode not in (0, 1):
            screen.seek(0)
            raise SystemExit(f"{' '.join(arguments)}\n{screen.read().decode()}")
    peak = used.ru_maxrss * PEAK_UNIT / 1e9
    return Cost(wall, used.ru_utime + used.ru_stime, peak, child.returncode)


def main() -> None:
    """Print the first run, which compiles the engine, later runs, and the research path."""
    modes = list(load_configs(project_root() / "configs").modes)
    with market_data() as (label, data_dir, window), tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        environment = child_environment(scratch, NUMBA_CACHE_DIR=str(scratch / "numba"))
        unmeasured = environment | {"NUMBA_CACHE_DIR": str(scratch / "unmeasured-numba")}
        ends = [f"{end:%Y-%m-%dT%H:%M}" for end in (window.start, window.end)]
        options = ["--data-dir", str(data_dir), "--start", ends[0], "--end", ends[1]]

        def run(number: int) -> Cost:
            results = str(scratch / f"results-{number}")
            return cost_of(["run", *options, "--results-dir", results], environment)

        def backtest(mode: str) -> Cost:
            out = str(scratch / "backtests" / mode)
            return cost_of(["backtest", mode, *options, "--out", out], environment)

        print(
            f"{label}, {window}, {len(modes)} modes; target {TARGET_SECONDS:.0f} s, {TARGET_GB} GB"
        )
        # Writes the bytecode that an installation has, and leaves the engine to be compiled.
        unmeasured_dir = str(scratch / "unmeasured")
        cost_of(["run", *options, "--mode", modes[0], "--results-dir", unmeasured_dir], unmeasured)
        first = run(0)
        print(f"basis run, compiling, new instance: {first}, exit {first.code}", flush=True)
        later = [run(number) for number in range(1, LATER_RUNS + 1)]
        best = min(later, key=lambda cost: cost.wall)
        middle = sorted(cost.wall for cost in later)[LATER_RUNS // 2]
        print(f"basis run, new instance:            {best}; median {middle:.2f} s", flush=True)
        pages = ["-m", "benchmarks.reports", str(scratch / "results-0"), str(best.cpu)]
        subprocess.run([sys.executable, *pages], env=environment, cwd=project_root(), check=True)
        singles = [backtest(mode) for mode in modes]
    wall = sum(cost.wall for cost in singles)
    cpu, peak = sum(cost.cpu for cost in singles), max(cost.peak_gb for cost in singles)
    print(f"basis backtest of each, {len(modes)} processes: {Cost(wall, cpu, peak, 0)}")
    print(f"basis run against them: {best.wall / wall:.2f}x wall, {best.cpu / cpu:.2f}x CPU")
