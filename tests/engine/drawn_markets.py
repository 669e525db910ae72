"""Random runs for the fuzz test: any mode, on markets from still to violent."""

import math
from typing import Any

import numpy as np

from basis_pipeline.engine.model import Floats, MarketArrays, Parameters
from tests.engine.markets import for_carry

MODES = (
    "pure_lending",
    "pure_lending_eth",
    "btc_basis",
    "eth_basis",
    "eth_staking_only",
    "eth_leveraged",
    "usdt_market_neutral_no_leverage",
    "usdt_market_neutral",
    "funding_arbitrage",
)
ODDS = (0.05, 0.05, 0.1, 0.1, 0.08, 0.17, 0.12, 0.18, 0.15)
OFF = 1e9  # a band so wide that it never fires
THRESHOLD = 0.95


def _chance(rng: np.random.Generator, probability: float) -> bool:
    return bool(rng.random() < probability)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(math.log(low), math.log(high))))


def _index(rng: np.random.Generator, hours: int, yearly: float) -> Floats:
    growth = np.cumsum(rng.uniform(0.0, 2.0 * yearly / 8760.0, hours))
    return float(rng.uniform(1.0, 1.2)) * np.exp(growth)


def _jumps(rng: np.random.Generator, hours: int, number: int, size: float) -> Floats:
    steps = np.zeros(hours)
    steps[rng.integers(1, hours, number)] = rng.normal(0.0, size, number)
    return steps


def _rewards(rng: np.random.Generator, hours: int, tokens: int, scale: float) -> dict[str, Any]:
    """Draw consecutive periods, each in a slot of its own until its delayed payout."""
    earned = np.zeros((hours, tokens))
    slots = np.zeros((hours, tokens), np.int64)
    payout = np.full((hours, tokens), -1, np.int64)
    price = np.full((hours, tokens), np.nan)
    for r in range(tokens):
        count = int(rng.integers(1, 4))
        period = int(rng.integers(20, 160))
        delay = int(rng.integers(0, period * (count - 1) + 1)) if count > 1 else 0
        start = 1 + int(rng.integers(0, 50))
        level = _log_uniform(rng, 0.01, 1.0) * scale
        first = hours
        for number, begin in enumerate(range(start, hours, period)):
            end = begin + period - 1  # the last hour that earns: the period is over at its end
            earned[begin : end + 1, r] = level * rng.uniform(0.3, 2.0) / period
            slots[begin : end + 1, r] = number % count
            if end + delay < hours:
                payout[end + delay, r] = number % count
                first = min(first, end + delay)
        walk = 3.0 * np.exp(np.cumsum(rng.normal(0.0, 0.01, hours)))
        price[first:, r] = walk[first:]  # a token has no price before its first payout
    return {
        "reward_tokens_per_unit": earned,
        "reward_slot": slots,
        "reward_payout": payout,
        "reward_price": price,
    }


def _market(
    rng: np.random.Generator, fields: dict[str, Any], capital_usd: float, notes: dict[str, Any]
) -> MarketArrays:
    hours = notes["hours"]
    venues = len(fields["hedge_weights"])
    in_asset, leveraged = not fields["trades_asset"], fields["target_ltv"] > 0.0
    volatility = notes["volatility"] = _log_uniform(rng, 5e-4, 0.04)
    steps = rng.normal(0.0, volatility, hours)
    if _chance(rng, 0.4):
        steps += _jumps(rng, hours, int(rng.integers(1, 5)), 0.15)
    steps[0] = 0.0
    walk = _log_uniform(rng, 500.0, 60_000.0) * np.exp(np.clip(np.cumsum(steps), -3.0, 3.0))
    spread = _log_uniform(rng, 1e-5, 5e-3)
    mark = walk[:, None] * np.exp(rng.normal(0.0, spread, (hours, venues)))
    reach = notes["reach"] = _log_uniform(rng, 1e-3, 0.1)
    extreme = mark.copy()
    extreme[1:] = np.maximum(mark[1:], mark[:-1]) * (1 + rng.exponential(reach, mark[1:].shape))
    funding = np.zeros((hours, venues))
    scale = _log_uniform(rng, 3e-5, 3e-3)
    for v in range(venues):
        stamps = slice(int(rng.integers(0, 8)), None, int(rng.choice([1, 4, 8])))
        funding[stamps, v] = rng.normal(scale / 3.0, scale, funding[stamps, v].shape)
    oracle = float(rng.uniform(1.0, 1.2)) * np.exp(np.cumsum(np.full(hours, 0.03 / 8760.0)))
    odds = [0.34, 0.33, 0.33] if leveraged else [0.6, 0.2, 0.2]
    notes["oracle"] = str(rng.choice(["grows", "falls", "jumps"], p=odds))
    if notes["oracle"] == "falls":
        oracle *= np.exp(-np.linspace(0.0, float(rng.uniform(0.0, 0.4)), hours))
    elif notes["oracle"] == "jumps":
        oracle *= np.exp(np.cumsum(_jumps(rng, hours, int(rng.integers(1, 6)), 0.04)))
    peg = _log_uniform(rng, 1e-4, 0.03)
    wander = np.convolve(rng.normal(-peg / 2.0, peg, hours), np.full(6, 1.0 / 6.0), "same")
    market_rate = oracle * np.exp(wander)
    notes["mark_lst"] = "market" if _chance(rng, 0.35) else "oracle"
    tokens = notes["tokens"] = int(rng.integers(0, 4))
    rewards = _rewards(rng, hours, tokens, walk[0] / 3000.0)
    if in_asset:
        rewards["reward_price"] = rewards["reward_price"] / walk[:, None]
    gas_gwei = _log_uniform(rng, 0.05, 100.0) * np.exp(rng.normal(0.0, 0.3, hours))
    gas_price = gas_gwei * 1e-9 * (1.0 if in_asset else walk)
    bps = np.sort(rng.uniform(0.0, 30.0, (2 + tokens + venues, 3)), axis=1)
    cost_bps = np.broadcast_to(bps, (hours, *bps.shape)) * rng.uniform(0.8, 1.2, (hours, 1, 1))
    if not fields["costs_enabled"]:
        gas_price, cost_bps = np.zeros(hours), np.zeros_like(cost_bps)
    flow = np.zeros(hours)
    capital = capital_usd / walk[0] if in_asset else capital_usd
    if _chance(rng, 0.5):
        # Withdrawals of little each: a run that is emptied is not a case of this test.
        for hour in rng.integers(0, hours, int(rng.integers(1, 8))):
            flow[hour] = capital * float(rng.uniform(-0.08, 0.4))
            flow[hour] *= float(rng.choice([1.0, 1.0, 0.05, 1e-3]))
    notes["flows"] = int(np.count_nonzero(flow))
    return MarketArrays(
        spot=np.ones(hours) if in_asset else walk,
        perp_mark=mark,
        perp_extreme=extreme,
        funding_rate=funding,
        lending_index=_index(rng, hours, 0.05),
        collateral_index=_index(rng, hours, 0.01) if leveraged else np.ones(hours),
        borrow_index=_index(rng, hours, float(rng.choice([0.03, 0.3, 2.0]))),
        oracle_rate=oracle,
        market_rate=market_rate,
        lst_mark=market_rate if notes["mark_lst"] == "market" else oracle,
        gas_price=gas_price,
        numeraire_usd=walk.copy() if in_asset else np.ones(hours),
        cost_bps=np.ascontiguousarray(cost_bps),
        flow=flow,
        **rewards,
    )


def _allocation(rng: np.random.Generator, mode: str) -> dict[str, Any]:
    """Return a mode's parameters by SEMANTICS 5."""
    in_eth = mode in ("pure_lending_eth", "eth_staking_only", "eth_leveraged")
    hedged = mode.endswith("_basis") or mode.startswith("usdt_")
    leveraged = mode in ("eth_leveraged", "usdt_market_neutral")
    if mode == "funding_arbitrage":
        return _carry(rng)
    share = float(rng.uniform(0.2, 0.8))
    staking = share if mode.startswith("usdt_") else 1.0 if mode.startswith("eth_") else 0.0
    venues = int(rng.integers(1, 4)) if hedged else 0
    weights = rng.dirichlet(np.full(venues, 4.0)) if venues else np.zeros(0)
    high = _chance(rng, 0.4)
    ltv = float(rng.uniform(0.85, 0.94) if high else rng.uniform(0.1, 0.85))
    return {
        "lending_weight": 1.0 if mode.startswith("pure_lending") else 0.0,
        "spot_weight": share if mode.endswith("_basis") else 0.0,
        "staking_weight": 0.0 if mode.endswith("_basis") else staking,
        "target_ltv": ltv if leveraged else 0.0,
        "hedge_ratio": (0.9 if _chance(rng, 0.15) else 1.0) if hedged else 0.0,
        "hedge_weights": weights,
        "carry": np.zeros(venues),
        "trades_asset": not in_eth,
        "swaps_on_chain": _chance(rng, 0.4),
        "margin_at_spot_venue": int(rng.integers(-1, venues)) if venues else -1,
    }


def _carry(rng: np.random.Generator) -> dict[str, Any]:
    """Draw two to four legs that sum to zero, with much or little margin; perhaps some lending."""
    venues = int(rng.integers(2, 5))
    longs = int(rng.integers(1, venues))
    half = _log_uniform(rng, 0.15, 3.0)
    legs = [half * rng.dirichlet(np.full(longs, 4.0))]
    legs.append(-half * rng.dirichlet(np.full(venues - longs, 4.0)))
    carry = rng.permutation(np.concatenate(legs))
    return {
        "lending_weight": float(rng.uniform(0.0, 0.6)) if _chance(rng, 0.3) else 0.0,
        "spot_weight": 0.0,
        "staking_weight": 0.0,
        "target_ltv": 0.0,
        "hedge_ratio": 0.0,
        "hedge_weights": np.abs(carry) / np.abs(carry).sum(),
        "carry": carry,
        "trades_asset": True,
        "swaps_on_chain": False,
        "margin_at_spot_venue": -1,
    }


def _bands(rng: np.random.Generator, fields: dict[str, Any]) -> dict[str, Any]:
    """Draw bands that contain the targets: narrow, wide, or single ones off."""

    def band(low: float, high: float) -> float:
        return OFF if _chance(rng, 0.25) else _log_uniform(rng, low, high)

    invested = fields["spot_weight"] + fields["staking_weight"]
    target = (1.0 - invested) / invested if 0.0 < invested < 1.0 else 1.0
    if fields["carry"].any():
        target = (1.0 - fields["lending_weight"]) / np.abs(fields["carry"]).sum()
    target /= fields["hedge_ratio"] or 1.0
    room = THRESHOLD / fields["target_ltv"] - 1.0 if fields["target_ltv"] > 0.0 else 0.0
    return {
        "margin_ratio_min": 0.0 if _chance(rng, 0.25) else target * float(rng.uniform(0.1, 0.95)),
        "margin_ratio_max": OFF if _chance(rng, 0.25) else target * _log_uniform(rng, 1.1, 10.0),
        "delta_band": band(1e-3, 0.2),
        "ltv_band": band(3e-4, 0.1),
        "health_factor_floor": 0.0 if _chance(rng, 0.3) else 1.0 + room * float(rng.uniform(0, 1)),
        "idle_band": band(2e-3, 0.2),
        "drift_band": math.inf if _chance(rng, 0.3) else _log_uniform(rng, 0.01, 0.5),
    }


def draw(seed: int) -> tuple[MarketArrays, Parameters, float, str]:
    """Draw market, parameters and capital of one random run, and describe it in a line."""
    rng = np.random.default_rng(seed)
    mode = str(rng.choice(MODES, p=ODDS))
    notes: dict[str, Any] = {"mode": mode, "hours": int(rng.integers(200, 701))}
    fields = _allocation(rng, mode)
    fields |= _bands(rng, fields)
    venues = len(fields["hedge_weights"])
    maintenance = rng.uniform(0.005, 0.1, venues)
    costs = not _chance(rng, 0.2)
    fields |= {
        "flash_fee": float(rng.choice([0.0, 5e-4, 3e-3])) if costs else 0.0,
        "initial_margin": maintenance * rng.uniform(1.0, 4.0, venues),
        "maintenance_margin": maintenance,
        "liquidation_fee": rng.uniform(0.0, 0.02, venues),
        "liquidation_threshold": THRESHOLD,
        "liquidation_bonus": float(rng.choice([0.01, 0.05])),
        "liquidates_at_extreme": _chance(rng, 0.6),
        "rebalance_enabled": not _chance(rng, 0.12),
        "costs_enabled": costs,
        "gas_multiplier": 1.2,
    }
    small = _chance(rng, 0.2)
    usd = _log_uniform(rng, 20.0, 2_000.0) if small else _log_uniform(rng, 2_000.0, 3e6)
    market = for_carry(_market(rng, fields, usd, notes), fields["carry"])
    capital = usd if fields["trades_asset"] else usd / float(market.numeraire_usd[0])
    notes |= {name: fields[name] for name in ("costs_enabled", "rebalance_enabled", "target_ltv")}
    notes |= {"usd": usd, "venues": venues}
    line = " ".join(
        f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in notes.items()
    )
    return market, Parameters(**fields), capital, f"seed={seed} {line}"
