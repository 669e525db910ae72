"""Runs a second into SQLite with their daily rows, beside `executemany` of the same rows alone."""

import sqlite3
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import orjson
import pandas as pd

from basis_pipeline.engine import FIGURES
from basis_pipeline.results.database.archive import BATCH, Archive
from basis_pipeline.results.database.connection import reading
from basis_pipeline.results.database.queue import Entry
from basis_pipeline.results.database.rows import RUN, run_entry
from basis_pipeline.results.database.tables import DAILY_PERFORMANCE, POSITIONS, RUNS, TRADES
from basis_pipeline.results.store import RunIdentity, RunResult, write_run
from basis_pipeline.results.summary import summarise
from basis_pipeline.results.tables import COMPONENTS

TARGET, RUNS_A_REPEAT, REPEATS = 500, 512, 3
LENGTHS = (30, 90, 365)  # days
CAPITAL = 100_000.0
START = datetime(2024, 1, 1, tzinfo=UTC)
TABLES = (RUNS, TRADES, POSITIONS, DAILY_PERFORMANCE)
RISK = (
    "ltv",
    "health_factor",
    "liquidation_distance",
    "min_margin_ratio",
    "net_delta",
    "net_delta_ratio",
    "gross_exposure",
    "net_exposure",
    "peg_deviation",
    "drawdown",
)


def made_run(days: int) -> RunResult:
    """A run in which everything moves: every component of every day is another number."""
    chance, hours = np.random.default_rng(days), 24 * days + 1
    stamps = pd.date_range(START, periods=hours, freq="h", unit="ns")
    parts = {name: chance.normal(0.0, 1.0, hours) for name in COMPONENTS}
    equity = CAPITAL + np.cumsum(sum(parts.values()))
    still = np.zeros(hours)
    held = {f"{v}:Perp:ETHUSDT": chance.normal(size=hours) for v in ("binance", "bybit", "okx")}
    traded = stamps[:: 24 * 7]
    ledger = {
        "timestamp": traded,
        "sequence": np.arange(traded.size),
        **{n: [v] * traded.size for n, v in (("kind", "trade"), ("venue", "bybit"))},
        "instrument": ["ETHUSDT"] * traded.size,
        **{n: chance.normal(size=traded.size) for n in ("quantity", "price", "notional", "fee")},
        **{n: np.zeros(traded.size) for n in ("gas", "amount")},
        "reason": ["delta"] * traded.size,
    }
    curve = {"timestamp": stamps, "equity": equity, "flow": still, "drawdown": still}
    frames = {
        "equity": pd.DataFrame(curve),
        "attribution": pd.DataFrame({"timestamp": stamps, **parts, "residual": still}),
        "positions": pd.DataFrame({"timestamp": stamps, **held}),
        "risk": pd.DataFrame({"timestamp": stamps, **dict.fromkeys(RISK, still)}),
        "events": pd.DataFrame(ledger),
    }
    bounds = {"start": START, "end": START + timedelta(days=days)}
    identity = RunIdentity(
        "c" * 64, {"data": "d" * 64}, **bounds, capital=CAPITAL, engine_version="1"
    )
    return RunResult(
        identity, "eth_basis", {}, summarise(dict.fromkeys(FIGURES, 1.0), frames, CAPITAL), frames
    )


def entries(made: RunResult, scratch: Path) -> list[Entry]:
    """Entries of many runs with the figures of one."""
    content = orjson.loads(run_entry(made, write_run(made, scratch / "run")).content)
    found = []
    for number in range(RUNS_A_REPEAT):
        name = replace(made.identity, capital=CAPITAL + number).run_id
        content["run"]["run_id"] = name
        found.append(Entry(RUN, name, orjson.dumps(content)))
    return found


def stored(offered: list[Entry], place: Path) -> tuple[float, float]:
    """Seconds to accept all entries, and to write them to a new database."""
    archive = Archive(place, f"sqlite:///{place}/runs.sqlite", depth=RUNS_A_REPEAT)
    archive.start()
    start = time.perf_counter()
    for first in range(0, len(offered), BATCH):
        archive.queue.accept(offered[first : first + BATCH])
    accepted = time.perf_counter()
    archive.drain()
    return accepted - start, time.perf_counter() - accepted


def plain(place: Path) -> float:
    """Seconds to insert the rows of a filled database into tables like its own, and no more."""
    archive = Archive(place, f"sqlite:///{place}/runs.sqlite")
    with reading(archive.engine) as connection:
        ordered = " JOIN runs USING (run_id) ORDER BY runs.number"  # as they were recorded
        rows = {
            name: [
                tuple(row)
                for row in connection.exec_driver_sql(
                    f"SELECT {name}.* FROM {name}{ordered if name != RUNS.name else ''}"
                )
            ]
            for name in (table.name for table in TABLES)
        }
        made = [row[0] for row in connection.exec_driver_sql("SELECT sql FROM sqlite_master")]
    with closing(sqlite3.connect(place / "plain.sqlite", isolation_level=None)) as database:
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            database.execute(f"PRAGMA {pragma}")
        for statement in filter(None, made):
            database.execute(statement)
        start = time.perf_counter()
        for first in range(0, RUNS_A_REPEAT, BATCH):
            database.execute("BEGIN")
            for name, held in rows.items():
                share = len(held) // RUNS_A_REPEAT  # every run has as many
                part = held[first * share : (first + BATCH) * share]
                marks = ", ".join("?" * len(part[0]))
                database.executemany(f"INSERT INTO {name} VALUES ({marks})", part)
            database.execute("COMMIT")
        return time.perf_counter() - start


def main() -> None:
    """Print runs a second by length of a run, and the ratio to the plain insertion."""
    print(f"target: {TARGET} runs/s; {RUNS_A_REPEAT} runs, {BATCH} a transaction, all synced")
    for days in LENGTHS:
        best = (float("inf"), float("inf"))
        beside = float("inf")
        with tempfile.TemporaryDirectory() as scratch:
            offered = entries(made_run(days), Path(scratch))
            for repeat in range(REPEATS):
                place = Path(scratch) / str(repeat)
                best = min(best, stored(offered, place), key=sum)
                beside = min(beside, plain(place))
        accepting, draining = (RUNS_A_REPEAT / seconds for seconds in best)
        both, alone = RUNS_A_REPEAT / sum(best), RUNS_A_REPEAT / beside
        print(
            f"runs of {days:3} days: {both:6,.0f} runs/s from offer to row "
            f"(accepted {accepting:,.0f}/s, written {draining:,.0f}/s); "
            f"plain executemany {alone:,.0f}/s: writing takes {alone / draining:.1f}x its time"
        )
