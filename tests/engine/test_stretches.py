"""Passing marks together is passing them one by one, to the bit."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_pipeline.engine import MarketArrays, Parameters
from basis_pipeline.engine.accounting import unit_table
from basis_pipeline.engine.figures import begin
from basis_pipeline.engine.model import EVENT_COUNT, STRETCH, Units, hourly_width
from basis_pipeline.engine.simulation import empty_book, empty_stretch, run_marks
from tests.engine.markets import MODES, mode_case

HOURS = 5 * STRETCH + 7


def _run(
    market: MarketArrays,
    units: Units,
    parameters: Parameters,
    capital: float,
    ends: tuple[int, ...] = (),
) -> tuple[bytes, ...]:
    """Table, ledger, counts and tally of a run that pauses at `ends`."""
    hours, venues = market.perp_mark.shape
    tokens = market.reward_price.shape[1]
    book, ahead = empty_book(hours, venues, tokens), empty_stretch(venues)
    hourly = np.empty((hours, hourly_width(venues, tokens)))
    begin(book, parameters, capital)
    stops = [0, *sorted(ends), hours]
    for first, last in pairwise(stops):
        run_marks(market, units, parameters, first, last, 3, book, ahead, hourly)
    events = book.events[: book.counts[EVENT_COUNT]]
    arrays = (hourly, events, book.counts, book.tally, book.midnights)
    return tuple(array.tobytes() for array in arrays)


@pytest.mark.parametrize("mode", MODES)
@given(
    seed=st.integers(0, 1000),
    enabled=st.booleans(),
    crash=st.integers(2, HOURS - 1),
    ends=st.lists(st.integers(0, HOURS), max_size=5),
)
@settings(max_examples=15)
def test_where_a_stretch_ends_changes_no_bit(
    mode: str, seed: int, enabled: bool, crash: int, ends: list[int]
) -> None:
    """Every mark done by itself, or the run paused anywhere, leaves the same bytes."""
    market, parameters, capital = mode_case(mode, seed, HOURS)
    parameters = parameters._replace(rebalance_enabled=enabled)
    market.perp_extreme[crash] *= 2.5
    market.oracle_rate[crash:] *= 0.8
    market.flow[crash // 2] = 0.1 * capital
    units = unit_table(market)
    together = _run(market, units, parameters, capital)
    alone = units._replace(arrival=np.arange(HOURS))
    assert _run(market, alone, parameters, capital) == together
    assert _run(market, units, parameters, capital, tuple(ends)) == together


def test_a_stretch_ends_where_something_arrives() -> None:
    """The table knows the next flow or payment of rewards, whatever is held."""
    market, _, _ = mode_case("usdt_market_neutral", 1, HOURS)
    market.reward_tokens_per_unit[:] = 0.0
    market.flow[[0, 70]] = 1.0
    market.reward_tokens_per_unit[100, 1] = 1.0
    arrival = unit_table(market).arrival
    assert arrival[0] == 0
    assert (arrival[1:71] == 70).all()
    assert (arrival[71:101] == 100).all()
    assert (arrival[101:] == HOURS).all()
