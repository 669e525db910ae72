"""Writing entries of the queue into the database, in their order, in one transaction.

Writing one again changes nothing: an entry may be written and its removal from the queue be lost.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from itertools import groupby
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Table, delete, func, insert, select, update
from sqlalchemy.dialects import sqlite

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.queue import Waiting
from basis_pipeline.results.database.rows import OF_A_RUN, RUN, Columns, table_columns
from basis_pipeline.results.database.tables import GATE_VERDICTS, RECORDED, RUNS

_PLACE = (RUNS.c.summary_sha256, RUNS.c.path, RUNS.c.status)
_TIMES = ("start", "end")


def record_entries(connection: Connection, entries: Sequence[Waiting]) -> None:
    """Write entries in their order.

    A run that is recorded already keeps its number and time; its row and tables are written anew
    where its files have changed or lie elsewhere: the file system is the truth.

    Raises
    ------
    ResultsError: RS-002 for verdicts on a run that is not recorded.
    """
    for kind, group in groupby(entries, key=lambda waiting: waiting.entry.kind):
        if kind == RUN:
            _record_runs(connection, list(group))
        else:
            for waiting in group:
                _record_verdicts(connection, waiting)


def _record_runs(connection: Connection, entries: Sequence[Waiting]) -> None:
    contents: dict[str, dict[str, Any]] = {}
    accepted: dict[str, datetime] = {}
    for waiting in entries:
        content = orjson.loads(waiting.entry.content)
        contents[waiting.entry.run_id] = content
        accepted.setdefault(waiting.entry.run_id, waiting.accepted_at)
    known = {
        row.run_id: row
        for row in connection.execute(
            select(RUNS.c.run_id, *_PLACE).where(RUNS.c.run_id.in_(contents))
        )
    }
    number = connection.scalar(select(func.max(RUNS.c.number))) or 0
    added: list[dict[str, Any]] = []
    for run_id, content in contents.items():
        run = {**content["run"], "status": RECORDED}
        run.update({name: datetime.fromisoformat(run[name]) for name in _TIMES})
        if run_id not in known:
            number += 1
            added.append({**run, "number": number, "created_at": accepted[run_id]})
        elif _differs(known[run_id], run):
            _renew(connection, run)
        else:
            content.clear()  # all of it is there
    if added:
        connection.execute(insert(RUNS), added)
    for table in OF_A_RUN:
        blocks = [
            table_columns(table.name, run_id, content[table.name])
            for run_id, content in contents.items()
            if content
        ]
        if blocks:
            _insert(connection, table, blocks)


def _insert(connection: Connection, table: Table, blocks: Sequence[Columns]) -> None:
    """Insert blocks of rows, given by column; all blocks have the same columns."""
    names = [column.name for column in table.columns if column.name in blocks[0]]
    if connection.dialect.name != "sqlite":
        rows = [
            dict(zip(names, row, strict=True))
            for block in blocks
            for row in zip(*(block[name] for name in names), strict=True)
        ]
        if rows:
            connection.execute(insert(table), rows)
        return  # the driver sends many rows at once
    # What Core does for each value of each row, done for each column: several times as fast.
    dialect, driver = connection.dialect, connection.connection.cursor()
    convert = {
        name: lru_cache(maxsize=None)(of_type)
        for name in names
        if (of_type := table.c[name].type.dialect_impl(dialect).bind_processor(dialect))
    }
    statement = _statement(table, tuple(names))
    for block in blocks:
        columns = [map(convert[n], block[n]) if n in convert else block[n] for n in names]
        driver.executemany(statement, list(zip(*columns, strict=True)))


@lru_cache
def _statement(table: Table, names: tuple[str, ...]) -> str:
    return str(insert(table).compile(dialect=sqlite.dialect(), column_keys=list(names)))


def _differs(known: Row[*tuple[Any, ...]], run: dict[str, Any]) -> bool:
    return any(getattr(known, column.name) != run[column.name] for column in _PLACE)


def _renew(connection: Connection, run: dict[str, Any]) -> None:
    connection.execute(update(RUNS).where(RUNS.c.run_id == run["run_id"]).values(**run))
    for table in OF_A_RUN:
        connection.execute(delete(table).where(table.c.run_id == run["run_id"]))


def _record_verdicts(connection: Connection, waiting: Waiting) -> None:
    run_id = waiting.entry.run_id
    if connection.scalar(select(RUNS.c.run_id).where(RUNS.c.run_id == run_id)) is None:
        raise ResultsError("RS-002", f"verdicts on the run {run_id}, which is not recorded")
    rows = orjson.loads(waiting.entry.content)
    gates = GATE_VERDICTS.c
    for row in rows:
        told = row["evaluated_at"]
        row["evaluated_at"] = datetime.fromisoformat(told) if told else None
        row["run_id"] = run_id
        connection.execute(
            delete(GATE_VERDICTS).where(
                gates.run_id == run_id,
                gates.asset == row["asset"],
                gates.check_name == row["check_name"],
            )
        )
    if rows:
        connection.execute(insert(GATE_VERDICTS), rows)
