"""Raw CSVs to the panels of all modes, beside only reading the same files."""

import tempfile
from pathlib import Path

from benchmarks.measuring import Timing, child_environment, figures_of_child, market_data

REPEATS = 5
TARGET = 1.0
STAGES = ("read", "build", "panel")


def main() -> None:
    """Print seconds of the whole and of its stages, and ratios to bare readers."""
    with market_data() as (label, data_dir, window), tempfile.TemporaryDirectory() as scratch:
        ends = [f"{end:%Y-%m-%dT%H:%M}" for end in (window.start, window.end)]
        environment = child_environment(Path(scratch))

        def seconds(what: str) -> list[dict[str, float]]:
            arguments = [what, str(data_dir), *ends]
            return [
                figures_of_child("panel_stages", arguments, environment) for _ in range(REPEATS + 1)
            ][1:]  # the first process writes the bytecode and warms the page cache

        ours, arrow, pandas = seconds("stages"), seconds("pyarrow"), seconds("pandas")
    whole = Timing(tuple(sum(run[stage] for stage in STAGES) for run in ours))
    size = arrow[0]["megabytes"]
    print(f"{label}, {window}, {size:.1f} MB in fresh processes, imports not counted")
    print(f"raw files to panels of all modes: {whole} (target {TARGET:.0f} s)")
    for stage in STAGES:
        print(f"  {stage:8}{Timing(tuple(run[stage] for run in ours))}")
    for reader, runs in (("pyarrow", arrow), ("pandas", pandas)):
        bare = Timing(tuple(run["read"] for run in runs))
        print(f"only reading, {reader:9}{bare}: whole is {whole.least / bare.least:.1f}x")
