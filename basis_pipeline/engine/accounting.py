"""Steps 2 to 4 of an hour: value and accrue what is held, settle funding, credit rewards."""

from typing import NamedTuple

import numpy as np

from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.hours import HourCoefficients
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.model import LEG_REWARD, Book, EventKind, Reason, Record, Records


@compiled
def settle_funding(book: Book, hours: HourCoefficients, t: int) -> float:
    """Settle funding and return its sum: a short receives rate x notional, a long pays it."""
    funding = 0.0
    for v in range(len(book.perps)):
        perp, quote = book.perps[v], hours.quotes[t, v]
        quantity, price = perp.quantity, quote.mark
        if quote.funding_rate != 0.0 and quantity != 0.0:
            payment = -quote.funding_rate * quantity * price
            perp.balance += payment
            funding += payment
            leg = LEG_REWARD + len(book.tokens) + v
            kind, reason = EventKind.FUNDING, Reason.SETTLEMENT
            record(book, t, kind, leg, quantity, price, payment, 0.0, 0.0, reason)
    return funding


@hot
def earn_rewards(book: Book, hours: HourCoefficients, t: int, units: float) -> None:
    """Set aside what the hour that ends at t earns on `units` of ETH staked, gross of debt."""
    for r in range(len(book.tokens)):
        token = hours.tokens[t, r]
        book.pending[r, token.slot] += token.earned_per_unit * units


@hot
def credit_rewards(book: Book, hours: HourCoefficients, t: int, row: Record) -> None:
    """Credit the reward tokens paid at t, at their market price."""
    for r in range(len(book.tokens)):
        token = hours.tokens[t, r]
        if token.paid_slot < 0:
            continue
        quantity = book.pending[r, token.paid_slot]
        book.pending[r, token.paid_slot] = 0.0
        if quantity > 0.0:
            value = quantity * token.price
            book.tokens[r] += quantity
            row.rewards += value
            row.equity_before += value
            leg, kind, reason = LEG_REWARD + r, EventKind.REWARD, Reason.SETTLEMENT
            record(book, t, kind, leg, quantity, token.price, value, 0.0, 0.0, reason)


@hot
def collateral_eth(book: Book, hours: HourCoefficients, t: int) -> float:
    """Return the ETH value of the staked holding at the redemption rate."""
    return book.holdings.staked * hours.asset[t].lst_redemption


@hot
def debt_eth(book: Book, hours: HourCoefficients, t: int) -> float:
    """Return the WETH owed."""
    return book.holdings.debt * hours.asset[t].borrow_index


@hot
def venue_equity(book: Book, hours: HourCoefficients, t: int, v: int) -> float:
    """Return the margin balance plus the unrealised profit at venue v."""
    perp = book.perps[v]
    return perp.balance + perp.quantity * (hours.quotes[t, v].mark - perp.entry)


@hot
def is_hedged(parameters: Record) -> bool:
    """Say whether perpetuals are held; what the weights leave is their margin."""
    return (parameters.hedge_ratio > 0.0) | (parameters.gross_carry > 0.0)


@hot
def loan_is_due(parameters: Record, collateral: float, debt: float) -> bool:
    """Say whether a loan's health factor is below 1 with collateral left to seize."""
    threshold = parameters.liquidation_threshold * collateral
    return (threshold > 0.0) & (threshold < debt)


@hot
def perp_is_due(perp: Record, terms: Record, price: float) -> bool:
    """Say whether a position is at or below its maintenance margin at a price."""
    quantity = perp.quantity
    left = perp.balance + quantity * (price - perp.entry)
    return (quantity != 0.0) & (left <= terms.maintenance_margin * abs(quantity) * price)


class Valuation(NamedTuple):
    """The value of a book at an hour, for attribution, equity, triggers and risk alike."""

    equity: float  # in the numeraire
    collateral: float  # ETH, at the redemption rate
    staked_value: float  # ETH, the same at the rate that values holdings
    debt: float  # ETH
    long: float  # units of the asset, net of the debt, at the rate that values holdings
    short: float  # units of the asset in perpetuals, less what they are long of
    perp_change: float  # of the perpetuals' value since the hour before
    rewards_change: float  # of the reward tokens' value since the hour before
    largest_reward: float  # value of the reward token that is worth most
    margin_fits: bool  # every venue holds its position, at a margin ratio within the band
    margin_ratio: float  # lowest over the venues, where it is a new low of the run
    liquidation_due: bool  # of the loan or of a position


@hot
def value_book(
    book: Book, hours: HourCoefficients, parameters: Record, venues: Records, t: int
) -> Valuation:
    """Value everything held at hour t."""
    held, hour, quotes = book.holdings, hours.asset[t], hours.quotes[t]
    collateral = held.staked * hour.lst_redemption
    staked_value = held.staked * hour.lst_value
    debt = held.debt * hour.borrow_index
    long = held.spot + staked_value - debt
    equity = held.cash + held.supply * hour.lending_index + long * hour.spot
    short, perp_change, fits, ratio = 0.0, 0.0, True, np.inf
    due = (held.debt > 0.0) & loan_is_due(parameters, collateral, debt)
    least, most = parameters.margin_ratio_min, parameters.margin_ratio_max
    lowest = book.tally.min_margin_ratio
    bound = lowest + 1e-14 * abs(lowest)  # the ratio is computed only where it may be a new low
    for v in range(len(quotes)):
        perp, quote = book.perps[v], quotes[v]
        quantity, mark = perp.quantity, quote.mark
        margin = perp.balance + quantity * (mark - perp.entry)
        notional = abs(quantity) * mark
        equity += margin
        short -= quantity
        perp_change += quantity * quote.mark_change
        # A venue that a liquidation emptied is outside its band.
        empty = quantity == 0.0
        inside = (margin >= least * notional) & (margin <= most * notional)
        idle = (long <= 0.0) & (venues[v].carry == 0.0)
        fits &= (empty & idle) | (~empty & inside)
        due |= ~empty & (margin <= venues[v].maintenance_margin * notional)
        if quantity != 0.0 and not margin >= bound * notional:
            ratio = min(ratio, margin / notional)
    rewards_change, largest = 0.0, 0.0
    for r in range(len(book.tokens)):
        quantity = book.tokens[r]
        if quantity != 0.0:  # before its first quote a token has no price
            token = hours.tokens[t, r]
            value = quantity * token.price
            equity += value
            rewards_change += quantity * token.price_change
            largest = max(largest, value)
    return Valuation(
        equity,
        collateral,
        staked_value,
        debt,
        long,
        short,
        perp_change,
        rewards_change,
        largest,
        fits,
        ratio,
        due,
    )


@hot
def begin_row(row: Record) -> None:
    """Reset the fields of an hour's row that the steps of the hour add to."""
    row.flow = 0.0
    row.perp_price = 0.0
    row.execution_cost = 0.0
    row.gas = 0.0
    row.liquidation = 0.0


@hot
def accrue(
    book: Book, hours: HourCoefficients, t: int, valuation: Valuation, funding: float, row: Record
) -> None:
    """Attribute the change of every holding since the hour before, by component (SEMANTICS 9)."""
    held, hour = book.holdings, hours.asset[t]
    row.equity_before = valuation.equity
    row.lending = held.supply * hour.lending_gain + held.staked * hour.supply_gain
    row.borrowing = -held.debt * hour.borrow_cost
    row.staking = held.staked * hour.staking_gain
    row.rewards = valuation.rewards_change
    row.funding = funding
    row.spot_price = valuation.long * hour.spot_change
    row.perp_price += valuation.perp_change
