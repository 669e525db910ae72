"""Plots are pictures of the tables they are given."""

import io

import matplotlib.image
import numpy as np
import pytest

from basis_pipeline.results.plots import attribution_plot_png, equity_plot_png, growth_plot_png
from basis_pipeline.results.tables import COMPONENTS
from tests.results.made_run import frames_of


def pixels(png: bytes) -> np.ndarray:
    """Height × width × colours of a PNG."""
    assert png.startswith(b"\x89PNG")
    return np.asarray(matplotlib.image.imread(io.BytesIO(png), format="png"))


def test_equity_plot_shows_the_values() -> None:
    """The same table gives the same bytes, another table other pixels."""
    frame = frames_of()["equity"]
    png = equity_plot_png(frame, currency="USDT")
    assert pixels(png).shape[:2] == (405, 900)
    assert png == equity_plot_png(frame, currency="USDT")
    deeper = frame.assign(drawdown=frame["drawdown"] * 3.0)
    assert (pixels(equity_plot_png(deeper, currency="USDT")) != pixels(png)).any()


def test_attribution_plot_leaves_out_what_never_moved() -> None:
    """A component of zeros is not in the legend; one that moves is."""
    frame = frames_of()["attribution"]
    moved = frame.assign(staking=0.5)
    assert (pixels(attribution_plot_png(moved)) != pixels(attribution_plot_png(frame))).any()
    still = frame.assign(**dict.fromkeys(COMPONENTS, 0.0))
    assert pixels(attribution_plot_png(still)).shape[:2] == (360, 900)


@pytest.mark.parametrize("runs", [1, 12])
def test_growth_plot_takes_any_number_of_runs(runs: int) -> None:
    """More runs than colours are told apart by their lines."""
    frame = frames_of()["equity"]
    growth = {
        f"run {i}": (frame["timestamp"], np.linspace(1.0, 1.0 + i, len(frame))) for i in range(runs)
    }
    assert pixels(growth_plot_png(growth)).shape[1] == 900
