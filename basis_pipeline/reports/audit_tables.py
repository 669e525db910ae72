"""The data audit as tables of text, for its page and as Markdown."""

from collections.abc import Iterator, Sequence

import pandas as pd

from basis_pipeline.market.audit import FeedAudit, counted
from basis_pipeline.market.quality import beyond
from basis_pipeline.reports.table import Table
from basis_pipeline.results.definitions import DASH, amount, percent
from basis_pipeline.verdict import Status

SHOWN_OUTLIERS = 12  # of a feed: the worst
_TIME = "%Y-%m-%d %H:%M"


def audit_markdown(audits: Sequence[FeedAudit], what: str) -> str:
    """Return all tables of the audit as Markdown; `what` names the data and the window."""
    numbers = ", ".join(f"{count} {status.value}" for status, count in counted(audits).items())
    lines = ["# Data audit", "", what, "", f"{len(audits)} feeds: {numbers}."]
    for title, table in audit_tables(audits).items():
        lines += ["", f"## {title}", "", *table.markdown()]
    return "\n".join(lines) + "\n"


def audit_tables(audits: Sequence[FeedAudit]) -> dict[str, Table]:
    """Return the tables of the audit by title."""
    makers = (feeds_table, _gaps_table, _repairs_table, _outliers_table, _spreads_table)
    return {table.caption: table for table in (make(audits) for make in makers)}


def feeds_table(audits: Sequence[FeedAudit]) -> Table:
    """Return one row a feed: what it holds, its verdict and what to know."""
    counts = (">files", ">rows", ">gaps", ">longest, h", ">duplicates", ">outliers")
    titles = ("feed", "verdict", "first", "last", *counts, "~what to know")
    rows = []
    for audit in audits:
        found = audit.findings
        span = [f"{at:{_TIME}}" if at else DASH for at in (found.first, found.last)]
        figures = (
            found.files, found.rows, audit.gaps, audit.longest_gap_hours, found.duplicates,
            len(found.outliers),
        )  # fmt: skip
        numbers = [DASH if n is None else amount(n, 0) for n in figures]
        message = "; ".join(filter(None, (audit.message, *found.remarks)))
        rows.append((audit.feed, audit.verdict.value, *span, *numbers, message))
    return Table(titles, rows, "Feeds")


def _gaps_table(audits: Sequence[FeedAudit]) -> Table:
    """Every stretch without own rows, the longest of a feed first."""
    rows = [
        (
            audit.feed,
            f"{gap['begin']:{_TIME}}",
            f"{gap['end']:{_TIME}}",
            amount(gap["hours"], 0),
            f"{gap['repair']} from {gap['source']}" if gap["repair"] else "nothing: rejected",
        )
        for audit in audits
        for gap in audit.findings.gaps.sort_values("hours", ascending=False).to_dict("records")
    ]
    return Table(("feed", "from", "to", ">hours", "~filled"), rows, "Gaps")


def _repairs_table(audits: Sequence[FeedAudit]) -> Table:
    """Rows filled by each repair from each source, and their share of the rows asked for."""
    rows = []
    for audit in audits:
        filled = audit.findings.gaps[audit.findings.gaps["repair"] != ""]
        for (repair, source), part in filled.groupby(["repair", "source"]):
            first, last, number = part["begin"].min(), part["end"].max(), int(part["rows"].sum())
            days, share = (f"{first:%Y-%m-%d}", f"{last:%Y-%m-%d}"), repaired_share(audit, number)
            rows.append(
                (audit.feed, str(repair), str(source), *days, amount(number, 0), percent(share))
            )
    titles = ("feed", "repair", "from", "first", "last", ">rows", ">share of rows")
    return Table(titles, rows, "Repairs")


def repaired_share(audit: FeedAudit, rows: int) -> float:
    """Return the share of the rows asked for that so many rows are."""
    return rows / max(int(audit.findings.days["expected"].sum()), 1)


def _outliers_table(audits: Sequence[FeedAudit]) -> Table:
    """The worst rows beyond their bounds, by feed."""
    rows = [
        (
            audit.feed,
            f"{row['timestamp']:{_TIME}}",
            str(row["column"]),
            f"{row['value']:.6g}",
            str(row["bound"]),
            f"{row['times']:.2f} ×",
        )
        for audit in audits
        for row in audit.findings.outliers.head(SHOWN_OUTLIERS).to_dict("records")
    ]
    return Table(("feed", "at", "column", ">value", "bound", ">of the bound"), rows, "Outliers")


def _spreads_table(audits: Sequence[FeedAudit]) -> Table:
    """The difference of every pair of quotes with the limits of agreement, the widest first."""
    rows = []
    for audit, spread in pairs(audits):
        assert audit.limits is not None  # only feeds with a rule have spreads
        status = Status.WARN if spread["beyond"] else Status.PASS
        cells = (
            audit.feed, str(spread["peer"]), status.value,
            f"{spread['median_bp']:.2f}", f"{audit.limits[0]:g}",
            f"{spread['max_bp']:.1f}", f"{audit.limits[1]:g}", f"{spread['at']:{_TIME}}",
        )  # fmt: skip
        rows.append((spread["max_bp"] / audit.limits[1], cells))
    rows.sort(key=lambda row: -row[0])
    titles = ("feed", "against", "verdict", ">median, bp", ">limit", ">largest, bp", ">limit", "at")
    return Table(titles, [cells for _, cells in rows], "Cross-venue spreads")


def pairs(audits: Sequence[FeedAudit]) -> Iterator[tuple[FeedAudit, pd.Series]]:
    """Every pair of quotes once: the audit of the one, and the spread to the other."""
    seen: set[frozenset[str]] = set()
    for audit in audits:
        spreads = audit.findings.spreads
        if audit.limits is None:
            continue
        marked = spreads.assign(beyond=beyond(audit.findings, audit.limits))
        for _, spread in marked.iterrows():
            pair = frozenset((audit.feed, str(spread["peer"])))
            if pair not in seen:
                seen.add(pair)
                yield audit, spread
