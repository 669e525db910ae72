"""Writing events, and the price of a trade: execution cost by size bucket, gas by operation."""

from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.model import (
    CASH,
    E_LIQUIDATION,
    E_REBALANCE,
    E_TRADE,
    EVENT_COUNT,
    EXECUTION_COST,
    GAS,
    LAST_LIQUIDATION,
    LIQUIDATION_COUNT,
    OVERSIZE_COUNT,
    REBALANCE_COUNT,
    TRADE_COUNT,
    TRADED,
    Book,
    Floats,
    MarketArrays,
    Parameters,
)


@compiled
def record(
    book: Book,
    t: int,
    kind: int,
    leg: int,
    quantity: float,
    price: float,
    notional: float,
    fee: float,
    gas: float,
    reason: int,
) -> None:
    """Append one event. `quantity` is signed: bought, supplied, borrowed or received above zero."""
    if kind == E_TRADE:
        book.tally[TRADED] += abs(quantity * price)
        book.counts[TRADE_COUNT] += 1
    elif kind == E_REBALANCE:
        book.counts[REBALANCE_COUNT] += 1
    elif kind == E_LIQUIDATION and book.counts[LAST_LIQUIDATION] != t + 1:
        book.counts[LIQUIDATION_COUNT] += 1
        book.counts[LAST_LIQUIDATION] = t + 1
    if book.events.shape[0] == 0:
        return
    event = book.events[book.counts[EVENT_COUNT]]
    event[0] = t
    event[1] = kind
    event[2] = leg
    event[3] = quantity
    event[4] = price
    event[5] = notional
    event[6] = fee
    event[7] = gas
    event[8] = reason
    book.counts[EVENT_COUNT] += 1


@compiled
def cost_share(market: MarketArrays, t: int, leg: int, notional: float) -> float:
    """Execution cost of a trade as a share of its notional, by size bucket in USD (SEMANTICS 8)."""
    usd = abs(notional) * market.numeraire_usd[t]
    bucket = 0 if usd <= 10e3 else 1 if usd <= 100e3 else 2
    return market.cost_bps[t, leg, bucket] * 1e-4


@compiled
def record_trade(
    book: Book,
    market: MarketArrays,
    t: int,
    leg: int,
    quantity: float,
    price: float,
    fee: float,
    gas: float,
    reason: int,
    row: Floats,
) -> None:
    """Append a trade: attribute its fee, pay its gas, count it when it is above the last bucket.

    The fee has already been taken out of what was traded.
    """
    notional = abs(quantity) * price
    row[EXECUTION_COST] -= fee
    pay_gas(book, row, gas)
    if notional * market.numeraire_usd[t] > 1e6:
        book.counts[OVERSIZE_COUNT] += 1
    record(book, t, E_TRADE, leg, quantity, price, notional, fee, gas, reason)


@hot
def gas_at(price: float, parameters: Parameters, units: float) -> float:
    """Cost of `units` of gas at its price, in the numeraire."""
    return units * price * parameters.gas_multiplier


@hot
def gas_cost(market: MarketArrays, parameters: Parameters, t: int, units: float) -> float:
    """Cost of `units` of gas at mark t, in the numeraire."""
    return gas_at(market.gas_price[t], parameters, units)


@hot
def pay_gas(book: Book, row: Floats, cost: float) -> None:
    """Take a gas cost out of the wallet and attribute it."""
    book.state[CASH] -= cost
    row[GAS] -= cost
