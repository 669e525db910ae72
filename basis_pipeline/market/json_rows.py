"""JSON files: a document with a list of rows, or one JSON value per line."""

import math
from collections.abc import Iterator
from typing import Any, Literal

import pyarrow as pa

from basis_pipeline.config.file_format import FileFormat
from basis_pipeline.market.csv_file import is_number
from basis_pipeline.market.file_content import format_mismatch
from basis_pipeline.market.file_rows import (
    ColumnTypes,
    FileRows,
    quoted,
    require_columns,
    unreadable,
)
from basis_pipeline.market.json_file import load_json
from basis_pipeline.market.rejection import RejectedDataError


def parse_records(
    data: bytes, file: str, columns: ColumnTypes, optional: ColumnTypes, form: FileFormat
) -> FileRows:
    """Read the named columns of JSON rows: objects by key (dotted if nested), arrays by `names`.

    Raises
    ------
    RejectedDataError: DATA-002 empty, DATA-003 a column is missing, DATA-004 unreadable, DATA-005
        truncated.
    """
    if cause := format_mismatch(data, form.type):
        raise unreadable(file, cause)
    rows = list(_lines(data, file)) if form.type == "jsonl" else _document(data, file, form)
    if not rows:
        raise RejectedDataError("DATA-002", f"{file} is empty: it has no rows", where=file)
    noun: Literal["line", "row"] = "line" if form.type == "jsonl" else "row"
    rows = [_as_object(row, f"{noun} {n}", file, form) for n, row in enumerate(rows, start=1)]
    names = list(_keys(rows[0]))
    wanted = require_columns(columns, optional, names, file, form)
    arrays = {
        name: pa.array(
            [_value(_at(row, name), kind, name, f"{noun} {n}", file)
             for n, row in enumerate(rows, start=1)],
            type=pa.float64() if kind == pa.float64() else pa.string(),
        )
        for name, kind in wanted.items()
    }  # fmt: skip
    return FileRows(pa.table(arrays), 1, noun)


def _lines(data: bytes, file: str) -> Iterator[Any]:
    lines = data.rstrip(b"\r\n").split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            yield load_json(line, f"line {number} of {file}", file)
        except RejectedDataError as error:
            if number == len(lines) and error.code == "DATA-004":
                what = (
                    f"{file} is truncated: its last line is {quoted(line.decode(errors='replace'))}"
                )
                raise RejectedDataError("DATA-005", what, where=file) from None
            raise


def _document(data: bytes, file: str, form: FileFormat) -> list[Any]:
    node = load_json(data, file, file)
    for key in filter(None, form.records.split(".")):
        if not isinstance(node, dict) or key not in node:
            available = ", ".join(node) if isinstance(node, dict) else type(node).__name__
            what = f"{file} has no {form.records!r}, where its rows should be"
            raise RejectedDataError("DATA-003", what, where=file, available=available)
        node = node[key]
    if not isinstance(node, list):
        lists = (
            [k for k, v in node.items() if isinstance(v, list)] if isinstance(node, dict) else []
        )
        raise RejectedDataError(
            "DATA-003",
            f"{file} has no list of rows at {form.records or 'its top'!r}: set `records`",
            where=file,
            available=", ".join(lists),
        )
    return node


def _as_object(row: Any, place: str, file: str, form: FileFormat) -> dict[str, Any]:
    if isinstance(row, dict):
        return row
    if not isinstance(row, list):
        raise unreadable(file, f"{place} is {quoted(str(row))}, neither an object nor an array")
    if not form.names:
        raise unreadable(file, f"{place} is an array: set `names`")
    if len(row) != len(form.names):
        reason = f"{place} has {len(row)} values, and `names` has {len(form.names)}"
        raise unreadable(file, reason)
    return dict(zip(form.names, row, strict=True))


def _keys(row: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in row.items():
        yield prefix + key
        if isinstance(value, dict):
            yield from _keys(value, f"{prefix}{key}.")


def _at(row: Any, name: str) -> Any:
    if name in row:
        return row[name]
    for key in name.split("."):
        row = row.get(key) if isinstance(row, dict) else None
    return row


def _value(value: Any, kind: pa.DataType, name: str, place: str, file: str) -> float | str | None:
    if kind != pa.float64():
        return None if value is None else str(value)
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise unreadable(file, f"{place}, {name} is {quoted(str(value))}")
    text = str(value)
    if not is_number(text):
        raise unreadable(file, f"{place}, {name} is {quoted(text)}")
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan
