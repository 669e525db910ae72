"""The distance of a book from its rebalance triggers and from liquidation (SEMANTICS 6 and 7)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from basis_pipeline.backtests.inputs import market_arrays, parameters_of
from basis_pipeline.config import ModeSlice
from basis_pipeline.engine import MarketArrays, Parameters, Simulation
from basis_pipeline.engine.model import GAS_REWARD_SALE, Floats, Record
from basis_pipeline.market.panel import Panel

LIQUIDATION = "liquidation"


@dataclass(frozen=True, slots=True)
class Distance:
    """A measure, its bounds, and the distance to the nearer one.

    Parameters
    ----------
    name: a reason of events (SEMANTICS 6), or `liquidation`.
    venue: of the position; empty for the whole book.
    low, high: None where there is no bound on that side.
    room: to the nearer bound, in the unit of the measure; below zero beyond it.
    price_move: share by which the price of the perpetual, or for a loan the redemption rate, must
        move to reach the bound; None where no price alone reaches it.
    """

    name: str
    venue: str
    value: float
    low: float | None
    high: float | None
    room: float
    price_move: float | None = None


def distances(mode_slice: ModeSlice, panel: Panel, simulation: Simulation) -> Iterator[Distance]:
    """Yield every distance of the book after the last trades, at the panel's last prices."""
    market, parameters = market_arrays(panel, mode_slice), parameters_of(mode_slice)
    rows, perps, tokens = simulation.hourly
    yield from _of_perps(panel.venues, market, parameters, perps[-1])
    yield from _of_loan(market, parameters, rows[-1])
    if mode_slice.mode.rebalance.enabled:
        yield from _of_book(mode_slice, market, parameters, rows[-1], perps[-1]["quantity"])
        yield from _of_rewards(market, parameters, rows[-1], tokens[-1])


def _bounded(
    name: str,
    value: float,
    low: float | None = None,
    high: float | None = None,
    *,
    venue: str = "",
    move: float | None = None,
) -> Distance:
    value = float(value)
    rooms = [value - low] if low is not None else []
    rooms += [high - value] if high is not None else []
    return Distance(name, venue, value, low, high, min(rooms), move)


def _of_perps(
    venues: tuple[str, ...], market: MarketArrays, parameters: Parameters, perps: np.ndarray
) -> Iterator[Distance]:
    low, high = parameters.margin_ratio_min, parameters.margin_ratio_max
    for v, venue in enumerate(venues):
        perp, price = perps[v], float(market.perp_mark[-1, v])
        if perp["quantity"] == 0.0:
            continue
        equity = perp["balance"] + perp["quantity"] * (price - perp["entry"])
        ratio = equity / (abs(perp["quantity"]) * price)
        if parameters.rebalance_enabled:
            move = min((_move(perp, price, bound) for bound in (low, high)), key=abs)
            yield _bounded("margin_ratio", ratio, low, high, venue=venue, move=move)
        floor = float(parameters.maintenance_margin[v])
        move = _move(perp, price, floor)
        yield _bounded(LIQUIDATION, ratio, floor, venue=venue, move=move)


def _move(perp: Record, price: float, ratio: float) -> float:
    """Return the share by which the price must move for a position to have this margin ratio."""
    quantity = float(perp["quantity"])
    reached = (perp["balance"] - quantity * perp["entry"]) / (ratio * abs(quantity) - quantity)
    return float(reached / price - 1.0)


def _of_loan(market: MarketArrays, parameters: Parameters, row: Record) -> Iterator[Distance]:
    if row["debt"] <= 0.0:
        return
    collateral, debt = _collateral(market, row), float(row["debt"] * market.borrow_index[-1])
    ltv, threshold = debt / collateral, parameters.liquidation_threshold
    if parameters.rebalance_enabled and parameters.target_ltv > 0.0:
        target, band = parameters.target_ltv, parameters.ltv_band
        floor = parameters.health_factor_floor
        move = ltv * floor / threshold - 1.0
        yield _bounded("ltv", ltv, target - band, target + band)
        yield _bounded("health_factor", threshold / ltv, floor, move=move)
    yield _bounded(LIQUIDATION, threshold / ltv, 1.0, move=ltv / threshold - 1.0)


def _collateral(market: MarketArrays, row: Record) -> float:
    """Return the ETH value of the staked holding at the redemption rate."""
    return float(row["staked"] * market.collateral_index[-1] * market.oracle_rate[-1])


def _of_book(
    mode_slice: ModeSlice,
    market: MarketArrays,
    parameters: Parameters,
    row: Record,
    perps: Floats,
) -> Iterator[Distance]:
    total, spot = float(row["equity"]), float(market.spot[-1])
    debt, cash = float(row["debt"] * market.borrow_index[-1]), float(row["cash"])
    hedged = mode_slice.mode.is_hedged
    if hedged:
        long = float(row["spot"]) + _collateral(market, row) - debt
        delta = abs(parameters.hedge_ratio * long + perps.sum()) * spot / total
        yield _bounded("delta", delta, high=parameters.delta_band)
    weights = (parameters.lending_weight, parameters.spot_weight, parameters.staking_weight)
    wanted = 0.0 if hedged else 1.0 - sum(weights)
    yield _bounded("idle_cash", cash / total - wanted, high=parameters.idle_band)
    staked = row["staked"] * market.collateral_index[-1] * market.lst_mark[-1]
    values = (
        row["supply"] * market.lending_index[-1],
        row["spot"] * spot,
        (staked - debt) * spot,
    )
    legs = perps * spot if parameters.carry.any() else 0.0 * perps
    targets = np.append(weights, parameters.carry)
    drift = np.abs(np.append(values, legs) / total - targets).max()
    if np.isfinite(parameters.drift_band):
        yield _bounded("drift", drift, high=parameters.drift_band)


def _of_rewards(
    market: MarketArrays, parameters: Parameters, row: Record, tokens: np.ndarray
) -> Iterator[Distance]:
    held = tokens * market.reward_price[-1]
    if np.nan_to_num(held).any():
        gas = GAS_REWARD_SALE * market.gas_price[-1] * parameters.gas_multiplier
        share = float(np.nanmax(held) / row["equity"])
        yield _bounded("rewards", share, high=max(100.0 * float(gas / row["equity"]), 0.002))
