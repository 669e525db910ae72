"""Several runs together: correlation, drawdowns at the same time, and mixes of them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from basis_pipeline.reports.chart import Chart
from basis_pipeline.reports.page import Section
from basis_pipeline.reports.plot_theme import css, figure, nth
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.table import Cells, Table, Term
from basis_pipeline.results import metrics, returns
from basis_pipeline.results.definitions import DASH, amount, percent
from basis_pipeline.results.mix import Mix, efficient_frontier, mix_of

FROM_DAYS = 30
TABLED = 5  # mixes of the frontier
CAUTION = (
    "The weights use hindsight: they are chosen on the same returns that are shown, and later "
    "returns may be far from the curve. Liquidations and defaults that did not happen in the "
    "window are not included, each run is in its own currency, and moving money between modes "
    "costs nothing here."
)


def together(runs: Sequence[RunView], names: Sequence[str]) -> list[Section]:
    """Return the sections over runs with days in common; none with fewer than two such runs."""
    days = daily_returns(runs, names)
    if len(runs) < 2 or len(days) < 2:
        return []
    found = [
        Section("Together", [correlation_table(days), drawdowns_together(runs, names)]),
    ]
    # A run that did not vary would be all of the mix with the lowest volatility.
    varied = days.loc[:, np.ptp(days.to_numpy(), axis=0) > 0.0]
    if len(days) >= FROM_DAYS and varied.shape[1] > 1:
        frontier = efficient_frontier(varied.to_numpy())
        parts: list[Chart | Table] = [
            frontier_chart(varied, frontier),
            mix_table(varied, frontier),
        ]
        found.append(Section("Mixes", parts, CAUTION))
    return found


def daily_returns(runs: Sequence[RunView], names: Sequence[str]) -> pd.DataFrame:
    """Return the daily returns of the runs over their common days."""
    own = [
        returns.daily(run.stamps, run.growth).rename(n) for run, n in zip(runs, names, strict=True)
    ]
    return pd.concat(own, axis=1, join="inner").dropna()


def correlation_table(days: pd.DataFrame) -> Table:
    """List the correlation of the daily returns of every two runs."""
    matrix = days.corr().to_numpy()
    rows: list[Cells] = [
        (str(name), *(DASH if np.isnan(value) else amount(float(value)) for value in row))
        for name, row in zip(days.columns, matrix, strict=True)
    ]
    caption = f"Correlation of the daily returns, {len(days):,} days in common"
    return Table(("run", *(f">{name}" for name in days.columns)), rows, caption)


def drawdowns_together(runs: Sequence[RunView], names: Sequence[str]) -> Table:
    """List the drawdowns of all runs at the worst hour of each."""
    rows: list[Cells] = []
    for run, name in zip(runs, names, strict=True):
        falls = returns.drawdowns(run.stamps, run.growth)
        if not falls:
            continue
        at = falls[0].trough
        rows.append((name, f"{pd.Timestamp(at):%Y-%m-%d %H:%M}", *(_lost(o, at) for o in runs)))
    titles = ("worst hour of", "UTC", *(f">{name}" for name in names))
    return Table(titles, rows, "Drawdowns at the same time")


def _lost(run: RunView, at: int) -> str:
    place = np.searchsorted(run.stamps, at)
    if place >= run.stamps.size or run.stamps[place] != at:
        return DASH
    return percent(float(metrics.drawdown(run.growth)[place]), 3)


def frontier_chart(days: pd.DataFrame, frontier: Sequence[Mix]) -> Chart:
    """Draw return against volatility of the runs, and of their best mixes."""
    hover = "%{text}<br>%{y:.2f} % at %{x:.3f} % volatility<extra></extra>"
    texts = [_weights(days, mix) for mix in frontier]
    x, y = [100.0 * mix.volatility for mix in frontier], [100.0 * mix.mean for mix in frontier]
    curve = go.Scatter(x=x, y=y, text=texts, mode="lines+markers", name="best mixes")
    traces = [curve.update(line={"color": css("ink"), "width": 2}, hovertemplate=hover)]
    for place, name in enumerate(days.columns):
        alone = mix_of(days.to_numpy(), np.eye(days.shape[1])[place])
        dot = go.Scatter(x=[100.0 * alone.volatility], y=[100.0 * alone.mean], mode="markers")
        look = {"size": 11, "color": css(nth(place))}
        traces.append(dot.update(name=str(name), text=[name], marker=look, hovertemplate=hover))
    axes = {
        "xaxis": {"title": {"text": "volatility, % a year"}, "ticksuffix": " %"},
        "yaxis": {"title": {"text": "mean return, % a year"}, "ticksuffix": " %"},
    }
    return Chart(
        "frontier",
        "Efficient frontier of a mix of the runs",
        "Mean daily return × 365 against the standard deviation of the daily returns × √365; the "
        "line has the lowest deviation for each mean, of mixes without debt or short positions.",
        figure(traces, hovermode="closest", **axes),
        height=420,
        wide=True,
    )


def mix_table(days: pd.DataFrame, frontier: Sequence[Mix]) -> Table:
    """List mixes along the frontier with their weights, and equal weights."""
    at = np.unique(np.linspace(0, len(frontier) - 1, TABLED).astype(int))
    equal = mix_of(days.to_numpy(), np.full(days.shape[1], 1.0 / days.shape[1]))
    labels = {0: "lowest volatility", len(frontier) - 1: "highest return"}
    chosen = [(labels.get(int(i), "between"), frontier[i]) for i in at]
    rows: list[Cells] = [
        (
            label,
            percent(mix.mean),
            percent(mix.volatility, 3),
            *(percent(float(weight), 1) for weight in mix.weights),
        )
        for label, mix in [*chosen, ("equal weights", equal)]
    ]
    mean = Term(">mean a year", "Mean daily return × 365, not compounded.")
    titles: Cells = ("mix", mean, ">volatility", *(f">{name}" for name in days.columns))
    return Table(titles, rows, "Mixes along the frontier")


def _weights(days: pd.DataFrame, mix: Mix) -> str:
    shares = zip(days.columns, mix.weights, strict=True)
    return ", ".join(f"{name} {percent(float(w), 0)}" for name, w in shares if w >= 0.005)
