"""The points of a study as charts and tables: best and worst, their keys, rejected points."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from basis_pipeline.error_codes import REGISTRY
from basis_pipeline.reports.chart import Chart
from basis_pipeline.reports.plot_theme import css, figure
from basis_pipeline.reports.study import described, key_term, written
from basis_pipeline.reports.table import Cells, Link, Table, Term
from basis_pipeline.results.definitions import DASH, FIGURES, percent
from basis_pipeline.results.metrics import Floats

RETURN = "total_return"
SPREAD = (RETURN, "max_drawdown")
SHOWN_FIGURES = (*SPREAD, "min_health_factor", "min_margin_ratio", "liquidations")
# Figures of the worst risk, of which the first that the mode has is used: whether higher is safer,
# unit.
RISKS = {
    "min_margin_ratio": (True, "venue equity over notional"),
    "min_health_factor": (True, "threshold over loan to value"),
    "max_drawdown": (False, "%"),
}
BINS, CELLS, PAIR_CELLS, PAIRS = 40, 14, 7, 6
DOTS, TABLED = 1_500, 12
LOW, HIGH = 0.05, 0.95


def point_table(
    rows: pd.DataFrame,
    keys: Sequence[str],
    links: Mapping[int, str],
    caption: str,
    figures: Sequence[str] = SHOWN_FIGURES,
) -> Table:
    """List points with their scenario, their figures and their keys, in the order given."""
    named = [_scenario(row) for row in rows.to_dict("records")]
    listed: list[Cells] = []
    for row, name in zip(rows.to_dict("records"), named, strict=True):
        point = Link(str(row["index"]), links.get(row["index"], ""))
        found = (written(figure, row[figure]) for figure in figures)
        values = (short(row[key]) for key in keys)
        listed.append((point, *([name or DASH] if any(named) else []), *found, *values))
    swept = (key_term(key, ">" if rows[key].dtype.kind == "f" else "") for key in keys)
    heads = (Term(f">{FIGURES[name].label}", FIGURES[name].description) for name in figures)
    titles: Cells = ("point", *(["scenario"] if any(named) else []), *heads, *swept)
    return Table(titles, listed, caption)


def _scenario(row: Mapping[Any, Any]) -> str:
    """Return the names of a point's window and market, and the number of its path."""
    path = f"path {row['path']}" if row["path"] >= 0 else ""
    return " ".join(filter(None, (row["window"], row["market"], path)))


def short(value: Any) -> str:
    """Return the value of a key as text."""
    if not isinstance(value, float):
        return str(value).strip('"')
    return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"


def rejected_table(rows: pd.DataFrame, keys: Sequence[str]) -> Table:
    """List the codes of rejected points: how many, the cause, and the ranges of their keys."""
    listed: list[Cells] = []
    for code, part in rows[rows["status"] != ""].groupby("status"):
        entry = REGISTRY[str(code)]
        share = percent(len(part) / len(rows), 1)
        ranges = (_range(part[key]) for key in keys)
        cause = Term(entry.meaning, f"Likely cause: {entry.cause}. What to do: {entry.remedy}.")
        first = str(part["index"].min())
        listed.append((str(code), f"{len(part):,}", share, cause, first, *ranges))
    titles: Cells = ("code", ">points", ">of all", "~meaning", ">first point", *map(key_term, keys))
    return Table(titles, listed, "Rejected points by code")


def _range(values: pd.Series) -> str:
    if values.dtype.kind != "f":
        return ", ".join(sorted({short(value) for value in values}))
    low, high = values.min(), values.max()
    return short(low) if low == high else f"{short(low)} to {short(high)}"


def quantile_table(rows: pd.DataFrame) -> Table:
    """List minimum, median and maximum of return and drawdown, with the 5 and 95 % quantiles."""
    listed: list[Cells] = []
    for name in SPREAD:
        values = rows[name].dropna().quantile([0.0, LOW, 0.5, HIGH, 1.0])
        label = Term(FIGURES[name].label, FIGURES[name].description)
        listed.append((label, *(written(name, value) for value in values)))
    titles = ("figure", ">minimum", ">5 %", ">median", ">95 %", ">maximum")
    return Table(titles, listed, "Spread over the points")


def spread_chart(rows: pd.DataFrame, name: str) -> Chart:
    """Draw the distribution of the return or of the drawdown over the points."""
    counts, ends = np.histogram(100.0 * rows[name].dropna().to_numpy(), bins=BINS)
    bars = go.Bar(
        x=(ends[:-1] + ends[1:]) / 2.0,
        y=counts.astype(float),
        width=np.diff(ends),
        marker={"color": css("accent")},
        hovertemplate="%{y:,.0f} points around %{x:.2f} %<extra></extra>",
    )
    label = FIGURES[name].label.lower()
    axes = {"xaxis": _titled(f"{label}, %"), "yaxis": _titled("points")}
    return Chart(
        f"spread-{name}",
        f"Distribution: {label}",
        f"Number of points in each of {BINS} equal intervals of the figure.",
        figure([bars], bargap=0.02, **axes),
    )


def _titled(text: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": text, "standoff": 6}, **more}


def explained(rows: pd.DataFrame, keys: Sequence[str], value: str = RETURN) -> dict[str, float]:
    """Return the share of the variance of a figure that each key explains alone, largest first.

    It is the variance of the means of the key's intervals over that of the points (η²). Keys with
    a single value are left out.
    """
    total, shares = float(rows[value].var(ddof=0)), {}
    for key in (key for key in keys if rows[key].nunique() > 1):
        means = rows.groupby(_cells(rows[key], CELLS), observed=True)[value].transform("mean")
        shares[key] = float(means.var(ddof=0)) / total if total > 0.0 else 0.0
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def key_table(rows: pd.DataFrame, shares: Mapping[str, float]) -> Table:
    """List what the return depends on: the share that each key explains, and its values."""
    alone = Term(
        ">explains",
        f"Share of the variance of the return that the key explains alone: of the means in up to "
        f"{CELLS} intervals of it. Joint effects of keys are not included.",
    )
    listed: list[Cells] = [
        (key_term(key), described(key)[0], _range(rows[key]), percent(share, 1))
        for key, share in shares.items()
    ]
    titles = ("key", "unit", "values", alone)
    return Table(titles, listed, "What the return depends on")


def sensitivity_chart(rows: pd.DataFrame, key: str) -> Chart:
    """Draw median and 90 % range of the return against a key, over all values of the others."""
    groups = rows.groupby(_cells(rows[key], CELLS), observed=True)
    at = groups[key].mean().to_numpy()
    low, middle, high = (
        100.0 * groups[RETURN].quantile(share).to_numpy() for share in (LOW, 0.5, HIGH)
    )
    hover = "%{x:.4g}: median %{y:.2f} %<extra></extra>"
    area = {"name": "90 % of the points", "fill": "tonexty", "fillcolor": css("line")}
    traces = [
        _edge(at, low, 0.0, hoverinfo="skip"),
        _edge(at, high, 0.0, hoverinfo="skip", **area),
        _edge(at, middle, 2.0, name="median", hovertemplate=hover),
    ]
    across = _titled(axis_title(key), range=[float(at[0]), float(at[-1])])
    return Chart(
        f"sensitivity-{key}",
        f"Return against {key}",
        f"Total return of the points in each of up to {CELLS} intervals of the key with equally "
        "many points, over all values of the other keys.",
        figure(traces, xaxis=across, yaxis=_titled("return, %")),
    )


def axis_title(key: str) -> str:
    """Return a key with its unit, on a line of its own: a phone has no room for both."""
    return "<br>".join(filter(None, (key, described(key)[0])))


def _edge(at: Floats, values: Floats, width: float, **options: Any) -> go.Scatter:
    look = {"color": css("accent"), "width": width}
    return go.Scatter(mode="lines", x=at, y=values, line=look, **options)


def _cells(column: pd.Series, most: int) -> pd.Series:
    """Return the interval of each value: the value itself on a grid, else quantiles."""
    if column.nunique() <= most or column.dtype.kind != "f":
        return column
    cells: pd.Series = pd.qcut(column, most, labels=False, duplicates="drop")
    return cells


def pair_charts(
    rows: pd.DataFrame, keys: Sequence[str], value: str = RETURN, title: str = "return, %"
) -> list[Chart]:
    """Draw a figure over pairs of keys, pairs of the first keys first."""
    pairs = sorted(combinations(range(len(keys)), 2), key=sum)[:PAIRS]
    return [_pair_chart(rows, keys[a], keys[b], value, title) for a, b in pairs]


def pair_medians(rows: pd.DataFrame, across: str, up: str, value: str) -> pd.DataFrame:
    """Return the median of a figure by interval of two keys: rows of `up`, columns of `across`."""
    cells = {key: _cells(rows[key], PAIR_CELLS) for key in (across, up)}
    medians = rows.assign(x=cells[across], y=cells[up]).pivot_table(
        index="y", columns="x", values=value, aggfunc="median", observed=True
    )
    return medians.set_axis(_labels(rows[up], cells[up]), axis=0).set_axis(
        _labels(rows[across], cells[across]), axis=1
    )


def _labels(values: pd.Series, cells: pd.Series) -> list[str]:
    """Return the mean of each interval as text, in order; values that are not numbers as text."""
    if values.dtype.kind != "f":
        return [short(value) for value in sorted(values.unique())]
    return [f"{mean:.3g}" for mean in values.groupby(cells, observed=True).mean()]


def _pair_chart(rows: pd.DataFrame, across: str, up: str, value: str, title: str) -> Chart:
    medians = pair_medians(rows, across, up, value)
    scale = 100.0 if title.endswith("%") else 1.0
    shown = scale * medians.to_numpy(dtype=float)
    low, high = np.nanmin(shown), np.nanmax(shown)
    has_both = low < 0.0 < high
    colours = [[0, css("card")], [1, css("accent")]]
    if has_both:
        colours = [[0, css("bad")], [0.5, css("card")], [1, css("accent")]]
    bound = max(-low, high)
    cells = go.Heatmap(
        z=shown,
        zmin=-bound if has_both else low,
        zmax=bound if has_both else high,
        texttemplate="%{z:.3~g}" if scale == 1.0 else "%{z:.1f}",
        colorscale=colours,
        showscale=False,
        xgap=1,
        ygap=1,
        hovertemplate=f"%{{x}} and %{{y}}: median {title.partition(',')[0]} %{{z:.4~g}}"
        "<extra></extra>",
        hoverongaps=False,
    )
    axes = {
        f"{axis}axis": _titled(
            axis_title(key),
            tickvals=list(range(len(labels))),
            ticktext=list(labels),
            tickfont={"size": 10},
            showgrid=False,
            zeroline=False,
        )
        for axis, key, labels in (("x", across, medians.columns), ("y", up, medians.index))
    }
    return Chart(
        f"pair-{across}-{up}",
        f"{title} over {across} and {up}".capitalize(),
        f"Median of the points in each cell. The axes show the mean of each of up to {PAIR_CELLS} "
        "intervals with equally many points, or each value of a grid. An empty cell has no point.",
        figure([cells], hovermode="closest", **axes),
        height=340,
    )


def risk_of(rows: pd.DataFrame) -> str:
    """Return the figure of the worst risk: margin ratio, health factor or drawdown."""
    return next(name for name in RISKS if rows[name].notna().any() or name == "max_drawdown")


def frontier(rows: pd.DataFrame, risk: str) -> pd.DataFrame:
    """Return the points that no other point beats in both return and risk, the safest first."""
    ordered = rows[rows[risk].notna() & rows[RETURN].notna()].sort_values(
        [risk, RETURN, "index"], ascending=[not RISKS[risk][0], False, True]
    )
    return ordered[ordered[RETURN] > ordered[RETURN].cummax().shift(fill_value=-np.inf)]


def frontier_chart(rows: pd.DataFrame, risk: str, limit: float | None) -> Chart:
    """Draw the return of the points against their worst risk, and the frontier."""
    best, label, (is_safer, unit) = frontier(rows, risk), FIGURES[risk].label.lower(), RISKS[risk]
    scale = 100.0 if unit == "%" else 1.0
    hover = f"point %{{text}}: return %{{y:.2f}} %, {label} %{{x:.3f}}"
    drawn = (
        ("points", rows[:: len(rows) // DOTS + 1], {"color": css("soft"), "size": 4}, "markers"),
        ("frontier", best, {"color": css("accent"), "size": 7}, "lines+markers"),
    )
    traces = [
        go.Scatter(
            name=name,
            x=scale * part[risk].to_numpy(dtype=float),
            y=100.0 * part[RETURN].to_numpy(dtype=float),
            text=[str(index) for index in part["index"]],
            mode=mode,
            marker={**look, "opacity": 0.45 if name == "points" else 1.0},
            line={"color": look["color"], "width": 2},
            hovertemplate=f"{hover}<extra></extra>",
        )
        for name, part, look, mode in drawn
    ]
    shapes: list[dict[str, Any]] = []
    if limit is not None:
        line = {"type": "line", "line": {"color": css("alarm"), "width": 1.5}, "yref": "paper"}
        at = scale * limit
        shapes = [{**line, "name": "limit of the set", "x0": at, "x1": at, "y0": 0, "y1": 1}]
    axes = {"xaxis": _titled(f"{label}, {unit}"), "yaxis": _titled("return, %")}
    return Chart(
        "frontier",
        f"Return against {label}",
        f"Each point's return against its {label} ({'higher' if is_safer else 'lower'} is safer). "
        "The line joins the points that no other point beats in both; of the others up to "
        f"{DOTS:,} are drawn.",
        figure(traces, hovermode="closest", shapes=shapes, **axes),
        height=420,
        wide=True,
    )


def frontier_table(
    rows: pd.DataFrame, risk: str, keys: Sequence[str], links: Mapping[int, str]
) -> Table:
    """List points of the frontier, from the safest to the highest return."""
    best = frontier(rows, risk)
    at = np.unique(np.linspace(0, len(best) - 1, min(TABLED, len(best))).round().astype(int))
    caption = f"Frontier, safest first ({len(at)} of {len(best)})"
    return point_table(best.iloc[at], keys, links, caption)
