"""The staking leg of a rebalance: bring the staked position to its weight and its loan to value."""

from basis_pipeline.engine.accounting import collateral_eth, debt_eth
from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.ledger import cost_share, gas_cost, pay_gas, record
from basis_pipeline.engine.leverage import released, solve_position
from basis_pipeline.engine.model import (
    APPROVED,
    CASH,
    DEBT,
    DUST,
    E_BORROW,
    E_REPAY,
    E_STAKE,
    E_TRADE,
    EXECUTION_COST,
    GAS_APPROVAL,
    GAS_ATOMIC_DELEVERAGE,
    GAS_ATOMIC_DELEVERAGE_TWO_SWAPS,
    GAS_ATOMIC_ENTRY,
    GAS_EMODE,
    GAS_STAKE,
    GAS_SWAP,
    LEG_DEBT,
    LEG_LST,
    OVERSIZE_COUNT,
    STAKED,
    Book,
    Floats,
    MarketArrays,
    Parameters,
)
from basis_pipeline.engine.trading import buy_asset, movable, sell_asset


@compiled
def gas_units(book: Book, parameters: Parameters, stakes: bool, takes_out: bool) -> float:
    """Units of gas of one change of the staked position (SEMANTICS 8)."""
    if parameters.target_ltv == 0.0:
        return GAS_STAKE if stakes else GAS_SWAP
    if stakes:
        return GAS_ATOMIC_ENTRY + (GAS_APPROVAL + GAS_EMODE) * (1 - book.counts[APPROVED])
    if takes_out and parameters.swaps_on_chain:
        return GAS_ATOMIC_DELEVERAGE_TWO_SWAPS
    return GAS_ATOMIC_DELEVERAGE


@hot
def restore_staking(
    book: Book,
    market: MarketArrays,
    parameters: Parameters,
    t: int,
    total: float,
    reason: int,
    row: Floats,
) -> None:
    """Bring collateral less debt to `staking_weight x equity`, at the target loan to value.

    A hedged mode shrinks by its whole difference in redemption value and books what the sale
    brings; any other mode takes out exactly what its wallet lacks, its gas included.
    """
    price, oracle = market.spot[t], market.oracle_rate[t]
    ltv, fee = parameters.target_ltv, parameters.flash_fee
    collateral, debt = collateral_eth(book, market, t), debt_eth(book, market, t)
    value = (collateral * market.lst_mark[t] / oracle - debt) * price
    difference = parameters.staking_weight * total - value
    settled = abs(debt - ltv * collateral) * price <= DUST * total
    if settled and abs(difference) <= DUST * total:
        return
    sale_rate = market.market_rate[t] / oracle
    rough, _ = solve_position(difference / price, collateral, debt, ltv, fee, sale_rate)
    sale_rate *= 1.0 - cost_share(market, t, LEG_LST, rough * price)
    units = gas_units(book, parameters, rough >= 0.0, difference < 0.0)
    gas = gas_cost(market, parameters, t, units)
    amount = movable(book, parameters, difference, gas)
    if settled and amount <= 0.0 < difference:
        return  # the wallet does not even hold the gas
    bought = 0.0
    if amount > 0.0:
        bought = eth = buy_asset(book, market, parameters, t, amount, reason, row)
    elif parameters.hedge_ratio > 0.0:
        eth = amount / price * max(sale_rate - ltv * (1.0 + fee), 0.0) / (1.0 - ltv)
    else:
        eth = amount / price
    staked, borrowed = solve_position(eth, collateral, debt, ltv, fee, sale_rate)
    change_position(book, market, parameters, t, staked, borrowed, sale_rate, gas, reason, row)
    left = bought + released(staked, borrowed, fee, sale_rate)
    if left * price > DUST * total:
        sell_asset(book, market, parameters, t, left, reason, row)
    else:  # rounding, or what collateral sold out of a failed position does not cover
        book.state[CASH] += left * price


@hot
def change_position(
    book: Book,
    market: MarketArrays,
    parameters: Parameters,
    t: int,
    staked: float,
    borrowed: float,
    sale_rate: float,
    gas: float,
    reason: int,
    row: Floats,
) -> None:
    """Carry out a change, in ETH; slippage against the mark and the flash fee are costs."""
    if staked == 0.0 and borrowed == 0.0:
        return
    price, oracle, mark = market.spot[t], market.oracle_rate[t], market.lst_mark[t]
    paid_rate = 1.0 if staked >= 0.0 else sale_rate
    slippage = staked * (paid_rate - mark / oracle) * price
    loan_fee = parameters.flash_fee * abs(borrowed) * price
    if borrowed > 0.0:
        loan_fee /= 1.0 + parameters.flash_fee
    units = staked / oracle
    book.state[STAKED] = max(book.state[STAKED] + units / market.collateral_index[t], 0.0)
    book.state[DEBT] = max(book.state[DEBT] + borrowed / market.borrow_index[t], 0.0)
    book.counts[APPROVED] = 1
    row[EXECUTION_COST] -= slippage + loan_fee
    pay_gas(book, row, gas)
    notional = abs(staked) * price
    if staked < 0.0 and notional * market.numeraire_usd[t] > 1e6:
        book.counts[OVERSIZE_COUNT] += 1
    kind = E_STAKE if staked >= 0.0 else E_TRADE
    record(
        book, t, kind, LEG_LST, units, paid_rate * oracle * price, notional, slippage, gas, reason
    )
    if borrowed != 0.0:
        kind = E_BORROW if borrowed > 0.0 else E_REPAY
        record(
            book, t, kind, LEG_DEBT, borrowed, price, abs(borrowed) * price, loan_fee, 0.0, reason
        )
