"""Many scenarios of one mode on a page: how they spread, which key moves them, which are worst."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.reports.colours import css
from basis_pipeline.reports.drawing import Chart, Key, Trace, packed, plain
from basis_pipeline.reports.page import render
from basis_pipeline.reports.verdicts import Banner, in_order
from basis_pipeline.results.definitions import FIGURES, percent
from basis_pipeline.results.metrics import Floats
from basis_pipeline.verdict import Status, Verdict

FIGURE = "total_return"  # what the key charts show
SPREAD = ("total_return", "max_drawdown")
BINS, CELLS = 40, 14
MOST_PAIRS = 6
LOW, HIGH = 0.05, 0.95
LEVELS = {Status.FAIL: "alarm", Status.WARN: "warn"}


def scenarios_html(
    rows: pd.DataFrame,
    *,
    title: str,
    what: str,
    keys: Sequence[str],
    worst: pd.DataFrame,
    gates: Sequence[Verdict],
    links: Mapping[int, str],
    folds: pd.DataFrame | None = None,
) -> str:
    """One page over the rows of a sweep.

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
        title=title,
        what=what,
        banners=_banners(gates),
        gates=in_order(gates),
        count=f"{len(rows):,}",
        quantiles=_quantiles(rows),
        keys=list(keys),
        worst=[_worst_row(row, keys, links) for row in worst.to_dict("records")],
    )


def _banners(gates: Sequence[Verdict]) -> list[Banner]:
    return [
        Banner(LEVELS[gate.status], gate.check, gate.message)
        for gate in in_order(gates)
        if gate.status in LEVELS
    ]


def _worst_row(row: Mapping[Any, Any], keys: Sequence[str], links: Mapping[int, str]) -> Any:
    place = " ".join(part for part in (row["window"], row["market"]) if part)
    path = f"path {row['path']}" if row["path"] >= 0 else ""
    return {
        "index": row["index"],
        "link": links.get(row["index"], ""),
        "scenario": " ".join(part for part in (place, path) if part) or "–",
        "status": row["status"],
        "keys": [_short(row[key]) for key in keys],
        "total_return": percent(row["total_return"]),
        "max_drawdown": percent(row["max_drawdown"]),
        "liquidations": row["liquidations"],
    }


def _said(key: str) -> str:
    """A key without its section: `target_ltv` of `staking.target_ltv`."""
    return key.partition(".")[2] or key


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _quantiles(rows: pd.DataFrame) -> list[tuple[str, list[str]]]:
    """The spread of figures as text: a row a figure, of worst, 5 %, median, 95 % and best."""
    told = []
    for name in SPREAD:
        known = rows[name].dropna()
        if len(known):
            values = known.quantile([0.0, LOW, 0.5, HIGH, 1.0])
            told.append((FIGURES[name].label, [percent(float(value)) for value in values]))
    return told


def _spread_chart(rows: pd.DataFrame) -> Chart:
    """How many scenarios end with which return, and with which drawdown."""
    views: dict[str, list[Trace]] = {}
    for name in SPREAD:
        values = 100.0 * rows[name].dropna().to_numpy()
        counts, ends = np.histogram(values, bins=BINS)
        bars: Trace = {
            "type": "bar",
            "x": packed((ends[:-1] + ends[1:]) / 2.0),
            "y": packed(counts.astype(float)),
            "width": packed(np.diff(ends)),
            "marker": {"color": css("accent")},
            "hovertemplate": "%{y:,.0f} scenarios around %{x:.2f} %<extra></extra>",
        }
        views[FIGURES[name].label] = [bars]
    layout = plain()
    layout["xaxis"] |= {"ticksuffix": " %"}
    layout |= {"bargap": 0.02}
    median = percent(float(rows[FIGURE].median()))
    return Chart(
        key="spread",
        title="Distribution",
        meaning=f"Number of scenarios in each of {BINS} equal intervals of the figure.",
        views=views,
        layout=layout,
        legend=(),
        height=300,
        wide=True,
        said=f"The median return is {median}, the lowest {percent(float(rows[FIGURE].min()))}.",
    )


def _sensitivity_chart(rows: pd.DataFrame, keys: Sequence[str]) -> Chart:
    """The return against each key, whatever the others are: its median and where most lie."""
    views: dict[str, list[Trace]] = {}
    ranges = {}
    for key in keys:
        groups = rows.groupby(_cells(rows[key]), observed=True)
        at = groups[key].mean().to_numpy()
        low, middle, high = (
            100.0 * groups[FIGURE].quantile(share).to_numpy() for share in (LOW, 0.5, HIGH)
        )
        views[_said(key)] = [
            _edge(at, low, "", 0.0),
            _edge(at, high, "tonexty", 0.0),
            {
                **_edge(at, middle, "", 2.0),
                "hovertemplate": "%{x:.4g}: median %{y:.2f} %<extra></extra>",
            },
        ]
        ranges[_said(key)] = [float(at[0]), float(at[-1])]
    layout = plain()
    layout["yaxis"] |= {"ticksuffix": " %"}
    return Chart(
        key="sensitivity",
        title="Sensitivity",
        meaning=(
            f"Total return of the scenarios in each of up to {CELLS} intervals of the key with as "
            "many scenarios each, whatever the other keys are."
        ),
        views=views,
        layout=layout,
        legend=(Key("median", "accent"), Key("nine in ten scenarios", "line", "area")),
        height=320,
        wide=True,
        said=f"The return against {', '.join(keys)}, one after the other.",
        ranges=ranges,
    )


def _edge(at: Floats, values: Floats, fill: str, width: float) -> Trace:
    trace: Trace = {
        "type": "scatter",
        "mode": "lines",
        "x": packed(at),
        "y": packed(values),
        "line": {"color": css("accent"), "width": width},
        "hoverinfo": "skip",
    }
    return trace | ({"fill": fill, "fillcolor": css("line")} if fill else {})


def _cells(column: pd.Series) -> pd.Series:
    """The interval of each value: each number by itself on a grid, else quantiles."""
    if column.nunique() <= CELLS:
        return column
    found: pd.Series = pd.qcut(column, CELLS, labels=False, duplicates="drop")
    return found


def _heat_chart(rows: pd.DataFrame, keys: Sequence[str]) -> Chart:
    """The median return over two keys at a time, whatever the others are."""
    pairs = list(combinations(keys, 2))[:MOST_PAIRS]
    cells = {key: _cells(rows[key]) for key in {key for pair in pairs for key in pair}}
    ticks = {
        key: [_short(float(v)) for v in rows[key].groupby(inside, observed=True).mean()]
        for key, inside in cells.items()
    }
    views: dict[str, list[Trace]] = {}
    for across, up in pairs:
        middles = rows[FIGURE].groupby([cells[up], cells[across]], observed=True).median()
        table = 100.0 * middles.unstack()
        views[f"{_said(up)} over {_said(across)}"] = [
            {
                "type": "heatmap",
                "x": ticks[across],
                "y": ticks[up],
                "z": [[None if np.isnan(v) else v for v in line] for line in table.to_numpy()],
                "colorscale": [[0.0, css("bad")], [0.5, css("card")], [1.0, css("good")]],
                "zmid": float(100.0 * rows[FIGURE].median()),
                "colorbar": {"thickness": 12, "ticksuffix": " %", "outlinewidth": 0},
                "hovertemplate": f"{across} %{{x}}, {up} %{{y}}: %{{z:.2f}} %<extra></extra>",
            }
        ]
    layout = plain()
    layout["xaxis"] |= {"type": "category", "nticks": 8}
    layout["yaxis"] |= {"type": "category", "nticks": 8}
    return Chart(
        key="heat",
        title="Two keys at a time",
        meaning=(
            "Median total return over two keys, whatever the others are; the middle of the colours "
            "is the median of all scenarios."
        ),
        views=views,
        layout=layout,
        legend=(Key("better than the median", "good", "area"), Key("worse", "bad", "area")),
        height=420,
        wide=True,
        said=f"Median returns over {' and '.join(pairs[0])}.",
    )


def _folds_chart(folds: pd.DataFrame) -> Chart:
    """The objective of every fold's choice, on train and on test."""
    labels = [f"{start:%Y-%m-%d}" for start in folds["test_start"]]
    bars = [
        {
            "type": "bar",
            "name": part,
            "x": labels,
            "y": [None if pd.isna(v) else float(v) for v in folds[f"{part}_value"]],
            "marker": {"color": css(colour)},
            "hovertemplate": f"{part}: %{{y:.3g}}<extra></extra>",
        }
        for part, colour in (("train", "series-0"), ("test", "series-1"))
    ]
    layout = plain()
    layout["xaxis"] |= {"type": "category"}
    layout |= {"barmode": "group"}
    return Chart(
        key="folds",
        title="Train and test",
        meaning="The objective of the point chosen on each train window, there and on the test.",
        views={"objective": bars},
        layout=layout,
        legend=(Key("on train", "series-0", "area"), Key("on the test after", "series-1", "area")),
        height=300,
        said=f"{len(folds)} folds.",
        wide=True,
    )
