"""Child process: the first call of the kernel, or of a one-line function for comparison.

Prints seconds as JSON. `--without-scipy` hides scipy, which numba imports where it finds it.
"""

import json
import sys
import time

if "--without-scipy" in sys.argv:
    sys.modules["scipy"] = None  # type: ignore[assignment]

import numpy as np

from basis_pipeline.config import load_configs, slice_mode
from basis_pipeline.engine.accounting import unit_table
from basis_pipeline.engine.compiled import compiled
from basis_pipeline.engine.figures import begin
from basis_pipeline.engine.model import hourly_width
from basis_pipeline.engine.risk import FIRST_VENUE, measure_marks
from basis_pipeline.engine.simulation import empty_book, run_marks
from basis_pipeline.runs.inputs import parameters_of
from basis_pipeline.settings import project_root
from benchmarks.made_market import HOURS, made_market


@compiled
def add_one(x: float) -> float:
    """Return the least a kernel can do."""
    return x + 1.0


def first_run() -> float:
    """Seconds of the first run of a mode, its arrays ready: 0.5 ms of it is the run itself."""
    mode_slice = slice_mode(load_configs(project_root() / "configs"), "usdt_market_neutral")
    market, parameters = made_market(mode_slice), parameters_of(mode_slice)
    venues, tokens = market.perp_mark.shape[1], market.reward_price.shape[1]
    book = empty_book(HOURS, venues, tokens)
    hourly = np.empty((HOURS, hourly_width(venues, tokens)))
    risk = np.empty((HOURS, FIRST_VENUE + 2 * venues))
    start = time.perf_counter()
    begin(book, parameters, 100_000.0)
    run_marks(market, unit_table(market), parameters, 0, HOURS, 0, book, hourly)
    measure_marks(market, parameters, hourly, risk)
    return time.perf_counter() - start


def first_addition() -> float:
    """Seconds of the first call of the one-line function."""
    start = time.perf_counter()
    add_one(1.0)
    return time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps({"seconds": first_addition() if "--addition" in sys.argv else first_run()}))
