"""Many scenarios of one mode on a page: their spread, the effect of each key, the worst."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from basis_pipeline.reports.banners import Banner, in_order, with_status
from basis_pipeline.reports.chart import Chart
from basis_pipeline.reports.page import Page, Provenance, Section
from basis_pipeline.reports.plot_theme import css, figure
from basis_pipeline.reports.table import Link, Table
from basis_pipeline.results.definitions import DASH, FIGURES, percent
from basis_pipeline.results.metrics import Floats
from basis_pipeline.verdict import Status, Verdict, input_warnings

FIGURE = "total_return"  # what the key charts show
SPREAD = ("total_return", "max_drawdown")
BINS, CELLS = 40, 14
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
    inputs: Sequence[Verdict],
    links: Mapping[int, str],
    folds: pd.DataFrame | None = None,
) -> str:
    """Return one page over the rows of a sweep.

    Parameters
    ----------
    rows: of `backtests.sweep.read_rows`. keys: the numbers swept, columns of `rows`.
    worst: the rows to look at first, as `backtests.scenario_checks.worst` orders them.
    verdicts: of the study. inputs: of the datasets that it read.
    links: addresses of the full tear sheets of scenarios, by index.
    folds: of a walk-forward, as its result has them.
    """
    numeric = [key for key in keys if rows[key].dtype.kind == "f" and rows[key].nunique() > 1]
    spread: list[Chart | Table] = [
        *(_spread_chart(rows, name) for name in SPREAD),
        _quantiles(rows),
    ]
    keyed = [_sensitivity_chart(rows, key) for key in numeric]
    gates = [(v.check, str(v.status), v.message) for v in in_order(verdicts)]
    sections = [
        Section("Spread", spread),
        *([Section("Keys", keyed)] if keyed else []),
        *([Section("Folds", [_folds_chart(folds)])] if folds is not None else []),
        Section(
            "Worst scenarios",
            [_worst(worst, keys, links)],
            "A point with a link has a full tear sheet: the same run with all its tables.",
        ),
        Section("Gates", [Table(("gate", "verdict", "~result"), gates, "Gate verdicts")]),
    ]
    return Page(
        title=title,
        what=f"{what} {len(rows):,} scenarios.",
        banners=[
            *(
                Banner(LEVELS[verdict.status], verdict.check, verdict.message)
                for verdict in in_order(with_status(verdicts, *LEVELS))
            ),
            *([Banner("warn", "Inputs", warned)] if (warned := input_warnings(inputs)) else []),
        ],
        sections=sections,
        footer=(
            "Simulated on historical or altered data; every row is a whole backtest. Figures are "
            "those of a single run."
        ),
    ).html(provenance)


def _worst(worst: pd.DataFrame, keys: Sequence[str], links: Mapping[int, str]) -> Table:
    rows = []
    for row in worst.to_dict("records"):
        path = f"path {row['path']}" if row["path"] >= 0 else ""
        scenario = " ".join(filter(None, (row["window"], row["market"], path))) or DASH
        figures = (percent(row[name]) for name in SPREAD)
        point = Link(str(row["index"]), links.get(row["index"], ""))
        values = (_short(row[key]) for key in keys)
        rows.append((point, scenario, row["status"], *values, *figures, str(row["liquidations"])))
    swept = (f">{key}" for key in keys)
    titles = ("point", "scenario", "rejected with", *swept, ">return", ">drawdown", ">liquidations")
    return Table(titles, rows, "Worst scenarios")


def _leaf(key: str) -> str:
    """Return a key without its section: `target_ltv` of `staking.target_ltv`."""
    return key.partition(".")[2] or key


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _quantiles(rows: pd.DataFrame) -> Table:
    spread = []
    for name in SPREAD:
        known = rows[name].dropna()
        if len(known):
            values = known.quantile([0.0, LOW, 0.5, HIGH, 1.0])
            spread.append((FIGURES[name].label, *(percent(float(value)) for value in values)))
    return Table(("figure", ">least", ">5 %", ">median", ">95 %", ">most"), spread, "Over all")


def _spread_chart(rows: pd.DataFrame, name: str) -> Chart:
    """Draw how many scenarios end with which return, or with which drawdown."""
    counts, ends = np.histogram(100.0 * rows[name].dropna().to_numpy(), bins=BINS)
    bars = go.Bar(
        x=(ends[:-1] + ends[1:]) / 2.0,
        y=counts.astype(float),
        width=np.diff(ends),
        marker={"color": css("accent")},
        hovertemplate="%{y:,.0f} scenarios around %{x:.2f} %<extra></extra>",
    )
    return Chart(
        f"spread-{name}",
        f"Distribution: {FIGURES[name].label.lower()}",
        f"Number of scenarios in each of {BINS} equal intervals of the figure.",
        figure([bars], xaxis={"ticksuffix": " %"}, bargap=0.02),
    )


def _sensitivity_chart(rows: pd.DataFrame, key: str) -> Chart:
    """Draw the return against a key, whatever the others are: its median and where most lie."""
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
    return Chart(
        f"sensitivity-{key}",
        f"Return against {_leaf(key)}",
        f"Total return of the scenarios in each of up to {CELLS} intervals of the key with as "
        "many scenarios each, whatever the other keys are.",
        figure(traces, xaxis=across, yaxis={"ticksuffix": " %"}),
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
        "folds",
        "Train and test",
        "The objective of the point chosen on each train window, there and on the test.",
        figure(bars, xaxis={"type": "category"}, barmode="group"),
        wide=True,
    )
