"""The daily returns on a tear sheet: rolling figures, distribution and drawdowns."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from basis_pipeline.reports.chart import Chart, Row, line, over_run
from basis_pipeline.reports.plot_theme import css, figure
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.table import Cells, Table, Term
from basis_pipeline.results import returns
from basis_pipeline.results.definitions import DASH, amount, percent
from basis_pipeline.results.summary import stamps

WINDOWS = {30: "accent", 90: "series-1"}  # days, colour
BINS = 40
SHOWN = 10  # drawdowns
LARGEST_SHARPE = 10.0  # a larger ratio says nothing about the risk
_HOUR = "%Y-%m-%d %H:%M"
ADJUSTED = "Adjusted for the sample size, as in quantstats but not in pyfolio."
# Figure of `returns.distribution`: label, meaning.
MEANINGS = {
    "best": ("Best day", "The largest daily return."),
    "worst": ("Worst day", "The smallest daily return."),
    "positive": (
        "Positive days",
        "Share of the days with a return above zero; quantstats leaves out those of exactly zero.",
    ),
    "months": ("Positive months", "Share of the calendar months with a return above zero."),
    "var": ("VaR 95 %", "The daily return that 5 % of the days are at or below: historical."),
    "cvar": ("CVaR 95 %", "The mean return of those days."),
    "var_normal": (
        "VaR 95 %, normal",
        "The mean less 1.645 deviations, as of a normal distribution; pyfolio uses two.",
    ),
    "skew": ("Skew", f"Below zero, large losses exceed large gains. {ADJUSTED}"),
    "kurtosis": (
        "Excess kurtosis",
        f"Above zero, extreme days are more frequent than in a normal distribution. {ADJUSTED}",
    ),
    "tail": (
        "Tail ratio",
        "The return of the best 5 % of the days over the loss of the worst 5 %.",
    ),
    "omega": ("Omega", "The sum of all daily gains over the sum of all daily losses."),
    "stability": (
        "Stability",
        "How straight the growth is: R² of a line through its logarithm, at most 1.",
    ),
    "beta": ("Beta to the coin", "Return for each percent that the coin moves on the same day."),
}
RATIOS = ("skew", "kurtosis", "tail", "omega", "stability", "beta")


def returns_parts(run: RunView) -> list[Chart | Table]:
    """Return the charts and tables of the daily returns that the run is long enough for."""
    days = returns.daily(run.stamps, run.growth)
    found: list[Chart | Table] = []
    if len(days) >= min(WINDOWS):
        found.append(rolling_chart(run, days))
    if len(days) > 1:
        found += [histogram(days), distribution_table(run, days)]
    return [*found, drawdown_table(run)]


def explained_ratios(run: RunView) -> str:
    """Return a warning about a Sharpe ratio that says nothing about the risk, or an empty text."""
    sharpe = run.summary.get("sharpe")
    if sharpe is None or abs(sharpe) <= LARGEST_SHARPE:
        return ""
    return (
        f"The Sharpe ratio of {amount(sharpe)} says only that the daily returns hardly vary "
        f"(volatility {percent(run.summary['volatility'])} a year). Risks such as a default of the "
        "protocol, a lost peg or a liquidation do not appear in daily returns until they happen, "
        "so the ratio is no reason to prefer this run."
    )


def rolling_chart(run: RunView, days: pd.Series) -> Chart:
    """Draw return, volatility and Sharpe ratio over the last 30 and 90 days."""
    rate, traces = run.summary["risk_free_rate"], []
    for window, colour in WINDOWS.items():
        rolled = returns.rolling(days, window, rate)
        if rolled.empty:
            continue
        at = stamps(rolled.reset_index())
        shares = ("total", "volatility")
        for row, name in enumerate(rolled, start=1):
            scale, unit = (100.0, " %") if name in shares else (1.0, "")
            values = scale * rolled[name].to_numpy()
            traces.append(line(f"{window} days", at, values, colour, row=row, unit=unit))
    rows = [Row("Return, %"), Row("Volatility, % a year"), Row("Sharpe")]
    return Chart(
        "rolling",
        "Rolling return, volatility and Sharpe ratio",
        "At each 00:00 UTC over the 30 and the 90 days before it: the compounded return, the "
        "standard deviation of the daily returns × √365, and their mean above "
        f"{percent(rate)} a year over that deviation.",
        over_run(run, traces, rows),
        height=480,
        wide=True,
    )


def histogram(days: pd.Series) -> Chart:
    """Draw the distribution of the daily returns, with value at risk and expected shortfall."""
    known = 100.0 * days.dropna().to_numpy()
    counts, ends = np.histogram(known, bins=BINS)
    bars = go.Bar(
        x=(ends[:-1] + ends[1:]) / 2.0,
        y=counts.astype(float),
        width=np.diff(ends),
        marker={"color": css("accent")},
        hovertemplate="%{y:,.0f} days around %{x:.3f} %<extra></extra>",
        showlegend=False,
    )
    found, top = returns.distribution(days), float(counts.max())
    marks = [
        go.Scatter(
            mode="lines",
            name=MEANINGS[name][0],
            x=[100.0 * found[name]] * 2,
            y=[0.0, top],
            line={"color": css(colour), "width": 1.8, "dash": dash},
            hoverinfo="skip",
        )
        for name, colour, dash in (("var", "warn", "dash"), ("cvar", "bad", "dot"))
    ]
    return Chart(
        "distribution",
        "Distribution of the daily returns",
        f"Number of days in each of {BINS} equal intervals of the daily return, between 00:00 UTC "
        "marks; the lines are value at risk and expected shortfall. Unit: percent.",
        figure([bars, *marks], xaxis={"ticksuffix": " %"}, bargap=0.02),
        height=320,
    )


def distribution_table(run: RunView, days: pd.Series) -> Table:
    """List the figures of the distribution, with the dates of the best and the worst day."""
    found = returns.distribution(days)
    months = [row["return"] for row in run.summary["months"]]
    found["months"] = float(np.mean([value > 0.0 for value in months])) if months else np.nan
    coin = coin_returns(run)
    found["beta"] = returns.beta(days, coin)
    ends, values = pd.DatetimeIndex(days.index), days.to_numpy()
    known = {"best": np.nanargmax, "worst": np.nanargmin} if np.isfinite(values).any() else {}
    on = {name: ends[int(place(values))] - pd.Timedelta(days=1) for name, place in known.items()}
    rows: list[Cells] = []
    for name, (label, meaning) in MEANINGS.items():
        value, plain = found[name], name in RATIOS
        write: Any = amount if plain else percent
        note = f"{on[name]:%Y-%m-%d}" if name in on else ""
        if name == "beta" and np.isnan(value):
            note = "no perpetual to take the price from"
        digits = 3 if name in ("best", "worst", "var", "cvar", "var_normal", "beta") else 2
        text = DASH if np.isnan(value) else write(value, digits)
        rows.append((Term(label, f"{meaning} Of {len(days):,} days."), text, note))
    return Table(("figure", ">value", "on"), rows, "Daily returns", wide=False)


def coin_returns(run: RunView) -> pd.Series:
    """Return the daily returns of the mark price at the 00:00 UTC settlements of the perpetual."""
    funding = run.events_of("funding")
    at = pd.DatetimeIndex(funding["timestamp"])
    prices = funding.assign(price=funding["price"])[at.hour == 0].groupby("timestamp")["price"]
    daily: pd.Series = prices.mean().asfreq("D").pct_change(fill_method=None)
    return daily.rename("coin")


def drawdown_table(run: RunView) -> Table:
    """List the deepest drawdowns: when they began, were deepest and ended."""
    falls = returns.drawdowns(run.stamps, run.growth)
    rows: list[Cells] = [
        (
            str(rank),
            percent(fall.depth, 3),
            _at(fall.start),
            _at(fall.trough),
            "not recovered" if fall.recovery is None else _at(fall.recovery),
            amount(fall.days, 1),
        )
        for rank, fall in enumerate(falls[:SHOWN], start=1)
    ]
    note = f", the {SHOWN} deepest of {len(falls):,}" if len(falls) > SHOWN else ""
    titles = ("#", ">depth", "peak, UTC", "trough, UTC", "recovered, UTC", ">days")
    return Table(titles, rows, f"Drawdowns{note}")


def _at(stamp: int) -> str:
    return f"{pd.Timestamp(stamp):{_HOUR}}"
