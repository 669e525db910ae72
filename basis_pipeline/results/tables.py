"""The result tables of a run: what each column means, and its Parquet file.

The columns are the rows of `columns.csv`. The same values give the same bytes.

equity       timestamp, equity, flow, drawdown
attribution  timestamp, the ten components of SEMANTICS 9, residual
positions    timestamp, one column per position, named by its key of SEMANTICS 2
risk         timestamp, the measures of SEMANTICS 10; those of a venue or an asset are named
             `margin_ratio:<venue>`, `basis_bp:<venue>`, `gross_exposure:<asset>`, `net_exposure:…`
events       timestamp, sequence, kind, venue, instrument, quantity, price, notional, fee, gas,
             amount, reason
benchmark    timestamp, one growth index per benchmark, 1.0 at the first hour; optional

Timestamps are tz-aware UTC nanoseconds; amounts are in the numeraire, quantities in the unit of
their instrument.
"""

import io
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.definitions import read_table

TIMESTAMP = pa.timestamp("ns", tz="UTC")

REQUIRED_TABLES = ("equity", "attribution", "positions", "risk", "events")
TABLES = (*REQUIRED_TABLES, "benchmark")


class Column(NamedTuple):
    """Unit and meaning of a column. `{currency}` is the share class's, `{asset}` the mode's."""

    unit: str
    meaning: str


def _columns() -> dict[str, dict[str, Column]]:
    columns: dict[str, dict[str, Column]] = {}
    for row in read_table("columns.csv"):
        columns.setdefault(row["table"], {})[row["name"]] = Column(row["unit"], row["meaning"])
    return columns


# Of each table, in order, after the timestamp; `risk by part`: per venue or asset.
_COLUMNS = _columns()
_TIMESTAMP = Column("UTC", "a whole hour, after its trades")
COMPONENTS = tuple(name for name in _COLUMNS["attribution"] if name != "residual")
# Reported groups of SEMANTICS 9.
GROUPS = {
    "carry": ("lending", "borrowing", "staking", "rewards", "funding"),
    "basis": ("spot_price", "perp_price"),
    "costs": ("execution_cost", "gas", "liquidation"),
}
COMPONENT_MEANING = {name: _COLUMNS["attribution"][name].meaning for name in COMPONENTS}
COMPONENT_MEANING |= {group: f"{' + '.join(names)}." for group, names in GROUPS.items()}
_RISK_PART = re.compile(
    r"(margin_ratio(_before|_extreme)?|basis_bp):[a-z0-9_]+|(gross|net)_exposure:[A-Z0-9]+"
)
_POSITION = re.compile(r"[a-z0-9_]+:[A-Za-z]+:[A-Za-z0-9]+")
_TYPES = {"sequence": pa.int64()} | dict.fromkeys(
    ("kind", "venue", "instrument", "reason"), pa.string()
)


def columns_of(table: str) -> tuple[str, ...]:
    """Return the columns of a table after its timestamp."""
    return tuple(_COLUMNS[table])


def schema(table: str, columns: Sequence[str]) -> pa.Schema:
    """Return the Arrow schema of a table with these columns, in that order.

    Raises
    ------
    ResultsError: RS-004 when the table is unknown or the columns are not those of the table.
    """
    if table not in TABLES:
        raise _misfit(f"there is no result table {table}; there are {', '.join(TABLES)}")
    if not columns or columns[0] != "timestamp" or len(set(columns)) != len(columns):
        raise _misfit(f"{table}: the first column must be timestamp, and no name may be repeated")
    values = tuple(columns[1:])
    if wrong := _misfits(table, values):
        raise _misfit(f"{table}: columns missing, foreign or out of order: {', '.join(wrong)}")
    types = {"timestamp": TIMESTAMP, **_TYPES}
    fields = [pa.field(name, types.get(name, pa.float64()), nullable=False) for name in columns]
    return pa.schema(fields)


def explained(
    table: str, columns: Iterable[str], *, currency: str, asset: str
) -> dict[str, Column]:
    """Return the unit and meaning of every column of a result table.

    Parameters
    ----------
    currency: the share class's, in which amounts are. asset: what the mode holds or hedges.

    Raises
    ------
    ResultsError: RS-004 when the table is unknown or the columns are not those of the table.
    """
    names = schema(table, list(columns)).names
    names_of = {"currency": currency, "asset": asset}
    found = {name: _TIMESTAMP if name == "timestamp" else _column(table, name) for name in names}
    return {
        name: Column(column.unit.format(**names_of), column.meaning)
        for name, column in found.items()
    }


def _column(table: str, name: str) -> Column:
    if table == "benchmark":
        return Column("index", f"growth of one unit in {name}, 1.0 at the first hour")
    if table == "positions":
        return _position(name)
    if name in _COLUMNS[table]:
        return _COLUMNS[table][name]
    measure, _, part = name.partition(":")
    unit, meaning = _COLUMNS["risk by part"][measure]
    return Column(unit, meaning.format(part=part))


def _position(key: str) -> Column:
    """Explain a position by its key (SEMANTICS 2): `venue:PositionType:Instrument`."""
    venue, kind, instrument = key.split(":")
    match kind:
        case "Perp":
            return Column("{asset}", f"signed quantity of the perpetual {instrument} at {venue}")
        case "EntryPrice":
            what = f"size-weighted average entry of {instrument} at {venue}"
            return Column("currency of the quote", what)
        case "aToken" | "debtToken":
            side = "supplied to" if kind == "aToken" else "borrowed from"
            what = f"scaled balance {side} {venue}: times the index it is the underlying"
            return Column(f"scaled {instrument}", what)
        case "LST":
            return Column(instrument, f"staked tokens held from {venue}")
        case _:
            return Column(instrument, f"{instrument} held at {venue}")


def to_arrow(table: str, frame: pd.DataFrame) -> pa.Table:
    """Convert a result frame, values unchanged (NaN stays NaN), index and metadata dropped.

    Raises
    ------
    ResultsError: RS-004 when columns, types or the order of timestamps do not fit the table.
    """
    target = schema(table, [str(name) for name in frame.columns])
    stamps = frame["timestamp"]
    if stamps.dtype != pd.DatetimeTZDtype("ns", "UTC"):
        raise _misfit(f"{table}: timestamp is {stamps.dtype}, not datetime64[ns, UTC]")
    ordered = stamps.is_monotonic_increasing and (table == "events" or stamps.is_unique)
    if not ordered:
        raise _misfit(f"{table}: the timestamps are not in order")
    arrays = [pa.array(stamps.to_numpy(dtype="datetime64[ns]"), pa.timestamp("ns")).cast(TIMESTAMP)]
    for field in list(target)[1:]:
        column = frame[field.name]
        if field.type == pa.string():
            try:
                texts = pa.array(column, field.type)
            except (pa.ArrowTypeError, pa.ArrowInvalid):
                texts = None
            if texts is None or texts.null_count:
                raise _misfit(f"{table}: {field.name} holds a value that is not text")
            arrays.append(texts)
        else:
            kind = np.int64 if field.type == pa.int64() else np.float64
            arrays.append(pa.array(column.to_numpy(dtype=kind), field.type, from_pandas=False))
    return pa.Table.from_arrays(arrays, schema=target)


def encode(table: str, frame: pd.DataFrame) -> bytes:
    """Return a result frame as a Parquet file, zstd-compressed; equal frames give equal bytes."""
    data = to_arrow(table, frame)
    texts = [field.name for field in data.schema if field.type == pa.string()]
    sink = io.BytesIO()
    pq.write_table(
        data,
        sink,
        version="2.6",
        compression="zstd",
        compression_level=3,
        use_dictionary=texts,
        row_group_size=1 << 20,
    )
    return sink.getvalue()


def decode(content: bytes) -> pd.DataFrame:
    """Return the frame of a Parquet file that `encode` made."""
    # For files this small, threads and the dataset reader of `read_table` double the time.
    data = pq.ParquetFile(io.BytesIO(content)).read(use_threads=False)
    frame: pd.DataFrame = data.to_pandas(use_threads=False)
    return frame


def _misfit(what: str) -> ResultsError:
    return ResultsError("RS-004", what)


def _misfits(table: str, values: tuple[str, ...]) -> list[str]:
    if table == "positions":
        return [name for name in values if not _POSITION.fullmatch(name)]
    if table == "risk":
        whole = _COLUMNS["risk"]
        foreign = [v for v in values if v not in whole and not _RISK_PART.fullmatch(v)]
        return foreign + [name for name in whole if name not in values]
    if table == "benchmark":
        return []
    expected = tuple(_COLUMNS[table])
    return [] if values == expected else sorted(set(values) ^ set(expected)) or list(values)
