"""The result tables of a run: their columns, and Parquet with the same bytes for the same values.

equity       timestamp, equity, flow, drawdown
attribution  timestamp, the ten components of SEMANTICS 9, residual
positions    timestamp, one column a position, named by its key of SEMANTICS 2
risk         timestamp, the measures of SEMANTICS 10; those of a venue or an asset are named
             `margin_ratio:<venue>`, `basis_bp:<venue>`, `gross_exposure:<asset>`, `net_exposure:…`
events       timestamp, sequence, kind, venue, instrument, quantity, price, notional, fee, gas,
             amount, reason
benchmark    timestamp, one growth index a benchmark, 1.0 at the first mark; only where there is one

Timestamps are tz-aware UTC nanoseconds; amounts are in the numeraire, quantities in the unit of
their instrument.
"""

import io
import re
from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from basis_pipeline.errors import ResultsError

TIMESTAMP = pa.timestamp("ns", tz="UTC")

COMPONENTS = (
    "lending",
    "borrowing",
    "staking",
    "rewards",
    "funding",
    "spot_price",
    "perp_price",
    "execution_cost",
    "gas",
    "liquidation",
)
# Reported groups of SEMANTICS 9.
GROUPS = {
    "carry": ("lending", "borrowing", "staking", "rewards", "funding"),
    "basis": ("spot_price", "perp_price"),
    "costs": ("execution_cost", "gas", "liquidation"),
}

REQUIRED_TABLES = ("equity", "attribution", "positions", "risk", "events")
TABLES = (*REQUIRED_TABLES, "benchmark")

_FIXED = {
    "equity": ("equity", "flow", "drawdown"),
    "attribution": (*COMPONENTS, "residual"),
    "events": (
        "sequence",
        "kind",
        "venue",
        "instrument",
        "quantity",
        "price",
        "notional",
        "fee",
        "gas",
        "amount",
        "reason",
    ),
}
_RISK = (
    "ltv",
    "health_factor",
    "liquidation_distance",
    "min_margin_ratio",
    "net_delta",
    "net_delta_ratio",
    "gross_exposure",
    "net_exposure",
    "peg_deviation",
    "drawdown",
)
_RISK_BY_PART = re.compile(r"(margin_ratio|basis_bp):[a-z0-9_]+|(gross|net)_exposure:[A-Z0-9]+")
_POSITION = re.compile(r"[a-z0-9_]+:[A-Za-z]+:[A-Za-z0-9]+")
_TYPES = {"sequence": pa.int64()} | dict.fromkeys(
    ("kind", "venue", "instrument", "reason"), pa.string()
)


def schema(table: str, columns: Sequence[str]) -> pa.Schema:
    """Arrow schema of a table whose columns are `columns`, in that order.

    Raises
    ------
    ResultsError: RS-004 when the table is unknown or the columns are not those of the table.
    """
    if table not in TABLES:
        raise _misfit(f"there is no result table {table}; there are {', '.join(TABLES)}")
    if not columns or columns[0] != "timestamp" or len(set(columns)) != len(columns):
        raise _misfit(f"{table}: the first column is timestamp, and no name comes twice")
    values = tuple(columns[1:])
    if wrong := _misfits(table, values):
        raise _misfit(f"{table}: columns missing, foreign or out of order: {', '.join(wrong)}")
    types = {"timestamp": TIMESTAMP, **_TYPES}
    fields = [pa.field(name, types.get(name, pa.float64()), nullable=False) for name in columns]
    return pa.schema(fields)


def to_arrow(table: str, frame: pd.DataFrame) -> pa.Table:
    """Convert a result frame, values unchanged (NaN stays NaN), index and metadata dropped.

    Raises
    ------
    ResultsError: RS-004 when columns, types or the order of the stamps are not those of the table.
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
            if not all(isinstance(text, str) for text in column):
                raise _misfit(f"{table}: {field.name} holds something that is not text")
            arrays.append(pa.array(column.tolist(), field.type))
        else:
            kind = np.int64 if field.type == pa.int64() else np.float64
            arrays.append(pa.array(column.to_numpy(dtype=kind), field.type, from_pandas=False))
    return pa.Table.from_arrays(arrays, schema=target)


def encode(table: str, frame: pd.DataFrame) -> bytes:
    """Parquet file of a result frame, zstd-compressed; equal frames give equal bytes."""
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
    """Frame of a Parquet file that `encode` made."""
    # The files are small: threads and the dataset reader of `read_table` double the time.
    data = pq.ParquetFile(io.BytesIO(content)).read(use_threads=False)
    frame: pd.DataFrame = data.to_pandas(use_threads=False)
    return frame


def _misfit(what: str) -> ResultsError:
    return ResultsError("RS-004", what)


def _misfits(table: str, values: tuple[str, ...]) -> list[str]:
    if table in _FIXED:
        expected = _FIXED[table]
        return [] if values == expected else sorted(set(values) ^ set(expected)) or list(values)
    if table == "positions":
        return [name for name in values if not _POSITION.fullmatch(name)]
    if table == "risk":
        foreign = [v for v in values if v not in _RISK and not _RISK_BY_PART.fullmatch(v)]
        return foreign + [name for name in _RISK if name not in values]
    return []
