"""Performance figures (SEMANTICS 11) as pure functions of hours.

Hours are `timestamps`, int64 nanoseconds UTC, strictly increasing, (n,); equity, flows and costs
are in the numeraire. Ratios are shares, not percent. A figure that is not defined (a single hour,
no variation) is NaN.
"""

from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from basis_pipeline.times import ANNUALISED_FROM_DAYS, DAY_NS

Floats = NDArray[np.float64]
Stamps = NDArray[np.int64]

NS_PER_DAY = DAY_NS
DAYS_PER_YEAR = 365
NS_PER_YEAR = DAYS_PER_YEAR * NS_PER_DAY
SAMPLING = "daily, between 00:00 UTC marks, annualised by the square root of 365"


def years(timestamps: Stamps) -> float:
    """Return the length of the window in years of 365 × 86400 seconds."""
    return float(timestamps[-1] - timestamps[0]) / NS_PER_YEAR


def is_annualised(timestamps: Stamps) -> bool:
    """Return whether the window is long enough for annualised figures."""
    return bool(timestamps[-1] - timestamps[0] >= ANNUALISED_FROM_DAYS * NS_PER_DAY)


def growth(equity: Floats, flow: Floats, cost: Floats, capital: float) -> Floats:
    """Compute the time-weighted growth of one unit of capital before entry costs: (n,).

    It is a fund's unit price. A flow F in an hour buys units at the price before the trades it
    causes, and all units bear the costs C of that hour: `units ·= (E − C) / (E − C − F)`,
    `growth = E / units`. Without flows it is `E / capital`. Once everything is withdrawn the price
    is constant.

    Parameters
    ----------
    equity: after trades. flow: deposits less withdrawals, without the initial capital.
    cost: execution cost and gas booked in the hour, negative when paid (their attribution).
    """
    after = equity - cost
    before = after - flow
    moved = flow != 0.0
    closed = np.flatnonzero(moved & (after <= 1e-12 * np.abs(before)))
    last = int(closed[0]) if closed.size else equity.size
    ratio = np.ones_like(equity)
    np.divide(after, before, out=ratio, where=moved)
    units = capital * np.cumprod(ratio[:last])
    result = np.empty_like(equity)
    result[:last] = equity[:last] / units
    if closed.size:
        result[last:] = before[last] / (units[-1] if last else capital)
    return result


def annual_yield(total_return: float, length: float) -> float:
    """Compute the APY, `(1 + return)^(1 / years) − 1`; −1 when everything, or more, is lost.

    Infinite when the return of a few hours, annualised, exceeds what a float can hold.
    """
    if not length > 0.0:
        return np.nan
    with np.errstate(over="ignore"):
        return float(np.float64(max(1.0 + total_return, 0.0)) ** (1.0 / length) - 1.0)


def daily_returns(timestamps: Stamps, growth: Floats) -> Floats:
    """Compute the returns between one 00:00 UTC and the next: (days,).

    The first one starts from the capital, so that it includes the entry costs. NaN where a day
    starts with nothing left.
    """
    at_midnight: Floats = np.append(1.0, growth[1:][timestamps[1:] % NS_PER_DAY == 0])
    before, after = at_midnight[:-1], at_midnight[1:]
    ratio: Floats = np.full(before.size, np.nan)
    return np.divide(after, before, out=ratio, where=before > 0.0) - 1.0


def volatility(returns: Floats) -> float:
    """Compute the sample standard deviation of daily returns × √365."""
    if returns.size < 2:
        return np.nan
    return float(np.std(returns, ddof=1) * np.sqrt(DAYS_PER_YEAR))


def daily_rate(annual: float) -> float:
    """Return the daily rate that compounds to an annual one over 365 days."""
    return float((1.0 + annual) ** (1.0 / DAYS_PER_YEAR) - 1.0)


def sharpe(returns: Floats, risk_free: float = 0.0) -> float:
    """Compute the mean daily return above `risk_free` (annual), over its deviation, × √365."""
    spread = volatility(returns)
    if not spread > 0.0:
        return np.nan
    return float(np.mean(returns - daily_rate(risk_free)) * DAYS_PER_YEAR / spread)


def sortino(returns: Floats, risk_free: float = 0.0) -> float:
    """Compute the mean daily excess return over the RMS of the negative ones, × √365."""
    excess = returns - daily_rate(risk_free)
    downside = np.sqrt(np.mean(np.minimum(excess, 0.0) ** 2)) if excess.size else 0.0
    if not downside > 0.0:
        return np.nan
    return float(np.mean(excess) / downside * np.sqrt(DAYS_PER_YEAR))


def stretches(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """List the first and last index of every unbroken stretch of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(first), int(last) - 1) for first, last in edges.reshape(-1, 2)]


def drawdown(growth: Floats) -> Floats:
    """Compute the loss from the running peak, a positive share: (n,); the first peak is 1."""
    peak = np.maximum(np.maximum.accumulate(growth), 1.0)
    return 1.0 - growth / peak


class Month(NamedTuple):
    """A calendar month (UTC) of the window: its name, and its rows `first … last − 1`."""

    name: str
    first: int
    last: int


def periods(timestamps: Stamps, unit: Literal["D", "M"]) -> NDArray[np.datetime64]:
    """Return the day or calendar month (UTC) of each row, (n,).

    A row closes the hour before it, so 00:00 on the 1st belongs to the month before. Only the first
    row, with the entry costs, belongs to the period that it opens.
    """
    closing = timestamps - 1
    if timestamps.size > 1:
        closing[0] = timestamps[0]
    return closing.view("datetime64[ns]").astype(f"datetime64[{unit}]")


def months(timestamps: Stamps) -> list[Month]:
    """List the calendar months (UTC) of the window, as in `periods`."""
    labels = periods(timestamps, "M")
    starts = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1).tolist(), labels.size]
    return [Month(str(labels[first]), first, last) for first, last in pairwise(starts)]


def monthly_returns(timestamps: Stamps, growth: Floats) -> dict[str, float]:
    """Compute the return of every calendar month; they compound to the total return."""
    result: dict[str, float] = {}
    before = 1.0
    for month in months(timestamps):
        after = float(growth[month.last - 1])
        result[month.name] = after / before - 1.0 if before > 0.0 else np.nan
        before = after
    return result


def growth_at_rate(timestamps: Stamps, rate_timestamps: Stamps, rate: Floats) -> Floats:
    """Compute the value of one unit lent at an annual simple rate, (n,), compounded every hour.

    A rate holds from its timestamp to the next. All NaN when the rates start after the first hour.
    """
    position = np.searchsorted(rate_timestamps, timestamps[:-1], side="right") - 1
    if rate_timestamps.size == 0 or rate_timestamps[0] > timestamps[0]:
        return np.full(timestamps.size, np.nan)
    earned = rate[position] * np.diff(timestamps) / NS_PER_YEAR
    return np.concatenate([[1.0], np.cumprod(1.0 + earned)])


class Comparison(NamedTuple):
    """A run compared with a benchmark over the same window."""

    total_return: float  # of the benchmark
    apy: float  # of the benchmark; NaN under 30 days, as every annualised figure
    excess_return: float  # the run's total return less the benchmark's
    excess_apy: float
    tracking_error: float  # volatility of the daily differences
    correlation: float  # of daily returns


def against_benchmark(timestamps: Stamps, growth: Floats, benchmark: Floats) -> Comparison:
    """Compare the growth of a run with that of a benchmark; both (n,), both 1 at the capital."""
    length = years(timestamps) if is_annualised(timestamps) else np.nan
    ours, theirs = float(growth[-1]) - 1.0, float(benchmark[-1] / benchmark[0]) - 1.0
    our_days, their_days = (
        daily_returns(timestamps, of) for of in (growth, benchmark / benchmark[0])
    )
    related = our_days.size > 1 and our_days.std() > 0.0 and their_days.std() > 0.0
    return Comparison(
        total_return=theirs,
        apy=annual_yield(theirs, length),
        excess_return=ours - theirs,
        excess_apy=annual_yield(ours, length) - annual_yield(theirs, length),
        tracking_error=volatility(our_days - their_days) if length > 0.0 else np.nan,
        correlation=float(np.corrcoef(our_days, their_days)[0, 1]) if related else np.nan,
    )
