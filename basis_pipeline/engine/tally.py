"""Accumulate the inputs of a run's figures hour by hour, so that no table is read again."""

import numpy as np

from basis_pipeline.engine.accounting import Valuation
from basis_pipeline.engine.compiled import compiled, entry, hot
from basis_pipeline.engine.model import Book, Record, Status

BELOW, ABOVE = 1.0 - 1e-14, 1.0 + 1e-14
TINY = np.finfo(np.float64).tiny


@entry
def begin(book: Book, parameters: Record, capital: float) -> None:
    """Put the capital into the wallet of an empty book and initialise its tally."""
    book.holdings.cash = capital
    tally = book.tally
    tally.equity = capital
    tally.capital = capital
    tally.units = capital
    tally.share = 1.0
    tally.peak = 1.0
    tally.trough = 1.0
    tally.liquidation_threshold = parameters.liquidation_threshold
    tally.min_margin_ratio = np.inf
    # The first daily return starts from the capital, so that the costs of entering are in it.
    book.midnights[0] = 1.0
    tally.midnights = 1
    tally.peak_bound = -np.inf  # so that the first hour updates the growth


@hot
def accumulate(
    book: Book,
    spot: float,
    parameters: Record,
    valuation: Valuation,
    first: bool,
    midnight: bool,
    row: Record,
) -> None:
    """Add one hour, after its trades, to the tally; write the row's equity and residual."""
    tally = book.tally
    lending, borrowing, staking = row.lending, row.borrowing, row.staking
    rewards, funding = row.rewards, row.funding
    spot_price, perp_price = row.spot_price, row.perp_price
    execution_cost, gas, liquidation = row.execution_cost, row.gas, row.liquidation
    tally.lending += lending
    tally.borrowing += borrowing
    tally.staking += staking
    tally.rewards += rewards
    tally.funding += funding
    tally.spot_price += spot_price
    tally.perp_price += perp_price
    tally.execution_cost += execution_cost
    tally.gas += gas
    tally.liquidation += liquidation
    earned = (lending + borrowing) + (staking + rewards)
    moved = (spot_price + perp_price) + funding
    paid = (execution_cost + gas) + liquidation
    before = tally.equity
    residual = ((valuation.equity - before) - row.flow) - (paid + (earned + moved))
    row.equity = valuation.equity
    row.residual = residual
    if not first:
        tally.equity_sum += before
    tally.equity = valuation.equity
    if row.flow != 0.0:
        rebase(book, row)
    if midnight or not tally.trough_bound < valuation.equity < tally.peak_bound:
        update_growth(book, midnight)
    if not abs(residual) <= tally.max_residual * BELOW * abs(valuation.equity):
        update_residual(book, residual)
    update_risk(book, spot, parameters, valuation, valuation.equity)
    if first and valuation.equity <= 0.0:
        set_status(book, Status.NOT_ENTERED)


@hot
def update_risk(
    book: Book, spot: float, parameters: Record, valuation: Valuation, equity: float
) -> None:
    """Update the risk extremes, before an hour's trades or after them.

    An extreme is a ratio, and divisions take longer than all else together: a product, with more
    room than rounding needs, first rules out what cannot be a new extreme.
    """
    tally = book.tally
    if not valuation.debt <= tally.max_ltv * BELOW * valuation.collateral:
        update_max_ltv(book, valuation.debt, valuation.collateral)
    if valuation.margin_ratio < tally.min_margin_ratio:
        tally.min_margin_ratio = valuation.margin_ratio
    if parameters.trades_asset:
        value = (
            book.holdings.spot + valuation.collateral - valuation.debt - valuation.short
        ) * spot
        if not abs(value) <= tally.max_delta * BELOW * equity:
            update_delta(book, value, equity)


@compiled
def update_growth(book: Book, midnight: bool) -> None:
    """Record the growth at a new day, a new peak, or a new low since the peak."""
    tally = book.tally
    growth = tally.final_growth if tally.closed else tally.equity / tally.units
    if midnight:
        book.midnights[tally.midnights] = growth
        tally.midnights += 1
    if growth > tally.peak:
        tally.drawdown = max(tally.drawdown, 1.0 - tally.trough / tally.peak)
        tally.peak = growth
        tally.trough = growth
    elif growth < tally.trough:
        tally.trough = growth
    tally.peak_bound = tally.peak * BELOW * tally.units
    tally.trough_bound = tally.trough * ABOVE * tally.units
    if tally.closed:  # nothing grows any more
        tally.peak_bound = np.inf
        tally.trough_bound = -np.inf


@compiled
def update_residual(book: Book, residual: float) -> None:
    """Keep the worst residual as a share of equity; one that is not finite voids the figures."""
    tally = book.tally
    unexplained = abs(residual) / max(abs(tally.equity), TINY)
    if not unexplained <= tally.max_residual:
        tally.max_residual = unexplained
    if not abs(residual) < np.inf:
        set_status(book, Status.NOT_FINITE)


@compiled
def update_max_ltv(book: Book, debt: float, collateral: float) -> None:
    """Keep the highest loan to value; a debt without collateral has none."""
    if collateral > 0.0:
        book.tally.max_ltv = max(book.tally.max_ltv, debt / collateral)
    else:
        book.tally.collateral_gone = True


@compiled
def update_delta(book: Book, value: float, equity: float) -> None:
    """Keep the highest net delta as a share of equity."""
    delta = abs(value / equity) if equity != 0.0 else np.inf
    if delta < np.inf:
        book.tally.max_delta = max(book.tally.max_delta, delta)


@compiled
def set_status(book: Book, status: Status) -> None:
    """Keep the worst status of the run so far."""
    if book.tally.status == Status.SOUND or status < book.tally.status:
        book.tally.status = status


@compiled
def rebase(book: Book, row: Record) -> None:
    """Let a flow buy or sell units, as of a fund, at their price before the hour's trades.

    All units bear the costs of the hour: `units *= (E - C) / (E - C - F)`. Once everything
    is withdrawn the growth stays where it was.
    """
    tally, flow = book.tally, row.flow
    tally.net_flow += flow
    if flow < 0.0 and row.equity <= 0.0:
        set_status(book, Status.EMPTIED)
    after = row.equity - (row.execution_cost + row.gas)
    before = after - flow
    if not tally.closed:
        if after <= 1e-12 * abs(before):
            tally.final_growth = before / tally.units
            tally.closed = True
        else:
            tally.share *= after / before
            tally.units = tally.capital * tally.share
    update_growth(book, False)
