"""Plots of a run as PNG bytes, drawn without a display."""

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from basis_pipeline.results.metrics import Floats
from basis_pipeline.results.tables import COMPONENTS

WIDTH = 9.0  # inches, at 100 dots each
INK = "#1f2933"
COLOURS = (
    "#2563eb",
    "#059669",
    "#d97706",
    "#dc2626",
    "#7c3aed",
    "#0891b2",
    "#be185d",
    "#65a30d",
    "#64748b",
    "#a16207",
)
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": "#cbd2d9",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "font.size": 9,
    "grid.color": "#e4e7eb",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.1,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def equity_plot_png(equity: pd.DataFrame, *, title: str = "Equity", currency: str = "") -> bytes:
    """Equity above, drawdown in percent below; `equity` is the result table of that name."""
    times = _times(equity)
    with _figure(0.45) as figure:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        above.plot(times, equity["equity"].to_numpy(), color=COLOURS[0])
        above.ticklabel_format(axis="y", style="plain", useOffset=False)
        above.set(title=title, ylabel=currency)
        above.margins(x=0.0)
        down = -100.0 * equity["drawdown"].to_numpy(dtype=np.float64)
        below.fill_between(times, down, color=COLOURS[3], alpha=0.35, linewidth=0.0)
        below.set_ylabel("drawdown %")
        _label_dates(below)
        return _png(figure)


def attribution_plot_png(
    attribution: pd.DataFrame,
    *,
    title: str = "Cumulative profit and loss by component",
    currency: str = "",
) -> bytes:
    """Every component that moved, summed up over time, and their total.

    `attribution` is the result table of that name.
    """
    times = _times(attribution)
    cumulative = attribution[list(COMPONENTS)].cumsum()
    with _figure(0.4, legend=True) as figure:
        axes = figure.subplots()
        for name, colour in zip(COMPONENTS, COLOURS, strict=True):
            if (cumulative[name] != 0.0).any():
                axes.plot(times, cumulative[name].to_numpy(), color=colour, label=name)
        total = cumulative.sum(axis=1).to_numpy()
        axes.plot(times, total, color=INK, linewidth=1.8, label="total")
        axes.ticklabel_format(axis="y", style="plain", useOffset=False)
        axes.set(title=title, ylabel=currency)
        _label_lines(axes)
        _label_dates(axes)
        return _png(figure)


def growth_plot_png(
    growth: Mapping[str, tuple[pd.Series, Floats]], *, title: str = "Return since the start"
) -> bytes:
    """Growth of one unit of capital, in percent, of several runs: name → (timestamps, growth)."""
    with _figure(0.42, legend=True) as figure:
        axes = figure.subplots()
        for i, (name, (stamps, values)) in enumerate(growth.items()):
            colour, dash = COLOURS[i % len(COLOURS)], "-:"[i // len(COLOURS) % 2]
            times = stamps.to_numpy(dtype="datetime64[ns]")
            axes.plot(times, 100.0 * (values - 1.0), label=name, color=colour, linestyle=dash)
        axes.set(title=title, ylabel="%")
        _label_lines(axes)
        _label_dates(axes)
        return _png(figure)


@contextmanager
def _figure(height: float, *, legend: bool = False) -> Iterator[Figure]:
    """A figure `height` times as high as wide, in the style of all plots.

    Its margins are fixed: measuring every label for a tight layout would double the time to draw.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, WIDTH * height), dpi=100)
        right = 0.82 if legend else 0.985
        figure.subplots_adjust(left=0.095, right=right, top=0.92, bottom=0.08, hspace=0.1)
        yield figure


def _times(frame: pd.DataFrame) -> np.ndarray:
    return frame["timestamp"].to_numpy(dtype="datetime64[ns]")


def _label_lines(axes: Axes) -> None:
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))


def _label_dates(axes: Axes) -> None:
    locator = AutoDateLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.margins(x=0.0)


def _png(figure: Figure) -> bytes:
    sink = io.BytesIO()
    figure.savefig(sink, format="png", metadata={"Software": None})
    return sink.getvalue()
