"""Text rows in the layout of the downloaders, and the files that hold them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat

from basis_pipeline.market.sample.random_walks import Floats

Column = Sequence[str] | str
"""One string per row, or one string for all rows."""


@dataclass
class SampleFile:
    """A file of the sample: its path below the data directory and its lines."""

    path: str
    header: str
    rows: list[str]
    comments: list[str] = field(default_factory=list)
    byte_order_mark: bool = False
    line_end: str = "\n"

    def content(self) -> bytes:
        """Return the bytes to write."""
        lines = [*self.comments, self.header, *self.rows] if self.header else self.rows
        text = self.line_end.join(lines) + self.line_end
        return (b"\xef\xbb\xbf" if self.byte_order_mark else b"") + text.encode()


def rows(columns: Sequence[Column]) -> list[str]:
    """Join columns to comma-separated rows; constants repeat, other lengths must be equal."""
    (count,) = {len(column) for column in columns if not isinstance(column, str)}
    spread = (repeat(c, count) if isinstance(c, str) else c for c in columns)
    return [",".join(row) for row in zip(*spread, strict=True)]


def numbers(values: Floats, decimals: int | None = None) -> list[str]:
    """Return the shortest text that reads back as the same number, rounded to `decimals`."""
    rounded = values if decimals is None else values.round(decimals)
    return [repr(value) for value in rounded.tolist()]
