"""What the database holds of a run, as files for other tools."""

import io
import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from sqlalchemy import Engine

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.runs import rows_of
from basis_pipeline.results.database.tables import (
    DAILY_PERFORMANCE,
    GATE_VERDICTS,
    POSITIONS,
    RUNS,
    TRADES,
)

Form = Literal["csv", "parquet", "json"]
FORMS: tuple[Form, ...] = ("csv", "parquet", "json")
TABLES = (RUNS, DAILY_PERFORMANCE, TRADES, POSITIONS, GATE_VERDICTS)


def document(engine: Engine, run_id: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of a run by table; times and days are ISO 8601 text."""
    return {
        table.name: [
            {name: _plain(value) for name, value in row.items()}
            for row in rows_of(engine, table, [run_id])
        ]
        for table in TABLES
    }


def export(engine: Engine, run_id: str, out: Path, form: Form = "csv") -> list[Path]:
    """Write a run's tables as files `runs`, `daily_performance` and so on into a directory.

    Where `out` ends in .json it is one file with everything; in .csv or .parquet the days alone.

    Raises
    ------
    ResultsError: RS-001 when a file cannot be written; and as `connection.reading`.
    """
    one = out.suffix.removeprefix(".")
    if one == "json":
        return [_written(out, _json(document(engine, run_id)))]
    if one in ("csv", "parquet"):
        days = pd.DataFrame(rows_of(engine, DAILY_PERFORMANCE, [run_id]))
        return [_written(out, _ENCODED[one](days))]
    written = []
    for table in TABLES:
        rows = rows_of(engine, table, [run_id])
        frame = pd.DataFrame(rows, columns=[column.name for column in table.columns])
        content = _json(document(engine, run_id)[table.name]) if form == "json" else None
        written.append(_written(out / f"{table.name}.{form}", content or _ENCODED[form](frame)))
    return written


def _csv(frame: pd.DataFrame) -> bytes:
    return frame.to_csv(index=False).encode()


def _parquet(frame: pd.DataFrame) -> bytes:
    sink = io.BytesIO()
    frame.to_parquet(sink, index=False)
    return sink.getvalue()


_ENCODED: dict[str, Callable[[pd.DataFrame], bytes]] = {"csv": _csv, "parquet": _parquet}


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode()


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value


def _written(file: Path, content: bytes) -> Path:
    """Write beside the file, then rename: a reader finds all of it or the old one."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)
        return partial.replace(file)
    except OSError as error:
        what = f"the run cannot be exported: {error.strerror or error}"
        raise ResultsError("RS-001", what, where=str(error.filename or file)) from error
