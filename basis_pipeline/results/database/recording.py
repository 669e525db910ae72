"""The rows of a run in the database, computed from its directory.

trades             the trades and liquidations of the run's ledger
positions          quantity of each at the last hour, and the least and most held at any
daily_performance  a row per 00:00 UTC: its equity and drawdown; flow and components since the
                   previous 00:00; the return between the two (SEMANTICS 11), none in the first row
gate_verdicts      `verdicts.json`

A figure that is not defined or infinite is NULL. Recording a run again changes nothing.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sqlalchemy import Connection, Table, delete, func, insert, select, update

from basis_pipeline.results import metrics
from basis_pipeline.results.database.tables import (
    DAILY_PERFORMANCE,
    GATE_VERDICTS,
    HEADLINES,
    OF_A_RUN,
    POSITIONS,
    RECORDED,
    RUNS,
    TRADES,
)
from basis_pipeline.results.store import (
    RunResult,
    read_run,
    read_verdicts,
    summary_hash,
    verdicts_hash,
)
from basis_pipeline.results.summary import finite, floats, growth_of, stamps
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import Verdict

TRADED = ("trade", "liquidation")
Row = dict[str, Any]
# The rows of one run by table; that of `runs` is without its number.
RunRows = dict[Table, list[Row]]


def run_rows(directory: Path, accepted_at: datetime) -> RunRows:
    """Compute every row of a stored run.

    Raises
    ------
    ResultsError: RS-002, RS-003 or RS-006 when the directory does not hold a sound run.
    """
    result = read_run(directory)
    identity, summary = result.identity, result.summary
    run = {
        "run_id": result.run_id,
        "mode": result.mode,
        "share_class": str(summary.get("share_class", "")),
        "created_at": accepted_at,
        "status": RECORDED,
        "config_hash": identity.config_hash,
        "data_hash": identity.data_hash,
        "start": identity.start,
        "end": identity.end,
        "capital": float(identity.capital),
        "engine_version": identity.engine_version,
        **{name: summary.get(name) for name in HEADLINES},
        "summary_sha256": summary_hash(directory),
        "verdicts_sha256": verdicts_hash(directory),
        "path": str(directory.absolute()),
    }
    verdicts = {(v.asset, v.check): _verdict_row(v) for v in read_verdicts(directory)}
    return {
        RUNS: [run],
        TRADES: _trades(result.frames["events"]),
        POSITIONS: _positions(result.frames["positions"]),
        DAILY_PERFORMANCE: daily(result),
        GATE_VERDICTS: list(verdicts.values()),
    }


def record(connection: Connection, runs: Sequence[RunRows]) -> None:
    """Write runs in order.

    A run that is already recorded keeps its number and time; its other values and rows are
    replaced, since the files are the source of truth.
    """
    number = connection.scalar(select(func.max(RUNS.c.number))) or 0
    for tables in runs:
        run = tables[RUNS][0]
        run_id = run["run_id"]
        known = {name: value for name, value in run.items() if name != "created_at"}
        here = update(RUNS).where(RUNS.c.run_id == run_id).values(**known)
        if connection.execute(here).rowcount == 0:
            number += 1
            connection.execute(insert(RUNS).values(**run, number=number))
        for table in OF_A_RUN:
            connection.execute(delete(table).where(table.c.run_id == run_id))
            if rows := [{"run_id": run_id, **row} for row in tables[table]]:
                connection.execute(insert(table), rows)


def daily(result: RunResult) -> list[Row]:
    """Compute the daily performance of a run; hours after the last 00:00 are in no row."""
    equity, attribution = result.frames["equity"], result.frames["attribution"]
    times = stamps(equity)
    at = np.flatnonzero(times % metrics.NS_PER_DAY == 0)
    if not at.size:
        return []
    returns = np.full(at.size, np.nan)
    growth = growth_of(result.frames, result.identity.capital)
    ended = metrics.daily_returns(times, growth)
    # A run that begins at 00:00 has no return at that time.
    returns[at.size - ended.size :] = ended
    starts = np.concatenate(([0], at[:-1] + 1))  # the first hour after the 00:00 before
    sums = {"flow": floats(equity, "flow")}
    sums |= {name: floats(attribution, name) for name in COMPONENTS}
    days = times[at].astype("datetime64[ns]").astype("datetime64[D]")
    return _rows(
        {
            "day": days,
            "equity": floats(equity, "equity")[at],
            "daily_return": returns,
            "drawdown": floats(equity, "drawdown")[at],
            **{name: np.add.reduceat(of[: at[-1] + 1], starts) for name, of in sums.items()},
        }
    )


def _trades(events: pd.DataFrame) -> list[Row]:
    traded = events[events["kind"].isin(TRADED)]
    at = [datetime.fromtimestamp(time / 1e9, UTC) for time in stamps(traded).tolist()]
    names = [column.name for column in TRADES.columns if column.name in traded]
    columns = {"at": np.array(at, dtype=object)}
    return _rows(columns | {name: traded[name].to_numpy() for name in names})


def _positions(frame: pd.DataFrame) -> list[Row]:
    held = frame.drop(columns="timestamp")
    values = held.to_numpy(dtype=np.float64)
    figures = {"quantity": values[-1], "lowest": values.min(0), "highest": values.max(0)}
    return _rows({"position": held.columns.to_numpy(), **figures})


def _rows(columns: Mapping[str, NDArray[Any]]) -> list[Row]:
    """Return columns as rows, with None for what is not finite."""
    values = (finite(column.tolist()) for column in columns.values())
    return [dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


def _verdict_row(verdict: Verdict) -> Row:
    return {
        "asset": verdict.asset,
        "check_name": verdict.check,
        "phase": verdict.phase,
        "severity": verdict.severity,
        "status": verdict.status.value,
        "message": verdict.message,
        "measured": verdict.measured,
        "limit_value": verdict.limit,
        "unit": verdict.unit,
        "evidence": json.dumps(dict(verdict.evidence)),
        "evaluated_at": verdict.evaluated_at,
        "pipeline_run": verdict.run_id,
    }
