"""Recording events and pricing trades: execution cost by size bucket, gas by operation."""

import numpy as np

from basis_pipeline.engine.compiled import compiled, entry, hot
from basis_pipeline.engine.hours import HourCoefficients
from basis_pipeline.engine.model import Book, EventKind, Reason, Record


@compiled
def record(
    book: Book,
    t: int,
    kind: EventKind,
    leg: np.int64,
    quantity: float,
    price: float,
    notional: float,
    fee: float,
    gas: float,
    reason: Reason,
) -> None:
    """Append one event. `quantity` is signed: bought, supplied, borrowed or received above zero."""
    tally = book.tally
    if EventKind.TRADE <= kind <= EventKind.REPAY:
        tally.traded += abs(quantity * price)
        tally.trades += kind == EventKind.TRADE
    elif kind == EventKind.REBALANCE:
        tally.rebalances += 1
    elif kind == EventKind.LIQUIDATION:
        tally.liquidations += 1
    if len(book.events) == 0:
        return
    event = book.events[tally.events]
    event.hour = t
    event.kind = kind
    event.leg = leg
    event.quantity = quantity
    event.price = price
    event.notional = notional
    event.fee = fee
    event.gas = gas
    event.reason = reason
    tally.events += 1


@entry
def cost_share(hours: HourCoefficients, t: int, leg: np.int64, notional: float) -> float:
    """Return a trade's cost as a share of its notional, by size bucket in USD (SEMANTICS 8)."""
    usd = abs(notional) * hours.asset[t].numeraire_usd
    bucket = 0 if usd <= 10e3 else 1 if usd <= 100e3 else 2
    return hours.cost_bps[t, leg, bucket] * 1e-4


@compiled
def record_trade(
    book: Book,
    hours: HourCoefficients,
    t: int,
    leg: np.int64,
    quantity: float,
    price: float,
    fee: float,
    gas: float,
    reason: Reason,
    row: Record,
) -> None:
    """Append a trade: attribute its fee, pay its gas, count it if above the last size bucket.

    The fee has already been taken out of what was traded.
    """
    notional = abs(quantity) * price
    row.execution_cost -= fee
    pay_gas(book, row, gas)
    if notional * hours.asset[t].numeraire_usd > 1e6:
        book.tally.trades_above_last_bucket += 1
    record(book, t, EventKind.TRADE, leg, quantity, price, notional, fee, gas, reason)


@hot
def gas_cost(hours: HourCoefficients, parameters: Record, t: int, units: float) -> float:
    """Return the cost of `units` of gas at hour t, in the numeraire."""
    return units * hours.asset[t].gas_price * parameters.gas_multiplier


@hot
def pay_gas(book: Book, row: Record, cost: float) -> None:
    """Take a gas cost out of the wallet and attribute it."""
    book.holdings.cash -= cost
    row.gas -= cost
