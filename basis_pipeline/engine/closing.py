"""The cost of closing everything at the last hour, at market prices, with gas (SEMANTICS 11)."""

from basis_pipeline.engine.accounting import collateral_eth, debt_eth
from basis_pipeline.engine.compiled import compiled
from basis_pipeline.engine.hours import HourCoefficients
from basis_pipeline.engine.ledger import cost_share, gas_cost
from basis_pipeline.engine.model import (
    GAS_ATOMIC_DELEVERAGE,
    GAS_ATOMIC_DELEVERAGE_TWO_SWAPS,
    GAS_REWARD_SALE,
    GAS_SWAP,
    GAS_TRANSFER,
    GAS_WITHDRAW,
    LEG_LST,
    LEG_REWARD,
    LEG_SPOT,
    Book,
    Record,
)
from basis_pipeline.engine.trading import spot_gas


@compiled
def exit_cost(book: Book, hours: HourCoefficients, parameters: Record) -> float:
    """Return the cost of closing the book at the last hour, in the numeraire.

    Sales pay their execution cost and gas, a staking token sells at the market rate, and every
    margin account that is not at the spot venue is emptied by a transfer.
    """
    t = len(hours.asset) - 1
    held = book.holdings
    units, asset = 0.0, held.spot
    if held.supply > 0.0:
        units += GAS_WITHDRAW
    cost = 0.0
    if held.staked > 0.0 or held.debt > 0.0:
        cost += position_exit_cost(book, hours, parameters, t)
        asset += collateral_eth(book, hours, t) - debt_eth(book, hours, t)
        if held.debt == 0.0:
            units += GAS_SWAP
        elif parameters.swaps_on_chain:
            units += GAS_ATOMIC_DELEVERAGE_TWO_SWAPS
        else:
            units += GAS_ATOMIC_DELEVERAGE
    if parameters.trades_asset and asset > 0.0:
        sold = asset * hours.asset[t].spot
        cost += sold * cost_share(hours, t, LEG_SPOT, sold) + spot_gas(hours, parameters, t)
    for r in range(len(book.tokens)):
        if book.tokens[r] > 0.0:
            value = book.tokens[r] * hours.tokens[t, r].price
            sale = value * cost_share(hours, t, LEG_REWARD + r, value)
            # A token worth less than its sale is left behind.
            cost += min(value, sale + gas_cost(hours, parameters, t, GAS_REWARD_SALE))
    for v in range(len(book.perps)):
        perp, price = book.perps[v], hours.quotes[t, v].mark
        bought = abs(perp.quantity) * price
        leg = LEG_REWARD + len(book.tokens) + v
        cost += bought * cost_share(hours, t, leg, bought)
        if perp.balance != 0.0 and v != parameters.margin_at_spot_venue:
            units += GAS_TRANSFER
    return cost + gas_cost(hours, parameters, t, units)


@compiled
def position_exit_cost(book: Book, hours: HourCoefficients, parameters: Record, t: int) -> float:
    """Return the loss against its value of selling the staked position and repaying its loan."""
    hour = hours.asset[t]
    collateral, debt = collateral_eth(book, hours, t), debt_eth(book, hours, t)
    rate = hour.market_rate / hour.oracle_rate if parameters.costs_enabled else 1.0
    rate *= 1.0 - cost_share(hours, t, LEG_LST, collateral * hour.spot)
    valued = hour.lst_mark / hour.oracle_rate
    return (collateral * (valued - rate) + debt * parameters.flash_fee) * hour.spot
