"""Made-up markets for the engine, and the modes as its parameters."""

from typing import Any

import numpy as np

from basis_pipeline.engine import MarketArrays, Parameters
from basis_pipeline.engine.model import Floats

VENUES, TOKENS = 3, 2
WEIGHTS: dict[int, list[float]] = {0: [], 1: [1.0], 3: [0.4, 0.3, 0.3]}


def _index(rng: np.random.Generator, hours: int, yearly: float) -> Floats:
    return np.exp(np.cumsum(rng.uniform(0.0, 2.0 * yearly / 8760.0, hours)))


def made_market(
    seed: int = 0,
    hours: int = 600,
    *,
    volatility: float = 0.006,
    leveraged: bool = True,
    numeraire_is_asset: bool = False,
    venues: int = VENUES,
) -> MarketArrays:
    """Return a random market: indices at various levels, funding every 8 hours, weekly rewards."""
    rng = np.random.default_rng(seed)
    walk = 3000.0 * np.exp(np.cumsum(rng.normal(0.0, volatility, hours)))
    spot = np.ones(hours) if numeraire_is_asset else walk
    mark = walk[:, None] * (1.0 + rng.normal(0.0, 4e-4, (hours, venues)))
    extreme = mark.copy()
    extreme[1:] = np.maximum(mark[1:], mark[:-1]) * (1.0 + rng.uniform(0.0, 2e-3, mark[1:].shape))
    funding = np.zeros((hours, venues))
    funding[::8] = rng.normal(1e-4, 1e-4, funding[::8].shape)
    # Weekly periods, each paid 12 hours after its end.
    rewards = np.full((hours, TOKENS), (0.18 / 168.0, 0.05 / 168.0))
    slot = np.repeat((np.arange(hours) // 168 % 2)[:, None], TOKENS, axis=1)
    payout = np.full((hours, TOKENS), -1)
    ends = np.arange(168, hours - 12, 168)
    payout[ends + 12] = slot[ends - 1]
    oracle = 1.037 * _index(rng, hours, 0.03)
    return MarketArrays(
        spot=spot,
        perp_mark=mark,
        perp_extreme=extreme,
        funding_rate=funding,
        lending_index=1.05 * _index(rng, hours, 0.05),
        collateral_index=1.0004 * _index(rng, hours, 5e-4) if leveraged else np.ones(hours),
        borrow_index=1.043 * _index(rng, hours, 0.025),
        oracle_rate=oracle,
        market_rate=oracle * (1.0 + rng.normal(-3e-4, 3e-4, hours)),
        lst_mark=oracle,
        gas_price=np.full(hours, 12e-9) * (1.0 if numeraire_is_asset else walk),
        numeraire_usd=walk.copy() if numeraire_is_asset else np.ones(hours),
        cost_bps=np.broadcast_to((4.0, 6.0, 9.0), (hours, 2 + TOKENS + venues, 3)).copy(),
        reward_tokens_per_unit=rewards,
        reward_slot=slot,
        reward_payout=payout,
        reward_price=np.full((hours, TOKENS), 3.0) * spot[:, None] / 3000.0,
        flow=np.zeros(hours),
    )


def made_parameters(venues: int = VENUES, **changes: Any) -> Parameters:
    """Return leveraged market-neutral staking with the default bands; `changes` replace fields."""
    fields: dict[str, Any] = {
        "lending_weight": 0.0,
        "spot_weight": 0.0,
        "staking_weight": 0.5,
        "target_ltv": 0.65,
        "flash_fee": 0.0,
        "hedge_ratio": 1.0,
        "hedge_weights": np.array(WEIGHTS[venues]),
        "carry": np.zeros(venues),
        "initial_margin": np.full(venues, 0.1),
        "maintenance_margin": np.full(venues, 0.05),
        "liquidation_fee": np.full(venues, 0.0125),
        "liquidation_threshold": 0.95,
        "liquidation_bonus": 0.01,
        "liquidates_at_extreme": True,
        "rebalance_enabled": True,
        "margin_ratio_min": 0.25,
        "margin_ratio_max": 2.0,
        "delta_band": 0.02,
        "ltv_band": 0.01,
        "health_factor_floor": 1.02,
        "idle_band": 0.02,
        "drift_band": 0.15,
        "costs_enabled": True,
        "gas_multiplier": 1.2,
        "trades_asset": True,
        "swaps_on_chain": False,
        "margin_at_spot_venue": 1,
    }
    return Parameters(**{**fields, **changes})


UNHEDGED = {"hedge_ratio": 0.0, "margin_at_spot_venue": -1, "venues": 0}
IN_ETH = {**UNHEDGED, "trades_asset": False, "staking_weight": 1.0}
MODES: dict[str, dict[str, Any]] = {
    "pure_lending": {**UNHEDGED, "lending_weight": 1.0, "staking_weight": 0.0, "target_ltv": 0.0},
    "pure_lending_eth": {
        **IN_ETH,
        "lending_weight": 1.0,
        "staking_weight": 0.0,
        "target_ltv": 0.0,
    },
    "btc_basis": {"spot_weight": 0.5, "staking_weight": 0.0, "target_ltv": 0.0},
    "eth_basis": {"spot_weight": 0.4, "staking_weight": 0.0, "target_ltv": 0.0},
    "eth_staking_only": {**IN_ETH, "target_ltv": 0.0},
    "eth_leveraged": IN_ETH,
    "usdt_market_neutral_no_leverage": {"target_ltv": 0.0},
    "usdt_market_neutral": {},
    "funding_arbitrage": {
        "hedge_ratio": 0.0,
        "carry": np.array([-0.8, 0.5, 0.3]),
        "hedge_weights": np.array([0.5, 0.3125, 0.1875]),
        "staking_weight": 0.0,
        "target_ltv": 0.0,
        "margin_at_spot_venue": -1,
    },
}


def mode_case(
    mode: str, seed: int = 0, hours: int = 600, volatility: float = 0.006, **changes: Any
) -> tuple[MarketArrays, Parameters, float]:
    """Return market, parameters and capital of one of the modes."""
    fields = MODES[mode] | changes
    venues = fields.pop("venues", VENUES)
    parameters = made_parameters(venues, **fields)
    market = made_market(
        seed,
        hours,
        volatility=volatility,
        leveraged=parameters.target_ltv > 0.0,
        numeraire_is_asset=not parameters.trades_asset,
        venues=venues,
    )
    market = for_carry(market, parameters.carry)
    return market, parameters, 100_000.0 if parameters.trades_asset else 100.0


def for_carry(market: MarketArrays, carry: Floats) -> MarketArrays:
    """Return the market of a carry: the price is the legs' mean, a long's extreme is a low.

    A low is as far below the lower of its two marks as the high was above the higher one.
    """
    if not carry.any():
        return market
    marks, high = market.perp_mark, market.perp_extreme
    before = np.concatenate([marks[:1], marks[:-1]])
    low = np.minimum(marks, before) * np.maximum(marks, before) / high
    return market._replace(
        spot=np.average(marks, axis=1, weights=np.abs(carry)),
        perp_extreme=np.where(carry > 0.0, low, high),
    )


def free(market: MarketArrays) -> MarketArrays:
    """Return the market without costs and rewards."""
    return market._replace(
        gas_price=np.zeros_like(market.gas_price),
        cost_bps=np.zeros_like(market.cost_bps),
        reward_tokens_per_unit=np.zeros_like(market.reward_tokens_per_unit),
        reward_payout=np.full_like(market.reward_payout, -1),
    )


def still(market: MarketArrays) -> MarketArrays:
    """Return the market with every price, rate and index constant at its first value."""
    frozen = {
        name: np.repeat(values[:1], len(values), axis=0)
        for name, values in market._asdict().items()
        if name not in ("funding_rate", "flow") and not name.startswith("reward_")
    }
    return market._replace(
        **frozen,
        reward_price=np.repeat(market.reward_price[:1], len(market.spot), axis=0),
        funding_rate=np.zeros_like(market.funding_rate),
        reward_tokens_per_unit=np.zeros_like(market.reward_tokens_per_unit),
        reward_payout=np.full_like(market.reward_payout, -1),
    )
