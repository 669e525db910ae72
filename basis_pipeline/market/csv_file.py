"""CSV files: bytes to typed columns, or an error with the reason and the line.

A line is a row: no value spans lines, so that a stray quotation mark cannot hide the rows below it.
"""

import csv
import math
from collections.abc import Iterator

import pyarrow as pa
from pyarrow import csv as arrow_csv

from basis_pipeline.config.file_format import FileFormat
from basis_pipeline.market.file_content import format_mismatch
from basis_pipeline.market.file_rows import (
    ColumnTypes,
    FileRows,
    match_case,
    quoted,
    require_columns,
    unreadable,
)
from basis_pipeline.market.rejection import RejectedDataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_csv(
    data: bytes, file: str, columns: ColumnTypes, optional: ColumnTypes, form: FileFormat
) -> FileRows:
    """Read the named columns of one file.

    A byte-order mark, comment lines at the beginning and CRLF are accepted. Optional columns are
    read if they exist.

    Raises
    ------
    RejectedDataError: DATA-002 empty, DATA-003 a column is missing, DATA-004 unreadable value or
        line, DATA-005 truncated last line.
    """
    if form.encoding != "utf-8":
        data = data.decode(form.encoding, errors="replace").encode()
    if cause := format_mismatch(data, "csv"):
        raise unreadable(file, cause)
    names, rows, first_line = _split_header(data.removeprefix(BYTE_ORDER_MARK), file, form)
    names = match_case([*columns, *optional], names)
    cause = _likely_cause(names, form)
    columns = require_columns(columns, optional, names, file, form, cause)
    _require_closed_quotes(rows, first_line, file)
    _require_whole_last_line(rows, len(names), first_line, file, form.delimiter)
    convert = arrow_csv.ConvertOptions(include_columns=list(columns), column_types=dict(columns))
    read = arrow_csv.ReadOptions(use_threads=False, column_names=names)
    split = arrow_csv.ParseOptions(delimiter=form.delimiter)
    try:
        table = arrow_csv.read_csv(pa.py_buffer(rows), read, split, convert)
    except pa.ArrowInvalid as error:
        reason = _find_unreadable(rows, names, columns, first_line, file, form) or str(error)
        raise unreadable(file, reason) from None
    return FileRows(table, first_line, "line")


def _split_header(body: bytes, file: str, form: FileFormat) -> tuple[list[str], bytes, int]:
    """Return the column names, the bytes below them, and the number of their first line."""
    for _ in range(form.skip_lines):
        body = body.partition(b"\n")[2]
    comments, body = _skip_comments(body, form.comment)
    first_line = form.skip_lines + comments + 1
    names = list(form.names)
    header, _, rows = body.partition(b"\n")
    if not body.strip():
        raise RejectedDataError("DATA-002", f"{file} is empty: it has no content", where=file)
    first = _values(_text(header, file), first_line, file, form.delimiter)
    if form.header == "none" or (form.header == "optional" and any(map(_is_number_or_date, first))):
        _require_count(first, names, first_line, file)
        return names, body, first_line
    notes, rows = _skip_comments(rows, form.comment)
    if not rows.strip():
        what = f"{file} is empty: it has a header and no rows"
        raise RejectedDataError("DATA-002", what, where=file)
    if form.header == "replace":
        _require_count(first, names, first_line, file)
    return names if form.header == "replace" else first, rows, first_line + notes + 1


def _require_count(first: list[str], names: list[str], line: int, file: str) -> None:
    if len(first) != len(names):
        reason = f"line {line} has {len(first)} values, and `names` has {len(names)}"
        raise unreadable(file, reason)


def _is_number_or_date(text: str) -> bool:
    """Whether a value is a number or a date, and thus no column name."""
    return bool(text.strip()) and (is_number(text) or text.strip()[:4].isdigit())


def _likely_cause(names: list[str], form: FileFormat) -> str:
    """Return the likely reason for missing columns; empty if the file shows none."""
    other = [mark for mark in ";\t|," if mark != form.delimiter and mark in "".join(names)]
    if len(names) == 1 and other:
        return f"its values are separated by {other[0]!r}: set `delimiter`"
    if (
        form.header in ("read", "optional")
        and len(names) > 1
        and all(map(_is_number_or_date, names[:2]))
    ):
        return "no header row: give `names` and `header: none`"
    return ""


def _skip_comments(body: bytes, comment: str) -> tuple[int, bytes]:
    """Return the number of comment and blank lines at the beginning, and the bytes after them."""
    count, start, mark = 0, 0, comment.encode()
    while start < len(body):
        end = body.find(b"\n", start)
        line = body[start:] if end < 0 else body[start:end]
        if line.strip() and not line.lstrip().startswith(mark):
            break
        count, start = count + 1, len(body) if end < 0 else end + 1
    return count, body[start:]


def _require_whole_last_line(
    rows: bytes, fields: int, first_line: int, file: str, delimiter: str
) -> None:
    """Reject a last line with fewer fields, or one that may be cut inside its last value.

    Without a final line end the last value is accepted only if other rows show that it is complete:
    it occurs among them, or all of them have its length.
    """
    ended = rows.endswith((b"\n", b"\r"))
    whole = rows.rstrip(b"\r\n")
    last_line = _text(whole[whole.rfind(b"\n") + 1 :], file)
    values = _values(last_line, first_line + whole.count(b"\n"), file, delimiter)
    if len(values) < fields:
        reason = f"{len(values)} of {fields} values"
    elif not ended and len(values) == fields and not _is_complete(whole, values[-1], delimiter):
        reason = "no line end, and its last value may be incomplete"
    else:
        return
    raise RejectedDataError(
        "DATA-005",
        f"{file} is truncated: its last line {quoted(last_line)} has {reason}",
        where=file,
    )


def _is_complete(rows: bytes, value: str, delimiter: str) -> bool:
    mark = delimiter.encode()
    lines = rows.split(b"\n")[:-1]
    others = {line.rstrip(b"\r").rpartition(mark)[2].decode(errors="replace") for line in lines}
    if any(other != value and other.startswith(value) for other in others):
        return False
    return value in others or (bool(others) and {len(other) for other in others} == {len(value)})


def _require_closed_quotes(rows: bytes, first_line: int, file: str) -> None:
    if b'"' not in rows:
        return
    for number, line in enumerate(rows.split(b"\n"), start=first_line):
        if line.count(b'"') % 2:
            text = quoted(_text(line, file))
            raise unreadable(file, f"line {number} has a quotation mark that is not closed: {text}")


def _find_unreadable(
    rows: bytes,
    names: list[str],
    columns: ColumnTypes,
    first_line: int,
    file: str,
    form: FileFormat,
) -> str:
    """Return the line and value that the fast parser could not read."""
    numeric = {names.index(name): name for name, kind in columns.items() if kind == pa.float64()}
    for line, values in _lines(rows, first_line, file, form.delimiter):
        if len(values) != len(names):
            return f"line {line} has {len(values)} values under {len(names)} columns"
        for position, name in numeric.items():
            if not is_number(values[position]):
                return f"line {line}, {name} is {quoted(values[position])}"
    return ""


def _lines(
    rows: bytes, first_line: int, file: str, delimiter: str
) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(_text(rows, file).split("\n"), start=first_line):
        if values := _values(line.rstrip("\r"), number, file, delimiter):
            yield number, values


def _values(line: str, number: int, file: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        reason = str(error).partition(" - ")[0]
        raise unreadable(file, f"line {number}: {reason}") from None


def is_number(text: str) -> bool:
    """Return whether a text is a number; missing values (empty, nan) count as numbers."""
    try:
        return text == "" or not math.isinf(float(text))
    except ValueError:
        return text.lower() in {"null", "na", "n/a", "none"}


def _text(data: bytes, file: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise unreadable(file, f"byte {error.start} is not UTF-8") from None
