"""The page of the data audit: which days each feed covers, its repairs, outliers and spreads."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from basis_pipeline.market.audit import FeedAudit, counted
from basis_pipeline.reports.audit_tables import audit_tables
from basis_pipeline.reports.chart import Chart, horizontal_bars
from basis_pipeline.reports.page import Page, Provenance, Section, write_page
from basis_pipeline.reports.plot_theme import css
from basis_pipeline.reports.table import Table
from basis_pipeline.times import DAY_NS

# State of a day → its name in the legend, its colour, and how much of its lane a bar fills: the
# state is shown by more than a colour.
STATES = {
    "own": ("every row is the feed's own", "series-2", 0.8),
    "repaired": ("rows repaired", "repaired", 0.45),
    "missing": ("rows missing and not repaired", "bad", 0.15),
}
NOTES = {
    "Gaps": "Hours without the feed's own rows, and what filled them.",
    "Outliers": "Rows beyond the bounds that their feed declares. They are warnings, not failures: "
    "crises are real.",
    "Cross-venue spreads": "Differences between two quotes of the same thing at the same hour, of "
    "rows that both sources have themselves, in basis points.",
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
    tables = audit_tables(audits)
    return Page(
        title="Data audit",
        what=what,
        counts=counted(audits),
        sections=[
            Section("Calendar", [*filter(None, [calendar_chart(audits)]), _day_table(audits)]),
            *(Section(title, [table], NOTES.get(title, "")) for title, table in tables.items()),
        ],
        footer=(
            "PASS: used as read. WARN: repaired, unusual, or at odds with another source. FAIL: "
            "rejected. N/A: no file."
        ),
    ).html(provenance)


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
        "calendar",
        "Calendar of coverage",
        "A lane for each feed, in days (UTC). Where a lane is empty nothing was asked for.",
        view.update_layout(hovermode="closest", bargap=0.0).update_yaxes(lanes),
        height=80 + LANE * len(names),
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
    return pd.DatetimeIndex(column).as_unit("ns").asi8 // DAY_NS


def day_states(days: pd.DataFrame) -> Any:
    """Return the state of each day, a key of `STATES`: (n,) of text."""
    expected, own, repaired = (
        days[name].to_numpy(dtype=np.int64) for name in ("expected", "own", "repaired")
    )
    missing = own + repaired < expected
    return np.select([missing, own < expected], ["missing", "repaired"], "own")


def _day_table(audits: Sequence[FeedAudit]) -> Table:
    """How many days of each feed are in which state, and why there are none."""
    rows = []
    for audit in audits:
        days = audit.findings.days
        states = day_states(days) if len(days) else np.array([], dtype=str)
        counts = (str(int((states == state).sum())) for state in STATES)
        note = "" if len(days) else audit.message or "no dates"
        rows.append((audit.feed, str(audit.verdict), *counts, note))
    titles = ("feed", "verdict", ">complete", ">repaired", ">lacking rows", "~what to know")
    return Table(titles, rows, "Days of each feed by state", folded=True)
