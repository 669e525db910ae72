"""Recorded runs: lists, summaries, verdicts and tables."""

import io
from pathlib import Path
from typing import Annotated, Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from fastapi import Query, Request, Response
from sqlalchemy import Row

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.migration import existing
from basis_pipeline.results.database.runs import run, runs
from basis_pipeline.results.store import SUMMARY, read_verdicts
from basis_pipeline.service.answers import answer
from basis_pipeline.service.context import Context, Shared
from basis_pipeline.service.forms import RunFilters, RunId, TableFilters, TableName
from basis_pipeline.service.routes import router

routes = router("runs")
CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"
TABLE: dict[int | str, dict[str, Any]] = {200: {"content": {CSV: {}, PARQUET: {}}}}
HIDDEN = ("path",)


@routes.get("/runs")
def list_runs(
    request: Request, context: Shared, filters: Annotated[RunFilters, Query()]
) -> Response:
    """List recorded runs with their headline figures, the latest first, a page at a time."""
    engine = existing(context.settings.results_db_url)
    found = runs(engine, **dict(filters))[::-1] if engine else []
    following = found[-1].number if len(found) == filters.limit else None
    return answer(request, {"runs": [_document(row) for row in found], "before": following})


@routes.get("/runs/{run_id}")
def show_run(request: Request, context: Shared, run_id: RunId) -> Response:
    """Show the summary of a run."""
    return answer(request, run_summary(context, run_id))


@routes.get("/runs/{run_id}/verdicts")
def show_verdicts(request: Request, context: Shared, run_id: RunId) -> Response:
    """Show the verdicts of the run's gates."""
    return answer(request, {"verdicts": run_verdicts(context, run_id)})


@routes.get("/runs/{run_id}/tables/{name}", responses=TABLE)
def show_table(
    request: Request,
    context: Shared,
    run_id: RunId,
    name: TableName,
    filters: Annotated[TableFilters, Query()],
) -> Response:
    """Return a table of the run, as JSON by column, as CSV or as Parquet."""
    return run_table(request, context, run_id, name, filters)


def run_summary(context: Context, run_id: str) -> dict[str, Any]:
    """Return the summary of a run. Raises ResultsError: RS-002, RS-006."""
    file = _directory(context, run_id) / SUMMARY
    try:
        summary: dict[str, Any] = orjson.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ResultsError("RS-006", f"the run {run_id} cannot be read: {error}") from error
    return summary


def run_verdicts(context: Context, run_id: str) -> list[dict[str, Any]]:
    """Return the verdicts of a run's gates. Raises ResultsError: RS-002, RS-006."""
    return [verdict.to_json() for verdict in read_verdicts(_directory(context, run_id))]


def run_table(
    request: Request, context: Context, run_id: str, name: str, filters: TableFilters
) -> Response:
    """Return the requested rows of a run's table. Raises ResultsError: RS-002, RS-006."""
    file = _directory(context, run_id) / f"{name}.parquet"
    is_whole = filters.model_fields_set <= {"format"}
    try:
        if filters.format == "parquet" and is_whole:
            return Response(file.read_bytes(), media_type=PARQUET)
        table = _rows(pq.read_table(file), filters)
    except FileNotFoundError:
        raise ResultsError("RS-002", f"the run {run_id} has no table {name}") from None
    except (OSError, pa.ArrowException) as error:
        raise ResultsError("RS-006", f"the table {name} cannot be read: {error}") from error
    written = io.BytesIO()
    if filters.format == "parquet":
        pq.write_table(table, written)
        return Response(written.getvalue(), media_type=PARQUET)
    if filters.format == "csv":
        pa_csv.write_csv(table, written)
        return Response(written.getvalue(), media_type=CSV)
    seconds = table["timestamp"].cast(pa.timestamp("s", tz="UTC"))
    texts = pc.strftime(seconds, "%Y-%m-%dT%H:%M:%SZ")
    table = table.set_column(table.column_names.index("timestamp"), "timestamp", texts)
    return answer(request, {"rows": table.num_rows, "columns": table.to_pydict()})


def _rows(table: pa.Table, filters: TableFilters) -> pa.Table:
    column = table["timestamp"]
    for bound, compare in ((filters.start, pc.greater_equal), (filters.end, pc.less_equal)):
        if bound is not None:
            at = pa.scalar(bound, pa.timestamp("us", tz="UTC"))
            mask = compare(column.cast(pa.timestamp("us", tz="UTC"), safe=False), at)
            table, column = table.filter(mask), column.filter(mask)
    return table.slice(filters.offset, filters.limit)


def _directory(context: Context, run_id: str) -> Path:
    engine = existing(context.settings.results_db_url)
    if engine is None:
        raise ResultsError("RS-002", f"the run {run_id} is not recorded: there are no runs")
    return Path(run(engine, run_id).path)


def _document(row: "Row[Any]") -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name not in HIDDEN}  # noqa: SLF001 - SQLAlchemy's public name
