"""Step 6: when to restore the target weights, and restoring them (SEMANTICS 5 and 6)."""

from basis_pipeline.engine.accounting import Holdings, Survey, holdings
from basis_pipeline.engine.compiled import hot
from basis_pipeline.engine.ledger import gas_at, record
from basis_pipeline.engine.model import (
    DUST,
    E_ENTRY,
    E_REBALANCE,
    GAS_REWARD_SALE,
    LEG_NONE,
    QUANTITY,
    R_CASH_SHORTFALL,
    R_DELTA,
    R_DEVIATION,
    R_ENTRY,
    R_HEALTH_FACTOR,
    R_LTV,
    R_MARGIN_RATIO,
    R_NONE,
    U_LENDING_INDEX,
    U_PRICE,
    U_SPOT,
    Ahead,
    Book,
    Floats,
    MarketArrays,
    Parameters,
    Units,
)
from basis_pipeline.engine.staking import restore_staking
from basis_pipeline.engine.trading import (
    restore_lending,
    restore_perps,
    restore_spot,
    spread_margin,
    worth_selling,
)


@hot
def trigger(
    held: Holdings, spot: float, lending_index: float, parameters: Parameters, seen: Survey
) -> int:
    """Return the first trigger of SEMANTICS 6 that fires, R_NONE when all is within its bands.

    `seen` is what is held after flows. Ratios are compared by products, so an
    empty leg needs no case.
    """
    total, collateral, debt = seen.equity, seen.collateral, seen.debt
    long = held.spot + collateral - debt
    ltv_error = abs(debt - parameters.target_ltv * collateral)
    safe = parameters.liquidation_threshold * collateral >= parameters.health_factor_floor * debt
    # With a hedge ratio of 1 this is the net delta itself; any other ratio wants a net delta.
    delta_error = abs(parameters.hedge_ratio * long - seen.short) * spot
    deviation = max(
        abs(held.supply * lending_index - parameters.lending_weight * total),
        abs(held.spot * spot - parameters.spot_weight * total),
        abs((seen.marked - debt) * spot - parameters.staking_weight * total),
    )
    reason = R_NONE
    if not seen.margin_fits:
        reason = R_MARGIN_RATIO
    elif parameters.target_ltv > 0.0 and ltv_error > parameters.ltv_band * collateral:
        reason = R_LTV
    elif parameters.target_ltv > 0.0 and not safe:
        reason = R_HEALTH_FACTOR
    elif parameters.hedge_ratio > 0.0 and delta_error > parameters.delta_band * total:
        reason = R_DELTA
    elif deviation > parameters.deviation_band * total:
        reason = R_DEVIATION
    elif held.cash < -DUST * total:
        reason = R_CASH_SHORTFALL
    return reason


@hot
def find_rebalances(
    book: Book,
    market: MarketArrays,
    units: Units,
    parameters: Parameters,
    t: int,
    marks: int,
    ahead: Ahead,
) -> None:
    """Mark where a trigger would fire or reward tokens would be sold."""
    held, short = holdings(book), 0.0
    for v in range(book.perps.shape[0]):
        short -= book.perps[v, QUANTITY]
    spot = units.asset[U_SPOT, t : t + marks]
    index = units.asset[U_LENDING_INDEX, t : t + marks]
    if parameters.rebalance_enabled:
        for j in range(marks):
            seen = Survey(
                ahead.equity[j],
                ahead.collateral[j],
                ahead.marked[j],
                ahead.debt[j],
                short,
                ahead.margin_fits[j] != 0,
                0.0,
            )
            reason = trigger(held, spot[j], index[j], parameters, seen)
            ahead.due[j] |= (reason != R_NONE) & (seen.equity > 0.0)
        gas_price = market.gas_price[t : t + marks]
        for r in range(book.tokens.shape[0]):
            quantity, price = book.tokens[r], units.tokens[r, U_PRICE, t : t + marks]
            if quantity != 0.0:
                for j in range(marks):
                    gas, total = gas_at(gas_price[j], parameters, GAS_REWARD_SALE), ahead.equity[j]
                    worth = worth_selling(quantity * price[j], gas, total)
                    ahead.due[j] |= worth & (total > 0.0)


@hot
def restore(
    book: Book,
    market: MarketArrays,
    parameters: Parameters,
    t: int,
    total: float,
    reason: int,
    row: Floats,
) -> None:
    """Restore the target weights for `total`, the equity before this rebalance's costs.

    A hedged mode spends its margin freely between the legs: what is left is spread at the end.
    """
    kind = E_ENTRY if reason == R_ENTRY else E_REBALANCE
    record(book, t, kind, LEG_NONE, 0.0, 0.0, total, 0.0, 0.0, reason)
    if parameters.lending_weight > 0.0:
        restore_lending(book, market, parameters, t, total, reason, row)
    if parameters.spot_weight > 0.0:
        restore_spot(book, market, parameters, t, total, reason, row)
    if parameters.staking_weight > 0.0:
        restore_staking(book, market, parameters, t, total, reason, row)
    if parameters.hedge_ratio > 0.0:
        restore_perps(book, market, parameters, t, total, reason, row)
        spread_margin(book, market, parameters, t, total, reason, row)
