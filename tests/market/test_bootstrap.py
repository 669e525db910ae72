"""Paths are blocks of whole hours of history, deterministic in seed and number."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_pipeline.backtests.inputs import market_arrays, parameters_of
from basis_pipeline.config.scenario import Bootstrap
from basis_pipeline.engine import simulate
from basis_pipeline.errors import ConfigError
from basis_pipeline.market.bootstrap import draw_path, source_rows
from basis_pipeline.market.panel import ARRAYS
from tests.market.test_shocks import HEDGED, MODES, case


def made(block: int = 24, seed: int = 1) -> Bootstrap:
    """Return a bootstrap with blocks of a mean length in hours."""
    return Bootstrap(paths=1000, mean_block_hours=block, seed=seed)


@given(hours=st.integers(49, 3000), block=st.integers(2, 500), path=st.integers(0, 10**6))
@settings(deadline=None)
def test_rows_are_hours_of_the_same_time_of_day(hours: int, block: int, path: int) -> None:
    """Every hour but the first is drawn, none from outside, each for its own time of day."""
    rows = source_rows(hours, made(block), path)
    assert rows[0] == 0
    assert rows[1:].min() >= 1
    assert rows.max() <= (hours - 1) // 24 * 24
    assert np.all((rows - np.arange(hours)) % 24 == 0)
    assert np.array_equal(rows, source_rows(hours, made(block), path))


def test_blocks_are_as_long_as_asked_on_average() -> None:
    """A year of paths: the mean block is that of the set to some percent, and hours are even."""
    hours, block = 8761, 100
    breaks = seen = 0
    drawn = np.zeros(hours)
    for path in range(100):
        rows = source_rows(hours, made(block), path)[1:]
        follows = np.diff(rows)
        breaks += int(((follows != 1) & (follows != 1 - 8760)).sum()) + 1
        seen += hours - 1
        drawn += np.bincount(rows, minlength=hours)
    assert seen / breaks == pytest.approx(block, rel=0.05)
    assert drawn[1:].mean() == pytest.approx(100.0)
    assert drawn[1:].std() < 40.0


def test_paths_differ_by_number_and_seed() -> None:
    """No two paths are the same, nor the same path of another seed."""
    kinds = {source_rows(2000, made(48, seed), p).tobytes() for seed in (1, 2) for p in range(20)}
    assert len(kinds) == 40


@pytest.mark.parametrize("mode", MODES)
@given(path=st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_an_hour_stays_whole_and_the_books_balance(mode: str, path: int) -> None:
    """Joint rows: return, funding, basis and peg of an hour come from one hour of history."""
    sliced, panel = case(mode)
    drawn = draw_path(panel, made(), path, sliced)
    rows = source_rows(len(panel.timestamps), made(), path)[1:]
    for name in ("spot", "lending_index", "borrow_index", "collateral_index", "oracle_rate"):
        level, before = getattr(drawn, name), getattr(panel, name)
        assert np.allclose(level[1:] / level[:-1], before[rows] / before[rows - 1], rtol=1e-12)
        assert level[0] == before[0]
    assert np.array_equal(drawn.funding_rate[1:], panel.funding_rate[rows])
    assert np.allclose(
        drawn.perp_mark[1:] / drawn.spot[1:, None], panel.perp_mark[rows] / panel.spot[rows, None]
    )
    assert np.allclose(
        drawn.market_rate[1:] / drawn.oracle_rate[1:],
        panel.market_rate[rows] / panel.oracle_rate[rows],
    )
    again = draw_path(panel, made(), path, sliced)
    assert all(getattr(drawn, n).tobytes() == getattr(again, n).tobytes() for n in ARRAYS)
    run = simulate(market_arrays(drawn, sliced), parameters_of(sliced), 1e5)
    assert np.all(np.abs(run.residual) <= 1e-9 * np.abs(run.equity))


def test_a_path_has_its_own_hash_and_needs_two_days() -> None:
    """Runs on a path are not runs on history, and less than two days are rejected."""
    sliced, panel = case(HEDGED)
    hashes = [draw_path(panel, made(), p, sliced).data_hashes["bootstrap"] for p in (0, 1)]
    assert hashes[0] != hashes[1]
    with pytest.raises(ConfigError, match="CONFIG-011"):
        source_rows(48, made(), 0)
