"""Pictures as inline SVG for pages: strips of days and lines over days.

They stretch to any width without stretching what is written: names, ticks and dates are text of
the page, told by their place in percent. Colours are classes, so that the page decides them.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd
from markupsafe import Markup, escape
from numpy.typing import NDArray

from basis_pipeline.results.metrics import Floats

STRIP_HEIGHT = 10
CHART_HEIGHT = 100
MAX_TICKS = 8
GAP = 3  # days without a value over which a line is not drawn on
Tick = tuple[float, str]  # place in percent, text


@dataclass(frozen=True, slots=True)
class Days:
    """The days a picture spans, both included."""

    first: pd.Timestamp
    last: pd.Timestamp

    @property
    def count(self) -> int:
        """How many they are."""
        return (self.last - self.first).days + 1

    def places(self, days: Iterable[pd.Timestamp]) -> NDArray[np.int64]:
        """Place of each day, from 0."""
        index = pd.DatetimeIndex(list(days))
        return ((index - self.first) // pd.Timedelta(days=1)).to_numpy(dtype=np.int64)

    def ticks(self) -> list[Tick]:
        """Beginnings of months, or of days where the span is short, at most `MAX_TICKS`."""
        starts = pd.date_range(self.first, self.last, freq="MS")
        form = "%b %Y"
        if len(starts) < 3:
            starts, form = pd.date_range(self.first, self.last, freq="D"), "%d %b"
        chosen = starts[:: -(-len(starts) // MAX_TICKS)]
        return [
            (100.0 * place / self.count, f"{day:{form}}")
            for place, day in zip(self.places(chosen), chosen, strict=True)
            if place < 0.92 * self.count  # its text would not fit
        ]


@dataclass(frozen=True, slots=True)
class Line:
    """One line over days: its class, and values by day (NaN leaves one out)."""

    css: str
    days: Sequence[pd.Timestamp]
    values: Floats


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawn chart: the picture, and the ticks of both axes."""

    picture: Markup
    across: list[Tick]
    up: list[Tick]


def strip(days: Days, places: Sequence[int], states: Sequence[str], told: str) -> Markup:
    """A strip of days: neighbours in the same state are one rectangle of that class.

    Parameters
    ----------
    places: the day of each state, from 0 and rising; days between them stay empty.
    told: what the picture says, for those who do not see it.
    """
    pieces = [
        f'<rect class="{escape(state)}" x="{first}" width="{count}" height="{STRIP_HEIGHT}"/>'
        for first, count, state in _stretches(places, states)
    ]
    return _picture("strip", days.count, STRIP_HEIGHT, told, pieces)


def _stretches(places: Sequence[int], states: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """First place, length and state of every run of neighbouring days in one state."""
    numbered = list(enumerate(zip(places, states, strict=True)))
    for (_, state), members in groupby(numbered, key=lambda m: (m[1][0] - m[0], m[1][1])):
        run = list(members)
        yield int(run[0][1][0]), len(run), state


def chart(
    days: Days, lines: Sequence[Line], limits: Sequence[tuple[str, float]], told: str
) -> Chart:
    """Lines over days on a logarithmic scale, with limits as straight lines of their own.

    Parameters
    ----------
    lines: values above zero; what is not, is drawn at the bottom.
    limits: name and level of each.
    """
    levels = np.concatenate([line.values for line in lines] + [[level] for _, level in limits])
    shown = levels[np.isfinite(levels) & (levels > 0.0)]
    top = np.ceil(np.log10(shown.max())) if len(shown) else 1.0
    low = max(np.floor(np.log10(shown.min())), top - 4.0) if len(shown) else 0.0
    bottom = min(low, top - 1.0)

    def height(values: Floats) -> Floats:
        logs = np.log10(np.maximum(np.nan_to_num(values), 10.0**bottom))
        result: Floats = CHART_HEIGHT * (top - logs) / (top - bottom)
        return np.round(result, 1)

    pieces = []
    for name, level in limits:
        y = height(np.array([level]))[0]
        pieces.append(f'<line class="limit" x2="{days.count}" y1="{y}" y2="{y}">')
        pieces.append(f"<title>{escape(name)}</title></line>")
    for line in lines:
        defined = np.isfinite(line.values)
        places, heights = days.places(line.days)[defined], height(line.values[defined])
        for run in np.split(np.arange(len(places)), np.flatnonzero(np.diff(places) > GAP) + 1):
            path = " ".join(f"{places[i] + 0.5:g},{heights[i]:g}" for i in run)
            pieces.append(f'<polyline class="{escape(line.css)}" points="{path}"/>')
    ticks = [
        (100.0 * (top - power) / (top - bottom), f"{10.0**power:g}")
        for power in np.arange(bottom, top + 1.0)
    ]
    return Chart(
        _picture("lines", days.count, CHART_HEIGHT, told, pieces),
        days.ticks(),
        ticks,
    )


def bar(share: float, told: str) -> Markup:
    """A bar as long as a share of the whole."""
    piece = f'<rect class="repaired" width="{100.0 * share:.2f}" height="{STRIP_HEIGHT}"/>'
    return _picture("bar", 100, STRIP_HEIGHT, told, [piece])


def _picture(css: str, width: int, height: int, told: str, pieces: Iterable[str]) -> Markup:
    head = (
        f'<svg class="{css}" role="img" aria-label="{escape(told)}" preserveAspectRatio="none" '
        f'viewBox="0 0 {width} {height}">'
    )
    return Markup(head + "".join(pieces) + "</svg>")
