"""Five years of 1-minute klines in monthly zips, as a publisher makes them, to hourly bars.

Beside it: only unpacking the same files and reading their columns with pyarrow.
"""

import json
import resource
import sys
import tempfile
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from pyarrow import csv

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.loading import load_file, validate
from basis_pipeline.config.preset import Preset, complete
from basis_pipeline.market.raw import read_feed
from basis_pipeline.settings import project_root
from benchmarks.measuring import Timing, child_environment, figures_of_child

MONTHS = 60
REPEATS = 3
SECONDS, MEGABYTES = 10.0, 500.0
DATASET = {
    "name": "minutes",
    "of": {"kind": "spot_bars", "venue": "binance", "base": "SOL", "quote": "USDT"},
    "description": "Five years of minutes",
    "owner": "benchmarks",
    "glob": "SOLUSDT-1m-*.zip",
    "preset": "binance_klines",
    "format": {"interval_minutes": 1},
    "repair": {"drop_exact_duplicates": True},
    "coverage": {"min_share": 0.95, "starts_late": False},
}


def main() -> None:
    """Print seconds and megabytes of both ways, each in fresh processes."""
    with tempfile.TemporaryDirectory() as scratch:
        size = write_archive(Path(scratch))
        environment = child_environment(Path(scratch))
        runs: dict[str, list[dict[str, float]]] = {"feed": [], "pyarrow": []}
        for _ in range(REPEATS):  # interleaved: both see the same machine
            for what, figures in runs.items():
                figures.append(figures_of_child("formats", [what, scratch], environment))
    print(f"{MONTHS} monthly zips of 1-minute klines, {size / 1e6:.0f} MB")
    timings = {what: Timing(tuple(one["seconds"] for one in runs[what])) for what in runs}
    for what, timing in timings.items():
        memory = max(one["megabytes"] for one in runs[what])
        work = min(one["cpu"] for one in runs[what])
        print(f"{what:8}{timing}, {work:.1f} s of CPU, {memory:.0f} MB at most")
    ratio = min(one["cpu"] for one in runs["feed"]) / min(one["cpu"] for one in runs["pyarrow"])
    print(f"targets {SECONDS:.0f} s and {MEGABYTES:.0f} MB; {ratio:.2f}x the CPU of pyarrow alone")


def write_archive(directory: Path) -> int:
    """Write the zips; the bytes of all of them."""
    generator = np.random.default_rng(1)
    size = 0
    for month in pd.period_range("2020-01", periods=MONTHS, freq="M"):
        times = pd.date_range(month.start_time, month.end_time, freq="min").as_unit("us").asi8
        count = len(times)
        prices = np.round(100.0 * np.exp(np.cumsum(generator.normal(0, 1e-4, count + 1))), 2)
        low, high = np.minimum(prices[:-1], prices[1:]), np.maximum(prices[:-1], prices[1:])
        volume = np.round(generator.uniform(1, 1000, count), 3)
        columns = [times, prices[:-1], high, low, prices[1:], volume, times + 59_999_999]
        columns += [np.round(volume * 100, 5), np.full(count, 57), volume / 2, volume * 50]
        table = pa.table([*columns, np.zeros(count, dtype=int)], names=[str(n) for n in range(12)])
        sink = BytesIO()
        csv.write_csv(table, sink, csv.WriteOptions(include_header=False))
        path = directory / f"SOLUSDT-1m-{month}.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(f"SOLUSDT-1m-{month}.csv", sink.getvalue())
        size += path.stat().st_size
    return size


def read_as_feed(directory: Path) -> int:
    """Every check of a feed, and hours of its minutes; the rows."""
    preset = load_file(project_root() / "configs/presets/binance_klines.yaml", Preset, "preset")
    config = validate(DatasetConfig, complete(DATASET, preset), "benchmark")
    return len(read_feed(directory, config).frame)


def read_with_pyarrow(directory: Path) -> int:
    """Unpack and parse six columns, and nothing else; the rows."""
    names = [f"f{n}" for n in range(12)]
    read = csv.ReadOptions(use_threads=False, column_names=names)
    tables = []
    for path in sorted(directory.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            data = archive.read(archive.namelist()[0])
        wanted = csv.ConvertOptions(include_columns=names[:6])
        tables.append(csv.read_csv(pa.py_buffer(data), read, convert_options=wanted))
    return sum(table.num_rows for table in tables)


if __name__ == "__main__":
    what, place = sys.argv[1:]
    start, cpu = time.perf_counter(), time.process_time()
    rows = (read_as_feed if what == "feed" else read_with_pyarrow)(Path(place))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "cpu": cpu, "megabytes": peak, "rows": rows}))
