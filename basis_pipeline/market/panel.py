"""The panel: contiguous arrays of exactly what one mode needs over its window."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.config.mode import ModeConfig
from basis_pipeline.config.slicing import ModeSlice
from basis_pipeline.config.universe import USD, Kind
from basis_pipeline.config.venue import DecentralisedExchange, Exchange
from basis_pipeline.errors import BacktestError, DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.events import COST_BUCKETS_USD
from basis_pipeline.market.rewards import reward_arrays
from basis_pipeline.market.timeline import Floats
from basis_pipeline.market.timestamps import Int64, format_time, to_index
from basis_pipeline.market.values import MarketValues
from basis_pipeline.market.window import Window
from basis_pipeline.times import HOUR_NS

Flags = npt.NDArray[np.bool_]

PERP = "-PERP"  # suffix of perpetuals in the cost table
BUCKETS = tuple(f"{size:.0f}" for size in COST_BUCKETS_USD)
POSITIVE = {
    "spot": "the asset's price [numeraire per unit]; of a carry the mean of its perpetuals, "
    "weighted by the legs; 1.0 where the asset is the numeraire",
    "perp_mark": "price of the perpetual [its quote currency]",
    "perp_extreme": "high of the bar known at the hour, low for a long [its quote currency]",
    "lending_index": "liquidity index of the lent token [ratio]",
    "collateral_index": "liquidity index of the staked token [ratio]; 1.0 when not supplied",
    "borrow_index": "variable borrow index of the debt token [ratio]",
    "oracle_rate": "redemption rate of the staked token [coins per token]",
    "market_rate": "price of the staked token on decentralised exchanges [coins per token]",
    "numeraire_usd": "price of the numeraire [USD], for the size buckets of costs",
}
NOT_NEGATIVE = {
    "pool_supplied": "lent tokens in the pool [tokens]; 1.0 when none are lent",
    "pool_collateral": "staked tokens in the pool [tokens]; 1.0 when not supplied",
    "pool_borrowed": "debt tokens borrowed from the pool [tokens]; 1.0 when none are",
    "gas_price": "price of a unit of gas [numeraire]; 0.0 when costs are off",
    "cost_bps": "cost of a trade by leg and size bucket [bp of notional]; 0.0 when costs are off",
    "reward_tokens_per_unit": "earned over the hour ending at t [tokens per staked coin]",
    "reward_slot": "slot in which the hour's rewards accrue until they are paid [number]",
}
# Every array with its meaning and unit.
ARRAYS = {
    **POSITIVE,
    **NOT_NEGATIVE,
    "funding_rate": "settled at the hour [share of notional], 0.0 where nothing settles",
    "reward_payout": "slot paid at the hour [number], -1 where none is",
    "reward_price": "price of a reward token [numeraire per token], NaN before its first quote",
}


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """Market data of one mode, one row per hour: n hours, K hedge venues, R reward tokens.

    Arrays are C-contiguous float64 unless said otherwise; the numeraire is the share class's
    currency. Arrays that the mode does not need are 1.0 if factors and 0.0 if summands.
    """

    mode: str
    venues: tuple[str, ...]  # hedge venues by name; columns of the perpetuals
    reward_tokens: tuple[str, ...]
    timestamps: Int64  # (n,) ns UTC, every hour of the window, both ends included
    spot: Floats  # (n,) numeraire per unit of the asset; 1.0 where the asset is the numeraire
    perp_mark: Floats  # (n, K) in the quote currency
    perp_extreme: Floats  # (n, K) adverse extreme of the bar known at t (SEMANTICS 1 and 7)
    funding_rate: Floats  # (n, K) settled at t, 0.0 where nothing settles
    lending_index: Floats  # (n,) liquidity index of the lent token
    collateral_index: Floats  # (n,) liquidity index of the LST; 1.0 when it is not supplied
    borrow_index: Floats  # (n,) variable borrow index of the debt token
    oracle_rate: Floats  # (n,) coins per LST, redemption
    market_rate: Floats  # (n,) coins per LST, decentralised exchanges
    gas_price: Floats  # (n,) numeraire per unit of gas; 0.0 when costs are off
    pool_supplied: Floats  # (n,) lent tokens in the pool; 1.0 when none are lent
    pool_collateral: Floats  # (n,) staked tokens in the pool; 1.0 when not supplied
    pool_borrowed: Floats  # (n,) debt tokens borrowed from the pool; 1.0 when none is
    numeraire_usd: Floats  # (n,) USD per unit of numeraire, for the size buckets of costs
    cost_bps: Floats  # (n, 2 + R + K, 3) by leg and size bucket; 0.0 when costs are off
    reward_tokens_per_unit: Floats  # (n, R) earned by a staked coin over the hour ending at t
    reward_slot: Floats  # (n, R) slot in which the hour's rewards accrue
    reward_payout: Floats  # (n, R) slot paid at t, -1 where none is
    reward_price: Floats  # (n, R) numeraire per token, NaN before its first quote
    repaired: Flags  # (n,) any input of the hour was repaired
    repairs: dict[str, Flags]  # dataset → (n,)
    data_hashes: dict[str, str]  # dataset → sha256 of its raw content, repair sources included

    @property
    def legs(self) -> tuple[str, ...]:
        """Names of the legs of `cost_bps`, in order."""
        return legs(self.reward_tokens, self.venues)

    @property
    def hours(self) -> pd.DatetimeIndex:
        """The timestamps as datetime64[ns, UTC]."""
        return to_index(self.timestamps)


def legs(reward_tokens: tuple[str, ...], venues: tuple[str, ...]) -> tuple[str, ...]:
    """List the legs that a mode can trade: spot, LST, reward tokens, perpetuals."""
    return ("spot", "lst", *reward_tokens, *(f"{venue}_perp" for venue in venues))


def axes(
    array: str, venues: tuple[str, ...], reward_tokens: tuple[str, ...]
) -> tuple[tuple[str, ...], ...]:
    """Return the labels along an array's dimensions after the first; none for a series."""
    if array in ("perp_mark", "perp_extreme", "funding_rate"):
        return (venues,)
    if array.startswith("reward_"):
        return (reward_tokens,)
    return (legs(reward_tokens, venues), BUCKETS) if array == "cost_bps" else ()


def require_fit(panel: Panel) -> None:
    """Reject a panel that the engine cannot run on: BT-003, with the array and the hour."""
    timestamps, n = panel.timestamps, len(panel.timestamps)
    if n < 2 or np.any(np.diff(timestamps) != HOUR_NS) or timestamps[0] % HOUR_NS:
        raise BacktestError(
            "BT-003", f"the timestamps of {panel.mode} are not contiguous full hours"
        )
    for name in ARRAYS:
        array: Floats = getattr(panel, name)
        labelled = axes(name, panel.venues, panel.reward_tokens)
        shape = (n, *(len(labels) for labels in labelled))
        if array.shape != shape or array.dtype != np.float64 or not array.flags.c_contiguous:
            raise BacktestError(
                "BT-003",
                f"{name} of {panel.mode} is {array.dtype}{array.shape}",
                available=f"the engine requires contiguous float64{shape}",
            )
        _require_values(panel, name, array)
    for name, flags in {"repaired": panel.repaired, **panel.repairs}.items():
        if flags.shape != (n,) or flags.dtype != np.bool_:
            raise BacktestError(
                "BT-003", f"the repair flags {name} of {panel.mode} are not hourly booleans"
            )


def _require_values(panel: Panel, name: str, array: Floats) -> None:
    fit = np.isfinite(array)
    if name in POSITIVE:
        fit &= array > 0.0
    if name in NOT_NEGATIVE:
        fit &= array >= 0.0
    if name == "reward_price":
        # Nobody holds the token before its first payout; from then on it needs a price.
        due = np.logical_or.accumulate(panel.reward_payout >= 0.0, axis=0)
        fit = (fit & (array > 0.0)) | (np.isnan(array) & ~due)
    if fit.all():
        return
    row, *place = (int(i) for i in np.argwhere(~fit)[0])
    labelled = axes(name, panel.venues, panel.reward_tokens)
    labels = [axis[i] for axis, i in zip(labelled, place, strict=True)]
    raise BacktestError(
        "BT-003",
        f"{'.'.join([name, *labels])} of {panel.mode} is {array[row, *place]} at "
        f"{format_time(int(panel.timestamps[row]))}, the first of {int((~fit).sum())} such values",
    )


def build_panel(
    mode_slice: ModeSlice, datasets: Mapping[str, Dataset | DataError], window: Window
) -> Panel:
    """Build the panel of a mode: the values it needs at every hour of the window.

    Parameters
    ----------
    datasets: by name, at least those of `mode_slice.datasets`, built for a window that contains
        this one. A rejected one is its error, which is raised if the mode needs the dataset.

    Raises
    ------
    DataError: a needed dataset is absent (DATA-001), rejected (its own code), or does not cover the
        window (DATA-012).
    BacktestError: BT-003, an array is unfit for the engine.
    """
    mode, hours, needed = mode_slice.mode, window.hours.asi8, _needed(mode_slice, datasets)
    stakes, borrows, lst = mode.allocation.staking > 0, mode.is_leveraged, mode.staking.lst
    issuer, debt = mode_slice.staking_protocol, mode_slice.debt_token
    underlying = {issuer.lst: issuer.underlying} if issuer else {}
    values = MarketValues(needed, mode_slice.counts_as, underlying, mode.pricing.price_field)

    def ones() -> Floats:
        return np.ones(len(hours))

    repairs = _repairs(mode, values, needed, hours)
    perp_mark = _by_venue(mode, values.perp_price, hours)
    panel = Panel(
        mode=mode_slice.name,
        venues=mode.hedge_venues,
        reward_tokens=mode_slice.reward_tokens,
        timestamps=hours.copy(),
        spot=_asset_price(mode, values, hours, perp_mark),
        perp_mark=perp_mark,
        perp_extreme=_perp_extreme(mode, values, hours),
        funding_rate=_by_venue(mode, values.funding_rate, hours),
        lending_index=values.liquidity_index(mode.lending.token, hours)
        if mode.allocation.lending > 0
        else ones(),
        collateral_index=values.liquidity_index(lst, hours) if borrows else ones(),
        borrow_index=values.variable_borrow_index(debt, hours) if borrows else ones(),
        pool_supplied=values.pool_total(mode.lending.token, "total_a_token", hours)
        if mode.allocation.lending > 0
        else ones(),
        pool_collateral=values.pool_total(lst, "total_a_token", hours) if borrows else ones(),
        pool_borrowed=values.pool_total(debt, "total_variable_debt", hours) if borrows else ones(),
        oracle_rate=values.oracle_rate(lst, hours) if stakes else ones(),
        market_rate=values.market_rate(lst, hours) if stakes else ones(),
        gas_price=values.gas_price(mode.share_class, hours)
        if mode.costs.enabled and mode.costs.gas_multiplier > 0
        else np.zeros(len(hours)),
        # Without costs the price of the currency may be unknown, and size buckets are not used.
        numeraire_usd=values.price(mode.share_class, USD, hours)
        if mode.costs.enabled or values.has_price(mode.share_class, USD)
        else ones(),
        cost_bps=_cost_bps(mode_slice, values, hours),
        **reward_arrays(
            [values.reward_periods(token) for token in mode_slice.reward_tokens], hours
        ),
        reward_price=_reward_price(mode_slice, values, hours),
        repaired=np.logical_or.reduce([np.zeros(len(hours), dtype=bool), *repairs.values()]),
        repairs=repairs,
        data_hashes=dict(
            sorted(pair for d in needed.values() for pair in d.content_hashes.items())
        ),
    )
    require_fit(panel)
    return panel


def _needed(
    mode_slice: ModeSlice, datasets: Mapping[str, Dataset | DataError]
) -> dict[str, Dataset]:
    needed = {}
    for name in mode_slice.datasets:
        found = datasets.get(name)
        if found is None:
            raise DataError(
                "DATA-001",
                f"mode {mode_slice.name} needs the dataset {name}, which is missing",
                where=mode_slice.datasets[name].glob,
                available=", ".join(sorted(datasets)) or "none",
            )
        if isinstance(found, DataError):
            raise found
        needed[name] = found
    return needed


def _by_venue(
    mode: ModeConfig,
    value: Callable[[str, str, Int64], Floats],
    hours: Int64,
) -> Floats:
    table = np.empty((len(hours), len(mode.hedge_venues)))
    for column, venue in enumerate(mode.hedge_venues):
        table[:, column] = value(venue, mode.asset, hours)
    return table


def _asset_price(mode: ModeConfig, values: MarketValues, hours: Int64, perp_mark: Floats) -> Floats:
    """Numeraire per unit of the asset, (n,); a carry prices it by its legs (SEMANTICS 5)."""
    if mode.buys_asset:
        return values.price(mode.asset, mode.share_class, hours)
    if mode.hedge.carry:
        sizes = [abs(mode.hedge.carry[venue]) for venue in mode.hedge_venues]
        return np.average(perp_mark, axis=1, weights=sizes)
    return np.ones(len(hours))


def _perp_extreme(mode: ModeConfig, values: MarketValues, hours: Int64) -> Floats:
    """Worst price known at t for the side held: on opens that of the bar before (SEMANTICS 7)."""

    def extreme(venue: str, asset: str, at: Int64) -> Floats:
        return values.perp_price(venue, asset, at, "low" if mode.is_long_at(venue) else "high")

    if mode.pricing.price_field == "close":
        return _by_venue(mode, extreme, hours)
    first = _by_venue(mode, values.perp_price, hours[:1])
    return np.concatenate([first, _by_venue(mode, extreme, hours[:-1])])


def _cost_bps(mode_slice: ModeSlice, values: MarketValues, hours: Int64) -> Floats:
    """Basis points by leg and size bucket; 0 for legs it cannot trade (SEMANTICS 8)."""
    mode, tokens = mode_slice.mode, mode_slice.reward_tokens
    count = len(legs(tokens, mode.hedge_venues))
    bps = np.zeros((len(hours), count, len(COST_BUCKETS_USD)))
    if not mode.costs.enabled:
        return bps
    if mode.costs.model == "flat":
        bps[:] = mode.costs.flat_bps
        return bps
    from_table, issuer = mode.costs.model == "table", mode_slice.staking_protocol

    def cost(pair: str, venue: str, *, always_fee: bool = False) -> Floats | float:
        seller = mode_slice.venues.get(venue)
        if from_table and not always_fee and (seller is None or values.has_costs(pair)):
            return values.cost_buckets(pair, hours)
        if pair.endswith(PERP) and isinstance(seller, Exchange):
            return seller.perp_taker_fee_bps
        assert isinstance(seller, Exchange | DecentralisedExchange)  # ensured by the configuration
        return seller.spot_taker_fee_bps

    if mode.buys_asset:
        # The table's spot pairs are pools; exchanges charge their taker fee.
        is_exchange = isinstance(mode_slice.venues[mode.spot.venue], Exchange)
        pair = f"{mode.asset}_{mode.share_class}"
        bps[:, 0] = cost(pair, mode.spot.venue, always_fee=is_exchange)
    if issuer is not None:
        bps[:, 1] = cost(f"{mode.asset}_{issuer.lst}", issuer.sold_at)
        for leg, token in enumerate(tokens, start=2):
            bps[:, leg] = cost(f"{token}_{mode.share_class}", issuer.rewards[token])
    for leg, name in enumerate(mode.hedge_venues, start=2 + len(tokens)):
        bps[:, leg] = cost(f"{mode.asset}{mode_slice.perp_quote(name)}{PERP}", name)
    return bps


def _reward_price(mode_slice: ModeSlice, values: MarketValues, hours: Int64) -> Floats:
    prices = np.full((len(hours), len(mode_slice.reward_tokens)), np.nan)
    for column, token in enumerate(mode_slice.reward_tokens):
        first = values.first_quote(token)
        if first is not None:
            quoted = hours >= first
            prices[quoted, column] = values.price(token, mode_slice.mode.share_class, hours[quoted])
    return prices


def _repairs(
    mode: ModeConfig,
    values: MarketValues,
    datasets: Mapping[str, Dataset],
    hours: Int64,
) -> dict[str, Flags]:
    """By dataset, the hours at which one of its inputs was repaired, extremes included."""
    flags = {name: values.repaired(name, hours) for name in sorted(datasets)}
    if mode.pricing.price_field == "open":
        for name, dataset in datasets.items():
            if dataset.config.kind is Kind.PERP_BARS:
                flags[name][1:] |= flags[name][:-1].copy()
    return flags
