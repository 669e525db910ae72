"""The page of the data audit: which days each feed covers, its repairs, outliers and spreads."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from basis_pipeline.market.audit import WORST_FIRST, FeedAudit, count_verdicts
from basis_pipeline.reports.audit_tables import audit_tables, check_table, day_states, pairs
from basis_pipeline.reports.chart import Chart, bars, horizontal_bars
from basis_pipeline.reports.page import Page, Provenance, Section
from basis_pipeline.reports.plot_theme import css
from basis_pipeline.results.definitions import percent
from basis_pipeline.times import DAY_NS
from basis_pipeline.verdict import Status, count_of

# State of a day → its name in the legend, its colour, and the share of the lane that its bar fills,
# so that states differ by more than colour.
STATES = {
    "own": ("every row is the feed's own", "series-2", 0.8),
    "repaired": ("rows repaired", "repaired", 0.45),
    "missing": ("rows missing and not repaired", "bad", 0.15),
}
NOTES = {
    "Repairs": "What filled the gaps: the source, the verdict on that source, and the repairs that "
    "the feed's file declares.",
    "Gaps": "Hours without the feed's own rows, and what filled them.",
    "Outliers": "Rows beyond the bounds that their feed declares. They are warnings, not failures, "
    "because crises are real.",
    "Revisions": "Values that a source has changed after they were stored. The stored values are "
    "kept until a person accepts the new ones. Files delivered by a person are not compared.",
    "Spreads to peers": "Differences between two quotes of the same instrument at the same hour, "
    "where both feeds have rows of their own, in basis points. WARN: a bound is exceeded, or the "
    "reasons of one of the two name a cause, such as shifted settlements.",
}
STAMPS = {
    Status.FAIL: ("FEED REJECTED", "alarm"),
    Status.WARN: ("FEEDS WARN", "warn"),
    Status.PASS: ("ALL FEEDS PASS", "good"),
    Status.NOT_APPLICABLE: ("NO FEED", "warn"),
}
LANE = 22  # pixels
MS_PER_DAY = 86_400_000.0


def data_audit_html(audits: Sequence[FeedAudit], what: str, provenance: Provenance) -> str:
    """Return the audit as a page; `what` names the data and the window."""
    tables = audit_tables(audits)
    feeds, contents = tables.pop("Feeds"), tables.pop("Contents")
    calendar, spread = calendar_chart(audits), spread_chart(audits)
    drawn = {"Spreads to peers": spread} if spread else {}
    return Page(
        title="Data audit",
        what=what,
        stamp=STAMPS[worst(audits)],
        counts=count_verdicts(audits),
        answer=_answer(audits),
        sections=[
            Section("Verdicts", [feeds, check_table(audits)]),
            Section("Calendar", [*([calendar] if calendar else []), contents]),
            *(
                Section(title, [*([drawn[title]] if title in drawn else []), table], NOTES[title])
                for title, table in tables.items()
            ),
        ],
        footer=(
            "PASS: used as read. WARN: repaired, unusual, different from another source, or "
            "revised by its own source. FAIL: rejected. N/A: no file."
        ),
    ).html(provenance)


def worst(audits: Sequence[FeedAudit]) -> Status:
    """Return the worst verdict of the feeds; N/A where there is none."""
    found = {audit.verdict for audit in audits}
    return next((status for status in WORST_FIRST if status in found), Status.NOT_APPLICABLE)


def _answer(audits: Sequence[FeedAudit]) -> list[str]:
    """State which feeds are rejected and absent, how much is repaired, and what disagrees."""
    named = {
        status: ", ".join(audit.feed for audit in audits if audit.verdict is status)
        for status in (Status.FAIL, Status.NOT_APPLICABLE)
    }
    rejected, absent = named.values()
    asked = sum(int(audit.findings.days["expected"].sum()) for audit in audits)
    repaired = sum(sum(audit.findings.repairs.values()) for audit in audits)
    spreads = [spread for _, spread in pairs(audits)]
    apart = sum(bool(spread["beyond"]) for spread in spreads)
    fetched = sum(audit.revisions is not None for audit in audits)
    revised = count_of(sum(audit.revised for audit in audits), "stored value")
    by_hand = len(audits) - fetched
    others = f"; {count_of(by_hand, 'feed')} not fetched by this program" if by_hand else ""
    return [
        f"Rejected: {rejected}." if rejected else "No feed is rejected.",
        *([f"Without a file: {absent}."] if absent else []),
        f"Repaired: {repaired:,} of {asked:,} rows ({percent(repaired / max(asked, 1))}).",
        f"In disagreement: {apart} of {count_of(len(spreads), 'pair')} of quotes.",
        f"Revisions not accepted: {revised} of {count_of(fetched, 'fetched feed')}{others}.",
    ]


def spread_chart(audits: Sequence[FeedAudit]) -> Chart | None:
    """Draw the spreads of every pair as shares of their bounds; None without any pair."""
    found = [(a, s) for a, s in pairs(audits) if a.limits is not None]
    if not found:
        return None
    found.sort(key=lambda pair: -pair[1]["max_bp"] / (pair[0].limits or (1.0, 1.0))[1])
    names = [f"{audit.feed}<br>{spread['peer']}" for audit, spread in found]
    traces = [
        bars(
            title,
            names,
            [
                100.0 * spread[column] / (audit.limits or (1.0, 1.0))[place]
                for audit, spread in found
            ],
            colour,
            f"{title}: %{{x:.1f}} % of its bound<extra></extra>",
        )
        for place, (column, title, colour) in enumerate(
            (("median_bp", "median", "series-0"), ("max_bp", "largest", "series-1"))
        )
    ]
    bound = {"type": "line", "x0": 100, "x1": 100, "yref": "paper", "y0": 0, "y1": 1}
    look = {"color": css("alarm"), "width": 1.5}
    axis = {"title": {"text": "% of the bound"}, "ticksuffix": " %"}
    return Chart(
        "spreads",
        "Spreads against their bounds",
        "Median and largest difference of every pair of quotes over all hours at which both have a "
        "row of their own, as a share of the bound that the feed declares.",
        horizontal_bars(
            traces, barmode="group", xaxis=axis, shapes=[{**bound, "line": look, "name": "bound"}]
        ),
        height=110 + 44 * len(names),
        wide=True,
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
        "calendar",
        "Calendar of coverage",
        "A lane for each feed, in days (UTC). Where a lane is empty, no rows were expected.",
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
