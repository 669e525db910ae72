"""The tables of a run inside its page, which a reader saves as Parquet or CSV.

A table is embedded once, as a Parquet file with plain, contiguous columns that is compressed as a
whole. The page's script saves the file itself, or writes CSV from the offsets of its columns. A
table that does not fit is reduced to one row per day.
"""

import base64
import gzip
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from basis_pipeline.results.tables import to_arrow

ROOM = 400_000  # bytes of a page that tables may take
LEVEL = 5  # of compression: 9 takes twice the time and saves nothing
HOURLY, DAILY = "every row", "00:00 UTC of each day"
LEDGER = "events"
_ORDER = ("events", "equity", "attribution", "benchmark", "risk", "positions")


@dataclass(frozen=True, slots=True)
class Download:
    """A table embedded in a page.

    content: base64 of its compressed Parquet file; None where it is too long.
    index: JSON for the script: name, rows, and kind and offset of each column.
    """

    name: str
    rows: int
    sampling: str
    content: str | None
    index: str


def downloads(frames: Mapping[str, pd.DataFrame], room: int = ROOM) -> list[Download]:
    """Return the tables of a run, each in full where the page has room for it, else by day."""
    made = []
    for name in (name for name in _ORDER if name in frames):
        found = _download(name, frames[name], HOURLY)
        if len(found.content or "") > room:
            at = pd.DatetimeIndex(frames[name]["timestamp"])
            midnight = frames[name][(at.hour == 0) & (at.minute == 0)]
            found = _download(name, midnight, DAILY) if name != LEDGER else _absent(found)
        if len(found.content or "") > room:
            found = _absent(found)
        room -= len(found.content or "")
        made.append(found)
    return made


def _absent(found: Download) -> Download:
    return Download(found.name, found.rows, "too long for the page", None, "")


def _download(name: str, frame: pd.DataFrame, sampling: str) -> Download:
    content, columns = plain_parquet(to_arrow(name, frame.reset_index(drop=True)))
    packed = base64.b64encode(gzip.compress(content, LEVEL, mtime=0)).decode("ascii")
    index = json.dumps({"name": name, "rows": len(frame), "columns": columns})
    return Download(name, len(frame), sampling, packed, index)


def plain_parquet(table: pa.Table) -> tuple[bytes, list[tuple[str, str, int]]]:
    """Return a Parquet file of plain values and each column's name, kind and first byte.

    Kinds: time (int64 nanoseconds), integer (int64), number (float64), text (length and UTF-8).
    """
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        version="2.6",
        compression="NONE",
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
        data_page_size=1 << 30,
        max_rows_per_page=1 << 31,
        row_group_size=max(len(table), 1),
    )
    content = sink.getvalue()
    if not len(table):
        return content, [(field.name, "number", 0) for field in table.schema]
    group = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
    columns = []
    for place, field in enumerate(table.schema):
        column, kind = group.column(place), _kind(field.type)
        size = 8 * len(table)
        if kind == "text":
            size = sum(4 + len(text.encode()) for text in table.column(place).to_pylist())
        columns.append((field.name, kind, _end(column) - size))
    return content, columns


def _end(column: pq.ColumnChunkMetaData) -> int:
    return int(column.data_page_offset + column.total_compressed_size)


def _kind(of: pa.DataType) -> str:
    if pa.types.is_timestamp(of):
        return "time"
    if pa.types.is_string(of):
        return "text"
    return "integer" if pa.types.is_int64(of) else "number"
