"""A table of a page, of a document or of the screen: titles, rows of texts, a last row of sums."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Term(NamedTuple):
    """A name with its definition, which a page shows on hover and on focus."""

    text: str
    meaning: str

    def __str__(self) -> str:
        return self.text


class Link(NamedTuple):
    """A name with a link; plain text where there is no address."""

    text: str
    href: str

    def __str__(self) -> str:
        return self.text


Cell = str | Term | Link
Cells = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells under titles; the first cell of a row names it.

    titles: those of numbers begin with >, those of long texts with ~; the column "verdict" holds
        statuses, a column whose title ends in UTC holds times. foot: the row of sums.
    wide: over the whole width of a page. folded: hidden until it is opened.
    code: its cells are settings or hashes.
    """

    titles: Cells
    rows: Sequence[Cells]
    caption: str = ""
    foot: tuple[str, ...] = ()
    wide: bool = True
    folded: bool = False
    code: bool = False

    @property
    def heads(self) -> list[tuple[Cell, str]]:
        """Titles without prefixes, and kinds of columns: number, prose, verdict, time or ''."""
        heads: list[tuple[Cell, str]] = []
        for title in self.titles:
            text = str(title)
            plain = "verdict" if text == "verdict" else "time" if text.endswith("UTC") else ""
            kind = {">": "number", "~": "prose"}.get(text[:1], plain)
            bare = text.lstrip(">~")
            heads.append((title._replace(text=bare) if isinstance(title, Term) else bare, kind))
        return heads

    def markdown(self) -> list[str]:
        """Return the lines of the table in Markdown."""
        if not self.rows:
            return ["None."]
        rule = "|".join("---:" if kind == "number" else "---" for _, kind in self.heads)
        lines = [
            " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in row)
            for row in ([title for title, _ in self.heads], *self.rows)
        ]
        return [f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])]
