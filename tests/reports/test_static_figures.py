"""Pictures and prints show the run they are given."""

import io
import re
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest

from basis_pipeline.reports.comparison import Entry
from basis_pipeline.reports.static_figures import (
    comparison_png,
    equity_png,
    tear_sheet_pdf,
    tear_sheet_png,
)
from tests.reports.conftest import FAILED, PASSED, Named
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


@pytest.mark.parametrize("name", ["pure_lending", "usdt_market_neutral", "liquidated"])
def test_a_failed_gate_changes_the_picture(sample_runs: Named, name: str) -> None:
    """The stamp is filled with the colour of alarm: far more of it than without."""

    def alarm(png: bytes) -> int:
        red = np.array([0xA3, 0x15, 0x15]) / 255
        return int((np.abs(pixels(png)[:, :, :3] - red).max(axis=2) < 0.01).sum())

    result = sample_runs[name][0]
    calm, failed = (tear_sheet_png(result, gates) for gates in (PASSED, FAILED))
    assert alarm(failed) > 500
    if name != "liquidated":
        assert alarm(failed) > 5 * alarm(calm)


def test_a_print_has_a_page_each_for_summary_risk_and_what_it_rests_on(sample_runs: Named) -> None:
    """The same run gives the same bytes."""
    result, gates = sample_runs["usdt_market_neutral"]
    printed = tear_sheet_pdf(result, gates)
    assert printed.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", printed)) >= 3
    assert printed == tear_sheet_pdf(result, gates)


@pytest.mark.parametrize("runs", [1, 12])
def test_a_comparison_takes_any_number_of_runs(runs: int) -> None:
    """One line a run."""
    entries = [Entry(make_run(f"mode_{i}", seed=i), PASSED) for i in range(runs)]
    assert pixels(comparison_png(entries)).shape[1] == 900
