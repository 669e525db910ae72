"""The data audit as a document: a page with charts, or Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from basis_pipeline.config.venue import Exchange
from basis_pipeline.market.audit import Examined
from basis_pipeline.market.evidence import Evidence, gather
from basis_pipeline.reports.data_audit import data_audit_html
from basis_pipeline.reports.page import Provenance, write_page
from basis_pipeline.results.definitions import DASH, amount, percent
from basis_pipeline.verdict import Status

ORDER = (Status.FAIL, Status.WARN, Status.PASS, Status.NOT_APPLICABLE)
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


def write_data_audit(
    page: Path, evidence: Sequence[Evidence], what: str, provenance: Provenance
) -> Path:
    """Write the page of the audit; RS-001 when it cannot be written."""
    return write_page(page, audit_html(evidence, what, provenance))


def audit_html(evidence: Sequence[Evidence], what: str, provenance: Provenance) -> str:
    """Return the audit as a page; `what` names the data and the window."""
    tables = {
        "feeds": families_table(evidence),
        "gaps": holes_table(evidence),
        "repairs": repairs_table(evidence),
        "outliers": outliers_table(evidence),
        "spreads": spreads_table(evidence),
    }
    return data_audit_html(evidence, _pairs(evidence), what, counted(evidence), tables, provenance)


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
