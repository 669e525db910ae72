"""Measurements: the worst figures of a run."""

from dataclasses import replace

import numpy as np
import pytest

from basis_pipeline.config import load_configs
from basis_pipeline.config.control import Limit
from basis_pipeline.operations.control.measurements import measurements_of
from basis_pipeline.results.store import RunResult
from basis_pipeline.settings import project_root
from tests.results.made_run import make_run

CONFIGS = load_configs(project_root() / "configs")


def with_equity(result: RunResult, equity: np.ndarray) -> RunResult:
    """The run with another equity, without flows."""
    frame = result.frames["equity"].assign(equity=equity, flow=0.0)
    return replace(result, frames={**result.frames, "equity": frame})


def test_the_daily_loss_is_the_worst_day_between_midnights() -> None:
    """A tenth on the second day, a twentieth on the fourth: a tenth, whatever lay between."""
    result = make_run()
    stamps = result.frames["equity"]["timestamp"]
    day = np.minimum((stamps - stamps.iloc[0].normalize()).dt.days.to_numpy(), 4)
    level = np.array([1.0, 1.0, 0.9, 1.2, 1.14])[day] * result.identity.capital
    level[1::24] *= 0.5  # an hour's dip within a day is drawdown, not a day's loss
    figures = {figure.limit: figure.value for figure in measurements_of(with_equity(result, level))}
    assert figures[Limit.DAILY_LOSS] == pytest.approx(0.1, rel=1e-12)


def test_figures_are_the_runs_own_and_what_is_not_defined_is_left_out() -> None:
    """No debt, no health factor: nothing to watch."""
    result = make_run()
    summary = {**result.summary, "max_drawdown": 0.3, "min_health_factor": None}
    summary |= {"min_margin_ratio": 0.2, "max_abs_delta": 0.01}
    found = measurements_of(replace(result, summary=summary))
    figures = {figure.limit: figure.value for figure in found}
    assert figures[Limit.DRAWDOWN] == 0.3
    assert figures[Limit.MARGIN_RATIO] == 0.2
    assert figures[Limit.DELTA] == 0.01
    assert Limit.HEALTH_FACTOR not in figures
    assert {figure.mode for figure in found} == {result.mode}
