"""The data audit as a document: a page with pictures, or Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from markupsafe import Markup

from basis_pipeline.config.venue import Exchange
from basis_pipeline.market.audit import Examined
from basis_pipeline.market.evidence import Evidence, gather
from basis_pipeline.reports import svg
from basis_pipeline.reports.page import render
from basis_pipeline.results.definitions import DASH, amount, percent
from basis_pipeline.verdict import Status

ORDER = (Status.FAIL, Status.WARN, Status.PASS, Status.NOT_APPLICABLE)
STATES = ("own", "repaired", "missing")
SHOWN_OUTLIERS = 12  # of a family: the worst
_STAMP = "%Y-%m-%d %H:%M"


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a document: titles (those of numbers begin with >) and rows of texts."""

    titles: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def evidence_of(examined: Iterable[Examined], venues: Mapping[str, object]) -> list[Evidence]:
    """The evidence of every family, worst verdict first."""
    exchanges = {name: venue for name, venue in venues.items() if isinstance(venue, Exchange)}
    found = gather(examined, exchanges)
    return sorted(found, key=lambda e: (ORDER.index(e.verdict), e.line.kind, e.line.family))


def counted(evidence: Sequence[Evidence]) -> dict[str, int]:
    """How many families have each verdict, worst first."""
    return {verdict: sum(e.verdict == verdict for e in evidence) for verdict in ORDER}


def audit_markdown(evidence: Sequence[Evidence], what: str) -> str:
    """All tables of the audit as Markdown; `what` names the data and the window."""
    told = ", ".join(f"{count} {verdict}" for verdict, count in counted(evidence).items())
    lines = ["# Data audit", "", what, "", f"{len(evidence)} families: {told}."]
    sections = {
        "Families": families_table(evidence),
        "Holes": holes_table(evidence),
        "Repairs": repairs_table(evidence),
        "Outliers": outliers_table(evidence),
        "Cross-venue spreads": spreads_table(evidence),
    }
    for title, table in sections.items():
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


def audit_html(evidence: Sequence[Evidence], what: str) -> str:
    """The audit as a page that needs nothing beside itself; `what` names the data and window."""
    days = _span(found.days for found in evidence)
    return render(
        "data_audit.html.j2",
        (),
        what=what,
        counts=counted(evidence),
        families=families_table(evidence),
        calendar=[_calendar_row(e, days) for e in evidence],
        months=days.ticks() if days else [],
        days=days,
        holes=holes_table(evidence),
        repairs=repairs_table(evidence),
        repair_bars=_repair_bars(evidence),
        outliers=outliers_table(evidence),
        outlier_charts=_outlier_charts(evidence),
        spreads=spreads_table(evidence),
        spread_charts=_spread_charts(evidence),
    )


def families_table(evidence: Sequence[Evidence]) -> Table:
    """One row a family: what it holds, its verdict and what to know."""
    counts = (">files", ">rows", ">holes", ">longest, h", ">duplicates", ">outliers")
    titles = ("family", "verdict", "first", "last", *counts, "what to know")
    rows = []
    for found in evidence:
        line = found.line
        span = [f"{stamp:{_STAMP}}" if stamp else DASH for stamp in (line.first, line.last)]
        sizes = (line.files, line.rows, line.holes, line.longest_hole_hours)
        numbers = [amount(n, 0) for n in (*sizes, line.exact_duplicates, line.outliers)]
        told = "; ".join(part for part in (line.message, *found.concerns, *found.remarks) if part)
        rows.append((line.family, found.verdict, *span, *numbers, told))
    return Table(titles, rows)


def holes_table(evidence: Sequence[Evidence]) -> Table:
    """Every stretch without own rows, the longest of a family first."""
    rows = [
        (
            found.line.family,
            f"{hole['begin']:{_STAMP}}",
            f"{hole['end']:{_STAMP}}",
            amount(hole["hours"], 0),
            f"{hole['repair']} from {hole['source']}" if hole["repair"] else "nothing: refused",
        )
        for found in evidence
        for hole in found.holes.sort_values("hours", ascending=False).to_dict("records")
    ]
    return Table(("family", "from", "to", ">hours", "filled"), rows)


def repairs_table(evidence: Sequence[Evidence]) -> Table:
    """Rows filled by each repair from each source, and their share of the rows asked for."""
    rows = [
        (
            found.line.family,
            str(row["repair"]),
            str(row["source"]),
            f"{row['first']:%Y-%m-%d}",
            f"{row['last']:%Y-%m-%d}",
            amount(float(row["rows"]), 0),
            percent(_share(found, int(row["rows"]))),
        )
        for found in evidence
        for row in found.repairs.to_dict("records")
    ]
    titles = ("family", "repair", "from", "first", "last", ">rows", ">share of rows")
    return Table(titles, rows)


def _share(found: Evidence, rows: int) -> float:
    return rows / max(int(found.days["expected"].sum()), 1)


def outliers_table(evidence: Sequence[Evidence]) -> Table:
    """The worst rows beyond their bounds, by family."""
    rows = [
        (
            found.line.family,
            f"{row['timestamp']:{_STAMP}}",
            str(row["column"]),
            f"{row['value']:.6g}",
            str(row["bound"]),
            f"{row['times']:.2f} ×",
        )
        for found in evidence
        for row in found.outliers.head(SHOWN_OUTLIERS).to_dict("records")
    ]
    return Table(("family", "at", "column", ">value", "bound", ">of the bound"), rows)


def spreads_table(evidence: Sequence[Evidence]) -> Table:
    """The gap of every pair of quotes against what is still agreement, the widest first."""
    rows = []
    for found, peer, part in _pairs(evidence):
        assert found.limits is not None  # a pair is compared only by a rule
        median, largest = float(part["median_bp"].median()), float(part["max_bp"].max())
        at = part["day"].iloc[int(part["max_bp"].to_numpy().argmax())]
        beyond = median > found.limits[0] or largest > found.limits[1]
        verdict = "WARN" if beyond else "PASS"
        bounds = (f"{found.limits[0]:g}", f"{found.limits[1]:g}")
        cells = (f"{median:.2f}", bounds[0], f"{largest:.1f}", bounds[1], f"{at:%Y-%m-%d}")
        rows.append((largest / found.limits[1], (found.line.family, peer, verdict, *cells)))
    rows.sort(key=lambda row: -row[0])
    titles = ("family", "against", "verdict", ">median of days, bp", ">bound", ">largest, bp")
    return Table((*titles, ">bound", "on"), [row for _, row in rows])


def _pairs(evidence: Sequence[Evidence]) -> Iterable[tuple[Evidence, str, pd.DataFrame]]:
    """Every pair of quotes once: what a compares with b, b need not compare with a."""
    seen: set[frozenset[str]] = set()
    for found in evidence:
        for peer, part in found.spreads.groupby("peer", sort=False):
            pair = frozenset((found.line.family, str(peer)))
            if pair not in seen:
                seen.add(pair)
                yield found, str(peer), part


def _span(frames: Iterable[pd.DataFrame]) -> svg.Days | None:
    """The days that the frames' `day` columns reach over; None where they have none."""
    days = [frame["day"] for frame in frames if len(frame)]
    if not days:
        return None
    return svg.Days(min(column.min() for column in days), max(column.max() for column in days))


def _calendar_row(found: Evidence, days: svg.Days | None) -> dict[str, object]:
    """The strip of a family, and how many days are in which state."""
    own, repaired, missing = _states(found.days)
    counts = dict(zip(STATES, (int(mask.sum()) for mask in (own, repaired, missing)), strict=True))
    told = f"{counts['own']} days whole, {counts['repaired']} with repairs, "
    told += f"{counts['missing']} with rows missing"
    picture: Markup | str = ""
    if days is not None and len(found.days):
        names = np.select([missing, repaired], ["missing", "repaired"], "own").tolist()
        places = days.places(found.days["day"]).tolist()
        picture = svg.strip(days, places, names, f"{found.line.family}: {told}")
    return {
        "family": found.line.family,
        "verdict": found.verdict,
        "picture": picture,
        "counts": counts,
        "note": "" if len(found.days) else _without_days(found),
    }


def _without_days(found: Evidence) -> str:
    if found.line.verdict is Status.NOT_APPLICABLE:
        return "no file"
    return "a document without time" if found.line.verdict is not Status.FAIL else "refused"


def _states(days: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    expected, own, filled = (
        days[name].to_numpy(dtype=np.int64) for name in ("expected", "own", "repaired")
    )
    missing = own + filled < expected
    return ~missing & (own >= expected), ~missing & (own < expected), missing


def _repair_bars(evidence: Sequence[Evidence]) -> list[tuple[str, Markup, str]]:
    """Of families with repairs: the share of rows repaired, the largest first."""
    shares = {
        found.line.family: _share(found, int(found.repairs["rows"].sum()))
        for found in evidence
        if len(found.repairs)
    }
    ranked = sorted(shares.items(), key=lambda item: -item[1])
    return [
        (family, svg.bar(share, f"{family}: {percent(share)} of rows repaired"), percent(share))
        for family, share in ranked
    ]


def _outlier_charts(evidence: Sequence[Evidence]) -> list[tuple[str, svg.Chart]]:
    """Of families with outliers: the worst row of every day as a multiple of its bound."""
    charts = []
    telling = [found for found in evidence if len(found.outliers)]
    days = _span(found.excesses for found in telling)
    for found in telling:
        if days is None or not len(found.excesses):
            continue
        values = found.excesses["times"].to_numpy(dtype=np.float64)
        line = svg.Line("worst", found.excesses["day"].tolist(), values)
        told = f"{found.line.family}: worst {values.max():.2f} times its bound"
        charts.append((found.line.family, svg.chart(days, [line], [("the bound", 1.0)], told)))
    return charts


def _spread_charts(evidence: Sequence[Evidence]) -> list[tuple[str, svg.Chart]]:
    """Of every pair of quotes: median and largest gap of every day in bp."""
    charts = []
    days = _span(found.spreads for found in evidence)
    for found, peer, part in _pairs(evidence):
        if days is None or found.limits is None:
            continue
        stamps = part["day"].tolist()
        gaps = {name: part[f"{name}_bp"].to_numpy(dtype=np.float64) for name in ("max", "median")}
        lines = [svg.Line("worst", stamps, gaps["max"]), svg.Line("median", stamps, gaps["median"])]
        limits = [("largest that agrees", found.limits[1]), ("median", found.limits[0])]
        name = f"{found.line.family} against {peer}"
        told = f"{name}: largest gap {gaps['max'].max():.1f} bp"
        charts.append((name, svg.chart(days, lines, limits, told)))
    return charts
