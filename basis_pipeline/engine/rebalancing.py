"""Step 6: when to restore the target weights, and restoring them (SEMANTICS 5 and 6)."""

from basis_pipeline.engine.accounting import Valuation
from basis_pipeline.engine.compiled import hot
from basis_pipeline.engine.hours import HourCoefficients
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.model import (
    DUST,
    LEG_NONE,
    Book,
    EventKind,
    Reason,
    Record,
    Records,
)
from basis_pipeline.engine.staking import restore_staking
from basis_pipeline.engine.trading import (
    restore_lending,
    restore_perps,
    restore_spot,
    spread_margin,
)


@hot
def trigger(held: Record, hour: Record, parameters: Record, seen: Valuation) -> Reason:
    """Return the first trigger of SEMANTICS 6 that fires, NONE when all is within its bands.

    `seen` is what is held after flows. Ratios are compared by products, so an empty leg needs no
    case.
    """
    total, spot, collateral, debt = seen.equity, hour.spot, seen.collateral, seen.debt
    long = held.spot + collateral - debt
    ltv_error = abs(debt - parameters.target_ltv * collateral)
    safe = parameters.liquidation_threshold * collateral >= parameters.health_factor_floor * debt
    # With a hedge ratio of 1 this is the net delta itself; any other ratio wants a net delta.
    delta_error = abs(parameters.hedge_ratio * long - seen.short) * spot
    deviation = max(
        abs(held.supply * hour.lending_index - parameters.lending_weight * total),
        abs(held.spot * spot - parameters.spot_weight * total),
        abs((seen.staked_value - debt) * spot - parameters.staking_weight * total),
    )
    reason = Reason.NONE
    if not seen.margin_fits:
        reason = Reason.MARGIN_RATIO
    elif parameters.target_ltv > 0.0 and ltv_error > parameters.ltv_band * collateral:
        reason = Reason.LTV
    elif parameters.target_ltv > 0.0 and not safe:
        reason = Reason.HEALTH_FACTOR
    elif parameters.hedge_ratio > 0.0 and delta_error > parameters.delta_band * total:
        reason = Reason.DELTA
    elif deviation > parameters.deviation_band * total:
        reason = Reason.DEVIATION
    elif held.cash < -DUST * total:
        reason = Reason.CASH_SHORTFALL
    return reason


@hot
def restore(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    venues: Records,
    t: int,
    total: float,
    reason: Reason,
    row: Record,
) -> None:
    """Restore the target weights for `total`, the equity before this rebalance's costs.

    A hedged mode spends its margin freely between the legs: what is left is spread at the end.
    """
    kind = EventKind.ENTRY if reason == Reason.ENTRY else EventKind.REBALANCE
    record(book, t, kind, LEG_NONE, 0.0, 0.0, total, 0.0, 0.0, reason)
    if parameters.lending_weight > 0.0:
        restore_lending(book, hours, parameters, t, total, reason, row)
    if parameters.spot_weight > 0.0:
        restore_spot(book, hours, parameters, t, total, reason, row)
    if parameters.staking_weight > 0.0:
        restore_staking(book, hours, parameters, t, total, reason, row)
    if parameters.hedge_ratio > 0.0:
        restore_perps(book, hours, parameters, venues, t, total, reason, row)
        spread_margin(book, hours, parameters, venues, t, total, reason, row)
