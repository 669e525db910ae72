"""Runs a second from their tables to files and rows in SQLite."""

import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from basis_pipeline.engine import FIGURES
from basis_pipeline.results.database.archive import BATCH, Archive
from basis_pipeline.results.store import RunIdentity, RunResult, write_run
from basis_pipeline.results.summary import summarise
from basis_pipeline.results.tables import COMPONENTS

RUNS_A_REPEAT, REPEATS = 128, 3
LENGTHS = (30, 90, 365)  # days
CAPITAL = 100_000.0
START = datetime(2024, 1, 1, tzinfo=UTC)
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


def stored(made: RunResult, place: Path) -> tuple[float, float]:
    """Seconds to write and accept copies of a run, and to record them in a new database."""
    archive = Archive(place, f"sqlite:///{place}/runs.sqlite", depth=RUNS_A_REPEAT)
    archive.start()
    start = time.perf_counter()
    for number in range(RUNS_A_REPEAT):
        copy = replace(made, identity=replace(made.identity, capital=CAPITAL + number))
        write_run(copy, archive.runs / copy.run_id)
        archive.accept([copy.run_id])
    accepted = time.perf_counter()
    archive.drain()
    return accepted - start, time.perf_counter() - accepted


def main() -> None:
    """Print runs a second by length of a run."""
    print(f"{RUNS_A_REPEAT} runs, {BATCH} a transaction, all synced")
    for days in LENGTHS:
        best = (float("inf"), float("inf"))
        with tempfile.TemporaryDirectory() as scratch:
            made = made_run(days)
            for repeat in range(REPEATS):
                best = min(best, stored(made, Path(scratch) / str(repeat)), key=sum)
        writing, recording = (RUNS_A_REPEAT / seconds for seconds in best)
        both = RUNS_A_REPEAT / sum(best)
        print(
            f"runs of {days:3} days: {both:6,.0f} runs/s from result to row "
            f"(files {writing:,.0f}/s, rows {recording:,.0f}/s)"
        )
