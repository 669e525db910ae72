"""Bootstrapped price paths: blocks of hours of a panel in random order (Politis & Romano).

Every hour of a path is one whole hour of the panel: returns, funding, rates and basis of all venues
stay together. A block begins at the same time of day, so that funding settles and indices step at
their own hours; its length is geometric. Levels grow from those of the first hour.
"""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from basis_pipeline.config.scenario import Bootstrap
from basis_pipeline.config.slicing import ModeSlice
from basis_pipeline.errors import ConfigError
from basis_pipeline.files import sha256
from basis_pipeline.market.panel import Panel, require_fit
from basis_pipeline.market.timeline import Floats

Rows = npt.NDArray[np.int64]

DAY = 24


def source_rows(hours: int, bootstrap: Bootstrap, path: int) -> Rows:
    """Return the row of the panel that each hour of a path is drawn from, (hours,); row 0 first.

    Rows 1 … hours - 1 form a circle of whole days, so that an hour keeps its time of day across the
    end; hours after the last whole day are never drawn. The rows depend only on the arguments: the
    random stream is spawned from the seed by the path's number.

    Raises
    ------
    ConfigError: CONFIG-011 when the panel has less than two whole days.
    """
    days = (hours - 1) // DAY
    if days < 2:
        raise ConfigError("CONFIG-011", f"{hours} hours are too few to draw paths from")
    stream = np.random.Philox(np.random.SeedSequence(bootstrap.seed, spawn_key=(path,)))
    random = np.random.Generator(stream)
    steps = np.arange(hours - 1)
    begins = random.random(hours - 1) < 1.0 / bootstrap.mean_block_hours
    begins[0] = True
    day = random.integers(0, days, hours - 1)
    # The step at which the block of each hour begins.
    start = np.maximum.accumulate(np.where(begins, steps, 0))
    first = day[start] * DAY + start % DAY
    rows = np.empty(hours, dtype=np.int64)
    rows[0] = 0
    rows[1:] = 1 + (first + steps - start) % (days * DAY)
    return rows


def draw_path(panel: Panel, bootstrap: Bootstrap, path: int, mode_slice: ModeSlice) -> Panel:
    """Draw one path of the panel's hours; deterministic in the seed and the path's number.

    Raises ConfigError CONFIG-011 as `source_rows`, BacktestError BT-003 for an unfit panel.
    """
    rows = source_rows(len(panel.timestamps), bootstrap, path)

    def regrown(level: Floats) -> Floats:
        ratio: Floats = level[rows] / level[rows - 1]
        ratio[0] = level[0]
        return np.cumprod(ratio, dtype=np.float64)

    spot, oracle = regrown(panel.spot), regrown(panel.oracle_rate)
    usd = regrown(panel.numeraire_usd)
    asset: Floats = spot / panel.spot[rows]  # (n,) price on the path over price in the panel
    gas_factor = asset if mode_slice.gas_token == mode_slice.mode.asset else np.ones(len(rows))
    quotes = _fill_before_first(panel.reward_price / panel.spot[:, None])[rows]
    drawn = replace(
        panel,
        spot=spot,
        perp_mark=panel.perp_mark[rows] * asset[:, None],
        perp_extreme=panel.perp_extreme[rows] * asset[:, None],
        funding_rate=panel.funding_rate[rows],
        lending_index=regrown(panel.lending_index),
        collateral_index=regrown(panel.collateral_index),
        borrow_index=regrown(panel.borrow_index),
        pool_supplied=panel.pool_supplied[rows],
        pool_collateral=panel.pool_collateral[rows],
        pool_borrowed=panel.pool_borrowed[rows],
        oracle_rate=oracle,
        market_rate=panel.market_rate[rows] / panel.oracle_rate[rows] * oracle,
        gas_price=panel.gas_price[rows] * gas_factor,
        numeraire_usd=usd,
        cost_bps=panel.cost_bps[rows],
        reward_tokens_per_unit=panel.reward_tokens_per_unit[rows],
        reward_slot=panel.reward_slot[rows],
        reward_payout=panel.reward_payout[rows],
        reward_price=quotes * spot[:, None],
        repaired=panel.repaired[rows],
        repairs={name: flags[rows] for name, flags in panel.repairs.items()},
        data_hashes={
            **panel.data_hashes,
            "bootstrap": sha256(bootstrap.model_dump_json(), str(path)),
        },
    )
    require_fit(drawn)
    return drawn


def _fill_before_first(quotes: Floats) -> Floats:
    """Quotes with the first one also before it: a path may pay a token at any hour."""
    filled = quotes.copy()
    for column in range(quotes.shape[1]):
        known = np.flatnonzero(np.isfinite(quotes[:, column]))
        if len(known):
            filled[: known[0], column] = quotes[known[0], column]
    return filled
