"""Recognition of a file by its content: its preset, columns, symbols and times.

Every preset is tried by reading the file with it. A file that no preset reads is tried as a plain
table with the column names of the catalogue.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from basis_pipeline.config.file_format import FileFormat
from basis_pipeline.config.preset import COLUMNS, Preset
from basis_pipeline.market.file_content import (
    LARGEST_FILE,
    PARQUET,
    FileContent,
    read_content,
)
from basis_pipeline.market.file_rows import FileRows
from basis_pipeline.market.raw_file import READERS
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.timestamps import (
    UNIT_NAMES,
    UNREADABLE,
    Int64,
    parse_timestamps,
    unit_of_digits,
)

HEAD = 64 * 1024
# No column has this name: asking for it makes the reader list the columns of a file.
NO_COLUMN = "timestamp or time"
TIMES = ("timestamp", "time", "opentime", "datetime", "date", "unix", "hour", "fundingtimestamp")
INSTANT = {"format": "instant", "early_seconds": 60, "late_seconds": 60}
# Kinds of dataset by the name of a column.
KINDS = {
    "open": ("perp_bars", "spot_bars"),
    "funding_rate": ("funding",),
    "liquidity_index": ("lending_rates",),
    "oracle_rate": ("oracle",),
    "market_rate": ("peg",),
    "base_fee_gwei": ("gas",),
    "apr": ("benchmark",),
}


@dataclass(frozen=True, slots=True)
class Recognised:
    """What a file was recognised as.

    preset: the preset that reads it; None for a plain table.
    kinds: possible kinds of the dataset. keys: of the dataset file, to read it.
    of: keys of the dataset's `of` that the file shows. instruments: the symbols in it.
    times: (n,) int64 ns of its rows, each once. unit: of numeric timestamps.
    assumed: by key, what is assumed and not shown by the file.
    """

    preset: Preset | None
    kinds: tuple[str, ...]
    keys: dict[str, Any]
    of: dict[str, str]
    instruments: tuple[str, ...]
    times: Int64
    unit: str = ""
    assumed: dict[str, str] = field(default_factory=dict)


def recognise(
    path: Path, presets: Iterable[Preset], quotes: Iterable[str], base: str | None = None
) -> Recognised:
    """Recognise a file by its content.

    Parameters
    ----------
    quotes: currencies that a symbol may end with.
    base: the coin to select when a file has several.

    Raises
    ------
    RejectedDataError: DATA-002 … 005 the file cannot be read, DATA-017 it is not recognised.
    """
    content = read_content(path, path.name, lines=None, largest=LARGEST_FILE)
    reasons: dict[str, str] = {}
    fitting: list[tuple[int, Preset, FileRows]] = []
    for preset in presets:
        try:
            rows = _read_as(preset, content, path.name)
        except RejectedDataError as error:
            reasons[preset.preset] = error.what
            continue
        if _symbols(preset, rows, content):
            by_name = preset.symbol is not None and preset.symbol_column is None
            columns = len(preset.columns) + len(preset.format.names)
            fitting.append((columns + 10 * by_name, preset, rows))
    if not fitting:
        return _recognise_table(content, path.name, tuple(quotes), reasons)
    _, preset, rows = max(fitting, key=lambda one: one[0])
    symbols = _symbols(preset, rows, content)
    chosen = [s for s in symbols if base is None or _keys_of(s, preset, quotes).get("base") == base]
    of = _keys_of(chosen[0], preset, quotes) if len(chosen) == 1 else dict(preset.of)
    times, unit = _times(rows, preset.timestamp.column, preset.format)
    instruments = tuple(filter(None, symbols)) if preset.symbol_column else ()
    return Recognised(preset, preset.kinds, {}, of, instruments, times, unit)


def _read_as(preset: Preset, content: FileContent, name: str) -> FileRows:
    """Read the rows with a preset; raise when it does not fit."""
    form, rule = preset.format, preset.timestamp
    kinds = {rule.column: pa.string()}
    # Column names that contain the coin are not known yet.
    kinds |= {raw: pa.float64() for raw in preset.columns if "{" not in raw}
    kinds |= dict.fromkeys(filter(None, [preset.symbol_column, form.observed]), pa.string())
    data = content.data
    if form.type == "csv" and len(data) > HEAD:
        whole_lines = data[: data.rfind(b"\n", 0, HEAD) + 1]
        READERS["csv"](whole_lines, name, kinds, {}, form)
    rows = READERS[form.type](data, name, kinds, {}, form)
    some = rows.table[rule.column].drop_null().slice(0, 100)
    some = some.filter(pc.not_equal(some.cast(pa.string()), ""))
    if not len(some) or (parse_timestamps(some, form.unit) == UNREADABLE).any():
        raise RejectedDataError("DATA-004", f"{rule.column} has no timestamps", where=name)
    return rows


def _symbols(preset: Preset, rows: FileRows, content: FileContent) -> list[str]:
    """Symbols in the file that match the preset's pattern; one empty text without a pattern."""
    if preset.symbol is None:
        return [""]
    if preset.symbol_column is None:
        texts = list(content.names)
    else:
        texts = pc.unique(rows.table[preset.symbol_column].cast(pa.string())).to_pylist()
    found = [str(text) for text in texts if text and re.match(preset.symbol, str(text))]
    return found[:1] if preset.symbol_column is None else found


def _keys_of(symbol: str, preset: Preset, quotes: Iterable[str]) -> dict[str, str]:
    """Keys of a dataset's `of` from a symbol."""
    found = re.match(preset.symbol, symbol) if preset.symbol else None
    of = {key: value for key, value in (found.groupdict() if found else {}).items() if value}
    if "venue" in of:
        of["venue"] = of["venue"].lower()
    return preset.of | of | split_symbol(of.pop("symbol", ""), quotes)


def split_symbol(symbol: str, quotes: Iterable[str]) -> dict[str, str]:
    """Split a symbol into base and quote; empty when it ends with no known quote."""
    symbol = re.sub(r"[-_/]", "", symbol)
    ends = [quote for quote in quotes if symbol.endswith(quote) and symbol != quote]
    if not ends:
        return {}
    quote = max(ends, key=len)
    return {"base": symbol.removesuffix(quote), "quote": quote}


def _times(rows: FileRows, column: str, form: FileFormat) -> tuple[Int64, str]:
    values = rows.table[column]
    times = np.unique(parse_timestamps(values, form.unit, form.utc_offset_hours))
    texts = values.drop_null().cast(pa.string())
    unit = unit_of_digits(texts.filter(pc.not_equal(texts, ""))[0].as_py())
    return times[times != UNREADABLE], UNIT_NAMES[unit] if unit else ""


def _recognise_table(
    content: FileContent, name: str, quotes: tuple[str, ...], reasons: Mapping[str, str]
) -> Recognised:
    """Recognise a plain table by the column names of the catalogue."""
    form = _guess_format(content.data)
    columns = _column_names(content.data, name, form)
    wanted = {_normalised(canonical): canonical for canonical in COLUMNS}
    mapped = {raw: wanted[_normalised(raw)] for raw in columns if _normalised(raw) in wanted}
    times = [raw for known in TIMES for raw in columns if _normalised(raw) == known]
    kinds = next((kinds for column, kinds in KINDS.items() if column in mapped.values()), ())
    if not times or not kinds:
        lacking = "a column with times" if not times else "value columns with known names"
        near = [f"{preset}: {why}" for preset, why in reasons.items() if "lacks the column" in why]
        raise RejectedDataError(
            "DATA-017",
            f"{name} is not recognised: no preset reads it, and it lacks {lacking}",
            where=name,
            available="; ".join([f"columns {', '.join(columns)}", *near[:3]]),
        )
    symbol = next((raw for raw in columns if _normalised(raw) in ("symbol", "pair")), None)
    kinds_of = {times[0]: pa.string(), **({symbol: pa.string()} if symbol else {})}
    rows = READERS[form.type](content.data, name, kinds_of, {}, form)
    found, unit = _times(rows, times[0], form)
    instruments = pc.unique(rows.table[symbol].cast(pa.string())).to_pylist() if symbol else []
    keys: dict[str, Any] = {
        "timestamp": {"column": times[0], **INSTANT},
        "columns": mapped,
        "identity": {symbol: instruments[0]} if symbol and len(instruments) == 1 else {},
    }
    if stated := form.model_dump(exclude_unset=True):
        keys["format"] = stated
    of = split_symbol(str(instruments[0]), quotes) if len(instruments) == 1 else {}
    assumed = {"columns": "each column is what its name says, in the catalogue's unit"}
    return Recognised(None, kinds, keys, of, tuple(map(str, instruments)), found, unit, assumed)


def _guess_format(data: bytes) -> FileFormat:
    """Return the format of a plain table, guessed from its first line."""
    first = data.lstrip()[:HEAD].partition(b"\n")[0].rstrip()
    if data.startswith(PARQUET):
        return FileFormat(type="parquet")
    if first.startswith(b"{") and first.endswith(b"}"):
        return FileFormat(type="jsonl")
    if first.startswith((b"[", b"{")):
        return FileFormat(type="json")
    marks = {mark: first.count(mark.encode()) for mark in ",;\t|"}
    delimiter = max(marks, key=lambda mark: marks[mark])
    return FileFormat() if delimiter == "," else FileFormat(delimiter=delimiter)


def _column_names(data: bytes, name: str, form: FileFormat) -> list[str]:
    """Column names, from the reader's error about a missing one."""
    try:
        READERS[form.type](data, name, {NO_COLUMN: pa.string()}, {}, form)
    except RejectedDataError as error:
        if error.code != "DATA-003" or ": " in error.what.partition(NO_COLUMN)[2]:
            raise
        return error.available.split(", ")
    return []


def _normalised(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
