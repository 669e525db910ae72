"""The figures of a run (SEMANTICS 11), computed from the totals that the hour loop accumulated.

A backtest and a scenario of a sweep use the same functions, so their figures agree to the bit.
"""

import math

import numpy as np

from basis_pipeline.engine.closing import exit_cost
from basis_pipeline.engine.compiled import compiled, entry
from basis_pipeline.engine.hours import HourCoefficients
from basis_pipeline.engine.model import COMPONENTS, Book, Record, record_type

DAYS_PER_YEAR = 365
HOURS_PER_YEAR = 24.0 * DAYS_PER_YEAR
# Equals `times.ANNUALISED_FROM_DAYS`; repeated here, because the cache of compiled code is keyed by
# the hash of the engine's own files.
ANNUALISED_FROM_HOURS = 24 * 30

FIGURES: tuple[str, ...] = (
    "status",
    "final_equity",
    "closed_equity",
    "exit_cost",
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
FIGURES_RECORD = record_type(FIGURES)


@entry
def finalize(
    book: Book, market: HourCoefficients, parameters: Record, risk_free: float, out: Record
) -> None:
    """Write the figures of a run into `out`.

    An undefined figure is NaN, and so is an annualised one of a window under 30 days. `risk_free`
    is an annual rate.
    """
    tally, hours = book.tally, len(market.asset)
    years = (hours - 1) / HOURS_PER_YEAR
    if hours - 1 < ANNUALISED_FROM_HOURS:
        years = np.nan
    growth = tally.final_growth if tally.closed else tally.equity / tally.units
    total = growth - 1.0
    out.status = tally.status
    out.final_equity = tally.equity
    out.exit_cost = exit_cost(book, market, parameters)
    out.closed_equity = tally.equity - out.exit_cost
    out.net_flows = tally.net_flow
    out.total_return = total
    out.apr = total / years
    out.apy = max(1.0 + total, 0.0) ** (1.0 / years) - 1.0
    set_daily_figures(book, (1.0 + risk_free) ** (1.0 / DAYS_PER_YEAR) - 1.0, out)
    if np.isnan(years):
        out.volatility = np.nan
        out.sharpe = np.nan
        out.sortino = np.nan
    drawdown = max(tally.drawdown, 1.0 - tally.trough / tally.peak)
    out.max_drawdown = drawdown
    out.calmar = out.apy / drawdown if drawdown > 0.0 else np.nan
    set_attribution(tally, out)
    average = tally.equity_sum / (hours - 1)
    yearly = 1.0 / average / years if average > 0.0 else np.nan
    out.cost_per_year = out.total_cost * yearly
    out.funding_per_year = tally.funding * yearly
    out.carry_per_year = out.carry * yearly
    out.turnover = tally.traded / average if average > 0.0 else np.nan
    out.turnover_per_year = out.turnover / years
    out.trades = tally.trades
    out.rebalances = tally.rebalances
    out.liquidations = tally.liquidations
    out.trades_above_last_size_bucket = tally.trades_above_last_bucket
    margin_ratio, ltv = tally.min_margin_ratio, tally.max_ltv
    out.min_health_factor = tally.liquidation_threshold / ltv if ltv > 0.0 else np.nan
    if tally.collateral_gone:
        out.min_health_factor = 0.0
    out.max_ltv = ltv if ltv > 0.0 else np.nan
    out.min_margin_ratio = margin_ratio if margin_ratio < np.inf else np.nan
    out.max_abs_delta = tally.max_delta
    out.max_abs_residual = tally.max_residual


@compiled
def set_attribution(tally: Record, out: Record) -> None:
    """Set profit and loss by component, and the groups of SEMANTICS 9."""
    out.lending = tally.lending
    out.borrowing = tally.borrowing
    out.staking = tally.staking
    out.rewards = tally.rewards
    out.funding = tally.funding
    out.spot_price = tally.spot_price
    out.perp_price = tally.perp_price
    out.execution_cost = tally.execution_cost
    out.gas = tally.gas
    out.liquidation = tally.liquidation
    out.carry = tally.lending + tally.borrowing + tally.staking + tally.rewards + tally.funding
    out.basis = tally.spot_price + tally.perp_price
    paid = tally.execution_cost + tally.gas
    out.costs = paid + tally.liquidation
    out.total_cost = -paid
    # In the order of the components.
    out.pnl = out.carry + tally.spot_price + tally.perp_price
    out.pnl = out.pnl + tally.execution_cost + tally.gas + tally.liquidation


@compiled
def set_daily_figures(book: Book, daily_rate: float, out: Record) -> None:
    """Set volatility, Sharpe and Sortino of the daily returns, × √365.

    A return goes from one 00:00 UTC to the next, the first from the capital before entry costs.
    NaN where a day starts with nothing left. Writes the returns over the midnights.
    """
    growth = book.midnights
    days = max(book.tally.midnights - 1, 0)
    mean = 0.0
    for i in range(days):
        growth[i] = growth[i + 1] / growth[i] - 1.0 if growth[i] > 0.0 else np.nan
        mean += growth[i]
    mean = mean / days if days > 0 else np.nan
    squares, below = 0.0, 0.0
    for i in range(days):
        squares += (growth[i] - mean) ** 2
        below += min(growth[i] - daily_rate, 0.0) ** 2
    out.daily_returns = days
    volatility = math.sqrt(squares / (days - 1)) * math.sqrt(DAYS_PER_YEAR) if days > 1 else np.nan
    downside = math.sqrt(below / days) if days > 0 else np.nan
    excess = mean - daily_rate
    out.volatility = volatility
    out.sharpe = excess * DAYS_PER_YEAR / volatility if volatility > 0.0 else np.nan
    out.sortino = excess / downside * math.sqrt(DAYS_PER_YEAR) if downside > 0.0 else np.nan
