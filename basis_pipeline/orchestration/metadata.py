"""Metadata for the UI: tables, column schemas, figures of a run, plots; and data versions."""

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd
import pandera.pandas as pa

from basis_pipeline.results.store import RunResult
from basis_pipeline.verdict import rows_of

SHOWN_ROWS = 20
HEADLINES = (
    "final_equity",
    "closed_equity",
    "total_return",
    "apy",
    "max_drawdown",
    "sharpe",
    "min_health_factor",
    "min_margin_ratio",
    "rebalances",
    "liquidations",
    "max_abs_residual",
)


def version_of(parts: Iterable[str]) -> dg.DataVersion:
    """Return the data version of a value that depends on `parts` alone."""
    return dg.DataVersion(hashlib.sha256("\n".join(parts).encode()).hexdigest())


def headlines(result: RunResult) -> dict[str, Any]:
    """Return the headline figures that are defined."""
    summary = result.summary
    return {name: summary[name] for name in HEADLINES if summary.get(name) is not None}


def equity_plot(result: RunResult) -> dg.MarkdownMetadataValue:
    """Return the equity curve as an image that the UI shows inline."""
    from basis_pipeline.reports.static_figures import equity_png  # matplotlib is slow to import

    text = base64.b64encode(equity_png(result)).decode("ascii")
    return dg.MetadataValue.md(f"![equity](data:image/png;base64,{text})")


def table(frame: pd.DataFrame, limit: int = SHOWN_ROWS) -> dg.TableMetadataValue:
    """Return the first rows of a frame as a sortable table; times become ISO 8601 texts."""
    kinds = {str(name): str(kind) for name, kind in frame.dtypes.items()}
    return _table(rows_of(frame, limit), kinds)


def table_of(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Return rows of JSON values as a sortable table."""
    kinds = {
        name: next((type(row[name]).__name__ for row in rows if row[name] is not None), "str")
        for name in rows[0]
    }
    return _table(rows, kinds)


def _table(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> dg.TableMetadataValue:
    columns = [dg.TableColumn(name, kind) for name, kind in kinds.items()]
    records = [dg.TableRecord(dict(row)) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def plain_schema(columns: Mapping[str, tuple[str, str]]) -> dg.TableSchema:
    """Return a schema from column → (type, description)."""
    return dg.TableSchema([dg.TableColumn(name, *column) for name, column in columns.items()])


def column_schema(schema: pa.DataFrameSchema) -> dg.TableSchema:
    """Return the columns of a pandera schema: type, meaning, unit and constraints."""
    return dg.TableSchema([_column(str(name), column) for name, column in schema.columns.items()])


def _column(name: str, column: Any) -> dg.TableColumn:
    unit = (column.metadata or {}).get("unit")
    parts = [part for part in (column.description, f"[{unit}]" if unit else "") if part]
    others = [str(check.error or check.name) for check in column.checks]
    constraints = dg.TableColumnConstraints(column.nullable, column.unique, others)
    return dg.TableColumn(name, str(column.dtype), " ".join(parts) or None, constraints)
