"""Growth of the same capital at the lending rate and in the share class's benchmark."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from basis_pipeline.config import Configs, ModeSlice
from basis_pipeline.config.universe import Kind
from basis_pipeline.engine.model import Floats
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.values import MarketValues
from basis_pipeline.market.window import Window
from basis_pipeline.results import metrics

LENDING = "lending"


def benchmark_names(mode_slice: ModeSlice, configs: Configs) -> dict[str, str]:
    """Return benchmark → dataset for the slice's share class. No dataset has to exist."""
    share_class = mode_slice.share_class
    lent = {"venue": mode_slice.mode.lending.protocol, "token": share_class.lending_token}
    names = {LENDING: configs.matching(Kind.LENDING_RATES, **lent)}
    if share_class.benchmark is not None:
        label = share_class.benchmark.lower()
        names[label] = configs.matching(Kind.BENCHMARK, token=share_class.benchmark)
    return {label: datasets[0] for label, datasets in names.items() if len(datasets) == 1}


def benchmark_table(
    names: Mapping[str, str], datasets: Mapping[str, Dataset | DataError], window: Window
) -> tuple[pd.DataFrame | None, dict[str, str]]:
    """Return the growth of one unit at every hour of the window, one column per benchmark.

    A benchmark whose dataset is absent, rejected or too short is left out: no run depends on one.
    The table is None when nothing is left; the second value is dataset → content hash.
    """
    growth: dict[str, Floats] = {}
    hashes: dict[str, str] = {}
    for label, name in names.items():
        dataset = datasets.get(name)
        if not isinstance(dataset, Dataset):
            continue
        try:
            growth[label] = _growth(label, dataset, window)
        except DataError:  # its rates end before the window does
            continue
        hashes |= dataset.content_hashes
    if not growth:
        return None, {}
    return pd.DataFrame({"timestamp": window.hours, **growth}), hashes


def _growth(label: str, dataset: Dataset, window: Window) -> Floats:
    if label == LENDING:
        token = str(dataset.config.of.token)
        index = MarketValues({dataset.name: dataset}).liquidity_index(token, window.hours.asi8)
        growth: Floats = index / index[0]
        return growth
    days = pd.DatetimeIndex(dataset.frame["timestamp"]).asi8
    rate = dataset.frame["apr"].to_numpy(dtype=np.float64)
    return metrics.growth_at_rate(window.hours.asi8, days, rate)
