"""Queries of the results database: which runs there are, and what is known of each."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, Select, Table, select

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.connection import place, reading
from basis_pipeline.results.database.migration import existing
from basis_pipeline.results.database.tables import (
    DAILY_PERFORMANCE,
    GATE_VERDICTS,
    HEADLINES,
    POSITIONS,
    RECORDED,
    RUNS,
    TRADES,
)
from basis_pipeline.results.store import CONFIG, SUMMARY, RunResult, read_run, verify_run

SHOWN = 20
FACTS = ("mode", "share_class", "start", "end", "capital", "config_hash", "data_hash")
OF_A_RUN = (RUNS, DAILY_PERFORMANCE, TRADES, POSITIONS, GATE_VERDICTS)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A row of `runs`. Times are UTC; figures that are not defined are None."""

    run_id: str
    number: int
    mode: str
    share_class: str
    created_at: datetime
    status: str
    config_hash: str
    data_hash: str
    start: datetime
    end: datetime
    capital: float
    engine_version: str
    final_equity: float | None
    total_return: float | None
    apy: float | None
    volatility: float | None
    sharpe: float | None
    max_drawdown: float | None
    min_health_factor: float | None
    min_margin_ratio: float | None
    rebalances: int
    liquidations: int
    files: str  # hash of every file, as JSON
    summary_sha256: str
    verdicts_sha256: str | None  # None before it was judged
    path: str


_COLUMNS = tuple(RUNS.c[item.name] for item in fields(RunRecord))


def runs(
    engine: Engine,
    *,
    mode: str | None = None,
    since: datetime | None = None,
    status: str | None = None,
    limit: int | None = None,
) -> list[RunRecord]:
    """Recorded runs in the order they were recorded; with a limit only the last so many.

    Raises
    ------
    ResultsError: as `connection.reading`.
    """
    query = select(*_COLUMNS).order_by(RUNS.c.number.desc()).limit(limit)
    if mode is not None:
        query = query.where(RUNS.c.mode == mode)
    if since is not None:
        query = query.where(RUNS.c.created_at >= since)
    if status is not None:
        query = query.where(RUNS.c.status == status)
    return _records(engine, query)[::-1]


def run(engine: Engine, run_id: str) -> RunRecord:
    """One run, by its identity or the beginning of it that no other has.

    Raises
    ------
    ResultsError: RS-002 when no run, or more than one, is meant.
    """
    like = RUNS.c.run_id.startswith(run_id, autoescape=True)
    found = _records(engine, select(*_COLUMNS).where(like).order_by(RUNS.c.number))
    exact = [record for record in found if record.run_id == run_id] or found
    if run_id and len(exact) == 1:
        return exact[0]
    known = exact or runs(engine, limit=SHOWN)
    raise ResultsError(
        "RS-002",
        f"{run_id} is the beginning of {len(exact)} runs"
        if exact
        else f"the run {run_id} is not recorded",
        where=place(engine),
        available=", ".join(f"{record.run_id} ({record.mode})" for record in known[-SHOWN:]),
    )


def latest(engine: Engine, mode: str) -> RunRecord | None:
    """The run of a mode recorded last, of those whose files are there."""
    found = runs(engine, mode=mode, status=RECORDED, limit=1)
    return found[0] if found else None


def directory_of(url: str, name: str) -> Path:
    """Return the directory of a run, its files checked against the hashes that are recorded.

    Parameters
    ----------
    url: of the database.
    name: the directory of a run; else a mode, for its latest; else a run's identity, or the
        beginning of it that no other has.

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


def load(url: str, name: str) -> RunResult:
    """Read the run that `directory_of` finds. Raises as it, and as `read_run`."""
    return read_run(directory_of(url, name))


def verify(record: RunRecord) -> None:
    """Check a run's files against the hashes recorded of them.

    Raises
    ------
    ResultsError: RS-002 when its directory is gone, RS-003 when a file differs.
    """
    verify_run(Path(record.path), record.summary_sha256)


def rows_of(engine: Engine, table: Table, run_ids: Sequence[str]) -> list[dict[str, Any]]:
    """Rows that a table holds of some runs, in the order of its key."""
    key = list(table.primary_key.columns)
    query = select(table).where(table.c.run_id.in_(run_ids)).order_by(*key)
    with reading(engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def document(engine: Engine, run_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return every row of a run by table."""
    return {table.name: rows_of(engine, table, [run_id]) for table in OF_A_RUN}


def prunable(
    records: Iterable[RunRecord], *, keep: int = 1, before: datetime | None = None
) -> list[RunRecord]:
    """Return the runs beyond the newest `keep` of their mode, recorded before a time where given.

    Parameters
    ----------
    records: in the order they were recorded.
    keep: 1 or more: the latest run of a mode always stays.
    """
    newer: Counter[str] = Counter()
    found = []
    for record in reversed(list(records)):
        if newer[record.mode] >= max(keep, 1) and (before is None or record.created_at < before):
            found.append(record)
        newer[record.mode] += 1
    return found[::-1]


def compare(records: Sequence[RunRecord]) -> dict[str, dict[str, list[Any]]]:
    """Return the values of every run, in the order given, by name.

    `facts` and `figures` are those of the database; `settings` are the keys of the configuration,
    dotted, in which the runs differ: None where a run has none, or its files are gone.
    """
    configs = [_settings(record) for record in records]
    keys = sorted({key for config in configs for key in config})
    settings = {key: [config.get(key) for config in configs] for key in keys}
    return {
        "facts": {name: [getattr(record, name) for record in records] for name in FACTS},
        "figures": {name: [getattr(record, name) for record in records] for name in HEADLINES},
        "settings": {key: of for key, of in settings.items() if any(v != of[0] for v in of)},
    }


def _settings(record: RunRecord) -> dict[str, Any]:
    """Return a run's configuration by dotted key; a mapping without keys is a value."""
    try:
        pending = list(json.loads((Path(record.path) / CONFIG).read_bytes()).items())
    except (OSError, ValueError):
        return {}
    flat = {}
    while pending:
        key, value = pending.pop()
        if isinstance(value, dict) and value:
            pending += [(f"{key}.{name}", inner) for name, inner in value.items()]
        else:
            flat[key] = value
    return flat


def _records(engine: Engine, query: Select[Any]) -> list[RunRecord]:
    with reading(engine) as connection:
        return [RunRecord(**row) for row in connection.execute(query).mappings()]
