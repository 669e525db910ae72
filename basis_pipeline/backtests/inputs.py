"""The engine's inputs: a panel as arrays, a slice as numbers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.config import ModeSlice
from basis_pipeline.config.venue import DecentralisedExchange
from basis_pipeline.engine import MarketArrays, Parameters
from basis_pipeline.engine.model import Floats
from basis_pipeline.errors import ConfigError
from basis_pipeline.market.panel import Panel
from basis_pipeline.times import HOUR_NS


def market_arrays(panel: Panel, mode_slice: ModeSlice) -> MarketArrays:
    """Return a panel as the engine's arrays, with the LST's valuation and the flows of the mode.

    Raises
    ------
    ConfigError: CONFIG-011 when a flow lies outside the panel's window.
    """
    by_oracle = mode_slice.mode.pricing.mark_lst == "oracle"
    chosen: dict[str, Any] = {
        "reward_slot": panel.reward_slot.astype(np.int64),
        "reward_payout": panel.reward_payout.astype(np.int64),
        "lst_mark": panel.oracle_rate if by_oracle else panel.market_rate,
        "flow": _flows(panel, mode_slice),
    }
    names = (name for name in MarketArrays._fields if name not in chosen)
    return MarketArrays(**chosen, **{name: getattr(panel, name) for name in names})


def _flows(panel: Panel, mode_slice: ModeSlice) -> Floats:
    """Return deposits less withdrawals by hour, (n,); several at one hour add up."""
    flows = np.zeros(len(panel.timestamps))
    for flow in mode_slice.mode.flows:
        stamp = pd.Timestamp(flow.date).as_unit("ns")
        row = int(np.searchsorted(panel.timestamps, stamp.value))
        if row == len(flows) or panel.timestamps[row] != stamp.value:
            first, last = (pd.Timestamp(panel.timestamps[i], tz="UTC") for i in (0, -1))
            raise ConfigError(
                "CONFIG-011",
                f"a flow of {flow.amount:g} at {stamp:%Y-%m-%d %H:%M} lies outside the window",
                where=f"mode {mode_slice.name}, flows",
                available=f"{first:%Y-%m-%d %H:%M} … {last:%Y-%m-%d %H:%M}",
                action="move the flow into the window, or remove it",
            )
        flows[row] += flow.amount
    return flows


def first_midnight(panel: Panel) -> int:
    """Return the index of the first hour at 00:00 UTC."""
    return -int(panel.timestamps[0] // HOUR_NS) % 24


def parameters_of(mode_slice: ModeSlice) -> Parameters:
    """Return the slice as plain numbers; venues in the order of the panel, sorted by name."""
    mode, exchanges = mode_slice.mode, mode_slice.hedge_exchanges
    protocol = mode_slice.lending_protocol
    terms = protocol.emode.get(mode.staking.lst) if protocol else None
    leveraged = terms if mode.is_leveraged else None
    names = [exchange.venue for exchange in exchanges]
    carry = np.array([mode.hedge.carry.get(name, 0.0) for name in names], dtype=np.float64)
    if mode.hedge.carry:
        weights = np.abs(carry) / np.abs(carry).sum()
    else:
        weights = np.array([mode.hedge.venues[name] for name in names], dtype=np.float64)
    spot_venue = mode.spot.venue if mode.buys_asset else None
    at_spot = names.index(spot_venue) if spot_venue in names else -1
    return Parameters(
        lending_weight=mode.allocation.lending,
        spot_weight=mode.allocation.spot,
        staking_weight=mode.allocation.staking,
        target_ltv=mode.staking.target_ltv if mode.is_leveraged else 0.0,
        flash_fee=mode.staking.flash_fee_bps * 1e-4 if mode.costs.enabled else 0.0,
        hedge_ratio=mode.hedge.ratio,
        hedge_weights=weights,
        carry=carry,
        initial_margin=np.array([e.perp_margin.initial for e in exchanges], dtype=float),
        maintenance_margin=np.array([e.perp_margin.maintenance for e in exchanges], dtype=float),
        liquidation_fee=np.array([e.perp_margin.liquidation_fee for e in exchanges], dtype=float),
        liquidation_threshold=leveraged.liquidation_threshold if leveraged else 1.0,
        liquidation_bonus=leveraged.liquidation_bonus if leveraged else 0.0,
        liquidates_at_extreme=mode.pricing.liquidation_price == "extreme",
        rebalance_enabled=mode.rebalance.enabled,
        margin_ratio_min=mode.rebalance.margin_ratio.min,
        margin_ratio_max=mode.rebalance.margin_ratio.max,
        delta_band=mode.rebalance.delta_band,
        ltv_band=mode.rebalance.ltv_band,
        health_factor_floor=mode.rebalance.health_factor_floor,
        idle_band=mode.rebalance.idle_band,
        drift_band=np.inf if mode.rebalance.drift_band is None else mode.rebalance.drift_band,
        costs_enabled=mode.costs.enabled,
        gas_multiplier=mode.costs.gas_multiplier,
        trades_asset=mode.trades_asset,
        swaps_on_chain=isinstance(mode_slice.venues.get(mode.spot.venue), DecentralisedExchange),
        margin_at_spot_venue=at_spot,
    )


def plain_run(mode_slice: ModeSlice) -> ModeSlice:
    """Return the slice of the closed forms: no rebalancing, costs, rewards or flows."""
    mode = mode_slice.mode
    plain = mode.model_copy(
        update={
            "rebalance": mode.rebalance.model_copy(update={"enabled": False}),
            "costs": mode.costs.model_copy(update={"enabled": False}),
            "rewards": mode.rewards.model_copy(update={"enabled": False}),
            "pricing": mode.pricing.model_copy(update={"mark_lst": "oracle"}),
            "flows": (),
        }
    )
    # Built anew: a copy of the slice would keep the hash of the slice it was copied from.
    return ModeSlice(
        mode=plain,
        share_class=mode_slice.share_class,
        venues=mode_slice.venues,
        datasets=mode_slice.datasets,
        counts_as=mode_slice.counts_as,
    )


def plain_panel(panel: Panel) -> Panel:
    """Return the panel without costs and rewards, for a plain run."""
    return replace(
        panel,
        gas_price=np.zeros_like(panel.gas_price),
        cost_bps=np.zeros_like(panel.cost_bps),
        reward_tokens_per_unit=np.zeros_like(panel.reward_tokens_per_unit),
        reward_payout=np.full_like(panel.reward_payout, -1),
    )
