"""A million scenarios as a user asks for them: `basis sweep` with its rows, gates and page.

Not among the benchmarks that run unasked: it takes minutes. The ratio is to the same command with
as many points as a batch has, in the same run.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from basis_pipeline.market.sample import write_sample
from benchmarks.sweep import MODE

POINTS, FEW, THREADS = 1_000_000, 4_096, 2
DAYS, HOURS, WINDOW = 500, 11_857, ("2024-01-03", "2025-05-11T01:00")
TARGET_SECONDS, TARGET_GB = 200.0, 1.0
KEYS = {
    "staking.target_ltv": {"low": 0.4, "high": 0.75},
    "rebalance.drift_band": {"low": 0.01, "high": 0.1},
    "rebalance.delta_band": {"low": 0.01, "high": 0.05},
    "capital": {"low": 50_000.0, "high": 200_000.0},
}


def sweep(place: Path, points: int) -> float:
    """Seconds of the command over so many points."""
    sampling = {"method": "sobol", "points": points, "seed": 1}
    said = {"name": "many", "description": "a benchmark's", "sampling": sampling, "keys": KEYS}
    (place / "many.yaml").write_text(json.dumps(said))
    asked = ["--scenarios", place / "many.yaml", "--out", place / str(points)]
    asked += ["--data-dir", place / "data", "--start", WINDOW[0], "--end", WINDOW[1]]
    command = [sys.executable, "-m", "basis_pipeline", "sweep", MODE, "--threads", str(THREADS)]
    start = time.perf_counter()
    subprocess.run([*command, *map(str, asked)], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> None:
    """Print seconds, memory, and how both grow from a few points to a million."""
    with tempfile.TemporaryDirectory() as scratch:
        write_sample(Path(scratch) / "data", days=DAYS)
        found = {}
        for points in (FEW, POINTS):
            seconds = sweep(Path(scratch), points)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
            found[points] = seconds, peak
            print(
                f"{MODE}: {points:,} points x {HOURS:,} hours, {THREADS} threads, with start, "
                f"rows, gates and page: {seconds:.1f} s, {peak:.2f} GB",
                flush=True,
            )
    (few, small), (many, large) = found[FEW], found[POINTS]
    each = (many - few) / (POINTS - FEW)
    print(
        f"targets {TARGET_SECONDS:.0f} s and {TARGET_GB:.0f} GB: {many / TARGET_SECONDS:.2f}x and "
        f"{large / TARGET_GB:.2f}x of them; a point more is {each * 1e6:.0f} us "
        f"({each / HOURS * 1e9:.1f} ns a scenario-hour); {POINTS // FEW} times the points take "
        f"{large / small:.1f} times the memory; load {os.getloadavg()[0]:.2f}"
    )
