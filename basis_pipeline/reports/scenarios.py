"""Many scenarios of one mode on a page: their spread, the effect of each key, the worst."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from basis_pipeline.reports.banners import Banner, in_order, with_status
from basis_pipeline.reports.chart import Chart
from basis_pipeline.reports.page import Provenance, render
from basis_pipeline.reports.plot_theme import css, figure
from basis_pipeline.results.definitions import DASH, FIGURES, percent
from basis_pipeline.results.metrics import Floats
from basis_pipeline.verdict import Status, Verdict

FIGURE = "total_return"  # what the key charts show
SPREAD = ("total_return", "max_drawdown")
BINS, CELLS = 40, 14
MOST_PAIRS = 6
LOW, HIGH = 0.05, 0.95
LEVELS = {Status.FAIL: "alarm", Status.BLOCKED: "alarm", Status.WARN: "warn"}


def scenarios_html(
    rows: pd.DataFrame,
    provenance: Provenance,
    *,
    title: str,
    what: str,
    keys: Sequence[str],
    worst: pd.DataFrame,
    verdicts: Sequence[Verdict],
    links: Mapping[int, str],
    folds: pd.DataFrame | None = None,
) -> str:
    """Return one page over the rows of a sweep.

    Parameters
    ----------
    rows: of `runs.sweep.read_rows`. keys: the numbers swept, columns of `rows`.
    worst: the rows to look at first, as `runs.scenario_checks.worst` orders them.
    links: addresses of the full tear sheets of scenarios, by index.
    folds: of a walk-forward, as its result has them.
    """
    numeric = [key for key in keys if rows[key].dtype.kind == "f" and rows[key].nunique() > 1]
    charts = [_spread_chart(rows)]
    if numeric:
        charts.append(_sensitivity_chart(rows, numeric))
    if len(numeric) > 1:
        charts.append(_heat_chart(rows, numeric))
    if folds is not None:
        charts.append(_folds_chart(folds))
    return render(
        "scenarios.html.j2",
        charts,
        provenance,
        title=title,
        what=what,
        banners=[
            Banner(LEVELS[verdict.status], verdict.check, verdict.message)
            for verdict in in_order(with_status(verdicts, *LEVELS))
        ],
        gates=in_order(verdicts),
        count=f"{len(rows):,}",
        quantiles=_quantiles(rows),
        keys=list(keys),
        worst=[_worst_row(row, keys, links) for row in worst.to_dict("records")],
    )


def _worst_row(row: Mapping[Any, Any], keys: Sequence[str], links: Mapping[int, str]) -> Any:
    path = f"path {row['path']}" if row["path"] >= 0 else ""
    return {
        "index": row["index"],
        "link": links.get(row["index"], ""),
        "scenario": " ".join(filter(None, (row["window"], row["market"], path))) or DASH,
        "status": row["status"],
        "keys": [_short(row[key]) for key in keys],
        "total_return": percent(row["total_return"]),
        "max_drawdown": percent(row["max_drawdown"]),
        "liquidations": row["liquidations"],
    }


def _leaf(key: str) -> str:
    """Return a key without its section: `target_ltv` of `staking.target_ltv`."""
    return key.partition(".")[2] or key


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _quantiles(rows: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """Return a row a figure: its label, and least, 5 %, median, 95 % and most as text."""
    quantiles = []
    for name in SPREAD:
        known = rows[name].dropna()
        if len(known):
            values = known.quantile([0.0, LOW, 0.5, HIGH, 1.0])
            quantiles.append((FIGURES[name].label, [percent(float(value)) for value in values]))
    return quantiles


def _spread_chart(rows: pd.DataFrame) -> Chart:
    """Draw how many scenarios end with which return, and with which drawdown."""
    views = {}
    for name in SPREAD:
        counts, ends = np.histogram(100.0 * rows[name].dropna().to_numpy(), bins=BINS)
        bars = go.Bar(
            x=(ends[:-1] + ends[1:]) / 2.0,
            y=counts.astype(float),
            width=np.diff(ends),
            marker={"color": css("accent")},
            hovertemplate="%{y:,.0f} scenarios around %{x:.2f} %<extra></extra>",
        )
        views[FIGURES[name].label] = figure([bars], xaxis={"ticksuffix": " %"}, bargap=0.02)
    median, lowest = (percent(float(value)) for value in rows[FIGURE].quantile([0.5, 0.0]))
    return Chart(
        key="spread",
        title="Distribution",
        meaning=f"Number of scenarios in each of {BINS} equal intervals of the figure.",
        views=views,
        height=300,
        wide=True,
        description=f"The median return is {median}, the lowest {lowest}.",
    )


def _sensitivity_chart(rows: pd.DataFrame, keys: Sequence[str]) -> Chart:
    """Draw the return against each key, whatever the others are: its median and where most lie."""
    views = {}
    for key in keys:
        groups = rows.groupby(_cells(rows[key]), observed=True)
        at = groups[key].mean().to_numpy()
        low, middle, high = (
            100.0 * groups[FIGURE].quantile(share).to_numpy() for share in (LOW, 0.5, HIGH)
        )
        hover = "%{x:.4g}: median %{y:.2f} %<extra></extra>"
        area = {"name": "nine in ten scenarios", "fill": "tonexty", "fillcolor": css("line")}
        traces = [
            _edge(at, low, 0.0, hoverinfo="skip"),
            _edge(at, high, 0.0, hoverinfo="skip", **area),
            _edge(at, middle, 2.0, name="median", hovertemplate=hover),
        ]
        across = {"range": [float(at[0]), float(at[-1])]}
        views[_leaf(key)] = figure(traces, xaxis=across, yaxis={"ticksuffix": " %"})
    return Chart(
        key="sensitivity",
        title="Sensitivity",
        meaning=(
            f"Total return of the scenarios in each of up to {CELLS} intervals of the key with as "
            "many scenarios each, whatever the other keys are."
        ),
        views=views,
        height=320,
        wide=True,
        description=f"The return against {', '.join(keys)}, one after the other.",
    )


def _edge(at: Floats, values: Floats, width: float, **options: Any) -> go.Scatter:
    look = {"color": css("accent"), "width": width}
    return go.Scatter(mode="lines", x=at, y=values, line=look, **options)


def _cells(column: pd.Series) -> pd.Series:
    """Return the interval of each value: each number by itself on a grid, else quantiles."""
    if column.nunique() <= CELLS:
        return column
    cells: pd.Series = pd.qcut(column, CELLS, labels=False, duplicates="drop")
    return cells


def _heat_chart(rows: pd.DataFrame, keys: Sequence[str]) -> Chart:
    """Draw the median return over two keys at a time, whatever the others are."""
    pairs = list(combinations(keys, 2))[:MOST_PAIRS]
    cells = {key: _cells(rows[key]) for key in {key for pair in pairs for key in pair}}
    ticks = {
        key: [_short(float(v)) for v in rows[key].groupby(inside, observed=True).mean()]
        for key, inside in cells.items()
    }
    category = {"type": "category", "nticks": 8}
    views = {}
    for across, up in pairs:
        medians = rows[FIGURE].groupby([cells[up], cells[across]], observed=True).median()
        heat = go.Heatmap(
            x=ticks[across],
            y=ticks[up],
            z=100.0 * medians.unstack().to_numpy(),
            colorscale=[[0.0, css("bad")], [0.5, css("card")], [1.0, css("good")]],
            zmid=float(100.0 * rows[FIGURE].median()),
            colorbar={"thickness": 12, "ticksuffix": " %", "outlinewidth": 0},
            hovertemplate=f"{across} %{{x}}, {up} %{{y}}: %{{z:.2f}} %<extra></extra>",
        )
        views[f"{_leaf(up)} over {_leaf(across)}"] = figure([heat], xaxis=category, yaxis=category)
    return Chart(
        key="heat",
        title="Two keys at a time",
        meaning=(
            "Median total return over two keys, whatever the others are: green is better than the "
            "median of all scenarios, red is worse."
        ),
        views=views,
        height=420,
        wide=True,
        description=f"Median returns over {' and '.join(pairs[0])}.",
    )


def _folds_chart(folds: pd.DataFrame) -> Chart:
    """Draw the objective of every fold's choice, on train and on test."""
    bars = [
        go.Bar(
            name=name,
            x=[f"{start:%Y-%m-%d}" for start in folds["test_start"]],
            y=folds[f"{part}_value"].astype(float).to_numpy(),
            marker={"color": css(colour)},
            hovertemplate=f"{part}: %{{y:.3g}}<extra></extra>",
        )
        for part, name, colour in (
            ("train", "on train", "series-0"),
            ("test", "on the test after", "series-1"),
        )
    ]
    return Chart(
        key="folds",
        title="Train and test",
        meaning="The objective of the point chosen on each train window, there and on the test.",
        views={"objective": figure(bars, xaxis={"type": "category"}, barmode="group")},
        height=300,
        description=f"{len(folds)} folds.",
        wide=True,
    )
