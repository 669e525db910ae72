"""The data audit as a document: a page with pictures, or Markdown."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from basis_pipeline.market.audit import FeedAudit, counted
from basis_pipeline.market.quality import beyond
from basis_pipeline.reports import svg
from basis_pipeline.reports.page import render
from basis_pipeline.results.definitions import DASH, amount, percent
from basis_pipeline.verdict import Status

STATES = ("own", "repaired", "missing")
SHOWN_OUTLIERS = 12  # of a feed: the worst
_TIME = "%Y-%m-%d %H:%M"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a document: titles (those of numbers begin with >) and rows of texts."""

    titles: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def audit_markdown(audits: Sequence[FeedAudit], what: str) -> str:
    """Return all tables of the audit as Markdown; `what` names the data and the window."""
    numbers = ", ".join(f"{count} {status.value}" for status, count in counted(audits).items())
    lines = ["# Data audit", "", what, "", f"{len(audits)} feeds: {numbers}."]
    for title, table in audit_tables(audits).items():
        lines += ["", f"## {title}", "", *_markdown(table)]
    return "\n".join(lines) + "\n"


def _markdown(table: Table) -> list[str]:
    if not table.rows:
        return ["None."]
    rule = "|".join("---:" if title.startswith(">") else "---" for title in table.titles)
    heads = [title.lstrip(">") for title in table.titles]
    rows = [heads, *table.rows]
    cells = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return [cells[0], f"|{rule}|", *cells[1:]]


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def audit_tables(audits: Sequence[FeedAudit]) -> dict[str, Table]:
    """Return the tables of the audit by title."""
    return {
        "Feeds": feeds_table(audits),
        "Gaps": _gaps_table(audits),
        "Repairs": _repairs_table(audits),
        "Outliers": _outliers_table(audits),
        "Cross-venue spreads": _spreads_table(audits),
    }


def feeds_table(audits: Sequence[FeedAudit]) -> Table:
    """Return one row a feed: what it holds, its verdict and what to know."""
    counts = (">files", ">rows", ">gaps", ">longest, h", ">duplicates", ">outliers")
    titles = ("feed", "verdict", "first", "last", *counts, "what to know")
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
    return Table(titles, rows)


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
    return Table(("feed", "from", "to", ">hours", "filled"), rows)


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
    return Table(titles, rows)


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
    return Table(("feed", "at", "column", ">value", "bound", ">of the bound"), rows)


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
    return Table(titles, [cells for _, cells in rows])


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


def audit_html(audits: Sequence[FeedAudit], what: str) -> str:
    """Return the audit as a page that needs nothing beside itself."""
    days = _span(audit.findings.days for audit in audits)
    tables = audit_tables(audits)
    return render(
        "data_audit.html.j2",
        (),
        what=what,
        counts={status.value: count for status, count in counted(audits).items()},
        families=tables["Feeds"],
        calendar=[_calendar_row(audit, days) for audit in audits],
        months=days.ticks() if days else [],
        days=days,
        holes=tables["Gaps"],
        repairs=tables["Repairs"],
        repair_bars=_repair_bars(audits),
        outliers=tables["Outliers"],
        outlier_charts=_outlier_charts(audits),
        spreads=tables["Cross-venue spreads"],
        spread_charts=_spread_charts(audits),
    )


def _span(frames: Iterable[pd.DataFrame]) -> svg.Days | None:
    """The days that the frames' `day` columns reach over; None where they have none."""
    days = [frame["day"] for frame in frames if len(frame)]
    if not days:
        return None
    return svg.Days(min(column.min() for column in days), max(column.max() for column in days))


def _calendar_row(found: FeedAudit, days: svg.Days | None) -> dict[str, object]:
    """The strip of a family, and how many days are in which state."""
    own, repaired, missing = _states(found.findings.days)
    counts = dict(zip(STATES, (int(mask.sum()) for mask in (own, repaired, missing)), strict=True))
    told = f"{counts['own']} days whole, {counts['repaired']} with repairs, "
    told += f"{counts['missing']} with rows missing"
    picture: Markup | str = ""
    if days is not None and len(found.findings.days):
        names = np.select([missing, repaired], ["missing", "repaired"], "own").tolist()
        places = days.places(found.findings.days["day"]).tolist()
        picture = svg.strip(days, places, names, f"{found.feed}: {told}")
    return {
        "family": found.feed,
        "verdict": found.verdict.value,
        "picture": picture,
        "counts": counts,
        "note": "" if len(found.findings.days) else _without_days(found),
    }


def _without_days(found: FeedAudit) -> str:
    if found.error is None:
        return "a document without time"
    return "no file" if found.verdict is Status.NOT_APPLICABLE else "rejected"


def _states(days: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    expected, own, filled = (
        days[name].to_numpy(dtype=np.int64) for name in ("expected", "own", "repaired")
    )
    missing = own + filled < expected
    return ~missing & (own >= expected), ~missing & (own < expected), missing


def _repair_bars(audits: Sequence[FeedAudit]) -> list[tuple[str, Markup, str]]:
    """Of families with repairs: the share of rows repaired, the largest first."""
    shares = {
        found.feed: repaired_share(found, sum(found.findings.repairs.values()))
        for found in audits
        if found.findings.repairs
    }
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    return [
        (family, svg.bar(share, f"{family}: {percent(share)} of rows repaired"), percent(share))
        for family, share in ranked
    ]


def _outlier_charts(audits: Sequence[FeedAudit]) -> list[tuple[str, svg.Chart]]:
    """Of families with outliers: the worst row of every day as a multiple of its bound."""
    charts = []
    telling = [found for found in audits if len(found.findings.outliers)]
    days = _span(found.findings.excesses for found in telling)
    for found in telling:
        if days is None or not len(found.findings.excesses):
            continue
        values = found.findings.excesses["times"].to_numpy(dtype=np.float64)
        line = svg.Line("worst", found.findings.excesses["day"].tolist(), values)
        told = f"{found.feed}: worst {values.max():.2f} times its bound"
        charts.append((found.feed, svg.chart(days, [line], [("the bound", 1.0)], told)))
    return charts


def _spread_charts(audits: Sequence[FeedAudit]) -> list[tuple[str, svg.Chart]]:
    """Of every pair of quotes: median and largest gap of every day in bp."""
    charts = []
    days = _span(found.findings.daily_spreads for found in audits)
    for found, spread in pairs(audits):
        peer, daily = str(spread["peer"]), found.findings.daily_spreads
        part = daily[daily["peer"] == peer]
        if days is None or found.limits is None:
            continue
        stamps = part["day"].tolist()
        gaps = {name: part[f"{name}_bp"].to_numpy(dtype=np.float64) for name in ("max", "median")}
        lines = [svg.Line("worst", stamps, gaps["max"]), svg.Line("median", stamps, gaps["median"])]
        limits = [("largest that agrees", found.limits[1]), ("median", found.limits[0])]
        name = f"{found.feed} against {peer}"
        told = f"{name}: largest gap {gaps['max'].max():.1f} bp"
        charts.append((name, svg.chart(days, lines, limits, told)))
    return charts
