"""The hour loop: a run that pauses is the same run, and the market it reads says what arrives."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_pipeline.engine.hours import HourCoefficients, hour_coefficients
from basis_pipeline.engine.model import Parameters, parameter_record, venue_terms
from basis_pipeline.engine.simulation import empty_book, empty_table, run_hours
from basis_pipeline.engine.tally import begin
from tests.engine.markets import MODES, mode_case

HOURS = 327


def _run(
    hours: HourCoefficients, parameters: Parameters, capital: float, ends: list[int]
) -> tuple[bytes, ...]:
    """Table, ledger, tally and daily growth of a run that pauses at `ends`."""
    tokens = hours.tokens.shape[1]
    rules, venues = parameter_record(parameters), venue_terms(parameters)
    book, hourly = empty_book(hours), empty_table(HOURS, len(venues), tokens)
    begin(book, rules, capital)
    for first, last in pairwise([0, *sorted(ends), HOURS]):
        run_hours(hours, rules, venues, first, last, 3, book, hourly)
    events = book.events[: book.tally.events]
    return tuple(part.tobytes() for part in (*hourly, events, book.tally, book.midnights))


@pytest.mark.parametrize("mode", MODES)
@given(
    seed=st.integers(0, 1000),
    enabled=st.booleans(),
    crash=st.integers(2, HOURS - 1),
    ends=st.lists(st.integers(0, HOURS), max_size=5),
)
@settings(max_examples=15)
def test_a_pause_changes_no_bit(
    mode: str, seed: int, enabled: bool, crash: int, ends: list[int]
) -> None:
    """Sweeps run all scenarios through one block of hours before the next."""
    market, parameters, capital = mode_case(mode, seed, HOURS)
    parameters = parameters._replace(rebalance_enabled=enabled)
    market.perp_extreme[crash] *= 2.5
    market.oracle_rate[crash:] *= 0.8
    market.flow[crash // 2] = 0.1 * capital
    hours = hour_coefficients(market)
    assert _run(hours, parameters, capital, ends) == _run(hours, parameters, capital, [])


def test_an_hour_names_its_external_events_and_settlements() -> None:
    """The loop looks for flows, payments of rewards and funding only where there are any."""
    market, _, _ = mode_case("usdt_market_neutral", 1, HOURS)
    market.reward_tokens_per_unit[:] = 0.0
    market.funding_rate[:] = 0.0
    market.flow[[0, 70]] = 1.0
    market.reward_payout[:] = -1
    market.reward_payout[100, 1] = 0
    market.funding_rate[[8, 16], 2] = -1e-4
    hours = hour_coefficients(market).asset
    assert np.flatnonzero(hours["has_external_event"]).tolist() == [0, 70, 100]
    assert np.flatnonzero(hours["settles_funding"]).tolist() == [8, 16]
