"""The rows of one file as a reader hands them on: typed columns, and where each row stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from basis_pipeline.config.file_format import FileFormat
from basis_pipeline.market.rejection import RejectedDataError

Kinds = Mapping[str, pa.DataType]


@dataclass(frozen=True, slots=True)
class FileRows:
    """Rows of one file.

    table: the columns asked for, under the names asked for.
    first: number of the first row. noun: what the number counts.
    kept: (n,) position in the file of each row, when rows of other feeds were left out.
    """

    table: pa.Table
    first: int
    noun: Literal["line", "row"]
    kept: npt.NDArray[np.int64] | None = None

    def place(self, at: int) -> str:
        """Say where a row stands in its file."""
        return f"{self.noun} {self.first + (at if self.kept is None else int(self.kept[at]))}"

    def keep(self, mask: "pa.Array[Any] | pa.ChunkedArray[Any]") -> "FileRows":
        """Leave out the rows whose mask is not true."""
        chosen = np.flatnonzero(np.asarray(pc.fill_null(mask, False)))
        kept = chosen if self.kept is None else self.kept[chosen]
        return replace(self, table=self.table.take(chosen), kept=kept)


def spelled(wanted: Iterable[str], names: list[str]) -> list[str]:
    """Return the names with those written as they are asked for that differ only in case."""
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
    columns: Kinds, optional: Kinds, names: list[str], file: str, form: FileFormat, cause: str = ""
) -> dict[str, pa.DataType]:
    """Return what is to be read: the columns asked for, and the optional ones that are there.

    Raises RejectedDataError: DATA-003 one asked for is missing, or there twice.
    """
    if missing := [name for name in columns if name not in names]:
        reasons = [why for name, why in form.unusable.items() if name in names]
        cause = cause or "; ".join(reasons)
        raise RejectedDataError(
            "DATA-003",
            f"{file} lacks the column {', '.join(missing)}" + (f": {cause}" if cause else ""),
            where=file,
            available=", ".join(name if name.isprintable() else shown(name) for name in names),
        )
    if twice := [name for name in columns if names.count(name) > 1]:
        raise RejectedDataError(
            "DATA-003", f"{file} has the column {', '.join(twice)} twice", where=file
        )
    return {**columns, **{name: kind for name, kind in optional.items() if name in names}}


def select(rows: FileRows, where: Mapping[str, str], file: str) -> FileRows:
    """Keep the rows that hold the values asked for; DATA-011 where there are none."""
    for column, value in where.items():
        texts = rows.table[column].cast(pa.string())
        chosen = rows.keep(pc.equal(texts, value))
        if not chosen.table.num_rows:
            found = [shown(str(text)) for text in pc.unique(texts).to_pylist()[:12]]
            raise RejectedDataError(
                "DATA-011",
                f"{file} has no row in which {column} is {value!r}",
                where=file,
                available=", ".join(found),
            )
        rows = chosen
    return rows


def shown(text: str) -> str:
    """Quote a value for a message, and cut a long one."""
    return repr(text[:80]) + (" …" if len(text) > 80 else "")


def unreadable(file: str, reason: str) -> RejectedDataError:
    """Return the error of a file that cannot be read: DATA-004."""
    return RejectedDataError("DATA-004", f"{file} is unreadable: {reason}", where=file)
