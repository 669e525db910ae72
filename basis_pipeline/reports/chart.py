"""A chart of a page, and what charts over time are made of.

Arrays go into the page as packed bytes, which plotly.py does by itself; times go in as
milliseconds, which take a third of the room of dates as text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import plotly.graph_objects as go

from basis_pipeline.reports.plot_theme import css, figure
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.sampling import BUCKETS, Span, extremes
from basis_pipeline.results.metrics import Floats, Stamps

NS_PER_MS = 1_000_000
ROW_GAP = 0.11  # of the plot's height, for the title of the next row
REPAIRED = "hours that rest on repaired data"
LIQUIDATION = "liquidation"
HOURLY = (
    "Sampling: every hour, drawn as the lowest and the highest of each of "
    f"{BUCKETS} equal stretches where there are more."
)
DAILY = "Sampling: 00:00 UTC of each day."


class LegendEntry(NamedTuple):
    """What has this colour, drawn as a line, dash, area or mark."""

    label: str
    colour: str
    kind: str


@dataclass(frozen=True, slots=True)
class Row:
    """One of the plots stacked over a common time axis: its title says what and in which unit."""

    title: str
    weight: float = 1.0
    axis: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a page.

    meaning: what is drawn, in which unit and sampling. views: one figure a view; a switch is
    offered where there are several. description: what it shows, for who cannot see it.
    """

    key: str
    title: str
    meaning: str
    views: Mapping[str, go.Figure]
    height: int
    description: str
    wide: bool = False

    @property
    def id(self) -> str:
        """The key as a part of ids and attributes of the page."""
        return re.sub(r"[^\w-]", "-", self.key)

    @property
    def legends(self) -> list[list[LegendEntry]]:
        """The legend of each view: every trace and shape that has a name, each name once."""
        return [_legend(view) for view in self.views.values()]

    def to_json(self) -> str:
        """Return what the page's script draws the chart from."""
        views = ",".join(view.to_json() for view in self.views.values())
        return f'{{"key": "{self.id}", "views": [{views}]}}'


def _legend(view: go.Figure) -> list[LegendEntry]:
    entries: dict[str, LegendEntry] = {}
    for trace in view.data:
        if trace.name and trace.showlegend is not False:
            entries.setdefault(trace.name, LegendEntry(trace.name, *_look(trace)))
    for shape in view.layout.shapes:
        if shape.name:
            colour, kind = (shape.fillcolor, "area") if shape.fillcolor else (None, "line")
            entry = LegendEntry(shape.name, colour or shape.line.color, kind)
            entries.setdefault(shape.name, entry)
    return list(entries.values())


def _look(trace: Any) -> tuple[str, str]:
    if trace.type == "bar":
        return trace.marker.color, "area"
    if trace.mode == "markers":
        return trace.marker.color or trace.marker.line.color, "mark"
    if trace.stackgroup or trace.fill:
        return trace.fillcolor or trace.line.color, "area"
    return trace.line.color, "line" if trace.line.dash in (None, "solid") else "dash"


def milliseconds(stamps: Stamps) -> Floats:
    """Return nanoseconds as Plotly's date axes count them."""
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
    dash: str = "solid",
    width: float = 1.6,
    **options: Any,
) -> go.Scatter:
    """Return a series over time, thinned to the extremes of equal stretches.

    Infinite ratios (no debt, no position) are left out.
    """
    finite = np.where(np.isfinite(values), values, np.nan)
    at = extremes(finite)
    return go.Scatter(
        mode="lines",
        name=name,
        x=milliseconds(stamps[at]),
        y=finite[at],
        yaxis=axis("y", row),
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
        yaxis=axis("y", row),
        line={"color": css(colour), "width": 1.2, "dash": dash},
        hoverinfo="skip",
    )


def axis(letter: str, row: int) -> str:
    """Return Plotly's name of the nth axis."""
    return letter if row == 1 else f"{letter}{row}"


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
            "anchor": axis("y", len(rows)),
            "hoverformat": "%Y-%m-%d %H:%M UTC",
        },
        "hovermode": "x unified",
        "hoversubplots": "axis",
        "margin": {"t": 24},
    }
    total, top = sum(row.weight for row in rows), 1.0
    titles = []
    for number, row in enumerate(rows, start=1):
        bottom = max(top - (1.0 - ROW_GAP * (len(rows) - 1)) * row.weight / total, 0.0)
        layout[f"yaxis{number if number > 1 else ''}"] = {"domain": [bottom, top], **row.axis}
        titles.append(_row_title(row.title, top))
        top = bottom - ROW_GAP
    layout["annotations"] = titles
    layout["shapes"] = [
        *(_across(first, last, REPAIRED) for first, last in shades),
        *(_across(stamp, stamp, LIQUIDATION) for stamp in liquidations),
    ]
    return figure(list(traces), **layout)


def over_run(run: RunView, traces: Sequence[Any], rows: Sequence[Row]) -> go.Figure:
    """Return plots over the time of a run, with its repaired hours and liquidations marked."""
    return over_time(traces, rows, run.stamps, run.shades, run.liquidated_at)


def _row_title(text: str, top: float) -> dict[str, Any]:
    return {
        "text": text,
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": top,
        "xanchor": "left",
        "yanchor": "bottom",
        "yshift": 4,
        "showarrow": False,
    }


def _across(first: int, last: int, name: str) -> dict[str, Any]:
    """Return a shade or a line across all rows."""
    place = {"yref": "paper", "x0": first / NS_PER_MS, "x1": last / NS_PER_MS, "y0": 0, "y1": 1}
    if name == LIQUIDATION:
        return {
            **place,
            "name": name,
            "type": "line",
            "line": {"color": css("alarm"), "width": 1.5},
        }
    shade = {"fillcolor": css("repaired"), "opacity": 0.2, "line": {"width": 0}, "layer": "below"}
    return {**place, "name": name, "type": "rect", **shade}


def horizontal_bars(traces: Sequence[Any], **layout: Any) -> go.Figure:
    """Return bars from left to right, the first category on top."""
    axes = {
        "xaxis": {"showgrid": True, "zeroline": True, "nticks": 6, **layout.pop("xaxis", {})},
        "yaxis": {"autorange": "reversed", "showgrid": False, "type": "category", "dtick": 1},
    }
    return figure(list(traces), hovermode="y unified", **axes, **layout)
