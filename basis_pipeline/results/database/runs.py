"""Queries of the results database: the runs and their rows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Engine, Row, Table, select

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.connection import place, reading
from basis_pipeline.results.database.migration import existing
from basis_pipeline.results.database.tables import OF_A_RUN, RECORDED, RUNS
from basis_pipeline.results.store import SUMMARY, verify_run

SHOWN = 20
# A row of `RUNS`, its columns by attribute. Times are UTC; figures that are not defined are None.
RunRecord = Row[Any]


def runs(
    engine: Engine,
    *,
    mode: str | None = None,
    since: datetime | None = None,
    status: str | None = None,
    before: int | None = None,
    limit: int | None = None,
) -> list[RunRecord]:
    """Return runs in the order they were recorded; with a limit only the last ones.

    Parameters
    ----------
    since: recorded then or later. before: only those with a smaller number.

    Raises
    ------
    ResultsError: as `connection.reading`.
    """
    conditions = []
    if mode is not None:
        conditions.append(RUNS.c.mode == mode)
    if since is not None:
        conditions.append(RUNS.c.created_at >= since)
    if before is not None:
        conditions.append(RUNS.c.number < before)
    if status is not None:
        conditions.append(RUNS.c.status == status)
    return _select(engine, *conditions, limit=limit)


def run(engine: Engine, run_id: str) -> RunRecord:
    """Return one run, by its identity or a unique beginning of it.

    Raises
    ------
    ResultsError: RS-002 when no run matches, or more than one.
    """
    matching = _select(engine, RUNS.c.run_id.startswith(run_id, autoescape=True))
    exact = [record for record in matching if record.run_id == run_id] or matching
    if run_id and len(exact) == 1:
        return exact[0]
    known = exact or runs(engine, limit=SHOWN)
    raise ResultsError(
        "RS-002",
        f"{len(exact)} runs begin with {run_id}" if exact else f"the run {run_id} is not recorded",
        where=place(engine),
        available=", ".join(f"{record.run_id} ({record.mode})" for record in known[-SHOWN:]),
    )


def latest(engine: Engine, mode: str) -> RunRecord | None:
    """Return the run of a mode that was recorded last and still has its files."""
    return next(iter(runs(engine, mode=mode, status=RECORDED, limit=1)), None)


def directory_of(url: str, name: str) -> Path:
    """Return the directory of a run, with its files checked against the recorded hashes.

    Parameters
    ----------
    url: of the database.
    name: the directory of a run, else a mode, for its latest run, else a run's identity or a
        unique beginning of it.

    Raises
    ------
    ResultsError: RS-002 when there is no such run, RS-003 when a file is missing or differs; and as
        `connection.reading`.
    """
    if (Path(name) / SUMMARY).is_file():
        return Path(name)
    if (engine := existing(url)) is None:
        raise ResultsError("RS-002", f"there is no run {name!r}: none is recorded")
    record = latest(engine, name) or run(engine, name)
    verify(record)
    return Path(record.path)


def verify(record: RunRecord) -> None:
    """Check a run's files against the recorded hashes.

    Raises
    ------
    ResultsError: RS-002 when its directory is gone, RS-003 when a file differs.
    """
    verify_run(Path(record.path), record.summary_sha256)


def rows_of(engine: Engine, table: Table, run_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of runs in a table, in the order of its key."""
    key = list(table.primary_key.columns)
    query = select(table).where(table.c.run_id.in_(run_ids)).order_by(*key)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def document(engine: Engine, run_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return every row of a run by table."""
    return {table.name: rows_of(engine, table, [run_id]) for table in (RUNS, *OF_A_RUN)}


def prunable(
    records: Iterable[RunRecord], *, keep: int = 1, before: datetime | None = None
) -> list[RunRecord]:
    """List the runs beyond the newest `keep` of their mode, recorded before a time if given.

    Parameters
    ----------
    records: in the order they were recorded.
    keep: 1 or more: the latest run of a mode is always kept.
    """
    newer: Counter[str] = Counter()
    removable = []
    for record in reversed(list(records)):
        if newer[record.mode] >= max(keep, 1) and (before is None or record.created_at < before):
            removable.append(record)
        newer[record.mode] += 1
    return removable[::-1]


def _select(
    engine: Engine, *conditions: ColumnElement[bool], limit: int | None = None
) -> list[RunRecord]:
    query = select(RUNS).where(*conditions).order_by(RUNS.c.number.desc()).limit(limit)
    with reading(engine) as connection:
        return list(connection.execute(query))[::-1]
