"""Parquet files: bytes to typed columns."""

import pyarrow as pa
import pyarrow.parquet as pq

from basis_pipeline.config.file_format import FileFormat
from basis_pipeline.market.file_content import PARQUET, format_mismatch
from basis_pipeline.market.file_rows import (
    ColumnTypes,
    FileRows,
    match_case,
    require_columns,
    unreadable,
)
from basis_pipeline.market.rejection import RejectedDataError


def parse_parquet(
    data: bytes, file: str, columns: ColumnTypes, optional: ColumnTypes, form: FileFormat
) -> FileRows:
    """Read the named columns; numbers as float64, times and texts as stored.

    Raises
    ------
    RejectedDataError: DATA-002 no rows, DATA-003 a column is missing, DATA-004 unreadable.
    """
    if not data.startswith(PARQUET):
        raise unreadable(file, format_mismatch(data, "parquet"))
    try:
        content = pq.ParquetFile(pa.py_buffer(data))
        stored = content.schema_arrow.names
        names = list(form.names) if form.header == "replace" else stored
        names = match_case([*columns, *optional], names)
        wanted = require_columns(columns, optional, names, file, form)
        chosen = [stored[names.index(name)] for name in wanted]
        table = content.read(chosen, use_threads=False).select(chosen).rename_columns(list(wanted))
        for place, (name, kind) in enumerate(wanted.items()):
            if kind == pa.float64():
                table = table.set_column(place, name, table[name].cast(pa.float64()))
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file, str(error).partition("\n")[0]) from None
    if not table.num_rows:
        raise RejectedDataError("DATA-002", f"{file} is empty: it has no rows", where=file)
    return FileRows(table, 1, "row")
