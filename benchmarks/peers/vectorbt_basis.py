"""The basis in vectorbt's terms; runs where vectorbt is installed, on nothing of ours.

`python vectorbt_basis.py given.npz found.npz`. A point is a group of two columns that share cash:
the spot, and the perpetual as an asset sold short. vectorbt knows no funding; it is in the price
instead, as a dividend would be: the second column's close is the mark less the funding that a unit
short has received so far. Fees are still charged on the mark.
"""

import sys
import time
from typing import Any

import numpy as np
import vectorbt as vbt
from numba import njit
from vectorbt.portfolio import nb
from vectorbt.portfolio.enums import FlexOrderContext, Order

Array = np.ndarray
TOGETHER = 50  # points of a call: more take more memory and no less time


@njit
def rebalance_nb(
    c: FlexOrderContext,
    spot: Array,
    mark: Array,
    carried: Array,
    leverage: Array,
    least: Array,
    most: Array,
    fees: Array,
) -> tuple[int, Order]:
    """Restore the leverage at entry and when it leaves its band: first the spot, then the short.

    Prices are (hours,), the rest (points,); `carried` is the mark less the funding received so far.
    """
    held, short = c.last_position[c.from_col], c.last_position[c.from_col + 1]
    fee = fees[c.group]
    if c.call_idx == 0:
        value = held * spot[c.i]
        equity = c.last_cash[c.group] + value + short * carried[c.i]
        notional, margin = -short * mark[c.i], equity - value
        if c.i > 0 and least[c.group] * margin <= notional <= most[c.group] * margin:
            return -1, nb.order_nothing_nb()
        target = leverage[c.group]
        difference = equity * (target / (1.0 + target)) - value
        if difference > 0.0:  # the fee comes out of the amount spent
            size, rate = difference * (1.0 - fee) / spot[c.i], fee / (1.0 - fee)
        else:
            size, rate = difference / spot[c.i], fee
        return c.from_col, nb.order_nb(size=size, price=spot[c.i], fees=rate)
    if c.call_idx == 1:
        rate = fee * mark[c.i] / carried[c.i]
        return c.from_col + 1, nb.order_nb(size=-held - short, price=carried[c.i], fees=rate)
    return -1, nb.order_nothing_nb()


def portfolio(given: dict[str, Array], carried: Array, first: int, last: int) -> vbt.Portfolio:
    """Points `first` up to `last` as one portfolio."""
    mine = slice(first, last)
    points = len(given["leverage"][mine])
    return vbt.Portfolio.from_order_func(
        np.tile(np.column_stack([given["spot"], carried]), points),
        rebalance_nb,
        given["spot"],
        given["mark"],
        carried,
        given["leverage"][mine],
        given["min_leverage"][mine],
        given["max_leverage"][mine],
        given["fee"][mine],
        flexible=True,
        init_cash=given["capital"][mine],
        cash_sharing=True,
        group_by=np.repeat(np.arange(points), 2),
        fill_pos_record=False,
        max_logs=1,
    )


def main() -> None:
    """Compile, then run every point; value some at every hour."""
    given = dict(np.load(sys.argv[1]))
    funding = given["funding"] * given["mark"]
    funding[0] = 0.0
    carried = given["mark"] - np.cumsum(funding)
    compiling = portfolio(given, carried, 0, 1)
    compiling.final_value()
    compiling.orders.count()
    found: dict[str, Any] = {"equity": [], "rebalances": []}
    wall, processor = time.perf_counter(), time.process_time()
    for first in range(0, len(given["leverage"]), TOGETHER):
        made = portfolio(given, carried, first, first + TOGETHER)
        found["equity"].extend(made.final_value())
        found["rebalances"].extend(made.orders.count() // 2 - 1)
    found["seconds"] = time.perf_counter() - wall, time.process_time() - processor
    found["hourly"] = portfolio(given, carried, 0, int(given["recorded"])).value().to_numpy().T
    np.savez(sys.argv[2], **found)


main()
