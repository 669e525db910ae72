"""The picture that the Dagster UI shows beside a run."""

import io
from dataclasses import replace

import matplotlib.image
import numpy as np

from basis_pipeline.reports.static_figures import equity_png
from tests.results.made_run import make_run


def pixels(png: bytes) -> np.ndarray:
    """Height × width × colours of a PNG."""
    assert png.startswith(b"\x89PNG")
    return np.asarray(matplotlib.image.imread(io.BytesIO(png), format="png"))


def test_equity_is_what_the_table_holds() -> None:
    """The same table gives the same bytes, another table other pixels."""
    run = make_run()
    png = equity_png(run)
    assert pixels(png).shape[:2] == (400, 900)
    assert png == equity_png(run)
    deeper = {**run.frames, "equity": run.frames["equity"].assign(drawdown=0.5)}
    assert (pixels(equity_png(replace(run, frames=deeper))) != pixels(png)).any()
