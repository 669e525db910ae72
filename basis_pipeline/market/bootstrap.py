"""Bootstrapped price paths: blocks of hours of a panel in random order (Politis & Romano).

Every hour of a path is one hour of the panel, taken whole: returns, funding, rates and basis of all
venues stay together. A block begins at an hour of the same time of day, so that funding settles and
indices step when they do; its length is geometric. Levels grow from the first mark's.
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


def source_rows(marks: int, bootstrap: Bootstrap, path: int) -> Rows:
    """The row of the panel that each hour of a path is taken from: (marks,), the first its own.

    Rows 1 … marks - 1 follow one another in a circle of whole days, so that an hour keeps its time
    of day across its end; hours beyond the last whole day are never drawn. The same path has the
    same rows wherever it is made: its stream is spawned from the seed by its number.

    Raises
    ------
    ConfigError: CONFIG-011 when the panel has no two whole days.
    """
    days = (marks - 1) // DAY
    if days < 2:
        raise ConfigError("CONFIG-011", f"{marks} hours are too few to draw paths from")
    stream = np.random.Philox(np.random.SeedSequence(bootstrap.seed, spawn_key=(path,)))
    random = np.random.Generator(stream)
    steps = np.arange(marks - 1)
    begins = random.random(marks - 1) < 1.0 / bootstrap.mean_block_hours
    begins[0] = True
    day = random.integers(0, days, marks - 1)
    # Where the latest block began, and how far the hour is from there.
    start = np.maximum.accumulate(np.where(begins, steps, 0))
    first = day[start] * DAY + start % DAY
    rows = np.empty(marks, dtype=np.int64)
    rows[0] = 0
    rows[1:] = 1 + (first + steps - start) % (days * DAY)
    return rows


def bootstrapped(panel: Panel, bootstrap: Bootstrap, path: int, mode_slice: ModeSlice) -> Panel:
    """One path of the panel's hours; deterministic in the seed and the path's number.

    Raises ConfigError CONFIG-011 as `source_rows`, BacktestError BT-003 for an unfit panel.
    """
    rows = source_rows(len(panel.timestamps), bootstrap, path)

    def regrown(level: Floats) -> Floats:
        ratio: Floats = level[rows] / level[rows - 1]
        ratio[0] = level[0]
        return np.cumprod(ratio, dtype=np.float64)

    spot, oracle = regrown(panel.spot), regrown(panel.oracle_rate)
    usd = regrown(panel.numeraire_usd)
    asset: Floats = spot / panel.spot[rows]  # (n,) what an hour's price is worth on the path
    follows = asset if mode_slice.gas_token == mode_slice.mode.asset else np.ones(len(rows))
    quotes = _known(panel.reward_price / panel.spot[:, None])[rows]
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
        gas_price=panel.gas_price[rows] * follows,
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


def _known(quotes: Floats) -> Floats:
    """Quotes with the first one known also before it: a path may pay a token at any hour."""
    filled = quotes.copy()
    for column in range(quotes.shape[1]):
        known = np.flatnonzero(np.isfinite(quotes[:, column]))
        if len(known):
            filled[: known[0], column] = quotes[known[0], column]
    return filled
