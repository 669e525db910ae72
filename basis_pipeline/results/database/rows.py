"""What the database holds of a run: its rows, worked out once and carried as one entry.

trades             the trades and liquidations of the run's ledger
positions          quantity of each at the last mark, and the least and most held at any
daily_performance  a row a 00:00 UTC mark: equity and drawdown there; flow and components since the
                   mark before; the return between the two (SEMANTICS 11), none at the first

A figure that is not defined, or is infinite, is NULL.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from basis_pipeline.results import metrics
from basis_pipeline.results.database.queue import Entry
from basis_pipeline.results.database.tables import (
    DAILY_PERFORMANCE,
    POSITIONS,
    TRADES,
)
from basis_pipeline.results.store import SUMMARY, RunResult, summary_hash
from basis_pipeline.results.summary import floats, growth_of, stamps
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import Verdict

RUN, VERDICTS = "run", "verdicts"  # kinds of entries
OF_A_RUN = (TRADES, POSITIONS, DAILY_PERFORMANCE)
TRADED = ("trade", "liquidation")
_TRADE_FIGURES = ("quantity", "price", "notional", "fee", "gas")

_HEADLINES = (
    "final_equity",
    "total_return",
    "apy",
    "volatility",
    "sharpe",
    "max_drawdown",
    "min_health_factor",
    "min_margin_ratio",
    "rebalances",
    "liquidations",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Columns = Mapping[str, list[Any]]


def run_entry(result: RunResult, directory: Path) -> Entry:
    """The entry of a run whose files are in `directory`.

    Raises
    ------
    ResultsError: RS-002 when they are not.
    """
    identity, summary = result.identity, result.summary
    run = {
        "run_id": result.run_id,
        "mode": result.mode,
        "share_class": str(summary.get("share_class", "")),
        "config_hash": identity.config_hash,
        "data_hash": identity.data_hash,
        "start": identity.start.isoformat(),
        "end": identity.end.isoformat(),
        "engine_version": identity.engine_version,
        **{name: summary.get(name) for name in _HEADLINES},
        "capital": float(identity.capital),
        "summary_sha256": summary_hash(directory),
        "files": _hashes(directory),
        "path": str(directory.absolute()),
    }
    content = {"run": run, **_tables(result)}
    return Entry(RUN, result.run_id, orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))


def verdicts_entry(run_id: str, verdicts: Iterable[Verdict]) -> Entry:
    """The entry of the verdicts on a run; each replaces what was recorded of its gate before."""
    rows = [
        {
            "asset": verdict.asset,
            "check_name": verdict.check,
            "phase": verdict.phase,
            "severity": verdict.severity,
            "verdict": verdict.status.value,
            "message": verdict.message,
            "figures": orjson.dumps(
                {**verdict.evidence, "measured": verdict.measured, "limit": verdict.limit}
            ).decode(),
            "evaluated_at": verdict.evaluated_at,
            "pipeline_run": verdict.run_id,
        }
        for verdict in verdicts
    ]
    return Entry(VERDICTS, run_id, orjson.dumps(rows))


def _tables(result: RunResult) -> dict[str, Columns]:
    events = result.frames["events"]
    traded = events[events["kind"].isin(TRADED)]
    names = ("sequence", "kind", "venue", "instrument", *_TRADE_FIGURES, "reason")
    return {
        "trades": {
            **{name: traded[name].tolist() for name in names},
            "at": (stamps(traded) // 1000).tolist(),
        },
        "positions": _positions(result.frames["positions"]),
        "daily_performance": daily(result.frames, result.identity.capital),
    }


def _hashes(directory: Path) -> str:
    """Hash of every file as JSON, as the run's summary records them."""
    return orjson.dumps(orjson.loads((directory / SUMMARY).read_bytes())["files"]).decode()


def _positions(frame: pd.DataFrame) -> Columns:
    held = frame.drop(columns="timestamp")
    values = held.to_numpy(dtype=np.float64)
    return {
        "position": [str(name) for name in held.columns],
        "quantity": values[-1].tolist(),
        "lowest": values.min(axis=0).tolist(),
        "highest": values.max(axis=0).tolist(),
    }


def daily(frames: Mapping[str, pd.DataFrame], capital: float) -> Columns:
    """Daily performance by column; days as ISO dates. Hours after the last 00:00 are in no row."""
    equity, attribution = frames["equity"], frames["attribution"]
    times = stamps(equity)
    at = np.flatnonzero(times % metrics.NS_PER_DAY == 0)
    growth = growth_of(frames, capital)
    returns = np.full(at.size, np.nan)
    returns[1:] = metrics.daily_returns(times, growth)
    sums = {"flow": floats(equity, "flow")} | {
        name: floats(attribution, name) for name in COMPONENTS
    }
    return {
        "day": np.datetime_as_string(times[at].astype("datetime64[ns]"), unit="D").tolist(),
        "equity": floats(equity, "equity")[at].tolist(),
        "daily_return": returns.tolist(),
        "drawdown": floats(equity, "drawdown")[at].tolist(),
        **{name: _between(values, at).tolist() for name, values in sums.items()},
    }


def _between(values: metrics.Floats, at: "metrics.Stamps") -> metrics.Floats:
    """Sums over the marks after the one before, up to each of `at`."""
    if not at.size:
        return np.empty(0)
    starts = np.concatenate(([0], at[:-1] + 1))
    return np.add.reduceat(values[: at[-1] + 1], starts)


@lru_cache(maxsize=4096)
def _day(text: str) -> date:
    """Runs tell of the same days again and again."""
    return date.fromisoformat(text)


def table_columns(name: str, run_id: str, columns: Columns) -> Columns:
    """Columns of a table of an entry with the values its types take, and the run first."""
    read = dict(columns)
    if name == TRADES.name:
        read["at"] = [_EPOCH + timedelta(microseconds=at) for at in columns["at"]]
    elif name == DAILY_PERFORMANCE.name:
        read["day"] = list(map(_day, columns["day"]))
    rows = len(next(iter(read.values())))
    return {"run_id": [run_id] * rows, **read}
