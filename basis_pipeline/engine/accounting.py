"""Steps 1 to 3 at a mark: accrue and mark what is held, settle funding, credit rewards; valuing."""

from typing import NamedTuple

import numpy as np

from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.model import (
    BALANCE,
    CASH,
    DEBT,
    E_FUNDING,
    E_REWARD,
    ENTRY,
    LEG_REWARD,
    LOWEST_MARGIN_RATIO,
    QUANTITY,
    R_SETTLEMENT,
    REWARDS,
    SPOT,
    STAKED,
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
    U_PRICE,
    U_PRICE_CHANGE,
    U_REDEEMED,
    U_SPOT,
    U_SPOT_CHANGE,
    U_STAKED,
    U_SUPPLIED,
    U_TOKEN_SIZE,
    U_VENUE_SIZE,
    UNIT_SIZE,
    Ahead,
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
    asset, perps, tokens, arrival = units
    marks = asset.shape[1]
    for t in range(marks):
        before = max(t - 1, 0)
        spot, spot_before = market.spot[t], market.spot[before]
        index, rate = market.collateral_index[t], market.lst_mark[t]
        index_before, rate_before = market.collateral_index[before], market.lst_mark[before]
        borrow = market.borrow_index[t]
        asset[U_SPOT, t] = spot
        asset[U_LENDING_INDEX, t] = market.lending_index[t]
        asset[U_BORROW_INDEX, t] = borrow
        asset[U_MARKED, t] = index * rate
        asset[U_REDEEMED, t] = index * market.oracle_rate[t]
        asset[U_SPOT_CHANGE, t] = spot - spot_before
        asset[U_LENT, t] = market.lending_index[t] - market.lending_index[before]
        asset[U_SUPPLIED, t] = (index - index_before) * rate_before * spot_before
        asset[U_STAKED, t] = index * (rate - rate_before) * spot_before
        asset[U_OWED, t] = (borrow - market.borrow_index[before]) * spot_before
        arrives = market.flow[t] != 0.0
        for r in range(tokens.shape[0]):
            price = market.reward_price[t, r]
            tokens[r, U_PRICE, t] = price
            tokens[r, U_PRICE_CHANGE, t] = price - market.reward_price[before, r]
            arrives |= market.reward_tokens_per_unit[t, r] != 0.0
        arrival[t] = t if arrives else marks
        for v in range(perps.shape[0]):
            perps[v, U_MARK, t] = market.perp_mark[t, v]
            perps[v, U_MARK_CHANGE, t] = market.perp_mark[t, v] - market.perp_mark[before, v]
            perps[v, U_EXTREME, t] = market.perp_extreme[t, v]
            perps[v, U_FUNDING, t] = market.funding_rate[t, v]
    for t in range(marks - 2, -1, -1):
        arrival[t] = min(arrival[t], arrival[t + 1])


def unit_table(market: MarketArrays) -> Units:
    """The unit table of a market, rows `U_…` of `model`.

    Made once a market, however many scenarios run over it.
    """
    marks, venues = market.perp_mark.shape
    units = Units(
        np.empty((UNIT_SIZE, marks)),
        np.empty((venues, U_VENUE_SIZE, marks)),
        np.empty((market.reward_price.shape[1], U_TOKEN_SIZE, marks)),
        np.empty(marks, np.int64),
    )
    fill_units(market, units)
    return units


class Holdings(NamedTuple):
    """The state as numbers."""

    cash: float
    supply: float
    spot: float
    staked: float
    debt: float


@hot
def holdings(book: Book) -> Holdings:
    """What is held, as numbers that stay in registers."""
    state = book.state
    return Holdings(state[CASH], state[SUPPLY], state[SPOT], state[STAKED], state[DEBT])


@hot
def accrue(book: Book, units: Units, t: int, marks: int, ahead: Ahead) -> None:
    """Attribute the change of every holding up to each mark, by component (SEMANTICS 9)."""
    held, asset = holdings(book), units.asset
    lent, supplied = asset[U_LENT, t : t + marks], asset[U_SUPPLIED, t : t + marks]
    earned, owed = asset[U_STAKED, t : t + marks], asset[U_OWED, t : t + marks]
    marked, borrowed = asset[U_MARKED, t : t + marks], asset[U_BORROW_INDEX, t : t + marks]
    change = asset[U_SPOT_CHANGE, t : t + marks]
    for j in range(marks):
        ahead.lending[j] = held.supply * lent[j] + held.staked * supplied[j]
        ahead.borrowing[j] = -held.debt * owed[j]
        ahead.staking[j] = held.staked * earned[j]
    for j in range(marks):
        long = held.spot + held.staked * marked[j] - held.debt * borrowed[j]
        ahead.spot_price[j] = long * change[j]
        ahead.rewards[j] = 0.0
        ahead.perp_price[j] = 0.0
    for v in range(book.perps.shape[0]):
        quantity, change = book.perps[v, QUANTITY], units.perps[v, U_MARK_CHANGE, t : t + marks]
        for j in range(marks):
            ahead.perp_price[j] += quantity * change[j]
    for r in range(book.tokens.shape[0]):
        quantity, change = book.tokens[r], units.tokens[r, U_PRICE_CHANGE, t : t + marks]
        if quantity != 0.0:  # before its first quote a token has no price
            for j in range(marks):
                ahead.rewards[j] += quantity * change[j]


@hot
def settle_funding(book: Book, units: Units, t: int, marks: int, ahead: Ahead) -> None:
    """Pay the funding that settles at each mark: a short receives rate x notional."""
    for j in range(marks):
        ahead.funding[j] = 0.0
    for v in range(book.perps.shape[0]):
        quantity, balance = book.perps[v, QUANTITY], book.perps[v, BALANCE]
        rate = units.perps[v, U_FUNDING, t : t + marks]
        price = units.perps[v, U_MARK, t : t + marks]
        path = ahead.balance[v]
        for j in range(marks):
            if rate[j] != 0.0 and quantity != 0.0:
                payment = -rate[j] * quantity * price[j]
                balance += payment
                ahead.funding[j] += payment
            path[j] = balance


@compiled
def record_funding(book: Book, units: Units, t: int) -> None:
    """Append what settled at mark t to the ledger."""
    for v in range(book.perps.shape[0]):
        rate, price = units.perps[v, U_FUNDING, t], units.perps[v, U_MARK, t]
        quantity = book.perps[v, QUANTITY]
        if rate != 0.0 and quantity != 0.0:
            payment = -rate * quantity * price
            leg = LEG_REWARD + book.tokens.shape[0] + v
            record(book, t, E_FUNDING, leg, quantity, price, payment, 0.0, 0.0, R_SETTLEMENT)


@hot
def take_balances(book: Book, ahead: Ahead, j: int) -> None:
    """Let the margin balances be those of place j."""
    for v in range(book.perps.shape[0]):
        book.perps[v, BALANCE] = ahead.balance[v, j]


@hot
def credit_rewards(book: Book, market: MarketArrays, units: Units, t: int, row: Floats) -> None:
    """Credit reward tokens paid at t on the gross staked ETH, at the token's market price."""
    for r in range(book.tokens.shape[0]):
        per_unit = market.reward_tokens_per_unit[t, r]
        if per_unit != 0.0 and book.state[STAKED] != 0.0:
            quantity = per_unit * (book.state[STAKED] * units.asset[U_REDEEMED, t])
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
    book: Book, units: Units, parameters: Parameters, t: int, marks: int, ahead: Ahead
) -> None:
    """Value everything held at each mark, with the margin balances of `ahead`."""
    held, asset = holdings(book), units.asset
    marked, redeemed = asset[U_MARKED, t : t + marks], asset[U_REDEEMED, t : t + marks]
    lent, owed = asset[U_LENDING_INDEX, t : t + marks], asset[U_BORROW_INDEX, t : t + marks]
    spot = asset[U_SPOT, t : t + marks]
    for j in range(marks):
        ahead.collateral[j] = held.staked * redeemed[j]
        ahead.marked[j] = held.staked * marked[j]
        ahead.debt[j] = held.debt * owed[j]
    for j in range(marks):
        long = held.spot + ahead.marked[j] - ahead.debt[j]
        ahead.equity[j] = held.cash + held.supply * lent[j] + long * spot[j]
        ahead.margin_fits[j] = 1
        ahead.low_margin[j] = 0
    lowest = book.tally[LOWEST_MARGIN_RATIO]
    bound = lowest + 1e-14 * abs(lowest)  # a ratio is divided out only where it may be a new low
    for v in range(book.perps.shape[0]):
        quantity, entry = book.perps[v, QUANTITY], book.perps[v, ENTRY]
        mark, balance = units.perps[v, U_MARK, t : t + marks], ahead.balance[v]
        least, most = parameters.margin_ratio_min, parameters.margin_ratio_max
        flat = quantity == 0.0
        for j in range(marks):
            margin = balance[j] + quantity * (mark[j] - entry)
            notional = abs(quantity) * mark[j]
            ahead.equity[j] += margin
            fits = (margin >= least * notional) & (flat | (margin <= most * notional))
            ahead.margin_fits[j] &= fits
            ahead.low_margin[j] |= (not flat) & (not margin >= bound * notional)
    for r in range(book.tokens.shape[0]):
        quantity, price = book.tokens[r], units.tokens[r, U_PRICE, t : t + marks]
        if quantity != 0.0:
            for j in range(marks):
                ahead.equity[j] += quantity * price[j]


@hot
def look_at(book: Book, units: Units, t: int, j: int, ahead: Ahead) -> Survey:
    """The survey of mark t, which is place j."""
    short, ratio = 0.0, np.inf
    for v in range(book.perps.shape[0]):
        quantity, mark = book.perps[v, QUANTITY], units.perps[v, U_MARK, t]
        short -= quantity
        if ahead.low_margin[j] != 0 and quantity != 0.0:
            margin = ahead.balance[v, j] + quantity * (mark - book.perps[v, ENTRY])
            ratio = min(ratio, margin / (abs(quantity) * mark))
    return Survey(
        ahead.equity[j],
        ahead.collateral[j],
        ahead.marked[j],
        ahead.debt[j],
        short,
        ahead.margin_fits[j] != 0,
        ratio,
    )


@hot
def survey_now(book: Book, units: Units, parameters: Parameters, t: int, ahead: Ahead) -> Survey:
    """The survey of mark t with the margin balances of the book."""
    for v in range(book.perps.shape[0]):
        ahead.balance[v, 0] = book.perps[v, BALANCE]
    survey(book, units, parameters, t, 1, ahead)
    return look_at(book, units, t, 0, ahead)
