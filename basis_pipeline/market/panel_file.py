"""Panels as Parquet files: one column per hourly series, the rest in the schema's metadata."""

import io
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from basis_pipeline.errors import BacktestError
from basis_pipeline.files import write_atomically
from basis_pipeline.market.panel import ARRAYS, Panel, axes, require_fit
from basis_pipeline.market.timeline import Floats

METADATA = b"panel"
REPAIRS = "repairs."


def panel_to_table(panel: Panel) -> pa.Table:
    """Return a panel as a table of columns `spot`, `perp_mark.bybit`, `cost_bps.spot.10000`, ….

    Values keep every bit; mode, venues, reward tokens and data hashes are the schema's metadata.
    """
    timestamps = pa.array(panel.timestamps).cast(pa.timestamp("ns", tz="UTC"))
    columns: dict[str, pa.Array] = {"timestamp": timestamps}
    for name in ARRAYS:
        names = _columns(name, panel.venues, panel.reward_tokens)
        flat: Floats = getattr(panel, name).reshape(len(panel.timestamps), len(names))
        columns |= {column: pa.array(flat[:, i].copy()) for i, column in enumerate(names)}
    columns["repaired"] = pa.array(panel.repaired)
    columns |= {REPAIRS + dataset: pa.array(flags) for dataset, flags in panel.repairs.items()}
    about = {
        "mode": panel.mode,
        "venues": panel.venues,
        "reward_tokens": panel.reward_tokens,
        "data_hashes": panel.data_hashes,
    }
    return pa.table(columns).replace_schema_metadata({METADATA: json.dumps(about)})


def panel_from_table(table: pa.Table) -> Panel:
    """Return the panel of a table from `panel_to_table`; BT-003 when it is not a valid panel."""
    if METADATA not in (table.schema.metadata or {}):
        raise BacktestError("BT-003", "the table is not a panel: its schema has no panel metadata")
    about = json.loads(table.schema.metadata[METADATA])
    venues, tokens = tuple(about["venues"]), tuple(about["reward_tokens"])
    arrays = {name: _array(table, name, venues, tokens) for name in ARRAYS}
    flagged = [name for name in table.column_names if name.startswith(REPAIRS)]
    panel = Panel(
        mode=about["mode"],
        venues=venues,
        reward_tokens=tokens,
        timestamps=_numpy(table, "timestamp").astype(np.int64),
        repaired=_numpy(table, "repaired"),
        repairs={name.removeprefix(REPAIRS): _numpy(table, name) for name in flagged},
        data_hashes=about["data_hashes"],
        **arrays,
    )
    require_fit(panel)
    return panel


def write_panel(panel: Panel, path: Path) -> None:
    """Write a panel as zstd Parquet, atomically."""
    sink = io.BytesIO()
    pq.write_table(panel_to_table(panel), sink, compression="zstd")
    write_atomically(path, sink.getvalue())


def read_panel(path: Path) -> Panel:
    """Read a panel written by `write_panel`; BT-003 when the file contains none."""
    return panel_from_table(pq.read_table(path))


def _columns(array: str, venues: tuple[str, ...], tokens: tuple[str, ...]) -> list[str]:
    """Names of an array's hourly series, in memory order."""
    return [".".join([array, *labels]) for labels in product(*axes(array, venues, tokens))]


def _array(table: pa.Table, name: str, venues: tuple[str, ...], tokens: tuple[str, ...]) -> Floats:
    columns = _columns(name, venues, tokens)
    absent = [column for column in columns if column not in table.column_names]
    if absent:
        raise BacktestError("BT-003", f"the table lacks the columns {', '.join(absent)}")
    flat = np.empty((table.num_rows, len(columns)))
    for i, column in enumerate(columns):
        flat[:, i] = _numpy(table, column)
    return flat.reshape(table.num_rows, *(len(axis) for axis in axes(name, venues, tokens)))


def _numpy(table: pa.Table, column: str) -> npt.NDArray[Any]:
    return np.asarray(table.column(column).to_numpy())
