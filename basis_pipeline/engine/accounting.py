"""Steps 1 to 3 at a mark: accrue and mark what is held, settle funding, credit rewards; valuing."""

from typing import NamedTuple

import numpy as np

from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.model import (
    BALANCE,
    BORROWING,
    CASH,
    DEBT,
    E_FUNDING,
    E_REWARD,
    ENTRY,
    EXECUTION_COST,
    FUNDING,
    GAS,
    LEG_REWARD,
    LENDING,
    LIQUIDATION,
    LOWEST_MARGIN_RATIO,
    PERP_PRICE,
    QUANTITY,
    R_SETTLEMENT,
    REWARDS,
    SPOT,
    SPOT_PRICE,
    STAKED,
    STAKING,
    SUPPLY,
    U_BORROW_INDEX,
    U_EXTREME,
    U_FUNDING,
    U_LENDING_INDEX,
    U_LENT,
    U_MARK,
    U_MARK_CHANGE,
    U_MARKED,
    U_OWED,
    U_REDEEMED,
    U_SPOT,
    U_SPOT_CHANGE,
    U_STAKED,
    U_SUPPLIED,
    U_VENUE_SIZE,
    UNIT_SIZE,
    Book,
    Floats,
    MarketArrays,
    Parameters,
    Units,
)


@compiled
def fill_units(market: MarketArrays, units: Units) -> None:
    """Fill the unit table: the part of every mark that is the same whatever is held.

    A holding is a product scaled x index x rate x price. Its change is taken factor by factor, the
    later factors at their old value and the earlier ones at their new, so that the parts telescope
    (SEMANTICS 9).
    """
    for t in range(units.asset.shape[0]):
        unit, before = units.asset[t], max(t - 1, 0)
        spot, spot_before = market.spot[t], market.spot[before]
        index, rate = market.collateral_index[t], market.lst_mark[t]
        index_before, rate_before = market.collateral_index[before], market.lst_mark[before]
        borrow = market.borrow_index[t]
        unit[U_SPOT] = spot
        unit[U_LENDING_INDEX] = market.lending_index[t]
        unit[U_BORROW_INDEX] = borrow
        unit[U_MARKED] = index * rate
        unit[U_REDEEMED] = index * market.oracle_rate[t]
        unit[U_SPOT_CHANGE] = spot - spot_before
        unit[U_LENT] = market.lending_index[t] - market.lending_index[before]
        unit[U_SUPPLIED] = (index - index_before) * rate_before * spot_before
        unit[U_STAKED] = index * (rate - rate_before) * spot_before
        unit[U_OWED] = (borrow - market.borrow_index[before]) * spot_before
        for v in range(market.perp_mark.shape[1]):
            perp = units.perps[t, v]
            perp[U_MARK] = market.perp_mark[t, v]
            perp[U_MARK_CHANGE] = market.perp_mark[t, v] - market.perp_mark[before, v]
            perp[U_EXTREME] = market.perp_extreme[t, v]
            perp[U_FUNDING] = market.funding_rate[t, v]


def unit_table(market: MarketArrays) -> Units:
    """The unit table of a market, columns `U_…` of `model`.

    Made once a market, however many scenarios run over it.
    """
    marks, venues = market.perp_mark.shape
    units = Units(np.empty((marks, UNIT_SIZE)), np.empty((marks, venues, U_VENUE_SIZE)))
    fill_units(market, units)
    return units


@hot
def accrue(
    book: Book, market: MarketArrays, unit: Floats, quoted: Floats, t: int, row: Floats
) -> None:
    """Attribute the change of every holding from mark t-1 to t, by component (SEMANTICS 9).

    Starts the row: the steps that follow add to it.
    """
    state, perps = book.state, book.perps
    staked, debt = state[STAKED], state[DEBT]
    asset = state[SPOT] + staked * unit[U_MARKED] - debt * unit[U_BORROW_INDEX]
    perp_price = 0.0
    for v in range(perps.shape[0]):
        perp_price += perps[v, QUANTITY] * quoted[v, U_MARK_CHANGE]
    token_price = 0.0
    for r in range(book.tokens.shape[0]):
        if book.tokens[r] != 0.0:  # before its first quote a token has no price
            change = market.reward_price[t, r] - market.reward_price[t - 1, r]
            token_price += book.tokens[r] * change
    row[LENDING] = state[SUPPLY] * unit[U_LENT] + staked * unit[U_SUPPLIED]
    row[BORROWING] = -debt * unit[U_OWED]
    row[STAKING] = staked * unit[U_STAKED]
    row[REWARDS] = token_price
    row[FUNDING] = 0.0
    row[SPOT_PRICE] = asset * unit[U_SPOT_CHANGE]
    row[PERP_PRICE] = perp_price
    row[EXECUTION_COST] = 0.0
    row[GAS] = 0.0
    row[LIQUIDATION] = 0.0


@hot
def settle_funding(book: Book, quoted: Floats, t: int, row: Floats) -> None:
    """Pay the funding that settles at t on the position held: a short receives rate x notional."""
    for v in range(book.perps.shape[0]):
        rate = quoted[v, U_FUNDING]
        quantity = book.perps[v, QUANTITY]
        if rate != 0.0 and quantity != 0.0:
            price = quoted[v, U_MARK]
            payment = -rate * quantity * price
            book.perps[v, BALANCE] += payment
            row[FUNDING] += payment
            leg = LEG_REWARD + book.tokens.shape[0] + v
            record(book, t, E_FUNDING, leg, quantity, price, payment, 0.0, 0.0, R_SETTLEMENT)


@hot
def credit_rewards(book: Book, market: MarketArrays, unit: Floats, t: int, row: Floats) -> None:
    """Credit reward tokens paid at t on the gross staked ETH, at the token's market price."""
    for r in range(book.tokens.shape[0]):
        per_unit = market.reward_tokens_per_unit[t, r]
        if per_unit != 0.0 and book.state[STAKED] != 0.0:
            quantity = per_unit * (book.state[STAKED] * unit[U_REDEEMED])
            price = market.reward_price[t, r]
            book.tokens[r] += quantity
            row[REWARDS] += quantity * price
            value = quantity * price
            record(
                book, t, E_REWARD, LEG_REWARD + r, quantity, price, value, 0.0, 0.0, R_SETTLEMENT
            )


@hot
def collateral_eth(book: Book, market: MarketArrays, t: int) -> float:
    """ETH value of the staked holding at the redemption rate."""
    return book.state[STAKED] * (market.collateral_index[t] * market.oracle_rate[t])


@hot
def debt_eth(book: Book, market: MarketArrays, t: int) -> float:
    """WETH owed."""
    return book.state[DEBT] * market.borrow_index[t]


@hot
def venue_equity(book: Book, market: MarketArrays, t: int, v: int) -> float:
    """Margin balance plus unrealised profit at venue v."""
    perps = book.perps
    unrealised = perps[v, QUANTITY] * (market.perp_mark[t, v] - perps[v, ENTRY])
    return perps[v, BALANCE] + unrealised


class Survey(NamedTuple):
    """What a book is worth at a mark: read by equity, triggers and risk alike."""

    equity: float  # in the numeraire
    collateral: float  # ETH, at the redemption rate
    marked: float  # ETH, the same at the rate that values holdings
    debt: float  # ETH
    short: float  # units of the asset
    margin_fits: bool  # every venue's margin ratio lies in its band
    margin_ratio: float  # lowest over the venues, where it is a new low of the run


@hot
def survey(
    book: Book, market: MarketArrays, unit: Floats, quoted: Floats, parameters: Parameters, t: int
) -> Survey:
    """Value everything held at mark t."""
    state, perps = book.state, book.perps
    marked = state[STAKED] * unit[U_MARKED]
    debt = state[DEBT] * unit[U_BORROW_INDEX]
    asset = state[SPOT] + marked - debt
    total = state[CASH] + state[SUPPLY] * unit[U_LENDING_INDEX] + asset * unit[U_SPOT]
    short, margin_fits, margin_ratio = 0.0, True, np.inf
    lowest = book.tally[LOWEST_MARGIN_RATIO]
    bound = lowest + 1e-14 * abs(lowest)  # a ratio is divided out only where it may be a new low
    for v in range(perps.shape[0]):
        quantity, mark = perps[v, QUANTITY], quoted[v, U_MARK]
        margin = perps[v, BALANCE] + quantity * (mark - perps[v, ENTRY])
        notional = abs(quantity) * mark
        total += margin
        short -= quantity
        margin_fits &= margin >= parameters.margin_ratio_min * notional
        if notional != 0.0:
            margin_fits &= margin <= parameters.margin_ratio_max * notional
            if not margin >= bound * notional:
                margin_ratio = min(margin_ratio, margin / notional)
    for r in range(book.tokens.shape[0]):
        if book.tokens[r] != 0.0:
            total += book.tokens[r] * market.reward_price[t, r]
    collateral = state[STAKED] * unit[U_REDEEMED]
    return Survey(total, collateral, marked, debt, short, margin_fits, margin_ratio)
