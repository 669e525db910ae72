"""A made-up market for the engine: 11,857 hours, every array moving as its original does."""

import numpy as np

from basis_pipeline.config import ModeSlice
from basis_pipeline.engine import MarketArrays
from basis_pipeline.engine.model import Floats

HOURS = 11_857
VOLATILITY = 0.006  # an hour


def _index(rng: np.random.Generator, level: float, yearly: float) -> Floats:
    return level * np.exp(np.cumsum(rng.uniform(0.0, 2.0 * yearly / 8760.0, HOURS)))


def _deviation(rng: np.random.Generator, columns: int, size: float) -> Floats:
    """A deviation that lives for about a day: AR(1), (HOURS, columns)."""
    noise = rng.normal(0.0, size * np.sqrt(1.0 - 0.96**2), (HOURS, columns))
    path = np.empty_like(noise)
    path[0] = noise[0]
    for t in range(1, HOURS):
        path[t] = 0.96 * path[t - 1] + noise[t]
    return path


def made_market(mode_slice: ModeSlice, seed: int = 1) -> MarketArrays:
    """Market of one mode: funding every 8 hours, rewards every week, intrabar highs above marks."""
    mode = mode_slice.mode
    venues, tokens = len(mode_slice.hedge_exchanges), len(mode_slice.reward_tokens)
    rng = np.random.default_rng(seed)
    price = 3000.0 * np.exp(np.cumsum(rng.normal(0.0, VOLATILITY, HOURS)))
    spot = price if mode.buys_asset else np.ones(HOURS)
    mark = price[:, None] * (1.0 + _deviation(rng, venues, 4e-4))
    extreme = mark.copy()
    extreme[1:] = np.maximum(mark[1:], mark[:-1])
    extreme[1:] *= 1.0 + np.abs(rng.normal(0.0, 2e-3, (HOURS - 1, venues)))
    funding = np.zeros((HOURS, venues))
    funding[::8] = 1e-4 + _deviation(rng, venues, 1e-4)[::8]
    rewards = np.full((HOURS, tokens), 3e-7)
    payout = np.full((HOURS, tokens), -1)
    payout[100::168] = 0
    oracle = _index(rng, 1.037, 0.03)
    still = np.ones(HOURS)
    return MarketArrays(
        spot=spot,
        perp_mark=mark,
        perp_extreme=extreme,
        funding_rate=funding,
        lending_index=_index(rng, 1.05, 0.05),
        collateral_index=_index(rng, 1.0004, 5e-4) if mode.is_leveraged else still,
        borrow_index=_index(rng, 1.043, 0.025),
        oracle_rate=oracle,
        market_rate=oracle * (1.0 - 3e-4 + _deviation(rng, 1, 3e-4)[:, 0]),
        lst_mark=oracle,
        gas_price=rng.lognormal(np.log(15e-9), 0.6, HOURS) * spot,
        numeraire_usd=still if mode.buys_asset else price,
        cost_bps=rng.uniform(2.0, 8.0, (HOURS, 2 + tokens + venues, 3)),
        reward_tokens_per_unit=rewards,
        reward_slot=np.zeros((HOURS, tokens), dtype=np.int64),
        reward_payout=payout,
        reward_price=spot[:, None] * np.exp(_deviation(rng, tokens, 0.2)) / 1000.0,
        flow=np.zeros(HOURS),
    )
