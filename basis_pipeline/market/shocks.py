"""Shocks: what would have happened to a panel, as pure functions from panel to panel.

A shock changes the hours from its moment on and none before it; one of no size gives the panel
back. Several are applied one after the other. Whatever a price is quoted in follows it: the asset's
price moves the perpetuals, gas paid in it and rewards quoted in it: a shock tells one story.
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


def shocked(panel: Panel, shocks: Sequence[Shock], mode_slice: ModeSlice) -> Panel:
    """The panel with the shocks, in their order; the panel given is unchanged.

    What was done to it stands among its data hashes, so that no run on it passes for a plain one.

    Raises
    ------
    ConfigError: CONFIG-011 a shock outside the panel's hours, CONFIG-008 a venue it does not hold.
    BacktestError: BT-003 when the result is not a market any more.
    """
    changed = panel
    for shock in shocks:
        changed = _one(changed, shock, mode_slice)
    if changed is panel:
        return panel
    digest = sha256(*(shock.model_dump_json() for shock in shocks))
    changed = replace(changed, data_hashes={**panel.data_hashes, "shocks": digest})
    require_fit(changed)
    return changed


def _one(panel: Panel, shock: Shock, mode_slice: ModeSlice) -> Panel:
    if isinstance(shock, SpotPath):
        return _spot_path(panel, shock, mode_slice)
    first = first_mark(shock, panel.timestamps, panel.mode)
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


def first_mark(shock: Moment, timestamps: Int64, mode: str) -> int:
    """The mark a shock begins at: the first one not before its moment.

    Raises ConfigError CONFIG-011 when that is none of the timestamps.
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


def shocked_venues(shock: FundingShock | VenueOutage, venues: tuple[str, ...]) -> list[int]:
    """Columns of the venues a shock names. Raises ConfigError CONFIG-008 when one is not there."""
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


def unreached(shock: Shock, mode_slice: ModeSlice) -> str:
    """Return why a shock moves nothing that the mode holds or owes; empty where it can."""
    mode = mode_slice.mode
    match shock:
        case PriceGap() | SpotPath():
            if mode_slice.holds_its_currency:
                return "it is in its own currency, of which only the worth in USD moves"
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
    """Reject shocks that a panel of these hours and venues could not take, before there is one.

    Raises ConfigError as `first_mark` and `shocked_venues`.
    """
    for shock in shocks:
        if isinstance(shock, Moment):
            first_mark(shock, timestamps, mode)
        if isinstance(shock, FundingShock | VenueOutage):
            shocked_venues(shock, venues)


def _ramp(marks: int, first: int, hours: int | None) -> Floats:
    """How much of a shock is left at each mark, (n,): 1 at its first, 0 once it is over."""
    left = np.zeros(marks)
    if hours is None:
        left[first:] = 1.0
    else:
        left[first:] = np.maximum(1.0 - np.arange(marks - first) / hours, 0.0)
    return left


def _repriced(panel: Panel, factor: Floats, mode_slice: ModeSlice) -> Panel:
    """The panel with the asset's price times `factor`, (n,), and everything quoted in it.

    The extreme known at a mark lies between the mark before and it: a high takes the larger factor
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
    left = _ramp(len(panel.timestamps), first, shock.recovery_hours)
    return _repriced(panel, 1.0 + shock.size * left, mode_slice)


def _funding(panel: Panel, shock: FundingShock, first: int) -> Panel:
    """Only what settles is changed: an hour without a settlement has none afterwards either."""
    columns = shocked_venues(shock, panel.venues)
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
    left = _ramp(len(panel.timestamps), first, shock.recovery_hours)
    return replace(panel, market_rate=panel.market_rate * (1.0 - shock.size * left))


def _gas(panel: Panel, shock: GasSpike, first: int) -> Panel:
    if shock.size == 0.0:
        return panel
    price = panel.gas_price.copy()
    price[first : first + shock.hours] *= 1.0 + shock.size
    return replace(panel, gas_price=price)


def _borrowing(panel: Panel, shock: BorrowRateSpike, first: int) -> Panel:
    """The index grows faster while the spike lasts and keeps what it has gained."""
    if shock.size == 0.0:
        return panel
    elapsed = np.clip(np.arange(len(panel.timestamps)) - first, 0, shock.hours)
    growth = np.exp(shock.size * elapsed / HOURS_PER_YEAR)
    return replace(panel, borrow_index=panel.borrow_index * growth)


def _outage(panel: Panel, shock: VenueOutage, first: int, mode: ModeConfig) -> Panel:
    """The mark and the extreme known at it stay as they were; trades still meet that stale price.

    At the mark it is back, the extreme is the worst that it missed.
    """
    (column,) = shocked_venues(shock, panel.venues)
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
