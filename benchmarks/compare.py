"""Result tables of every mode, in this checkout and in another: equal to the bit or not.

`python -m benchmarks.compare OTHER_CHECKOUT [--python FILE] [--data-dir DIR --start --end]` runs
`basis backtest MODE --out DIR` of every mode in both, each with its own interpreter, configuration
and settings. It knows only that command and its files, so it survives any change behind them. The
exit status is 1 when anything differs.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd

from basis_pipeline.settings import project_root
from benchmarks.measuring import market_data

TABLES = ("equity", "attribution", "positions", "risk", "events")


def run_modes(checkout: Path, python: Path, options: list[str], out: Path) -> None:
    """Backtest every mode of a checkout, one after another; what fails leaves no directory."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("BASIS_", "DAGSTER_"))}
    for mode in modes_of(checkout):
        command: list[str | Path] = [
            python,
            "-m",
            "basis_pipeline",
            "backtest",
            mode,
            "--out",
            out / mode,
            *options,
        ]
        done = subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, check=False
        )
        if not (out / mode).exists():
            print(f"{checkout}, {mode}: exit {done.returncode}\n{done.stderr.strip()}", flush=True)


def modes_of(checkout: Path) -> list[str]:
    """Names of the modes a checkout has."""
    return sorted(path.stem for path in (checkout / "configs" / "modes").glob("*.yaml"))


def table_differences(ours: Path, theirs: Path) -> list[str]:
    """What differs between two tables, a line each; nothing when they are equal to the bit."""
    for path in (ours, theirs):
        if not path.exists():
            return [f"{path} is missing"]
    left, right = pd.read_parquet(ours), pd.read_parquet(theirs)
    if list(left.columns) != list(right.columns):
        return [f"the columns differ: {sorted(set(left.columns) ^ set(right.columns)) or 'order'}"]
    if len(left) != len(right):
        return [f"{len(left)} rows here, {len(right)} there"]
    lines = []
    for name in left.columns:
        here, there = left[name].to_numpy(), right[name].to_numpy()
        if here.dtype != there.dtype:
            lines.append(f"{name}: {here.dtype} here, {there.dtype} there")
            continue
        by_bits = here.view(np.int64) if here.dtype == np.float64 else here
        different = by_bits != (there.view(np.int64) if here.dtype == np.float64 else there)
        if different.any():
            at = int(np.argmax(different))
            lines.append(
                f"{name}: {different.sum()} of {len(left)} rows, first at "
                f"{left['timestamp'].iloc[at]}: {here[at]!r} here, {there[at]!r} there"
            )
    return lines


def compare(ours: Path, theirs: Path, modes: list[str]) -> int:
    """Print a line a mode, then what differs; return how many tables do."""
    differing = 0
    for mode in modes:
        if not any((run / mode).exists() for run in (ours, theirs)):
            print(f"{mode:34}does not run in either")
            continue
        found = {
            table: table_differences(*(run / mode / f"{table}.parquet" for run in (ours, theirs)))
            for table in TABLES
        }
        wrong = [table for table, lines in found.items() if lines]
        differing += len(wrong)
        print(f"{mode:34}{'differs: ' + ', '.join(wrong) if wrong else 'equal to the bit'}")
        for table in wrong:
            print("\n".join(f"    {table} · {line}" for line in found[table]))
    return differing


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("other", type=Path, help="directory of the other checkout")
    parser.add_argument("--python", type=Path, help="its interpreter; else that of its .venv")
    parser.add_argument("--data-dir", type=Path, help="raw files; else real data or a sample")
    parser.add_argument("--start", help="first hour; with --data-dir")
    parser.add_argument("--end", help="last hour; with --data-dir")
    chosen = parser.parse_args()
    if chosen.data_dir and not (chosen.start and chosen.end):
        parser.error("--data-dir needs --start and --end")
    return chosen


def main() -> int:
    """Run both checkouts side by side and compare; return the exit status."""
    chosen, here = arguments(), project_root()
    other = chosen.other.resolve()
    # Not resolved: the interpreter of an environment is a link to that of the system.
    python = (chosen.python or other / ".venv" / "bin" / "python").absolute()
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        if chosen.data_dir:
            data_dir, start, end = chosen.data_dir.resolve(), chosen.start, chosen.end
        else:
            _, data_dir, window = stack.enter_context(market_data())
            start, end = (f"{hour:%Y-%m-%dT%H:%M}" for hour in (window.start, window.end))
        options = ["--data-dir", str(data_dir), "--start", start, "--end", end]
        ours, theirs = Path(scratch) / "ours", Path(scratch) / "theirs"
        checkouts = ((here, Path(sys.executable), ours), (other, python, theirs))
        with ThreadPoolExecutor(len(checkouts)) as pool:
            runs = [pool.submit(run_modes, c, p, options, out) for c, p, out in checkouts]
        for run in runs:
            run.result()
        print(f"{here} against {other}: {data_dir}, {start} to {end}")
        differing = compare(ours, theirs, sorted({*modes_of(here), *modes_of(other)}))
    print(f"{differing} tables differ" if differing else "every table is equal to the bit")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
