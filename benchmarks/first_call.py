"""Child process: the first call of the kernel, or of a one-line function for comparison.

Prints seconds as JSON. `--without-scipy` hides scipy, which numba imports where it finds it.
"""

import json
import sys
import time

if "--without-scipy" in sys.argv:
    sys.modules["scipy"] = None  # type: ignore[assignment]

import numpy as np

from basis_pipeline.backtests.inputs import parameters_of
from basis_pipeline.config import load_configs, slice_mode
from basis_pipeline.engine.compiled import entry
from basis_pipeline.engine.hours import hour_coefficients
from basis_pipeline.engine.model import parameter_record, venue_terms
from basis_pipeline.engine.risk import RISK, VENUE_RISK, measure_hours
from basis_pipeline.engine.simulation import empty_book, empty_table, run_hours
from basis_pipeline.engine.tally import begin
from basis_pipeline.settings import project_root
from benchmarks.made_market import HOURS, made_market


@entry
def add_one(x: float) -> float:
    """Return the least a kernel can do."""
    return x + 1.0


def first_run() -> float:
    """Seconds of the first run of a mode, its arrays ready: 0.5 ms of it is the run itself."""
    mode_slice = slice_mode(load_configs(project_root() / "configs"), "usdt_market_neutral")
    market, parameters = made_market(mode_slice), parameters_of(mode_slice)
    rules, terms = parameter_record(parameters), venue_terms(parameters)
    shape = (*market.perp_mark.shape, market.reward_price.shape[1])
    hours, hourly = hour_coefficients(market), empty_table(*shape)
    book = empty_book(hours)
    risk, venue_risk = np.zeros(HOURS, RISK), np.zeros(shape[:2], VENUE_RISK)
    start = time.perf_counter()
    begin(book, rules, 100_000.0)
    run_hours(hours, rules, terms, 0, HOURS, 0, book, hourly)
    measure_hours(hours, rules, terms, hourly, risk, venue_risk)
    return time.perf_counter() - start


def first_addition() -> float:
    """Seconds of the first call of the one-line function."""
    start = time.perf_counter()
    add_one(1.0)
    return time.perf_counter() - start


if __name__ == "__main__":
    print(json.dumps({"seconds": first_addition() if "--addition" in sys.argv else first_run()}))
