"""Timing: repeats, child processes, and what machine it was."""

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from basis_pipeline.market.sample import write_sample
from basis_pipeline.market.window import Window, parse_window


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of several repeats of the same work."""

    seconds: tuple[float, ...]

    @property
    def least(self) -> float:
        """The fastest repeat: the work itself, with the least of other people's work in it."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """What to expect."""
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        return f"{self.least:7.3f} s min {self.median:7.3f} s median of {len(self.seconds)}"


def repeat(work: Callable[[], object], times: int) -> Timing:
    """Time `work` so many times."""
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return Timing(tuple(seconds))


def describe_machine() -> str:
    """One line: cores, load, and the versions that decide speed."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("numba", "numpy", "pandas"))
    load = f"load {os.getloadavg()[0]:.2f}, " if hasattr(os, "getloadavg") else ""
    python = platform.python_version()
    return f"{os.cpu_count()} cores ({platform.machine()}), {load}Python {python}, {packages}"


def child_environment(directory: Path, **changes: str) -> dict[str, str]:
    """Environment of a child: bytecode is cached, as in any installation, here in `directory`."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(directory / "bytecode"), **changes}


def figures_of_child(
    module: str, arguments: Sequence[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    """Run a module of this package in a fresh process; it prints its figures as JSON."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


@contextmanager
def market_data() -> Iterator[tuple[str, Path, Window]]:
    """Label, directory and window of the data to measure on: real where there are any."""
    real = os.environ.get("BASIS_REAL_DATA_DIR")
    if real:
        yield "real data", Path(real), parse_window("2024-06-01", "2025-03-01")
        return
    with tempfile.TemporaryDirectory() as scratch:
        data_dir = Path(scratch) / "sample"
        write_sample(data_dir)
        yield "sample data", data_dir, parse_window("2024-01-01", "2025-02-03")
