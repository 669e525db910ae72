"""The data audit as tables of text, for its page and as Markdown."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from basis_pipeline.market.audit import WORST_FIRST, FeedAudit, count_verdicts
from basis_pipeline.market.quality import beyond
from basis_pipeline.reports.table import Cells, Table, Term
from basis_pipeline.results.definitions import DASH, amount, percent
from basis_pipeline.verdict import Status, count_of

SHOWN_ROWS = 12  # of a feed: its worst outliers, its latest revisions
DAY_STATES = ("own", "repaired", "missing")
REVISED = ("file", "timestamp", "column", "stored", "offered", "seen_at", "state")
_TIME = "%Y-%m-%d %H:%M"


def audit_markdown(audits: Sequence[FeedAudit], what: str) -> str:
    """Return all tables of the audit as Markdown; `what` names the data and the window."""
    numbers = ", ".join(
        f"{count} {status.value}" for status, count in count_verdicts(audits).items()
    )
    lines = ["# Data audit", "", what, "", f"{len(audits)} feeds: {numbers}."]
    for title, table in audit_tables(audits).items():
        lines += ["", f"## {title}", "", *table.markdown()]
    return "\n".join(lines) + "\n"


def audit_tables(audits: Sequence[FeedAudit]) -> dict[str, Table]:
    """Return the tables of the audit by title."""
    makers = (
        feeds_table, contents_table, _gaps_table, _repairs_table, _spreads_table, _outliers_table,
        _revisions_table,
    )  # fmt: skip
    return {table.caption: table for table in (make(audits) for make in makers)}


def feeds_table(audits: Sequence[FeedAudit]) -> Table:
    """Return one row per feed: its verdict, and every reason for it."""
    rows = [(audit.feed, audit.verdict.value, reasons(audit)) for audit in audits]
    return Table(("feed", "verdict", "~reasons"), rows, "Feeds")


def reasons(audit: FeedAudit) -> str:
    """Return why a feed has its verdict: its error, or its findings and remarks."""
    if audit.error is not None:
        place = f" ({audit.error.where})" if audit.error.where else ""
        return f"{audit.error.code}: {audit.error.what}{place}"
    passed = sum(verdict.status is Status.PASS for verdict in audit.verdicts)
    checks = f"{passed} of {count_of(len(audit.verdicts), 'check')} passed"
    return "; ".join(filter(None, (audit.message, *audit.findings.remarks, checks)))


def contents_table(audits: Sequence[FeedAudit]) -> Table:
    """Return one row per feed: what it holds, and its days by state."""
    rows: list[Cells] = []
    for audit in audits:
        found, states = audit.findings, day_states(audit.findings.days)
        span = [f"{at:{_TIME}}" if at else DASH for at in (found.first, found.last)]
        figures = (
            found.files, found.rows, audit.gaps, audit.longest_gap_hours, found.duplicates,
            len(found.outliers),
        )  # fmt: skip
        numbers = [DASH if n is None else amount(n, 0) for n in figures]
        numbers += [amount(int((states == state).sum()), 0) for state in DAY_STATES]
        rows.append((audit.feed, *span, *numbers))
    days = (
        Term(">whole days", "Days on which every row is the feed's own."),
        Term(">repaired days", "Days on which all missing rows are repaired."),
        Term(">missing days", "Days on which rows are missing and not repaired."),
    )
    counts = (">files", ">rows", ">gaps", ">longest, h", ">duplicates", ">outliers")
    return Table(("feed", "first, UTC", "last, UTC", *counts, *days), rows, "Contents")


def day_states(days: pd.DataFrame) -> npt.NDArray[np.str_]:
    """Return the state of each day, of `DAY_STATES`: (n,) of text."""
    expected, own, repaired = (
        days[name].to_numpy(dtype=np.int64) for name in ("expected", "own", "repaired")
    )
    missing = own + repaired < expected
    return np.select([missing, own < expected], ["missing", "repaired"], "own")


def check_table(audits: Sequence[FeedAudit]) -> Table:
    """Return every check of every feed, with what it found."""
    rows = [
        (audit.feed, verdict.check, verdict.status.value, verdict.message)
        for audit in audits
        for verdict in audit.verdicts
    ]
    return Table(("feed", "check", "verdict", "~result"), rows, "Every check", folded=True)


def _gaps_table(audits: Sequence[FeedAudit]) -> Table:
    """List every gap in a feed's own rows, the longest of a feed first."""
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
    """List the rows filled by each repair from each source, with the source's own verdict."""
    known, rows = {audit.feed: audit.verdict for audit in audits}, []
    for audit in audits:
        filled = audit.findings.gaps[audit.findings.gaps["repair"] != ""]
        for (repair, source), part in filled.groupby(["repair", "source"]):
            names, number = str(source).split("+"), int(part["rows"].sum())
            found = {known[name] for name in names if name in known}
            trust = next((status.value for status in WORST_FIRST if status in found), "PASS")
            sizes = (amount(len(part), 0), amount(number, 0))
            share, declared = percent(repaired_share(audit, number)), str(audit.config.repair)
            origin = " and ".join(names)
            rows.append((audit.feed, str(repair), origin, trust, *sizes, share, declared))
    own = Term("verdict", "The verdict of the source itself: the worst of several.")
    counts = (">gaps", ">rows", ">share of rows")
    titles: Cells = ("feed", "repair", "~from", own, *counts, "~declared")
    return Table(titles, rows, "Repairs")


def repaired_share(audit: FeedAudit, rows: int) -> float:
    """Return `rows` as a share of the rows expected of the feed."""
    return rows / max(int(audit.findings.days["expected"].sum()), 1)


def _outliers_table(audits: Sequence[FeedAudit]) -> Table:
    """List the worst rows beyond their bounds, by feed."""
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
        for row in audit.findings.outliers.head(SHOWN_ROWS).to_dict("records")
    ]
    return Table(("feed", "at", "column", ">value", "bound", ">of the bound"), rows, "Outliers")


def _spreads_table(audits: Sequence[FeedAudit]) -> Table:
    """List the difference of every pair of quotes with its limits, the widest first."""
    rows: list[tuple[float, Cells]] = []
    for audit, spread in pairs(audits):
        assert audit.limits is not None  # only feeds with a rule have spreads
        status = Status.WARN if spread["beyond"] else Status.PASS
        cells = (
            audit.feed, str(spread["peer"]), status.value,
            f"{spread['median_bp']:.2f}", f"≤ {audit.limits[0]:g}",
            f"{spread['max_bp']:.1f}", f"≤ {audit.limits[1]:g}", f"{spread['at']:{_TIME}}",
        )  # fmt: skip
        rows.append((spread["max_bp"] / audit.limits[1], cells))
    rows.sort(key=lambda row: -row[0])
    absent = [
        (audit.feed, peer, "N/A", *[DASH] * 5)
        for audit in audits
        if audit.config.agreement is not None
        for peer in audit.config.agreement.peers
        if not any({audit.feed, peer} <= {*map(str, cells[:2])} for _, cells in rows)
    ]
    titles = ("feed", "against", "verdict", ">median, bp", ">limit", ">largest, bp", ">limit", "at")
    return Table(titles, [*(cells for _, cells in rows), *absent], "Spreads to peers")


def _revisions_table(audits: Sequence[FeedAudit]) -> Table:
    """List the values that sources have changed since they were stored, open and latest first."""
    rows = [
        (audit.feed, *(str(line[name]) or DASH for name in REVISED))
        for audit in audits
        if audit.revisions is not None
        for line in audit.revisions.assign(is_closed=audit.revisions["state"] != "open")
        .sort_values(["is_closed", "seen_at"], ascending=[True, False])
        .head(SHOWN_ROWS)
        .to_dict("records")
    ]
    titles = ("feed", "file", "row", "column", ">stored", ">the source now", "seen at", "state")
    return Table(titles, rows, "Revisions")


def pairs(audits: Sequence[FeedAudit]) -> Iterator[tuple[FeedAudit, pd.Series]]:
    """Yield every pair of quotes once: the audit of one feed, and its spread to the other.

    `beyond` of the spread says whether they disagree: a bound is exceeded, or a cause was found.
    """
    causes = {audit.feed: re.findall(r"\w+", " ".join(audit.findings.causes)) for audit in audits}
    seen: set[frozenset[str]] = set()
    for audit in audits:
        spreads = audit.findings.spreads
        if audit.limits is None:
            continue
        marked = spreads.assign(beyond=beyond(audit.findings, audit.limits))
        for _, spread in marked.iterrows():
            peer = str(spread["peer"])
            pair = frozenset((audit.feed, peer))
            if pair not in seen:
                seen.add(pair)
                spread["beyond"] |= peer in causes[audit.feed] or audit.feed in causes.get(peer, ())
                yield audit, spread
