"""What limits watch: the figures of a finished backtest, and the age of the data."""

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import numpy as np

from basis_pipeline.config import Configs, ModeSlice
from basis_pipeline.config.control import Limit
from basis_pipeline.errors import DataError
from basis_pipeline.market.raw import RawFeed, read_feeds
from basis_pipeline.operations.control.model import Measurement
from basis_pipeline.results import metrics
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.summary import growth_of, stamps

SUMMARY_FIGURES = {
    Limit.DRAWDOWN: "max_drawdown",
    Limit.HEALTH_FACTOR: "min_health_factor",
    Limit.MARGIN_RATIO: "min_margin_ratio",
    Limit.DELTA: "max_abs_delta",
}


def measurements_of(result: RunResult) -> list[Measurement]:
    """Return the worst figures of a run (SEMANTICS 10, 11); one that is not defined is left out."""
    worst = {limit: result.summary.get(name) for limit, name in SUMMARY_FIGURES.items()}
    worst[Limit.DAILY_LOSS] = _daily_loss(result)
    return [Measurement(limit, v, result.mode) for limit, v in worst.items() if v is not None]


def _daily_loss(result: RunResult) -> float | None:
    """Return the largest loss between consecutive 00:00 UTC, as a fraction, without flows."""
    growth = growth_of(result.frames, result.identity.capital)
    returns = metrics.daily_returns(stamps(result.frames["equity"]), growth)
    defined = returns[np.isfinite(returns)]
    return float(max(0.0, -defined.min())) if defined.size else None


def data_ages(
    data_dir: Path, configs: Configs, slices: Iterable[ModeSlice], now: datetime
) -> list[Measurement]:
    """Measure the hours from the last row of each feed that a mode reads to `now`.

    A feed without times, or one that cannot be read, has no age: its own gates say what is wrong.
    """
    read = {mode_slice.name: sorted(mode_slice.datasets) for mode_slice in slices}
    names = sorted({name for names in read.values() for name in names})
    feeds = read_feeds(data_dir, [configs.datasets[name] for name in names])
    ages = {name: age for name, found in feeds.items() if (age := _age(found, now)) is not None}
    return [
        Measurement(Limit.DATA_AGE, ages[name], mode, name)
        for mode, names in read.items()
        for name in names
        if name in ages
    ]


def _age(found: RawFeed | DataError, now: datetime) -> float | None:
    if isinstance(found, DataError) or (span := found.span) is None:
        return None
    return (now - span[1].to_pydatetime()).total_seconds() / 3600.0
