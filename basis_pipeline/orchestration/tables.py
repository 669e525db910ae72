"""Tables for the UI: column schemas from pandera, and rows of a frame as metadata."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pandas as pd
import pandera.pandas as pa

from basis_pipeline.verdict import rows_of

SHOWN_ROWS = 20


def column_schema(schema: pa.DataFrameSchema) -> dg.TableSchema:
    """The columns of a pandera schema: type, unit, meaning and what every value must satisfy."""
    return dg.TableSchema(
        columns=[_column(str(name), column) for name, column in schema.columns.items()]
    )


def _column(name: str, column: Any) -> dg.TableColumn:
    unit = (column.metadata or {}).get("unit")
    said = [part for part in (column.description, f"[{unit}]" if unit else "") if part]
    return dg.TableColumn(
        name=name,
        type=str(column.dtype),
        description=" ".join(said) or None,
        constraints=dg.TableColumnConstraints(
            nullable=column.nullable,
            unique=column.unique,
            other=[str(check.error or check.name) for check in column.checks],
        ),
    )


def plain_schema(columns: dict[str, tuple[str, str]]) -> dg.TableSchema:
    """A schema from column → (type, description)."""
    return dg.TableSchema(
        columns=[dg.TableColumn(name, kind, said) for name, (kind, said) in columns.items()]
    )


def table(frame: pd.DataFrame, limit: int = SHOWN_ROWS) -> dg.TableMetadataValue:
    """The first rows of a frame as a table the UI can sort; times become ISO 8601 texts."""
    kinds = {str(name): str(kind) for name, kind in frame.dtypes.items()}
    return _table(rows_of(frame, limit), kinds)


def table_of(rows: Sequence[Mapping[str, Any]]) -> dg.TableMetadataValue:
    """Rows of JSON values as a table the UI can sort."""
    kinds = {
        name: next((type(row[name]).__name__ for row in rows if row[name] is not None), "str")
        for name in rows[0]
    }
    return _table(rows, kinds)


def _table(rows: Sequence[Mapping[str, Any]], kinds: Mapping[str, str]) -> dg.TableMetadataValue:
    columns = [dg.TableColumn(name, kind) for name, kind in kinds.items()]
    records = [dg.TableRecord(dict(row)) for row in rows]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))
