"""The look of every chart: one Plotly template and one table of colours, for light and for dark.

A chart refers to a colour by a custom property of the page's style (`var(--lending)`); the page's
script replaces it by the colour of the current scheme, so one figure serves light, dark and print.
A component, a venue or a verdict has the same colour wherever it appears. Text has a contrast of
at least 4.5 to its background, lines and areas at least 3.
"""

import re
from collections.abc import Iterable
from typing import Any

import plotly.graph_objects as go

LIGHT, DARK = 0, 1
COLOURS: dict[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#10151c"),
    "card": ("#f6f7f9", "#182029"),
    "ink": ("#18212c", "#e8edf3"),
    "soft": ("#566272", "#a3b0bf"),
    "line": ("#dfe3e8", "#2c3743"),
    "accent": ("#1c4e8f", "#84b4f5"),
    "good": ("#14693f", "#5fcf97"),
    "warn": ("#8a5300", "#f0b64f"),
    "bad": ("#b01e1e", "#ff8a80"),
    "warn-wash": ("#fff1d6", "#3a2a08"),
    "bad-wash": ("#fde8e6", "#471512"),
    "alarm": ("#a31515", "#b3261e"),
    "lending": ("#2a62c4", "#74a4ff"),
    "borrowing": ("#a5531b", "#e59a63"),
    "staking": ("#0b7f75", "#3cc4b5"),
    "rewards": ("#7a52c4", "#b295f2"),
    "funding": ("#a87400", "#e6b84a"),
    "spot_price": ("#4a6785", "#93b2d1"),
    "perp_price": ("#7c8a99", "#6f8398"),
    "basis": ("#5a6b7d", "#9fb0c2"),
    "carry": ("#14693f", "#5fcf97"),
    "costs": ("#b8403a", "#f07f72"),
    "execution_cost": ("#c4473a", "#f07f72"),
    "gas": ("#8e2a56", "#dd7fab"),
    "liquidation": ("#6e0f0f", "#ff5a4f"),
    "total": ("#18212c", "#e8edf3"),
    "repaired": ("#b36b00", "#c98a1d"),
    "benchmark-0": ("#6b7787", "#8c9aab"),
    "benchmark-1": ("#9a5b8f", "#cf9ac6"),
    "series-0": ("#1c4e8f", "#84b4f5"),
    "series-1": ("#a87400", "#e6b84a"),
    "series-2": ("#0b7f75", "#3cc4b5"),
    "series-3": ("#7a52c4", "#b295f2"),
    "series-4": ("#c4473a", "#f07f72"),
    "series-5": ("#b83a86", "#f08cc6"),
    "series-6": ("#2f7fb0", "#7cc7ee"),
    "series-7": ("#5f7d1a", "#a9cc55"),
}
SERIES = 8
FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', sans-serif"


def css(name: str) -> str:
    """Return the reference to a colour in pages and charts; KeyError for an unknown name."""
    COLOURS[name]
    return f"var(--{name})"


def light(name: str) -> str:
    """Return the colour on light paper."""
    return COLOURS[name][LIGHT]


def nth(place: int) -> str:
    """Return the colour name of the nth series of one kind."""
    return f"series-{place % SERIES}"


def with_colours(drawn: go.Figure, *, dark: bool = False) -> go.Figure:
    """Return the figure with the colours themselves, so that it can be shown without a page."""
    scheme = DARK if dark else LIGHT

    def coloured(part: Any) -> Any:
        if isinstance(part, str):
            return re.sub(r"var\(--([\w-]+)\)", lambda name: COLOURS[name[1]][scheme], part)
        if isinstance(part, dict):
            return {key: coloured(value) for key, value in part.items()}
        return [coloured(value) for value in part] if isinstance(part, list | tuple) else part

    traces = [coloured(trace.to_plotly_json()) for trace in drawn.data]
    made = go.Figure(traces, coloured(drawn.layout.to_plotly_json()))
    return made.update_layout(paper_bgcolor=COLOURS["paper"][scheme])


def custom_properties(scheme: int) -> str:
    """Return all colours of one scheme as CSS custom properties."""
    return " ".join(f"--{name}: {pair[scheme]};" for name, pair in COLOURS.items())


_AXIS = {"automargin": True, "fixedrange": True, "zerolinecolor": css("soft"), "zerolinewidth": 1}
TEMPLATE = go.layout.Template(
    layout={
        "autosize": True,
        "showlegend": True,
        "legend": {
            "orientation": "h",
            "x": 0,
            "xref": "paper",
            "xanchor": "left",
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "itemclick": False,
            "itemdoubleclick": False,
            "traceorder": "normal",
        },
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"family": FONT, "size": 12, "color": css("soft")},
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8},
        "hoverlabel": {
            "bgcolor": css("card"),
            "bordercolor": css("line"),
            "font": {"family": FONT, "size": 12, "color": css("ink")},
        },
        "xaxis": {
            **_AXIS,
            "showgrid": False,
            "gridcolor": css("line"),
            "showline": True,
            "linecolor": css("line"),
            "ticks": "outside",
            "tickcolor": css("line"),
            "tickangle": 0,
            "zeroline": False,
        },
        "yaxis": {**_AXIS, "gridcolor": css("line"), "gridwidth": 1, "nticks": 6},
        "dragmode": False,
        "bargap": 0.35,
    },
    data={"scatter": [{"line": {"width": 1.6}}]},
)


def figure(traces: Iterable[Any] = (), **layout: Any) -> go.Figure:
    """Return a figure with this template; `layout` in Plotly's own terms.

    Its legend shows every name of a trace or shape once.
    """
    drawn = go.Figure(data=list(traces), layout={"template": TEMPLATE, **layout})
    known: set[str | None] = {None}
    for item in (*drawn.data, *drawn.layout.shapes):
        if item.showlegend is None:
            item.showlegend = item.name not in known
            known.add(item.name)
    return drawn
