"""The staking leg of a rebalance: bring the staked position to its weight and its loan to value."""

from basis_pipeline.engine.accounting import collateral_eth, debt_eth, is_hedged
from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.hours import HourCoefficients
from basis_pipeline.engine.ledger import cost_share, gas_cost, pay_gas, record
from basis_pipeline.engine.leverage import released, solve_position
from basis_pipeline.engine.model import (
    DUST,
    GAS_APPROVAL,
    GAS_ATOMIC_DELEVERAGE,
    GAS_ATOMIC_DELEVERAGE_TWO_SWAPS,
    GAS_ATOMIC_ENTRY,
    GAS_EMODE,
    GAS_STAKE,
    GAS_SWAP,
    LEG_DEBT,
    LEG_LST,
    Book,
    EventKind,
    Reason,
    Record,
)
from basis_pipeline.engine.trading import buy_asset, movable, sell_asset


@compiled
def gas_units(book: Book, parameters: Record, stakes: bool, takes_out: bool) -> float:
    """Return the units of gas of one change of the staked position (SEMANTICS 8)."""
    if parameters.target_ltv == 0.0:
        return GAS_STAKE if stakes else GAS_SWAP
    if stakes:
        return GAS_ATOMIC_ENTRY + (0.0 if book.holdings.approved else GAS_APPROVAL + GAS_EMODE)
    if takes_out and parameters.swaps_on_chain:
        return GAS_ATOMIC_DELEVERAGE_TWO_SWAPS
    return GAS_ATOMIC_DELEVERAGE


@hot
def restore_staking(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    t: int,
    total: float,
    reason: Reason,
    row: Record,
) -> None:
    """Bring collateral less debt to `staking_weight x equity`, at the target loan to value.

    A hedged mode reduces the position by the whole difference, in redemption value, and books the
    sale's proceeds; any other mode takes out exactly what its wallet lacks, gas included.
    """
    hour = hours.asset[t]
    price, fee = hour.spot, parameters.flash_fee
    ltv = parameters.target_ltv
    collateral, debt = collateral_eth(book, hours, t), debt_eth(book, hours, t)
    value = (collateral * hour.lst_mark / hour.oracle_rate - debt) * price
    difference = parameters.staking_weight * total - value
    settled = abs(debt - ltv * collateral) * price <= DUST * total
    if settled and abs(difference) <= DUST * total:
        return
    sale_rate, gas = sale_terms(book, hours, parameters, t, difference / price, difference < 0.0)
    amount = movable(book, parameters, difference, gas)
    if settled and amount <= 0.0 < difference:
        return  # the wallet does not cover the gas
    bought = 0.0
    if amount > 0.0:
        bought = eth = buy_asset(book, hours, parameters, t, amount, reason, row)
    elif is_hedged(parameters):
        eth = amount / price * max(sale_rate - ltv * (1.0 + fee), 0.0) / (1.0 - ltv)
    else:
        eth = amount / price
    move_position(book, hours, parameters, t, total, eth, bought, sale_rate, gas, reason, row)


@compiled
def restore_loan(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    t: int,
    total: float,
    reason: Reason,
    row: Record,
) -> None:
    """Bring the loan to its target; the net asset changes by the flash fee and the sale's loss.

    A mode without margin takes what its wallet lacks for the gas out of the position.
    """
    sale_rate, gas = sale_terms(book, hours, parameters, t, 0.0, False)
    eth = 0.0
    if not is_hedged(parameters):
        eth = min(book.holdings.cash - gas, 0.0) / hours.asset[t].spot
    move_position(book, hours, parameters, t, total, eth, 0.0, sale_rate, gas, reason, row)


@compiled
def sale_terms(
    book: Book, hours: HourCoefficients, parameters: Record, t: int, eth: float, takes_out: bool
) -> tuple[float, float]:
    """Return the rate at which collateral would be sold, and the gas, to bring `eth` in."""
    hour = hours.asset[t]
    collateral, debt = collateral_eth(book, hours, t), debt_eth(book, hours, t)
    sale_rate = hour.market_rate / hour.oracle_rate if parameters.costs_enabled else 1.0
    ltv, fee = parameters.target_ltv, parameters.flash_fee
    rough, _ = solve_position(eth, collateral, debt, ltv, fee, sale_rate)
    sale_rate *= 1.0 - cost_share(hours, t, LEG_LST, rough * hour.spot)
    units = gas_units(book, parameters, rough >= 0.0, takes_out)
    return sale_rate, gas_cost(hours, parameters, t, units)


@compiled
def move_position(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    t: int,
    total: float,
    eth: float,
    bought: float,
    sale_rate: float,
    gas: float,
    reason: Reason,
    row: Record,
) -> None:
    """Bring `eth` into the position at its target loan to value, and sell the ETH it releases."""
    price, fee = hours.asset[t].spot, parameters.flash_fee
    collateral, debt = collateral_eth(book, hours, t), debt_eth(book, hours, t)
    ltv = parameters.target_ltv
    staked, borrowed = solve_position(eth, collateral, debt, ltv, fee, sale_rate)
    change_position(book, hours, parameters, t, staked, borrowed, sale_rate, gas, reason, row)
    left = bought + released(staked, borrowed, fee, sale_rate)
    if left * price > DUST * total:
        sell_asset(book, hours, parameters, t, left, reason, row)
    else:  # rounding, or a shortfall of a position whose collateral does not cover its debt
        book.holdings.cash += left * price


@hot
def change_position(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    t: int,
    staked: float,
    borrowed: float,
    sale_rate: float,
    gas: float,
    reason: Reason,
    row: Record,
) -> None:
    """Carry out a change, in ETH; slippage against the LST's value and the flash fee are costs."""
    if staked == 0.0 and borrowed == 0.0:
        return
    held, hour = book.holdings, hours.asset[t]
    price, oracle, mark = hour.spot, hour.oracle_rate, hour.lst_mark
    paid_rate = 1.0 if staked >= 0.0 else sale_rate
    slippage = staked * (paid_rate - mark / oracle) * price
    loan_fee = parameters.flash_fee * abs(borrowed) * price
    if borrowed > 0.0:
        loan_fee /= 1.0 + parameters.flash_fee
    units = staked / oracle
    held.staked = max(held.staked + units / hour.collateral_index, 0.0)
    held.debt = max(held.debt + borrowed / hour.borrow_index, 0.0)
    held.approved = True
    row.execution_cost -= slippage + loan_fee
    pay_gas(book, row, gas)
    notional = abs(staked) * price
    if staked < 0.0 and notional * hour.numeraire_usd > 1e6:
        book.tally.trades_above_last_bucket += 1
    kind = EventKind.STAKE if staked >= 0.0 else EventKind.TRADE
    record(
        book, t, kind, LEG_LST, units, paid_rate * oracle * price, notional, slippage, gas, reason
    )
    if borrowed != 0.0:
        kind = EventKind.BORROW if borrowed > 0.0 else EventKind.REPAY
        record(
            book, t, kind, LEG_DEBT, borrowed, price, abs(borrowed) * price, loan_fee, 0.0, reason
        )
