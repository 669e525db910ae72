"""One CSV file's bytes to columns, or the reason why not, with the line it stands on."""

import csv
import math
from collections.abc import Iterator, Mapping

import pyarrow as pa
from pyarrow import csv as arrow_csv

from basis_pipeline.market.rejection import RejectedDataError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def parse_csv(data: bytes, file: str, columns: Mapping[str, pa.DataType]) -> "tuple[pa.Table, int]":
    """Read the named columns of one file; also returns the line number of the first row.

    Survives a byte-order mark, comment lines at the head and CRLF.

    Raises
    ------
    RejectedDataError: DATA-002 empty, DATA-003 a column is missing, DATA-004 unreadable value,
        DATA-005 truncated last line.
    """
    comments, body = _skip_comments(data.removeprefix(BYTE_ORDER_MARK))
    header, _, rows = body.partition(b"\n")
    notes, rows = _skip_comments(rows)
    if not rows.strip():
        found = "nothing" if not body.strip() else "a header and no row"
        raise RejectedDataError("DATA-002", f"{file} is empty: it holds {found}", where=file)
    names = next(csv.reader([_text(header, file)]))
    missing = [name for name in columns if name not in names]
    if missing:
        raise RejectedDataError(
            "DATA-003",
            f"{file} lacks the column {', '.join(missing)}",
            where=file,
            available=", ".join(names),
        )
    first_line = comments + notes + 2
    _require_whole_last_line(rows, len(names), file)
    convert = arrow_csv.ConvertOptions(include_columns=list(columns), column_types=dict(columns))
    read = arrow_csv.ReadOptions(use_threads=False)
    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(header + b"\n" + rows), read_options=read, convert_options=convert
        )
    except pa.ArrowInvalid as error:
        reason = _find_unreadable(rows, names, columns, first_line, file) or str(error)
        raise RejectedDataError("DATA-004", f"{file} is unreadable: {reason}", where=file) from None
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


def _require_whole_last_line(rows: bytes, fields: int, file: str) -> None:
    """Refuse a last line with fewer fields, or one that may have been cut inside its last value.

    Without a line end behind it, the last value is believed only when other rows prove it whole:
    it occurs among them, or all of them have its length.
    """
    ended = rows.endswith((b"\n", b"\r"))
    whole = rows.rstrip(b"\r\n")
    last_line = _text(whole[whole.rfind(b"\n") + 1 :], file)
    values = next(csv.reader([last_line]))
    if len(values) < fields:
        told = f"{len(values)} of {fields} values"
    elif not ended and len(values) == fields and not _proves_whole(whole, values[-1]):
        told = "no line end, and its last value may be cut"
    else:
        return
    raise RejectedDataError(
        "DATA-005", f"{file} is truncated: its last line {last_line!r} has {told}", where=file
    )


def _proves_whole(rows: bytes, value: str) -> bool:
    others = {line.rstrip(b"\r").rpartition(b",")[2].decode() for line in rows.split(b"\n")[:-1]}
    if any(other != value and other.startswith(value) for other in others):
        return False
    return value in others or (bool(others) and {len(other) for other in others} == {len(value)})


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
                return f"line {line}, {name} is {values[position]!r}"
    return ""


def _lines(rows: bytes, first_line: int, file: str) -> Iterator[tuple[int, list[str]]]:
    text = _text(rows, file)
    for line, values in enumerate(csv.reader(text.splitlines()), start=first_line):
        if values:
            yield line, values


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
        raise RejectedDataError(
            "DATA-004", f"{file} is unreadable: byte {error.start} is not UTF-8", where=file
        ) from None
