"""The rows of one file as typed columns, and the position of each row in the file."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from basis_pipeline.config.file_format import FileFormat
from basis_pipeline.market.rejection import RejectedDataError

ColumnTypes = Mapping[str, pa.DataType]


@dataclass(frozen=True, slots=True)
class FileRows:
    """Rows of one file.

    table: the requested columns under the requested names.
    first: number of the first row. noun: whether it numbers lines or rows.
    kept: (n,) position in the file of each row, once rows were left out.
    """

    table: pa.Table
    first: int
    noun: Literal["line", "row"]
    kept: npt.NDArray[np.int64] | None = None

    def place(self, at: int) -> str:
        """Return the position of a row in its file, for messages."""
        return f"{self.noun} {self.first + (at if self.kept is None else int(self.kept[at]))}"

    def keep(self, mask: "pa.Array[Any] | pa.ChunkedArray[Any]") -> "FileRows":
        """Keep the rows whose mask is true."""
        chosen = np.flatnonzero(np.asarray(pc.fill_null(mask, False)))
        kept = chosen if self.kept is None else self.kept[chosen]
        return replace(self, table=self.table.take(chosen), kept=kept)


def match_case(wanted: Iterable[str], names: list[str]) -> list[str]:
    """Return the names, those that differ from a wanted one only in case replaced by it."""
    lower: dict[str, list[str]] = {}
    for name in names:
        lower.setdefault(name.strip().lower(), []).append(name)
    found = {}
    for name in wanted:
        alike = lower.get(name.lower(), [])
        if name not in names and len(alike) == 1:
            found[alike[0]] = name
    return [found.get(name, name) for name in names]


def require_columns(
    columns: ColumnTypes,
    optional: ColumnTypes,
    names: list[str],
    file: str,
    form: FileFormat,
    cause: str = "",
) -> dict[str, pa.DataType]:
    """Return the columns to read: all that are required, and the optional ones in the file.

    Raises RejectedDataError: DATA-003 a required one is missing, or exists twice.
    """
    if missing := [name for name in columns if name not in names]:
        reasons = [why for name, why in form.unusable.items() if name in names]
        cause = cause or "; ".join(reasons)
        raise RejectedDataError(
            "DATA-003",
            f"{file} lacks the column {', '.join(missing)}" + (f": {cause}" if cause else ""),
            where=file,
            available=", ".join(name if name.isprintable() else quoted(name) for name in names),
        )
    if twice := [name for name in columns if names.count(name) > 1]:
        raise RejectedDataError(
            "DATA-003", f"{file} has the column {', '.join(twice)} twice", where=file
        )
    return {**columns, **{name: kind for name, kind in optional.items() if name in names}}


def select_rows(rows: FileRows, where: Mapping[str, str], file: str) -> FileRows:
    """Keep the rows with the given values; DATA-011 when there are none."""
    for column, value in where.items():
        texts = rows.table[column].cast(pa.string())
        chosen = rows.keep(pc.equal(texts, value))
        if not chosen.table.num_rows:
            found = [quoted(str(text)) for text in pc.unique(texts).to_pylist()[:12]]
            raise RejectedDataError(
                "DATA-011",
                f"{file} has no row in which {column} is {value!r}",
                where=file,
                available=", ".join(found),
            )
        rows = chosen
    return rows


def quoted(text: str) -> str:
    """Return a value in quotation marks for a message, a long one truncated."""
    return repr(text[:80]) + (" …" if len(text) > 80 else "")


def unreadable(file: str, reason: str) -> RejectedDataError:
    """Return the error of a file that cannot be read: DATA-004."""
    return RejectedDataError("DATA-004", f"{file} is unreadable: {reason}", where=file)
