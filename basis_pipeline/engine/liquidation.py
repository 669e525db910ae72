"""Steps 1 and 5: liquidation by exchanges and by the lending protocol (SEMANTICS 7)."""

from basis_pipeline.engine.accounting import collateral_eth, debt_eth, loan_is_due, perp_is_due
from basis_pipeline.engine.compiled import compiled, entry, hot
from basis_pipeline.engine.hours import HourCoefficients
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.model import (
    LEG_DEBT,
    LEG_REWARD,
    Book,
    EventKind,
    Reason,
    Record,
    Records,
)


@entry
def liquidate_loan(
    book: Book, hours: HourCoefficients, parameters: Record, t: int, row: Record
) -> None:
    """Repay half the debt, all of it below a health factor of 0.95, and seize collateral.

    Each side is converted with its own token's index. Where the collateral does not cover the
    repayment and its bonus, all of it is seized and the uncovered debt stays.
    """
    held, hour = book.holdings, hours.asset[t]
    collateral, debt = collateral_eth(book, hours, t), debt_eth(book, hours, t)
    health_factor = parameters.liquidation_threshold * collateral / debt
    bonus = 1.0 + parameters.liquidation_bonus
    repaid = debt if health_factor < 0.95 else 0.5 * debt
    repaid = min(repaid, collateral / bonus)
    seized = repaid * bonus
    held.debt -= repaid / hour.borrow_index
    units = seized / hour.oracle_rate
    # Seizing all of it may leave rounding below zero.
    held.staked = max(held.staked - units / hour.collateral_index, 0.0)
    price = hour.spot
    row.liquidation += (repaid - units * hour.lst_mark) * price
    fee, notional = (seized - repaid) * price, repaid * price
    kind, reason = EventKind.LIQUIDATION, Reason.LIQUIDATION
    record(book, t, kind, LEG_DEBT, -repaid, price, notional, fee, 0.0, reason)


@compiled
def liquidate_perp(book: Book, venues: Records, t: int, v: int, price: float, row: Record) -> None:
    """Close the position at venue v at `price`; what is left after the venue's fee stays there."""
    perp = book.perps[v]
    quantity = perp.quantity
    notional = abs(quantity) * price
    fee = venues[v].liquidation_fee * notional
    perp.balance += quantity * (price - perp.entry) - fee
    row.liquidation -= fee
    perp.quantity = 0.0
    perp.entry = 0.0
    leg = LEG_REWARD + len(book.tokens) + v
    kind, reason = EventKind.LIQUIDATION, Reason.LIQUIDATION
    record(book, t, kind, leg, -quantity, price, notional, fee, 0.0, reason)


@compiled
def check_extreme(
    book: Book, hours: HourCoefficients, venues: Records, t: int, v: int, row: Record
) -> None:
    """Update the lowest margin ratio at the extreme, and liquidate the position where it is due.

    The move to the extreme is booked as a price change; from there to the mark nothing is held.
    """
    perp, extreme = book.perps[v], hours.quotes[t, v].extreme
    quantity = perp.quantity
    left = perp.balance + quantity * (extreme - perp.entry)
    ratio = left / (abs(quantity) * extreme)
    book.tally.min_margin_ratio = min(book.tally.min_margin_ratio, ratio)
    if perp_is_due(perp, venues[v], extreme):
        row.perp_price += quantity * (extreme - hours.quotes[t - 1, v].mark)
        liquidate_perp(book, venues, t, v, extreme, row)


@hot
def check_extremes(
    book: Book, hours: HourCoefficients, venues: Records, t: int, row: Record
) -> None:
    """Test every position, as the hour before left it, at the extreme of the bar that ends at t."""
    lowest = book.tally.min_margin_ratio
    lowest += 1e-14 * abs(lowest)
    for v in range(len(book.perps)):
        perp, extreme = book.perps[v], hours.quotes[t, v].extreme
        quantity = perp.quantity
        left = perp.balance + quantity * (extreme - perp.entry)
        # The ratio is computed only where the position is due, or may be a new low of the run.
        bound = max(venues[v].maintenance_margin, lowest)
        if quantity != 0.0 and left <= bound * abs(quantity) * extreme:
            check_extreme(book, hours, venues, t, v, row)


@hot
def liquidate(
    book: Book, hours: HourCoefficients, parameters: Record, venues: Records, t: int, row: Record
) -> None:
    """Liquidate a loan with a health factor below 1, and every position due at its mark price."""
    if book.holdings.debt > 0.0:
        collateral, debt = collateral_eth(book, hours, t), debt_eth(book, hours, t)
        if loan_is_due(parameters, collateral, debt):
            liquidate_loan(book, hours, parameters, t, row)
    for v in range(len(book.perps)):
        price = hours.quotes[t, v].mark
        if perp_is_due(book.perps[v], venues[v], price):
            liquidate_perp(book, venues, t, v, price, row)
