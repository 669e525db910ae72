"""Step 6: when to restore the target weights, and restoring them (SEMANTICS 5 and 6)."""

from basis_pipeline.engine.accounting import Survey, survey
from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.model import (
    CASH,
    DUST,
    E_ENTRY,
    E_REBALANCE,
    LEG_NONE,
    R_CASH_SHORTFALL,
    R_DELTA,
    R_DEVIATION,
    R_ENTRY,
    R_HEALTH_FACTOR,
    R_LTV,
    R_MARGIN_RATIO,
    R_NONE,
    SPOT,
    SUPPLY,
    U_LENDING_INDEX,
    U_SPOT,
    Book,
    Floats,
    MarketArrays,
    Parameters,
)
from basis_pipeline.engine.staking import restore_staking
from basis_pipeline.engine.trading import (
    restore_lending,
    restore_perps,
    restore_spot,
    spread_margin,
)


@hot
def trigger(book: Book, unit: Floats, parameters: Parameters, seen: Survey) -> int:
    """Return the first trigger of SEMANTICS 6 that fires, R_NONE when all is within its bands.

    `seen` is the book after flows, at the mark of `unit`. Ratios are compared by products, so an
    empty leg needs no case.
    """
    state, total = book.state, seen.equity
    spot, collateral, debt = unit[U_SPOT], seen.collateral, seen.debt
    long = state[SPOT] + collateral - debt
    ltv_error = abs(debt - parameters.target_ltv * collateral)
    safe = parameters.liquidation_threshold * collateral >= parameters.health_factor_floor * debt
    # With a hedge ratio of 1 this is the net delta itself; any other ratio wants a net delta.
    delta_error = abs(parameters.hedge_ratio * long - seen.short) * spot
    deviation = max(
        abs(state[SUPPLY] * unit[U_LENDING_INDEX] - parameters.lending_weight * total),
        abs(state[SPOT] * spot - parameters.spot_weight * total),
        abs((seen.marked - debt) * spot - parameters.staking_weight * total),
    )
    # One exit: several would make the compiled code count references to every array each hour.
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
    elif state[CASH] < -DUST * total:
        reason = R_CASH_SHORTFALL
    return reason


@compiled
def restore(
    book: Book,
    market: MarketArrays,
    unit: Floats,
    quoted: Floats,
    parameters: Parameters,
    t: int,
    reason: int,
    row: Floats,
) -> None:
    """Restore the target weights for the equity before this rebalance's costs.

    A hedged mode spends its margin freely between the legs: what is left is spread at the end.
    """
    total = survey(book, market, unit, quoted, parameters, t).equity
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
