"""The figures of a run (SEMANTICS 11), counted while it goes on: no hourly table is read again.

`tally` looks at every mark once, `conclude` makes figures of what was counted. A backtest and a
scenario of a sweep go through the same two functions, so their figures are the same to the bit.
"""

import math

import numpy as np

from basis_pipeline.engine.accounting import Survey, look_at
from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.model import (
    BORROWING,
    CAPITAL,
    CASH,
    CLOSED,
    COMPONENTS,
    DRAWDOWN,
    EQUITY,
    EQUITY_SUM,
    EXECUTION_COST,
    FLOW,
    FUNDING,
    GAS,
    GROWTH,
    HIGHEST_DELTA,
    LAST_EQUITY,
    LENDING,
    LIQUIDATION,
    LIQUIDATION_COUNT,
    LOWEST_MARGIN_RATIO,
    MAX_LTV,
    MIDNIGHT_COUNT,
    NET_FLOW,
    OVERSIZE_COUNT,
    PEAK,
    PEAK_BOUND,
    PERP_PRICE,
    QUANTITY,
    REBALANCE_COUNT,
    RESIDUAL,
    REWARDS,
    SEIZED,
    SHARE,
    SPOT,
    SPOT_PRICE,
    STAKING,
    STATUS,
    THRESHOLD,
    TRADE_COUNT,
    TRADED,
    TROUGH,
    TROUGH_BOUND,
    U_SPOT,
    UNITS,
    WORST_RESIDUAL,
    Ahead,
    Book,
    Floats,
    Parameters,
    Units,
)

DAYS_PER_YEAR = 365
BELOW, ABOVE = 1.0 - 1e-14, 1.0 + 1e-14
TINY = np.finfo(np.float64).tiny
HOURS_PER_YEAR = 24.0 * DAYS_PER_YEAR

# What makes a run's figures mean nothing, worst first; SOUND otherwise.
SOUND, EMPTIED, NOT_FINITE, NOT_ENTERED = range(4)

FIGURES: tuple[str, ...] = (
    "status",
    "final_equity",
    "net_flows",
    "total_return",
    "apr",
    "apy",
    "daily_returns",
    "volatility",
    "sharpe",
    "sortino",
    "max_drawdown",
    "calmar",
    "pnl",
    *COMPONENTS,
    "carry",
    "basis",
    "costs",
    "total_cost",
    "cost_per_year",
    "funding_per_year",
    "carry_per_year",
    "turnover",
    "turnover_per_year",
    "trades",
    "rebalances",
    "liquidations",
    "trades_above_last_size_bucket",
    "min_health_factor",
    "min_margin_ratio",
    "max_abs_delta",
    "max_ltv",
    "max_abs_residual",
)
COUNTED: tuple[str, ...] = (
    "daily_returns",
    "trades",
    "rebalances",
    "liquidations",
    "trades_above_last_size_bucket",
)
(
    F_STATUS,
    F_FINAL_EQUITY,
    F_NET_FLOWS,
    F_TOTAL_RETURN,
    F_APR,
    F_APY,
    F_DAILY_RETURNS,
    F_VOLATILITY,
    F_SHARPE,
    F_SORTINO,
    F_MAX_DRAWDOWN,
    F_CALMAR,
    F_PNL,
    F_COMPONENTS,
) = range(14)
(
    F_CARRY,
    F_BASIS,
    F_COSTS,
    F_TOTAL_COST,
    F_COST_PER_YEAR,
    F_FUNDING_PER_YEAR,
    F_CARRY_PER_YEAR,
    F_TURNOVER,
    F_TURNOVER_PER_YEAR,
    F_TRADES,
    F_REBALANCES,
    F_LIQUIDATIONS,
    F_OVERSIZE,
    F_MIN_HEALTH_FACTOR,
    F_MIN_MARGIN_RATIO,
    F_MAX_ABS_DELTA,
    F_MAX_LTV,
    F_MAX_ABS_RESIDUAL,
) = range(F_COMPONENTS + 10, F_COMPONENTS + 28)


@compiled
def begin(book: Book, parameters: Parameters, capital: float) -> None:
    """Empty the book, put the capital into its wallet and start counting."""
    book.state[:] = 0.0
    book.perps[:] = 0.0
    book.tokens[:] = 0.0
    book.counts[:] = 0
    book.tally[:] = 0.0
    book.state[CASH] = capital
    book.tally[LAST_EQUITY] = capital
    book.tally[CAPITAL] = capital
    book.tally[UNITS] = capital
    book.tally[SHARE] = 1.0
    book.tally[PEAK] = 1.0
    book.tally[TROUGH] = 1.0
    book.tally[THRESHOLD] = parameters.liquidation_threshold
    book.tally[MAX_LTV] = 0.0
    book.tally[LOWEST_MARGIN_RATIO] = np.inf
    book.tally[PEAK_BOUND] = -np.inf  # the first mark is looked at


@hot
def tally(
    book: Book,
    spot: float,
    parameters: Parameters,
    seen: Survey,
    first: bool,
    midnight: bool,
    row: Floats,
) -> None:
    """Count one mark, after its trades; writes the row's residual."""
    kept = book.tally
    for i in range(len(COMPONENTS)):
        kept[i] += row[LENDING + i]
    earned = (row[LENDING] + row[BORROWING]) + (row[STAKING] + row[REWARDS])
    moved = (row[SPOT_PRICE] + row[PERP_PRICE]) + row[FUNDING]
    paid = (row[EXECUTION_COST] + row[GAS]) + row[LIQUIDATION]
    before = kept[LAST_EQUITY]
    residual = ((seen.equity - before) - row[FLOW]) - (paid + (earned + moved))
    row[RESIDUAL] = residual
    if not first:
        kept[EQUITY_SUM] += before
    kept[LAST_EQUITY] = seen.equity
    if row[FLOW] != 0.0:
        rebase(book, row)
    watch(book, spot, parameters, seen, residual, midnight)
    if first and seen.equity <= 0.0:
        blame(book, NOT_ENTERED)


@hot
def tally_quiet(
    book: Book,
    units: Units,
    parameters: Parameters,
    t: int,
    marks: int,
    midnight: int,
    ahead: Ahead,
) -> None:
    """Count marks at which nothing is done, from mark t on; writes the residuals of `ahead`.

    `midnight` is the next mark at 00:00 UTC.
    """
    kept, before = book.tally, ahead.before
    before[0] = kept[LAST_EQUITY]
    for j in range(1, marks):
        before[j] = ahead.equity[j - 1]
    for j in range(marks):
        earned = (ahead.lending[j] + ahead.borrowing[j]) + (ahead.staking[j] + ahead.rewards[j])
        moved = (ahead.spot_price[j] + ahead.perp_price[j]) + ahead.funding[j]
        ahead.residual[j] = (ahead.equity[j] - before[j]) - (earned + moved)
    add_up(kept, marks, ahead)
    find_extremes(book, units, parameters, t, marks, ahead)
    for j in range(marks):
        equity = ahead.equity[j]
        kept[LAST_EQUITY] = equity
        inside = kept[TROUGH_BOUND] < equity < kept[PEAK_BOUND]
        if ahead.notable[j] != 0 or t + j == midnight or not inside:
            seen = look_at(book, units, t + j, j, ahead)
            spot = units.asset[U_SPOT, t + j]
            watch(book, spot, parameters, seen, ahead.residual[j], t + j == midnight)
            if t + j == midnight:
                midnight += 24


@hot
def add_up(kept: Floats, marks: int, ahead: Ahead) -> None:
    """Add the components of each mark to their sums, in the order of the marks."""
    lending, borrowing = kept[LENDING - LENDING], kept[BORROWING - LENDING]
    staking, rewards = kept[STAKING - LENDING], kept[REWARDS - LENDING]
    spot_price, perp_price = kept[SPOT_PRICE - LENDING], kept[PERP_PRICE - LENDING]
    funding, equity_sum = kept[FUNDING - LENDING], kept[EQUITY_SUM]
    for j in range(marks):
        lending += ahead.lending[j]
        borrowing += ahead.borrowing[j]
        staking += ahead.staking[j]
        rewards += ahead.rewards[j]
        funding += ahead.funding[j]
        spot_price += ahead.spot_price[j]
        perp_price += ahead.perp_price[j]
        equity_sum += ahead.before[j]
    kept[LENDING - LENDING], kept[BORROWING - LENDING] = lending, borrowing
    kept[STAKING - LENDING], kept[REWARDS - LENDING] = staking, rewards
    kept[SPOT_PRICE - LENDING], kept[PERP_PRICE - LENDING] = spot_price, perp_price
    kept[FUNDING - LENDING], kept[EQUITY_SUM] = funding, equity_sum


@hot
def find_extremes(
    book: Book, units: Units, parameters: Parameters, t: int, marks: int, ahead: Ahead
) -> None:
    """Mark where an extreme that only rises in a run may rise; `watch` looks at it there."""
    kept, short = book.tally, 0.0
    for v in range(book.perps.shape[0]):
        short -= book.perps[v, QUANTITY]
    held, spot = book.state[SPOT], units.asset[U_SPOT, t : t + marks]
    residual, ltv = kept[WORST_RESIDUAL] * BELOW, kept[MAX_LTV] * BELOW
    delta = kept[HIGHEST_DELTA] * BELOW
    for j in range(marks):
        unexplained = not abs(ahead.residual[j]) <= residual * abs(ahead.equity[j])
        levered = not ahead.debt[j] <= ltv * ahead.collateral[j]
        value = (held + ahead.collateral[j] - ahead.debt[j] - short) * spot[j]
        exposed = parameters.buys_asset & (not abs(value) <= delta * ahead.equity[j])
        ahead.notable[j] = ahead.low_margin[j] | unexplained | levered | exposed


@compiled
def watch(
    book: Book,
    spot: float,
    parameters: Parameters,
    seen: Survey,
    residual: float,
    midnight: bool,
) -> None:
    """Keep the extremes of a mark.

    An extreme is a ratio, and divisions take longer than all else together: what cannot be a new
    one is told by a product, with more room than rounding needs.
    """
    kept = book.tally
    if midnight or not kept[TROUGH_BOUND] < seen.equity < kept[PEAK_BOUND]:
        grow(book, midnight)
    if not abs(residual) <= kept[WORST_RESIDUAL] * BELOW * abs(seen.equity):
        doubt(book, residual)
    if not seen.debt <= kept[MAX_LTV] * BELOW * seen.collateral:
        lever(book, seen.debt, seen.collateral)
    kept[LOWEST_MARGIN_RATIO] = min(kept[LOWEST_MARGIN_RATIO], seen.margin_ratio)
    if parameters.buys_asset:
        value = (book.state[SPOT] + seen.collateral - seen.debt - seen.short) * spot
        if not abs(value) <= kept[HIGHEST_DELTA] * BELOW * seen.equity:
            expose(book, value)


@compiled
def grow(book: Book, midnight: bool) -> None:
    """Keep the growth of a new day, of a new peak, or of a new low since the peak."""
    kept = book.tally
    growth = kept[LAST_EQUITY] / kept[UNITS] if kept[CLOSED] == 0.0 else kept[GROWTH]
    if midnight:
        book.midnights[book.counts[MIDNIGHT_COUNT]] = growth
        book.counts[MIDNIGHT_COUNT] += 1
    if growth > kept[PEAK]:
        kept[DRAWDOWN] = max(kept[DRAWDOWN], 1.0 - kept[TROUGH] / kept[PEAK])
        kept[PEAK] = growth
        kept[TROUGH] = growth
    elif growth < kept[TROUGH]:
        kept[TROUGH] = growth
    kept[PEAK_BOUND] = kept[PEAK] * BELOW * kept[UNITS]
    kept[TROUGH_BOUND] = kept[TROUGH] * ABOVE * kept[UNITS]
    if kept[CLOSED] != 0.0:  # nothing grows any more
        kept[PEAK_BOUND] = np.inf
        kept[TROUGH_BOUND] = -np.inf


@compiled
def doubt(book: Book, residual: float) -> None:
    """Keep the worst residual as a share of equity; one that is no number is the run's end."""
    kept = book.tally
    unexplained = abs(residual) / max(abs(kept[LAST_EQUITY]), TINY)
    if not unexplained <= kept[WORST_RESIDUAL]:
        kept[WORST_RESIDUAL] = unexplained
    if not abs(residual) < np.inf:
        blame(book, NOT_FINITE)


@compiled
def lever(book: Book, debt: float, collateral: float) -> None:
    """Keep the highest loan to value; a debt without collateral has none."""
    kept = book.tally
    if collateral > 0.0:
        kept[MAX_LTV] = max(kept[MAX_LTV], debt / collateral)
    else:
        kept[SEIZED] = 1.0


@compiled
def expose(book: Book, value: float) -> None:
    """Keep the highest net delta as a share of equity."""
    kept = book.tally
    delta = abs(value / kept[LAST_EQUITY]) if kept[LAST_EQUITY] != 0.0 else np.inf
    if delta < np.inf:
        kept[HIGHEST_DELTA] = max(kept[HIGHEST_DELTA], delta)


@compiled
def blame(book: Book, status: int) -> None:
    """Remember what makes the run's figures mean nothing; the worst of several."""
    if book.tally[STATUS] == SOUND or status < book.tally[STATUS]:
        book.tally[STATUS] = status


@compiled
def rebase(book: Book, row: Floats) -> None:
    """Let a flow buy or sell units of the run, as a fund's, at their price before its trades.

    The costs of its mark are borne by all units: `units *= (E - C) / (E - C - F)`. Once everything
    is withdrawn the growth stays where it was.
    """
    kept, flow = book.tally, row[FLOW]
    kept[NET_FLOW] += flow
    if flow < 0.0 and row[EQUITY] <= 0.0:
        blame(book, EMPTIED)
    after = row[EQUITY] - (row[EXECUTION_COST] + row[GAS])
    before = after - flow
    if kept[CLOSED] == 0.0:
        if after <= 1e-12 * abs(before):
            kept[GROWTH] = before / kept[UNITS]
            kept[CLOSED] = 1.0
        else:
            kept[SHARE] *= after / before
            kept[UNITS] = kept[CAPITAL] * kept[SHARE]
    grow(book, False)


@compiled
def conclude(book: Book, marks: int, risk_free: float, out: Floats) -> None:
    """Make figures of what was counted over `marks` marks; `out` (len(FIGURES),) takes them.

    What is not defined is NaN. `risk_free` is an annual rate.
    """
    kept = book.tally
    years = (marks - 1) / HOURS_PER_YEAR
    growth = kept[LAST_EQUITY] / kept[UNITS] if kept[CLOSED] == 0.0 else kept[GROWTH]
    total = growth - 1.0
    out[F_STATUS] = kept[STATUS]
    out[F_FINAL_EQUITY] = kept[LAST_EQUITY]
    out[F_NET_FLOWS] = kept[NET_FLOW]
    out[F_TOTAL_RETURN] = total
    out[F_APR] = total / years
    apy = max(1.0 + total, 0.0) ** (1.0 / years) - 1.0
    out[F_APY] = apy
    daily_figures(book, (1.0 + risk_free) ** (1.0 / DAYS_PER_YEAR) - 1.0, out)
    drawdown = max(kept[DRAWDOWN], 1.0 - kept[TROUGH] / kept[PEAK])
    out[F_MAX_DRAWDOWN] = drawdown
    out[F_CALMAR] = apy / drawdown if drawdown > 0.0 else np.nan
    pnl = 0.0
    for i in range(len(COMPONENTS)):
        pnl += kept[i]
        out[F_COMPONENTS + i] = kept[i]
    carry = kept[LENDING - LENDING] + kept[BORROWING - LENDING] + kept[STAKING - LENDING]
    carry += kept[REWARDS - LENDING]
    carry += kept[FUNDING - LENDING]
    paid = kept[EXECUTION_COST - LENDING] + kept[GAS - LENDING]
    out[F_PNL] = pnl
    out[F_CARRY] = carry
    out[F_BASIS] = kept[SPOT_PRICE - LENDING] + kept[PERP_PRICE - LENDING]
    out[F_COSTS] = paid + kept[LIQUIDATION - LENDING]
    average = kept[EQUITY_SUM] / (marks - 1)
    yearly = 1.0 / average / years if average > 0.0 else np.nan
    out[F_TOTAL_COST] = -paid
    out[F_COST_PER_YEAR] = -paid * yearly
    out[F_FUNDING_PER_YEAR] = kept[FUNDING - LENDING] * yearly
    out[F_CARRY_PER_YEAR] = carry * yearly
    turnover = kept[TRADED] / average if average > 0.0 else np.nan
    out[F_TURNOVER] = turnover
    out[F_TURNOVER_PER_YEAR] = turnover / years
    out[F_TRADES] = book.counts[TRADE_COUNT]
    out[F_REBALANCES] = book.counts[REBALANCE_COUNT]
    out[F_LIQUIDATIONS] = book.counts[LIQUIDATION_COUNT]
    out[F_OVERSIZE] = book.counts[OVERSIZE_COUNT]
    margin_ratio, ltv = kept[LOWEST_MARGIN_RATIO], kept[MAX_LTV]
    out[F_MIN_HEALTH_FACTOR] = kept[THRESHOLD] / ltv if ltv > 0.0 else np.nan
    if kept[SEIZED] != 0.0:  # a debt without collateral
        out[F_MIN_HEALTH_FACTOR] = 0.0
    out[F_MAX_LTV] = ltv if ltv > 0.0 else np.nan
    out[F_MIN_MARGIN_RATIO] = margin_ratio if margin_ratio < np.inf else np.nan
    out[F_MAX_ABS_DELTA] = kept[HIGHEST_DELTA]
    out[F_MAX_ABS_RESIDUAL] = kept[WORST_RESIDUAL]


@compiled
def daily_figures(book: Book, daily_rate: float, out: Floats) -> None:
    """Volatility, Sharpe and Sortino of the returns between 00:00 UTC marks, × √365.

    NaN where a day starts with nothing left. Writes the returns over the midnights.
    """
    growth = book.midnights
    days = max(book.counts[MIDNIGHT_COUNT] - 1, 0)
    mean = 0.0
    for i in range(days):
        growth[i] = growth[i + 1] / growth[i] - 1.0 if growth[i] > 0.0 else np.nan
        mean += growth[i]
    mean = mean / days if days > 0 else np.nan
    squares, below = 0.0, 0.0
    for i in range(days):
        squares += (growth[i] - mean) ** 2
        below += min(growth[i] - daily_rate, 0.0) ** 2
    out[F_DAILY_RETURNS] = days
    volatility = math.sqrt(squares / (days - 1)) * math.sqrt(DAYS_PER_YEAR) if days > 1 else np.nan
    downside = math.sqrt(below / days) if days > 0 else np.nan
    excess = mean - daily_rate
    out[F_VOLATILITY] = volatility
    out[F_SHARPE] = excess * DAYS_PER_YEAR / volatility if volatility > 0.0 else np.nan
    out[F_SORTINO] = excess / downside * math.sqrt(DAYS_PER_YEAR) if downside > 0.0 else np.nan
