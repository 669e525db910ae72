"""One CSV file's bytes to columns, or the reason why not, with the line it stands on.

A line is a row: a value never reaches over the end of its line, so that a stray quotation mark
cannot swallow the rows below it.
"""

import csv
import math
from collections.abc import Iterator, Mapping

import pyarrow as pa
from pyarrow import csv as arrow_csv

from basis_pipeline.market.rejection import RejectedDataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_csv(
    data: bytes,
    file: str,
    columns: Mapping[str, pa.DataType],
    optional: Mapping[str, pa.DataType] | None = None,
) -> "tuple[pa.Table, int]":
    """Read the named columns of one file; also returns the line number of the first row.

    Survives a byte-order mark, comment lines at the head and CRLF. Optional columns are read where
    the file has them.

    Raises
    ------
    RejectedDataError: DATA-002 empty, DATA-003 a column is missing, DATA-004 unreadable value or
        line, DATA-005 truncated last line.
    """
    comments, body = _skip_comments(data.removeprefix(BYTE_ORDER_MARK))
    header, _, rows = body.partition(b"\n")
    notes, rows = _skip_comments(rows)
    if not rows.strip():
        content = "nothing" if not body.strip() else "a header and no row"
        raise RejectedDataError("DATA-002", f"{file} is empty: it holds {content}", where=file)
    names = _values(_text(header, file), comments + 1, file)
    _require_columns(columns, names, file)
    columns = {**columns, **{n: kind for n, kind in (optional or {}).items() if n in names}}
    first_line = comments + notes + 2
    _require_closed_quotes(rows, first_line, file)
    _require_whole_last_line(rows, len(names), first_line, file)
    convert = arrow_csv.ConvertOptions(include_columns=list(columns), column_types=dict(columns))
    read = arrow_csv.ReadOptions(use_threads=False)
    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(header + b"\n" + rows), read_options=read, convert_options=convert
        )
    except pa.ArrowInvalid as error:
        reason = _find_unreadable(rows, names, columns, first_line, file) or str(error)
        raise _unreadable(file, reason) from None
    return table, first_line


def _skip_comments(body: bytes) -> tuple[int, bytes]:
    """Number of lines before the header (comments, blanks), and everything from the header on."""
    count, start = 0, 0
    while start < len(body):
        end = body.find(b"\n", start)
        line = body[start:] if end < 0 else body[start:end]
        if line.strip() and not line.lstrip().startswith(b"#"):
            break
        count, start = count + 1, len(body) if end < 0 else end + 1
    return count, body[start:]


def _require_columns(columns: Mapping[str, pa.DataType], names: list[str], file: str) -> None:
    missing = [name for name in columns if name not in names]
    if missing:
        raise RejectedDataError(
            "DATA-003",
            f"{file} lacks the column {', '.join(missing)}",
            where=file,
            available=", ".join(name if name.isprintable() else shown(name) for name in names),
        )
    twice = [name for name in columns if names.count(name) > 1]
    if twice:
        raise RejectedDataError(
            "DATA-003", f"{file} has the column {', '.join(twice)} twice", where=file
        )


def _require_whole_last_line(rows: bytes, fields: int, first_line: int, file: str) -> None:
    """Reject a last line with fewer fields, or one that may have been cut inside its last value.

    Without a line end behind it, the last value is believed only when other rows prove it whole:
    it occurs among them, or all of them have its length.
    """
    ended = rows.endswith((b"\n", b"\r"))
    whole = rows.rstrip(b"\r\n")
    last_line = _text(whole[whole.rfind(b"\n") + 1 :], file)
    values = _values(last_line, first_line + whole.count(b"\n"), file)
    if len(values) < fields:
        reason = f"{len(values)} of {fields} values"
    elif not ended and len(values) == fields and not _proves_whole(whole, values[-1]):
        reason = "no line end, and its last value may be cut"
    else:
        return
    raise RejectedDataError(
        "DATA-005",
        f"{file} is truncated: its last line {shown(last_line)} has {reason}",
        where=file,
    )


def _proves_whole(rows: bytes, value: str) -> bool:
    lines = rows.split(b"\n")[:-1]
    others = {line.rstrip(b"\r").rpartition(b",")[2].decode(errors="replace") for line in lines}
    if any(other != value and other.startswith(value) for other in others):
        return False
    return value in others or (bool(others) and {len(other) for other in others} == {len(value)})


def _require_closed_quotes(rows: bytes, first_line: int, file: str) -> None:
    if b'"' not in rows:
        return
    for number, line in enumerate(rows.split(b"\n"), start=first_line):
        if line.count(b'"') % 2:
            reason = (
                f"line {number} has a quotation mark that is not closed: {shown(_text(line, file))}"
            )
            raise _unreadable(file, reason)


def _find_unreadable(
    rows: bytes, names: list[str], columns: Mapping[str, pa.DataType], first_line: int, file: str
) -> str:
    """Say which line and value the fast parser stumbled over."""
    numeric = {names.index(name): name for name, kind in columns.items() if kind == pa.float64()}
    for line, values in _lines(rows, first_line, file):
        if len(values) != len(names):
            return f"line {line} has {len(values)} values under {len(names)} columns"
        for position, name in numeric.items():
            if not is_number(values[position]):
                return f"line {line}, {name} is {shown(values[position])}"
    return ""


def _lines(rows: bytes, first_line: int, file: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(_text(rows, file).split("\n"), start=first_line):
        if values := _values(line.rstrip("\r"), number, file):
            yield number, values


def _values(line: str, number: int, file: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error as error:
        reason = str(error).partition(" - ")[0]
        raise _unreadable(file, f"line {number}: {reason}") from None


def is_number(text: str) -> bool:
    """Whether a text reads as a number, an absent one (empty, nan) included."""
    try:
        return text == "" or not math.isinf(float(text))
    except ValueError:
        return text.lower() in {"null", "na", "n/a", "none"}


def _text(data: bytes, file: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _unreadable(file, f"byte {error.start} is not UTF-8") from None


def shown(text: str) -> str:
    """Quote a value for a message, and cut a long one."""
    return repr(text[:80]) + (" …" if len(text) > 80 else "")


def _unreadable(file: str, reason: str) -> RejectedDataError:
    return RejectedDataError("DATA-004", f"{file} is unreadable: {reason}", where=file)
