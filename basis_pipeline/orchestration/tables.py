"""Tables for the UI: column schemas from pandera, and rows of a frame as metadata."""

from typing import Any

import dagster as dg
import pandas as pd
import pandera.pandas as pa

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
    """The first rows of a frame as a table the UI can sort; stamps become ISO 8601 texts."""
    shown = frame.head(limit)
    columns = [dg.TableColumn(str(name), str(kind)) for name, kind in frame.dtypes.items()]
    records = [
        dg.TableRecord({str(name): _cell(value) for name, value in row.items()})
        for row in shown.to_dict("records")
    ]
    return dg.MetadataValue.table(records, schema=dg.TableSchema(columns))


def _cell(value: Any) -> str | int | float | bool | None:
    if value is None or value is pd.NaT:
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return float(value) if value == value else None  # JSON has no NaN
    return str(value)
