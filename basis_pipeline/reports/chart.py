"""A chart of a page, and the parts of charts over time.

plotly.py packs arrays as bytes by itself; times are written as milliseconds, which take a third of
the space of dates as text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import plotly.graph_objects as go

from basis_pipeline.reports.plot_theme import css, figure
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.sampling import BUCKETS, Span, extremes
from basis_pipeline.results.metrics import Floats, Stamps

NS_PER_MS = 1_000_000
ROW_GAP = 0.11  # of the plot's height, for the title of the next row
HOURLY = (
    "Sampling: every hour, drawn as the lowest and the highest of each of "
    f"{BUCKETS} equal stretches where there are more."
)
DAILY = f"Sampling: 00:00 UTC of each day, of every nth where there are more than {BUCKETS}."


@dataclass(frozen=True, slots=True)
class Row:
    """One of the plots stacked over a common time axis; its title states quantity and unit."""

    title: str
    weight: float = 1.0
    axis: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a page; `meaning` states what is drawn, in which unit and sampling."""

    key: str
    title: str
    meaning: str
    figure: go.Figure
    height: int = 300
    wide: bool = False

    @property
    def id(self) -> str:
        """The key in the form that element ids of the page use."""
        return re.sub(r"[^\w-]", "-", self.key)

    def named(self, key: str) -> Self:
        """Return the chart with another key: a page draws each key once."""
        return replace(self, key=key)

    def to_json(self) -> str:
        """Return what the page's script draws the chart from."""
        return f'{{"key": "{self.id}", "figure": {self.figure.to_json()}}}'


def milliseconds(stamps: Stamps) -> Floats:
    """Convert nanoseconds to the milliseconds of Plotly's date axes."""
    return stamps / NS_PER_MS


def line(
    name: str,
    stamps: Stamps,
    values: Floats,
    colour: str,
    *,
    row: int = 1,
    form: str = ",.2f",
    unit: str = "",
    width: float = 1.6,
    dash: str = "solid",
    **options: Any,
) -> go.Scatter:
    """Return a series over time, reduced to the extremes of equal stretches.

    Infinite ratios (no debt, no position) are left out.
    """
    finite = np.where(np.isfinite(values), values, np.nan)
    at = extremes(finite)
    return go.Scatter(
        mode="lines",
        name=name,
        x=milliseconds(stamps[at]),
        y=finite[at],
        yaxis=axis(row),
        line={"color": css(colour), "width": width, "dash": dash},
        hovertemplate=f"%{{y:{form}}}{unit}",
        **options,
    )


def level(
    name: str, stamps: Stamps, value: float, colour: str, row: int = 1, dash: str = "dash"
) -> go.Scatter:
    """Return a horizontal line from the first to the last hour: a band's edge, a limit."""
    return go.Scatter(
        mode="lines",
        name=name,
        x=milliseconds(stamps[[0, -1]]).tolist(),
        y=[value, value],
        yaxis=axis(row),
        line={"color": css(colour), "width": 1.2, "dash": dash},
        hoverinfo="skip",
    )


def axis(row: int) -> str:
    """Return Plotly's name of the value axis of a row."""
    return "y" if row == 1 else f"y{row}"


def over_time(
    traces: Sequence[Any],
    rows: Sequence[Row],
    stamps: Stamps,
    shades: Iterable[Span] = (),
    liquidations: Iterable[int] = (),
) -> go.Figure:
    """Return plots over a common time axis, one below another.

    Parameters
    ----------
    shades: stretches of repaired data, nanoseconds; shaded across all rows.
    liquidations: hours in nanoseconds; a line across all rows.
    """
    layout: dict[str, Any] = {
        "xaxis": {
            "type": "date",
            "range": milliseconds(stamps[[0, -1]]).tolist(),
            "anchor": axis(len(rows)),
            "hoverformat": "%Y-%m-%d %H:%M UTC",
        },
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "margin": {"t": 24},
    }
    title = {"xref": "paper", "yref": "paper", "x": 0, "xanchor": "left", "yanchor": "bottom"}
    total, top, titles = sum(row.weight for row in rows), 1.0, []
    for number, row in enumerate(rows, start=1):
        bottom = max(top - (1.0 - ROW_GAP * (len(rows) - 1)) * row.weight / total, 0.0)
        layout[f"yaxis{number if number > 1 else ''}"] = {"domain": [bottom, top], **row.axis}
        titles.append({**title, "text": row.title, "y": top, "yshift": 4, "showarrow": False})
        top = bottom - ROW_GAP
    shade = {"type": "rect", "fillcolor": css("repaired"), "opacity": 0.2, "layer": "below"}
    mark = {"type": "line", "line": {"color": css("alarm"), "width": 1.5}}
    layout["annotations"] = titles
    layout["shapes"] = [
        *_across("repaired data", shades, {**shade, "line": {"width": 0}}),
        *_across("liquidation", ((stamp, stamp) for stamp in liquidations), mark),
    ]
    return figure(traces, **layout)


def over_run(run: RunView, traces: Sequence[Any], rows: Sequence[Row]) -> go.Figure:
    """Return plots over the time of a run, with its repaired hours and liquidations marked."""
    return over_time(traces, rows, run.stamps, run.shades, run.liquidated_at)


def _across(name: str, spans: Iterable[Span], look: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return shades or lines across all rows."""
    place = {"name": name, "yref": "paper", "y0": 0, "y1": 1, **look}
    return [{**place, "x0": first / NS_PER_MS, "x1": last / NS_PER_MS} for first, last in spans]


def bars(name: str, labels: Sequence[str], values: Any, colour: Any, hover: str) -> go.Bar:
    """Return bars from left to right."""
    return go.Bar(
        orientation="h",
        name=name,
        x=values,
        y=labels,
        marker={"color": colour if isinstance(colour, list) else css(colour)},
        hovertemplate=hover,
    )


def totals(name: str, labels: Sequence[str], values: Any, hover: str) -> go.Scatter:
    """Return a diamond for each label: the sum of its bars."""
    outline = {"color": css("paper"), "width": 1.5}
    diamond = {"symbol": "diamond", "size": 11, "color": css("total"), "line": outline}
    return go.Scatter(
        x=values, y=labels, marker=diamond, mode="markers", name=name, hovertemplate=hover
    )


def horizontal_bars(traces: Sequence[Any], **layout: Any) -> go.Figure:
    """Return a figure of bars from left to right, the first category on top."""
    axes = {
        "xaxis": {"showgrid": True, "zeroline": True, "nticks": 6, **layout.pop("xaxis", {})},
        "yaxis": {"autorange": "reversed", "showgrid": False, "type": "category", "dtick": 1},
    }
    return figure(traces, **{"hovermode": "y unified", **axes, **layout})
