"""Shocks as pure functions from panel to panel.

A shock changes only the hours from its moment on; a shock of size 0 returns the same panel. Several
are applied one after the other. Prices stay consistent: a shock of the asset's price also moves the
perpetuals, gas paid in the asset and rewards quoted in it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.config.mode import ModeConfig
from basis_pipeline.config.scenario import (
    BorrowRateSpike,
    FundingShock,
    GasSpike,
    LstDepeg,
    Moment,
    PriceGap,
    Shock,
    SpotPath,
    VenueOutage,
)
from basis_pipeline.config.slicing import ModeSlice
from basis_pipeline.errors import ConfigError
from basis_pipeline.files import sha256
from basis_pipeline.market.panel import Panel, require_fit
from basis_pipeline.market.timeline import Floats
from basis_pipeline.market.timestamps import Int64, format_time
from basis_pipeline.times import HOUR_NS

HOURS_PER_YEAR = 8760.0


def apply_shocks(panel: Panel, shocks: Sequence[Shock], mode_slice: ModeSlice) -> Panel:
    """Return the panel with the shocks applied in order; the given panel is unchanged.

    The shocks are part of the data hashes, so that runs on it differ from runs on the plain panel.

    Raises
    ------
    ConfigError: CONFIG-011 a shock outside the panel's hours, CONFIG-008 an unknown venue.
    BacktestError: BT-003 when the result is not a valid panel.
    """
    changed = panel
    for shock in shocks:
        changed = _apply(changed, shock, mode_slice)
    if changed is panel:
        return panel
    digest = sha256(*(shock.model_dump_json() for shock in shocks))
    changed = replace(changed, data_hashes={**panel.data_hashes, "shocks": digest})
    require_fit(changed)
    return changed


def _apply(panel: Panel, shock: Shock, mode_slice: ModeSlice) -> Panel:
    if isinstance(shock, SpotPath):
        return _spot_path(panel, shock, mode_slice)
    first = first_hour(shock, panel.timestamps, panel.mode)
    if isinstance(shock, PriceGap):
        return _price_gap(panel, shock, first, mode_slice)
    if isinstance(shock, FundingShock):
        return _funding(panel, shock, first)
    if isinstance(shock, LstDepeg):
        return _depeg(panel, shock, first)
    if isinstance(shock, GasSpike):
        return _gas(panel, shock, first)
    if isinstance(shock, BorrowRateSpike):
        return _borrowing(panel, shock, first)
    return _outage(panel, shock, first, mode_slice.mode)


def first_hour(shock: Moment, timestamps: Int64, mode: str) -> int:
    """Return the row of the first hour of a shock: the first one not before its moment.

    Raises ConfigError CONFIG-011 when it is outside the timestamps.
    """
    if isinstance(shock.at, int):
        first = shock.at
    else:
        timestamp = pd.Timestamp(shock.at)
        timestamp = (
            timestamp.tz_localize("UTC") if timestamp.tz is None else timestamp.tz_convert("UTC")
        )
        first = int(-(-(timestamp.as_unit("ns").value - int(timestamps[0])) // HOUR_NS))
    if not 0 <= first < len(timestamps):
        raise ConfigError(
            "CONFIG-011",
            f"a shock at {shock.at} lies outside the window",
            where=f"mode {mode}, {_kind(shock)}",
            available=" … ".join(format_time(int(timestamps[i])) for i in (0, -1)),
            action=f"give a moment inside it, or hours after its start below {len(timestamps)}",
        )
    return first


def _kind(shock: Any) -> str:
    return f"shock {shock.shock}"


def venue_columns(shock: FundingShock | VenueOutage, venues: tuple[str, ...]) -> list[int]:
    """Return the columns of a shock's venues. Raises ConfigError CONFIG-008 for unknown ones."""
    names = (shock.venue,) if isinstance(shock, VenueOutage) else shock.venues
    unknown = [name for name in names or () if name not in venues]
    if unknown:
        raise ConfigError(
            "CONFIG-008",
            f"{unknown[0]!r} is not a venue that the mode hedges at",
            where=_kind(shock),
            available=", ".join(venues) or "none: the mode is not hedged",
        )
    return [venues.index(name) for name in (venues if names is None else names)]


def why_unaffected(shock: Shock, mode_slice: ModeSlice) -> str:
    """Return why a shock cannot affect the mode; empty where it can."""
    mode = mode_slice.mode
    match shock:
        case PriceGap() | SpotPath():
            if mode_slice.holds_its_currency:
                return "it holds only its own currency, of which only the price in USD moves"
            return "" if mode.trades_asset else "it holds no coin"
        case FundingShock() | VenueOutage():
            return "" if mode.is_hedged else "it holds no perpetual"
        case LstDepeg():
            if mode.allocation.staking == 0.0:
                return "it holds no staked token"
            return "" if mode.pricing.mark_lst == "market" else "marked by the oracle"
        case BorrowRateSpike():
            return "" if mode.is_leveraged else "it owes nothing"
        case GasSpike():
            return "" if mode_slice.gas_token else "it pays no gas"


def require_applicable(
    shocks: Sequence[Shock], timestamps: Int64, venues: tuple[str, ...], mode: str
) -> None:
    """Reject shocks that cannot be applied to a panel of these hours and venues.

    Raises ConfigError as `first_hour` and `venue_columns`.
    """
    for shock in shocks:
        if isinstance(shock, Moment):
            first_hour(shock, timestamps, mode)
        if isinstance(shock, FundingShock | VenueOutage):
            venue_columns(shock, venues)


def _remaining(n: int, first: int, recovery_hours: int | None) -> Floats:
    """Remaining share of a shock at each hour, (n,): 1 at its first hour, 0 once it is over."""
    left = np.zeros(n)
    left[first:] = 1.0
    if recovery_hours is not None:
        left[first:] = np.maximum(1.0 - np.arange(n - first) / recovery_hours, 0.0)
    return left


def _repriced(panel: Panel, factor: Floats, mode_slice: ModeSlice) -> Panel:
    """Return the panel with the asset's price, and everything quoted in it, times `factor`, (n,).

    The extreme known at an hour lies between the hour before and it: a high takes the larger factor
    of the two, a low the smaller one.
    """
    mode = mode_slice.mode
    if mode_slice.holds_its_currency:  # only what the numeraire is worth in USD changes
        return replace(panel, numeraire_usd=panel.numeraire_usd * factor)
    if not mode.trades_asset:
        return panel
    before = np.concatenate([factor[:1], factor[:-1]])
    is_long = np.array([mode.is_long_at(venue) for venue in panel.venues], dtype=bool)
    larger, smaller = np.maximum(before, factor), np.minimum(before, factor)
    gas = factor if mode_slice.gas_token == mode.asset else np.ones_like(factor)
    in_asset = np.array([quote == mode.asset for quote in mode_slice.reward_quotes], dtype=bool)
    return replace(
        panel,
        spot=panel.spot * factor,
        perp_mark=panel.perp_mark * factor[:, None],
        perp_extreme=panel.perp_extreme * np.where(is_long, smaller[:, None], larger[:, None]),
        gas_price=panel.gas_price * gas,
        reward_price=panel.reward_price * np.where(in_asset, factor[:, None], 1.0),
    )


def _spot_path(panel: Panel, shock: SpotPath, mode_slice: ModeSlice) -> Panel:
    if shock.size == 0.0:
        return panel
    price = panel.numeraire_usd if mode_slice.holds_its_currency else panel.spot
    return _repriced(panel, (price / price[0]) ** shock.size, mode_slice)


def _price_gap(panel: Panel, shock: PriceGap, first: int, mode_slice: ModeSlice) -> Panel:
    if shock.size == 0.0:
        return panel
    left = _remaining(len(panel.timestamps), first, shock.recovery_hours)
    return _repriced(panel, 1.0 + shock.size * left, mode_slice)


def _funding(panel: Panel, shock: FundingShock, first: int) -> Panel:
    """Only hours with a settlement change."""
    columns = venue_columns(shock, panel.venues)
    if shock.factor == 1.0 and shock.shift == 0.0:
        return panel
    rates = panel.funding_rate.copy()
    for column in columns:
        part = rates[first : first + shock.hours, column]
        part[:] = np.where(part != 0.0, part * shock.factor + shock.shift, 0.0)
    return replace(panel, funding_rate=rates)


def _depeg(panel: Panel, shock: LstDepeg, first: int) -> Panel:
    if shock.size == 0.0:
        return panel
    left = _remaining(len(panel.timestamps), first, shock.recovery_hours)
    return replace(panel, market_rate=panel.market_rate * (1.0 - shock.size * left))


def _gas(panel: Panel, shock: GasSpike, first: int) -> Panel:
    if shock.size == 0.0:
        return panel
    price = panel.gas_price.copy()
    price[first : first + shock.hours] *= 1.0 + shock.size
    return replace(panel, gas_price=price)


def _borrowing(panel: Panel, shock: BorrowRateSpike, first: int) -> Panel:
    """Raise the growth of the index during the spike; the index keeps the additional growth."""
    if shock.size == 0.0:
        return panel
    elapsed = np.clip(np.arange(len(panel.timestamps)) - first, 0, shock.hours)
    growth = np.exp(shock.size * elapsed / HOURS_PER_YEAR)
    return replace(panel, borrow_index=panel.borrow_index * growth)


def _outage(panel: Panel, shock: VenueOutage, first: int, mode: ModeConfig) -> Panel:
    """Mark and extreme stay constant during the outage; trades still use that stale price.

    At the first hour after it, the extreme is the worst of the outage.
    """
    (column,) = venue_columns(shock, panel.venues)
    last = min(first + shock.hours, len(panel.timestamps))
    marks, extremes = panel.perp_mark.copy(), panel.perp_extreme.copy()
    rates = panel.funding_rate.copy()
    marks[first:last, column] = marks[max(first - 1, 0), column]
    extremes[first:last, column] = extremes[max(first - 1, 0), column]
    rates[first:last, column] = 0.0
    if last < len(marks):
        missed = panel.perp_extreme[first : last + 1, column]
        is_long = mode.is_long_at(panel.venues[column])
        extremes[last, column] = missed.min() if is_long else missed.max()
    return replace(panel, perp_mark=marks, perp_extreme=extremes, funding_rate=rates)
