"""Step 7: decide when to rebalance, and restore what the trigger concerns (SEMANTICS 5, 6)."""

from basis_pipeline.engine.accounting import Valuation, is_hedged, value_book
from basis_pipeline.engine.compiled import compiled, hot
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
from basis_pipeline.engine.staking import restore_loan, restore_staking
from basis_pipeline.engine.trading import (
    carry_drift,
    cover_wallet,
    hedge_fits,
    restore_lending,
    restore_perps,
    restore_spot,
    rewards_due,
    sell_rewards,
    spread_margin,
)


@hot
def trigger(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    venues: Records,
    t: int,
    valuation: Valuation,
) -> Reason:
    """Return the first trigger of SEMANTICS 6 that fires, NONE when all is within its bands.

    `valuation` is taken after flows. Ratios are compared as products, so an empty leg needs no
    special case.
    """
    held, hour = book.holdings, hours.asset[t]
    total, spot = valuation.equity, hour.spot
    collateral, debt = valuation.collateral, valuation.debt
    long = held.spot + collateral - debt
    ltv_error = abs(debt - parameters.target_ltv * collateral)
    safe = parameters.liquidation_threshold * collateral >= parameters.health_factor_floor * debt
    # With a hedge ratio of 1 this is the net delta itself; any other ratio targets a net delta,
    # and a carry, whose ratio is 0, targets none.
    delta_error = abs(parameters.hedge_ratio * long - valuation.short) * spot
    lending, bought = parameters.lending_weight, parameters.spot_weight
    staking = parameters.staking_weight
    # What no sleeve takes is margin in a hedged mode, and stays in the wallet in any other.
    hedged = is_hedged(parameters)
    wanted = 0.0 if hedged else (1.0 - lending - bought - staking) * total
    drift = max(
        abs(held.supply * hour.lending_index - lending * total),
        abs(held.spot * spot - bought * total),
        abs((valuation.staked_value - debt) * spot - staking * total),
        carry_drift(book, hours, parameters, venues, t, total),
    )
    reason = Reason.NONE
    if not valuation.margin_fits:
        reason = Reason.MARGIN_RATIO
    elif parameters.target_ltv > 0.0 and not safe:
        reason = Reason.HEALTH_FACTOR
    elif parameters.target_ltv > 0.0 and ltv_error > parameters.ltv_band * collateral:
        reason = Reason.LTV
    elif hedged and delta_error > parameters.delta_band * total:
        reason = Reason.DELTA
    elif held.cash - wanted > parameters.idle_band * total:
        reason = Reason.IDLE_CASH
    elif held.cash < -DUST * total:
        reason = Reason.CASH_SHORTFALL
    elif drift > parameters.drift_band * total:
        reason = Reason.DRIFT
    elif rewards_due(hours, parameters, t, valuation):
        reason = Reason.REWARDS
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
    """Restore what `reason` concerns for `total`, the equity before this rebalance's costs.

    A hedged mode pays every leg from its margin; what is left is spread at the end.
    """
    kind = EventKind.ENTRY if reason == Reason.ENTRY else EventKind.REBALANCE
    record(book, t, kind, LEG_NONE, 0.0, 0.0, total, 0.0, 0.0, reason)
    hedged = is_hedged(parameters)
    if reason == Reason.REWARDS:
        sell_rewards(book, hours, parameters, t, total, row)
        return
    if reason == Reason.LTV or reason == Reason.HEALTH_FACTOR:
        restore_loan(book, hours, parameters, t, total, reason, row)
        if hedged and book.holdings.cash < 0.0:
            cover_wallet(book, venues, t, reason)
        return
    hedge_alone = reason == Reason.DELTA and hedge_fits(book, hours, parameters, venues, t, total)
    if not hedge_alone:
        if parameters.lending_weight > 0.0:
            restore_lending(book, hours, parameters, t, total, reason, row)
        if parameters.spot_weight > 0.0:
            restore_spot(book, hours, parameters, t, total, reason, row)
        if parameters.staking_weight > 0.0:
            restore_staking(book, hours, parameters, t, total, reason, row)
    if hedged:
        restore_perps(book, hours, parameters, venues, t, total, reason, row)
        if not hedge_alone:
            spread_margin(book, hours, parameters, venues, t, total, reason, row)


@compiled
def rebalance(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    venues: Records,
    t: int,
    total: float,
    reason: Reason,
    row: Record,
) -> Valuation:
    """Restore what `reason` concerns, unless that costs more than the equity it leaves.

    In that case the book stays as it is, and the ledger records the cost once, at the first of
    consecutive hours. A rebalance with nothing to trade is not recorded.
    """
    held, tally = book.holdings, book.tally
    cash, supply, spot, staked = held.cash, held.supply, held.spot, held.staked
    debt, approved = held.debt, held.approved
    for v in range(len(book.perps)):
        book.perps_before[v] = book.perps[v]
    events, traded, trades = tally.events, tally.traded, tally.trades
    above, rebalances = tally.trades_above_last_bucket, tally.rebalances
    execution_cost, gas = row.execution_cost, row.gas
    restore(book, hours, parameters, venues, t, total, reason, row)
    valuation = value_book(book, hours, parameters, venues, t)
    cost = (execution_cost - row.execution_cost) + (gas - row.gas)
    moved = tally.traded != traded or held.cash != cash
    for v in range(len(book.perps)):
        moved |= book.perps[v].balance != book.perps_before[v].balance
    if reason == Reason.ENTRY or (moved and cost <= valuation.equity):
        return valuation
    held.cash = cash
    held.supply = supply
    held.spot = spot
    held.staked = staked
    held.debt = debt
    held.approved = approved
    for v in range(len(book.perps)):
        book.perps[v] = book.perps_before[v]
    tally.events = events
    tally.traded = traded
    tally.trades = trades
    tally.trades_above_last_bucket = above
    tally.rebalances = rebalances
    row.execution_cost = execution_cost
    row.gas = gas
    if moved:
        if tally.last_skip != t:
            record(book, t, EventKind.SKIPPED, LEG_NONE, 0.0, 0.0, cost, 0.0, 0.0, reason)
        tally.last_skip = t + 1
    elif rewards_due(hours, parameters, t, valuation):
        # A trigger that no trade can clear must not keep rewards from being sold.
        restore(book, hours, parameters, venues, t, total, Reason.REWARDS, row)
    return value_book(book, hours, parameters, venues, t)
