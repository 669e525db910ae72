"""Step 4: what the lending protocol and the exchanges close by force (SEMANTICS 7)."""

from basis_pipeline.engine.accounting import collateral_eth, debt_eth, loan_is_due, perp_is_due
from basis_pipeline.engine.compiled import compiled, hot
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


@compiled
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
def liquidate_perp(
    book: Book, hours: HourCoefficients, venues: Records, t: int, v: int, row: Record
) -> None:
    """Close the position at venue v at the extreme, less the venue's fee; the rest stays there.

    The hour's price change is already attributed at the mark price; closing at the extreme instead,
    and the fee, are the liquidation's.
    """
    perp, quote = book.perps[v], hours.quotes[t, v]
    quantity, price = perp.quantity, quote.extreme
    fee = venues[v].liquidation_fee * abs(quantity) * price
    perp.balance += quantity * (price - perp.entry) - fee
    row.liquidation += quantity * (price - quote.mark) - fee
    perp.quantity = 0.0
    perp.entry = 0.0
    leg = LEG_REWARD + len(book.tokens) + v
    notional = abs(quantity) * price
    kind, reason = EventKind.LIQUIDATION, Reason.LIQUIDATION
    record(book, t, kind, leg, -quantity, price, notional, fee, 0.0, reason)


@hot
def liquidate(
    book: Book, hours: HourCoefficients, parameters: Record, venues: Records, t: int, row: Record
) -> None:
    """Liquidate a loan below a health factor of 1 and every short at its maintenance margin."""
    if book.holdings.debt > 0.0:
        collateral, debt = collateral_eth(book, hours, t), debt_eth(book, hours, t)
        if loan_is_due(parameters, collateral, debt):
            liquidate_loan(book, hours, parameters, t, row)
    for v in range(len(book.perps)):
        if perp_is_due(book.perps[v], venues[v], hours.quotes[t, v].extreme):
            liquidate_perp(book, hours, venues, t, v, row)
