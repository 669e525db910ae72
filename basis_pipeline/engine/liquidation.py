"""Step 4: what the lending protocol and the exchanges close by force (SEMANTICS 7)."""

from basis_pipeline.engine.accounting import collateral_eth, debt_eth
from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.model import (
    BALANCE,
    DEBT,
    E_LIQUIDATION,
    ENTRY,
    LEG_DEBT,
    LEG_REWARD,
    LIQUIDATION,
    QUANTITY,
    R_LIQUIDATION,
    STAKED,
    U_BORROW_INDEX,
    U_EXTREME,
    U_REDEEMED,
    Book,
    Floats,
    MarketArrays,
    Parameters,
)


@compiled
def liquidate_loan(
    book: Book, market: MarketArrays, parameters: Parameters, t: int, row: Floats
) -> None:
    """Repay half the debt, all of it below a health factor of 0.95, and seize collateral.

    Each side is converted with its own token's index. Where the collateral does not cover the
    repayment and its bonus, all of it is seized and the uncovered debt stays.
    """
    collateral, debt = collateral_eth(book, market, t), debt_eth(book, market, t)
    health_factor = parameters.liquidation_threshold * collateral / debt
    bonus = 1.0 + parameters.liquidation_bonus
    repaid = debt if health_factor < 0.95 else 0.5 * debt
    repaid = min(repaid, collateral / bonus)
    seized = repaid * bonus
    book.state[DEBT] -= repaid / market.borrow_index[t]
    units = seized / market.oracle_rate[t]
    # Seizing all of it may leave rounding below zero.
    book.state[STAKED] = max(book.state[STAKED] - units / market.collateral_index[t], 0.0)
    price = market.spot[t]
    row[LIQUIDATION] += (repaid - units * market.lst_mark[t]) * price
    fee = (seized - repaid) * price
    record(
        book, t, E_LIQUIDATION, LEG_DEBT, -repaid, price, repaid * price, fee, 0.0, R_LIQUIDATION
    )


@compiled
def liquidate_perp(
    book: Book,
    market: MarketArrays,
    parameters: Parameters,
    t: int,
    v: int,
    row: Floats,
) -> None:
    """Close the position at venue v at the extreme, less the venue's fee; the rest stays there.

    The mark's price change is already attributed at the mark; closing at the extreme instead, and
    the fee, are the liquidation's.
    """
    perps = book.perps
    quantity, price = perps[v, QUANTITY], market.perp_extreme[t, v]
    fee = parameters.liquidation_fee[v] * abs(quantity) * price
    perps[v, BALANCE] += quantity * (price - perps[v, ENTRY]) - fee
    row[LIQUIDATION] += quantity * (price - market.perp_mark[t, v]) - fee
    perps[v, QUANTITY] = 0.0
    perps[v, ENTRY] = 0.0
    leg = LEG_REWARD + book.tokens.shape[0] + v
    notional = abs(quantity) * price
    record(book, t, E_LIQUIDATION, leg, -quantity, price, notional, fee, 0.0, R_LIQUIDATION)


@hot
def liquidate(
    book: Book,
    market: MarketArrays,
    unit: Floats,
    quoted: Floats,
    parameters: Parameters,
    t: int,
    row: Floats,
) -> None:
    """Liquidate a loan below a health factor of 1 and every short at its maintenance margin."""
    if book.state[DEBT] > 0.0:
        collateral = book.state[STAKED] * unit[U_REDEEMED]
        threshold = parameters.liquidation_threshold * collateral
        if 0.0 < threshold < book.state[DEBT] * unit[U_BORROW_INDEX]:
            liquidate_loan(book, market, parameters, t, row)
    perps = book.perps
    for v in range(perps.shape[0]):
        quantity = perps[v, QUANTITY]
        if quantity != 0.0:
            price = quoted[v, U_EXTREME]
            left = perps[v, BALANCE] + quantity * (price - perps[v, ENTRY])
            if left <= parameters.maintenance_margin[v] * abs(quantity) * price:
                liquidate_perp(book, market, parameters, t, v, row)
