"""One raw file as typed columns: read by its format and validated by its dataset file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from basis_pipeline.config.dataset import DatasetConfig, TimestampRule
from basis_pipeline.config.file_format import FileFormat
from basis_pipeline.market.csv_file import parse_csv
from basis_pipeline.market.file_content import (
    LARGEST_DOCUMENT,
    LARGEST_FILE,
    LARGEST_JSON,
    read_content,
    require_symbol,
)
from basis_pipeline.market.file_rows import ColumnTypes, FileRows, quoted, select_rows
from basis_pipeline.market.json_file import parse_json
from basis_pipeline.market.json_rows import parse_records
from basis_pipeline.market.parquet_file import parse_parquet
from basis_pipeline.market.plausibility import require_limits
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.rows import require_values
from basis_pipeline.market.timestamps import (
    UNIT_NAMES,
    UNREADABLE,
    Int64,
    open_times,
    parse_timestamps,
    to_index,
    unit_of_digits,
)
from basis_pipeline.times import DAY_NS, HOUR_NS
from basis_pipeline.verdict import count_of

MINUTE_NS = HOUR_NS // 60


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file as read: path below the data directory, content hash, size in bytes, rows."""

    path: str
    sha256: str
    size: int
    rows: int


def read_file(path: Path, name: str, config: DatasetConfig) -> tuple[pd.DataFrame, RawFile]:
    """Read one file of a feed; the frame has its raw columns, rows in the order of the file.

    Parameters
    ----------
    name: path below the data directory.

    Raises
    ------
    RejectedDataError: as `read_feed`.
    """
    printable = name.encode(errors="backslashreplace").decode()
    if printable != name:
        what = f"the name of the file {printable} is not UTF-8"
        raise RejectedDataError("DATA-004", what, where=printable)
    form = config.format
    in_lines = not config.is_document and form.type in ("csv", "jsonl")
    largest = LARGEST_JSON if form.type == "json" else LARGEST_FILE
    largest = LARGEST_DOCUMENT if config.is_document else largest
    content = read_content(path, name, lines=in_lines, largest=largest)
    require_symbol(content.names, form.file_name, name)
    if config.is_document:
        frame = parse_json(content.data, name, config)
        require_limits(frame, config, name, None)
    else:
        frame = _parse_rows(content.data, name, config)
    return frame, RawFile(name, content.sha256, content.size, len(frame))


def _parse_rows(data: bytes, file: str, config: DatasetConfig) -> pd.DataFrame:
    rule, form = config.timestamp, config.format
    assert rule is not None  # required of every feed of rows
    kinds = _column_types(config, rule)
    optional = {config.interval_column: pa.float64()} if config.interval_column else {}
    rows = READERS[form.type](data, file, kinds, optional, form)
    rows = select_rows(rows, form.where, file)
    if form.observed:
        rows = _announcements(rows, rule.column, config)
    for name, expected in config.identity.items():
        _require_identity(rows, name, expected, file)
    values: dict[str, object] = {}
    for raw in [*kinds, *(name for name in optional if name in rows.table.column_names)]:
        if raw in config.identity:
            values[raw] = categories(
                np.zeros(rows.table.num_rows, np.int64), [config.identity[raw]]
            )
        elif raw == rule.column or kinds.get(raw) == pa.string():
            if raw not in form.where:
                values[raw] = to_index(_timestamps(rows, raw, rule, config, file))
        else:
            values[raw] = _floats(rows.table[raw]) * form.scale.get(raw, 1.0)
    frame = pd.DataFrame(values)
    require_values(frame, config, file, rows.place)
    require_limits(frame, config, file, rows.place)
    return frame


READERS: dict[str, Callable[[bytes, str, ColumnTypes, ColumnTypes, FileFormat], FileRows]] = {
    "csv": parse_csv,
    "json": parse_records,
    "jsonl": parse_records,
    "parquet": parse_parquet,
}


def _column_types(config: DatasetConfig, rule: TimestampRule) -> dict[str, pa.DataType]:
    """Return required columns of a file with their types."""
    kinds: dict[str, pa.DataType] = {rule.column: pa.string()}
    for raw, column in config.columns.items():
        kinds[raw] = pa.string() if column.values == "date" else pa.float64()
    if config.format.observed:
        kinds[config.format.observed] = pa.string()
    kinds |= dict.fromkeys(config.format.where, pa.string())
    return kinds | dict.fromkeys(config.identity, pa.dictionary(pa.int32(), pa.string()))


def _announcements(rows: FileRows, column: str, config: DatasetConfig) -> FileRows:
    """Leave out announcements without a settlement time or without a rate."""
    known = pc.not_equal(pc.fill_null(rows.table[column].cast(pa.string()), ""), "")
    for raw in config.columns:
        known = pc.and_(known, pc.is_valid(rows.table[raw]))
    return rows.keep(known)


def categories(codes: Int64, names: list[str]) -> "pd.Categorical[str]":
    """Return texts as categories, by their positions in `names`."""
    return pd.Categorical.from_codes(codes, categories=pd.Index(names))


def _floats(column: "pa.ChunkedArray") -> npt.NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _timestamps(
    rows: FileRows, column: str, rule: TimestampRule, config: DatasetConfig, file: str
) -> Int64:
    form, labels = config.format, column == rule.column
    timestamps = parse_timestamps(rows.table[column], form.unit, form.utc_offset_hours)
    wrong = timestamps == UNREADABLE
    if labels and form.floor:
        step = DAY_NS if form.floor == "day" else HOUR_NS
        timestamps = np.where(wrong, UNREADABLE, timestamps // step * step)
    if labels and rule.format == "date":
        wrong |= timestamps % DAY_NS != 0
    if wrong.any():
        at = int(np.argmax(wrong))
        text = str(rows.table[column][at].as_py() or "")
        what = f"{file} is unreadable: {rows.place(at)}, {column} is {quoted(text)}"
        raise RejectedDataError("DATA-004", what + _cause(text, form), where=file)
    if labels and form.label == "close":
        minutes = form.interval_minutes or 60 * (config.frequency_hours or 1)
        timestamps = open_times(timestamps, minutes * MINUTE_NS)
    return timestamps


def _cause(text: str, form: FileFormat) -> str:
    unit = unit_of_digits(text)
    if unit is None or form.unit in (None, unit):
        return ""
    digits = len(text.partition(".")[0])
    return f": {digits}-digit timestamps: {UNIT_NAMES[unit]}; set `unit: {unit}`"


def _require_identity(rows: FileRows, name: str, expected: str, file: str) -> None:
    column = rows.table[name].cast(pa.string())
    values = pc.unique(column).to_pylist()
    if values == [expected]:
        return
    others = [quoted(str(value)) for value in values if value != expected]
    texts = column.to_pylist()
    at = next(i for i, value in enumerate(texts) if value != expected)
    raise RejectedDataError(
        "DATA-011",
        f"{file} has {name} {', '.join(others[:3])} instead of {expected!r} in "
        f"{count_of(sum(value != expected for value in texts), 'row')}, the first on "
        f"{rows.place(at)}",
        where=file,
    )
