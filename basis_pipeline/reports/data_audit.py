"""The page of the data audit: which days each feed covers, its repairs, outliers and spreads."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from basis_pipeline.market.audit import FeedAudit, counted
from basis_pipeline.reports.audit_tables import audit_tables, pairs, repaired_share
from basis_pipeline.reports.chart import Chart, horizontal_bars, level
from basis_pipeline.reports.page import Provenance, render, write_page
from basis_pipeline.reports.plot_theme import css, figure
from basis_pipeline.results.definitions import percent
from basis_pipeline.results.metrics import Floats, Stamps
from basis_pipeline.times import DAY_NS

# State of a day → its name in the legend, its colour, and how much of its lane a bar fills: the
# state is shown by more than a colour.
STATES = {
    "own": ("every row is the feed's own", "series-2", 0.8),
    "repaired": ("rows repaired", "repaired", 0.45),
    "missing": ("rows missing and not repaired", "bad", 0.15),
}
LANE = 22  # pixels
MS_PER_DAY = 86_400_000.0


def write_data_audit(
    page: Path, audits: Sequence[FeedAudit], what: str, provenance: Provenance
) -> Path:
    """Write the page of the audit; RS-001 when it cannot be written."""
    return write_page(page, data_audit_html(audits, what, provenance))


def data_audit_html(audits: Sequence[FeedAudit], what: str, provenance: Provenance) -> str:
    """Return the audit as a page; `what` names the data and the window."""
    drawn = {
        "calendar": calendar_chart(audits),
        "repairs": repairs_chart(audits),
        "outliers": outliers_chart(audits),
    }
    spreads = [spread_chart(audit, str(spread["peer"])) for audit, spread in pairs(audits)]
    return render(
        "data_audit.html.j2",
        [*filter(None, drawn.values()), *spreads],
        provenance,
        what=what,
        counts=counted(audits),
        tables=audit_tables(audits),
        drawn=drawn,
        days=[_day_counts(audit) for audit in audits],
        spreads=spreads,
    )


def calendar_chart(audits: Sequence[FeedAudit]) -> Chart | None:
    """Draw a lane for each feed with the state of each of its days; None without any day."""
    dated = [audit for audit in audits if len(audit.findings.days)]
    if not dated:
        return None
    runs = [run for audit in dated for run in _state_runs(audit)]
    traces = [
        go.Bar(
            orientation="h",
            name=label,
            y=[feed for feed, own, *_ in runs if own == state],
            base=[first for _, own, first, _ in runs if own == state],
            x=[days * MS_PER_DAY for _, own, _, days in runs if own == state],
            customdata=[days for _, own, _, days in runs if own == state],
            width=share,
            marker={"color": css(colour), "line": {"width": 0}},
            hovertemplate=f"%{{y}}<br>from %{{base|%Y-%m-%d}}, %{{customdata}} days: {label}"
            "<extra></extra>",
        )
        for state, (label, colour, share) in STATES.items()
    ]
    names = [audit.feed for audit in dated]
    lanes = {"categoryorder": "array", "categoryarray": names, "nticks": len(names)}
    view = horizontal_bars(traces, barmode="overlay", xaxis={"type": "date", "showgrid": True})
    return Chart(
        key="calendar",
        title="Calendar of coverage",
        meaning="A lane for each feed, in days (UTC). Where a lane is empty nothing was asked for.",
        views={"": view.update_layout(hovermode="closest", bargap=0.0).update_yaxes(lanes)},
        height=60 + LANE * len(names),
        description="The table below has the days of each feed by state.",
        wide=True,
    )


def _state_runs(audit: FeedAudit) -> Iterable[tuple[str, str, float, int]]:
    """Return feed, state, first day (milliseconds) and length of each run of equal days."""
    days = audit.findings.days
    states, numbers = day_states(days), _days(days["day"])
    breaks = np.flatnonzero((np.diff(numbers) != 1) | (states[1:] != states[:-1])) + 1
    starts = np.concatenate([[0], breaks])
    lengths = np.diff(np.concatenate([starts, [numbers.size]]))
    for start, length in zip(starts, lengths, strict=True):
        first = float(numbers[start]) * MS_PER_DAY
        yield audit.feed, str(states[start]), first, int(length)


def _days(column: pd.Series) -> Any:
    """Return days since 1970."""
    return _nanoseconds(column) // DAY_NS


def _nanoseconds(column: pd.Series) -> Stamps:
    return pd.DatetimeIndex(column).as_unit("ns").asi8


def day_states(days: pd.DataFrame) -> Any:
    """Return the state of each day, a key of `STATES`: (n,) of text."""
    expected, own, repaired = (
        days[name].to_numpy(dtype=np.int64) for name in ("expected", "own", "repaired")
    )
    missing = own + repaired < expected
    return np.select([missing, own < expected], ["missing", "repaired"], "own")


def _day_counts(audit: FeedAudit) -> dict[str, Any]:
    """Return how many days of a feed are in which state, and why there are none."""
    days = audit.findings.days
    states = day_states(days) if len(days) else np.array([], dtype=str)
    counts = {state: int((states == state).sum()) for state in STATES}
    note = "" if len(days) else audit.message or "no dates"
    return {"feed": audit.feed, "verdict": audit.verdict, "counts": counts, "note": note}


def repairs_chart(audits: Sequence[FeedAudit]) -> Chart | None:
    """Draw the share of each feed's rows that were repaired, the largest first."""
    shares = {
        audit.feed: repaired_share(audit, sum(audit.findings.repairs.values()))
        for audit in audits
        if audit.findings.repairs
    }
    if not shares:
        return None
    ranked = dict(sorted(shares.items(), key=lambda item: -item[1]))
    bars = go.Bar(
        orientation="h",
        y=list(ranked),
        x=[100.0 * share for share in ranked.values()],
        marker={"color": css("repaired")},
        text=[percent(share) for share in ranked.values()],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{y}: %{x:.3f} % of rows repaired<extra></extra>",
    )
    across = {"ticksuffix": " %", "range": [0.0, 120.0 * max(ranked.values())]}
    return Chart(
        key="repairs",
        title="Share of rows repaired",
        meaning="Rows filled by a repair, over the rows asked for. Unit: percent.",
        views={"": horizontal_bars([bars], xaxis=across)},
        height=60 + 26 * len(ranked),
        description="The table below has the same shares.",
        wide=True,
    )


def outliers_chart(audits: Sequence[FeedAudit]) -> Chart | None:
    """Draw a lane for each feed with the worst row of each day as a multiple of its bound."""
    excesses = {audit.feed: audit.findings.excesses for audit in audits}
    lanes = {
        feed: pd.Series(rows["times"].to_numpy(), _days(rows["day"]))
        for feed, rows in excesses.items()
        if len(rows)
    }
    if not lanes:
        return None
    first, last = (pick(pick(lane.index) for lane in lanes.values()) for pick in (min, max))
    days = range(first, last + 1)
    worst = max(lane.max() for lane in lanes.values())
    heat = go.Heatmap(
        x=[day * MS_PER_DAY for day in days],
        y=list(lanes),
        z=np.array([lane.reindex(days).to_numpy(dtype=np.float64) for lane in lanes.values()]),
        zmin=0.0,
        zmax=2.0,
        colorscale=[
            [0.0, css("card")],
            [0.5, css("line")],
            [0.5, css("warn")],
            [1.0, css("bad")],
        ],
        colorbar={"thickness": 12, "outlinewidth": 0, "ticksuffix": " ×", "dtick": 1},
        ygap=4,
        hovertemplate="%{y}<br>%{x|%Y-%m-%d}: %{z:.2f} × its bound<extra></extra>",
    )
    axis = {"type": "category", "autorange": "reversed", "showgrid": False, "nticks": len(lanes)}
    return Chart(
        key="outliers",
        title="Worst row of each day, as a multiple of its bound",
        meaning="A lane for each feed, in days (UTC). Above 1 × a row is beyond its bound.",
        views={"": figure([heat], xaxis={"type": "date"}, yaxis=axis)},
        height=60 + LANE * len(lanes),
        description=f"The worst row is {worst:.2f} times its bound. The table has the worst rows.",
        wide=True,
    )


def spread_chart(audit: FeedAudit, peer: str) -> Chart:
    """Draw the median and the largest difference of every day between two quotes."""
    assert audit.limits is not None  # only feeds with a rule have spreads
    daily = audit.findings.daily_spreads
    part = daily[daily["peer"] == peer]
    largest, median = (part[f"{name}_bp"].to_numpy(dtype=np.float64) for name in ("max", "median"))
    lines = {"largest of the day": ("warn", largest), "median of the day": ("series-2", median)}
    limits = {"limit of the largest": audit.limits[1], "limit of the median": audit.limits[0]}
    return Chart(
        key=f"spread-{audit.feed}-{peer}",
        title=f"{audit.feed} against {peer}",
        meaning="Difference of two quotes of the same hour, in basis points; logarithmic scale.",
        views={"": _daily(_nanoseconds(part["day"]), lines, limits, " bp")},
        height=190,
        description=f"The largest difference is {largest.max():.1f} bp.",
    )


def _daily(
    stamps: Stamps,
    lines: Mapping[str, tuple[str, Floats]],
    limits: Mapping[str, float],
    unit: str,
) -> go.Figure:
    """Return lines over days on a logarithmic scale; days without a value interrupt them.

    The scale reaches down four decades at most; what is below it, zero included, is not drawn.
    """
    numbers = stamps // DAY_NS
    whole = np.arange(numbers[0], numbers[-1] + 1)
    traces = []
    for name, (colour, values) in lines.items():
        shown = np.full(whole.size, np.nan)
        shown[numbers - numbers[0]] = np.where(values > 0.0, values, np.nan)
        traces.append(
            go.Scatter(
                mode="lines",
                name=name,
                x=whole * MS_PER_DAY,
                y=shown,
                line={"color": css(colour), "width": 1.4},
                hovertemplate=f"%{{y:.3g}}{unit}",
            )
        )
    ends = np.array([numbers[0], numbers[-1]]) * DAY_NS
    colours = ("soft", "ink")
    traces += [
        level(name, ends, value, colour)
        for (name, value), colour in zip(limits.items(), colours, strict=False)
    ]
    drawn = np.concatenate([values for _, values in lines.values()] + [list(limits.values())])
    powers = np.log10(drawn[drawn > 0.0])
    top = float(powers.max()) + 0.15
    axis = {
        "type": "log",
        "dtick": 1,
        "exponentformat": "none",
        "range": [max(float(powers.min()) - 0.15, top - 4.0), top],
    }
    across = {"type": "date", "hoverformat": "%Y-%m-%d"}
    return figure(traces, xaxis=across, yaxis=axis, hovermode="x unified")
