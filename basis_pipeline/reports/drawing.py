"""Charts as data: traces and layouts in Plotly's own terms, colours left to the reader's scheme.

Arrays go into the page as packed bytes; a colour is the name of a custom property of the page's
style, which the page's script looks up when it draws.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from basis_pipeline.reports.colours import css
from basis_pipeline.reports.sampling import Span, extremes
from basis_pipeline.results.metrics import Floats, Stamps

Trace = dict[str, Any]
FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif"
NS_PER_MS = 1_000_000
ROW_GAP = 0.11  # of the plot's height, for the title of the next row
NO_HOVER = {"hoverinfo": "skip"}


@dataclass(frozen=True, slots=True)
class Key:
    """An entry of a chart's legend: what has this colour, drawn as a line, dash, area or mark."""

    label: str
    colour: str
    kind: str = "line"
    view: str = ""  # the only view it belongs to, where it does not belong to all


@dataclass(frozen=True, slots=True)
class Row:
    """One of the plots stacked over a common time axis: its title says what and in which unit."""

    title: str
    weight: float = 1.0
    tickformat: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart of a page.

    meaning: what is drawn, in which unit and sampling · views: one set of traces a view; a switch
    is offered where there are several · said: what it shows, for who cannot see it · ranges: the
    horizontal axis of a view that has one of its own.
    """

    key: str
    title: str
    meaning: str
    views: dict[str, list[Trace]]
    layout: dict[str, Any]
    legend: tuple[Key, ...]
    height: int
    said: str
    wide: bool = False
    ranges: Mapping[str, list[float]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What the page's script draws it from."""
        views = [
            {"name": name, "data": data, "range": self.ranges.get(name)}
            for name, data in self.views.items()
        ]
        return {"key": self.key, "views": views, "layout": self.layout}


def packed(values: Floats) -> dict[str, str]:
    """An array as Plotly takes it: base64 of its little-endian bytes."""
    data = np.ascontiguousarray(values, dtype="<f8").tobytes()
    return {"dtype": "f8", "bdata": base64.b64encode(data).decode("ascii")}


def milliseconds(stamps: Stamps) -> Floats:
    """Stamps as Plotly's date axes count them."""
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
    thin: bool = True,
    width: float = 1.6,
    **options: Any,
) -> Trace:
    """A series over time. Hourly ones are thinned to the extremes of equal stretches."""
    at = extremes(values) if thin else np.arange(values.size)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": packed(milliseconds(stamps[at])),
        "y": packed(values[at]),
        "yaxis": axis("y", row),
        "line": {"color": css(colour), "width": width, "dash": dash},
        "hovertemplate": f"%{{y:{form}}}{unit}",
        **options,
    }


def level(stamps: Stamps, value: float, colour: str, row: int = 1, dash: str = "dash") -> Trace:
    """A horizontal line from the first to the last mark: a band's edge, a floor, a ceiling."""
    ends = milliseconds(stamps[[0, -1]]).tolist()
    return {
        "type": "scatter",
        "mode": "lines",
        "x": ends,
        "y": [value, value],
        "yaxis": axis("y", row),
        "line": {"color": css(colour), "width": 1.2, "dash": dash},
        **NO_HOVER,
    }


def axis(letter: str, row: int) -> str:
    """Plotly's name of the nth axis."""
    return letter if row == 1 else f"{letter}{row}"


def over_time(
    rows: Sequence[Row], stamps: Stamps, shades: Iterable[Span] = (), alarms: Iterable[int] = ()
) -> dict[str, Any]:
    """Layout of plots over a common time axis.

    Parameters
    ----------
    shades: stretches of repaired data, nanoseconds; shaded across all rows.
    alarms: stamps of liquidations; a line across all rows.
    """
    layout = plain()
    first, last = milliseconds(stamps[[0, -1]]).tolist()
    layout["xaxis"] |= {
        "type": "date",
        "range": [first, last],
        "anchor": axis("y", len(rows)),
        "hoverformat": "%Y-%m-%d %H:%M UTC",
    }
    layout["hovermode"] = "x unified"
    layout["hoversubplots"] = "axis"
    total, top = sum(row.weight for row in rows), 1.0
    annotations = []
    for number, row in enumerate(rows, start=1):
        height = (1.0 - ROW_GAP * (len(rows) - 1)) * row.weight / total
        bottom = max(top - height, 0.0)
        options = {"domain": [bottom, top], "tickformat": row.tickformat, **row.options}
        layout[f"yaxis{number if number > 1 else ''}"] = {**_value_axis(), **options}
        annotations.append(_row_title(row.title, top))
        top = bottom - ROW_GAP
    layout["annotations"] = annotations
    layout["shapes"] = [_shade(span) for span in shades] + [_alarm(stamp) for stamp in alarms]
    return layout


def plain() -> dict[str, Any]:
    """Layout shared by all charts: transparent, no legend, room for the axes and no more."""
    return {
        "autosize": True,
        "showlegend": False,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": css("soft")},
        "margin": {"l": 8, "r": 12, "t": 24, "b": 8},
        "hoverlabel": {
            "bgcolor": css("card"),
            "bordercolor": css("line"),
            "font": {"family": FONT, "size": 12, "color": css("ink")},
        },
        "xaxis": {
            "showgrid": False,
            "showline": True,
            "linecolor": css("line"),
            "ticks": "outside",
            "tickcolor": css("line"),
            "automargin": True,
            "fixedrange": True,
            "zeroline": False,
        },
        "yaxis": _value_axis(),
        "dragmode": False,
    }


def _value_axis() -> dict[str, Any]:
    return {
        "gridcolor": css("line"),
        "gridwidth": 1,
        "zerolinecolor": css("soft"),
        "zerolinewidth": 1,
        "automargin": True,
        "fixedrange": True,
        "nticks": 6,
    }


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
        "font": {"size": 12, "color": css("soft")},
    }


def _shade(span: Span) -> dict[str, Any]:
    return {
        "type": "rect",
        "xref": "x",
        "yref": "paper",
        "x0": span[0] / NS_PER_MS,
        "x1": span[1] / NS_PER_MS,
        "y0": 0,
        "y1": 1,
        "fillcolor": css("repaired"),
        "opacity": 0.2,
        "line": {"width": 0},
        "layer": "below",
    }


def _alarm(stamp: int) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": stamp / NS_PER_MS,
        "x1": stamp / NS_PER_MS,
        "y0": 0,
        "y1": 1,
        "line": {"color": css("alarm"), "width": 1.5},
    }
