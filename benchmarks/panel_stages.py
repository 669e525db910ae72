"""Child process: raw files to the panels of all modes, or only reading the same files.

Arguments: stages | pyarrow | pandas, the data directory, the window's start and end. Prints seconds
as JSON, imports not counted.
"""

import json
import sys
import time
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pandera.backends.pandas.builtin_checks  # noqa: F401 - pandera imports it, and much, late
import pyarrow as pa
from pyarrow import csv

from basis_pipeline.backtests.ingest import feeds_for
from basis_pipeline.config import Configs, load_configs, slice_mode
from basis_pipeline.market.dataset import Dataset, build_datasets
from basis_pipeline.market.panel import build_panel
from basis_pipeline.market.raw import read_feeds
from basis_pipeline.market.window import parse_window
from basis_pipeline.settings import project_root


def stages(configs: Configs, data_dir: Path, start: str, end: str) -> dict[str, float]:
    """Seconds of reading, building datasets and building panels."""
    slices = [slice_mode(configs, mode) for mode in configs.modes]
    window = parse_window(start, end)
    clock = [time.perf_counter()]
    names = {name for mode_slice in slices for name in mode_slice.datasets}
    wanted = [configs.datasets[name] for name in feeds_for(configs, names)]
    families = read_feeds(data_dir, wanted)
    clock.append(time.perf_counter())
    datasets = build_datasets([configs.datasets[name] for name in sorted(names)], families, window)
    clock.append(time.perf_counter())
    for mode_slice in slices:
        if all(isinstance(datasets[name], Dataset) for name in mode_slice.datasets):
            build_panel(mode_slice, datasets, window)
    clock.append(time.perf_counter())
    seconds = [later - earlier for earlier, later in pairwise(clock)]
    return dict(zip(("read", "build", "panel"), seconds, strict=True))


def only_read(reader: str, configs: Configs, data_dir: Path) -> dict[str, float]:
    """Seconds of reading the same files and nothing else; a document is parsed as JSON."""
    names = {name for mode in configs.modes for name in slice_mode(configs, mode).datasets}
    families = [configs.datasets[name] for name in feeds_for(configs, names)]
    start = time.perf_counter()
    size = 0
    for path in sorted({path for family in families for path in data_dir.glob(family.glob)}):
        data = path.read_bytes()
        size += len(data)
        if path.suffix == ".json":
            json.loads(data)
        elif reader == "pandas":
            pd.read_csv(path, comment="#")
        else:
            while data.startswith(b"#"):
                data = data.partition(b"\n")[2]
            csv.read_csv(pa.py_buffer(data))
    return {"read": time.perf_counter() - start, "megabytes": size / 1e6}


if __name__ == "__main__":
    what, directory, *window_ends = sys.argv[1:]
    found = load_configs(project_root() / "configs")
    if what == "stages":
        print(json.dumps(stages(found, Path(directory), *window_ends)))
    else:
        print(json.dumps(only_read(what, found, Path(directory))))
