"""The index of runs: one SQLite file with what each run was, its headline figures and its place."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.store import SUMMARY, RunResult, read_run, summary_hash, verify_run
from basis_pipeline.settings import SQLITE


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A row of the index. Times are ISO 8601 in UTC; figures that are not defined are None."""

    run_id: str
    mode: str
    created_at: str
    config_hash: str
    data_hash: str
    start: str
    end: str
    capital: float
    engine_version: str
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
    path: str


COLUMNS = tuple(field.name for field in fields(RunRecord))
_HEADLINES = COLUMNS[COLUMNS.index("total_return") : COLUMNS.index("files")]
_TYPES = {"capital": "REAL", "rebalances": "INTEGER", "liquidations": "INTEGER"} | dict.fromkeys(
    _HEADLINES[:-2], "REAL"
)
_CREATE = "CREATE TABLE IF NOT EXISTS runs ({}, PRIMARY KEY (run_id)) WITHOUT ROWID".format(
    ", ".join(f'"{name}" {_TYPES.get(name, "TEXT")}' for name in COLUMNS)
)
_SELECT = "SELECT {} FROM runs".format(", ".join(f'"{name}"' for name in COLUMNS))


class RunIndex:
    """The runs a store holds. Many readers and writers may use one file at once (WAL).

    Parameters
    ----------
    location: a path, or an `sqlite:///` URL as in `BASIS_RESULTS_DB_URL`; made when absent.

    Raises
    ------
    ResultsError: RS-001 when the file cannot be opened or written, RS-005 when it is damaged.
    """

    def __init__(self, location: str | Path) -> None:
        self.path = Path(str(location).removeprefix(SQLITE)).absolute()
        with self._connection() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(_CREATE)

    def add(self, result: RunResult, directory: Path, created_at: datetime | None = None) -> bool:
        """Record a run written to `directory`; False when it is recorded already.

        A run recorded with another hash or place is corrected: the file system is the truth.
        """
        row = _record(result, directory.absolute(), created_at or datetime.now(UTC))
        values = [getattr(row, name) for name in COLUMNS]
        marks = ", ".join("?" * len(COLUMNS))
        renew = ", ".join(
            f'"{c}" = excluded."{c}"' for c in COLUMNS if c not in ("run_id", "created_at")
        )
        with self._connection() as connection:
            changed = connection.execute(
                f"INSERT INTO runs VALUES ({marks}) ON CONFLICT (run_id) DO UPDATE SET {renew} "
                "WHERE summary_sha256 <> excluded.summary_sha256 OR path <> excluded.path",
                values,
            ).rowcount
        return changed > 0

    def runs(self, mode: str | None = None) -> list[RunRecord]:
        """Every run, or those of one mode, oldest first."""
        condition, values = ("WHERE mode = ?", (mode,)) if mode is not None else ("", ())
        return self._select(f"{condition} ORDER BY created_at, run_id", values)

    def get(self, run_id: str) -> RunRecord:
        """One run by its identity.

        Raises
        ------
        ResultsError: RS-002 when it is not recorded.
        """
        if found := self._select("WHERE run_id = ?", (run_id,)):
            return found[0]
        known = ", ".join(f"{run.run_id} ({run.mode})" for run in self.runs()[-20:])
        raise ResultsError(
            "RS-002", f"the run {run_id} is not recorded", where=str(self.path), available=known
        )

    def latest(self, mode: str) -> RunRecord | None:
        """The run of a mode recorded last."""
        found = self._select("WHERE mode = ? ORDER BY created_at DESC, run_id LIMIT 1", (mode,))
        return found[0] if found else None

    def verify(self, run_id: str) -> None:
        """Check a run's files against the hashes recorded of them.

        Raises
        ------
        ResultsError: RS-002 when the run is not recorded or its directory is gone, RS-003 when a
            file differs.
        """
        run = self.get(run_id)
        verify_run(Path(run.path), run.summary_sha256)

    def load(self, run_id: str) -> RunResult:
        """Read a recorded run, verified.

        Raises
        ------
        ResultsError: as `verify`.
        """
        self.verify(run_id)
        return read_run(Path(self.get(run_id).path))

    def _select(self, rest: str, values: tuple[str, ...]) -> list[RunRecord]:
        with self._connection() as connection:
            return [RunRecord(*row) for row in connection.execute(f"{_SELECT} {rest}", values)]

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection for one transaction; another writer is waited for."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=30.0)) as connection, connection:
                yield connection
        except (sqlite3.Error, OSError) as error:
            code = "RS-005" if _is_damage(error) else "RS-001"
            what = f"the index of runs cannot be used: {error}"
            raise ResultsError(code, what, where=str(self.path)) from error


def _is_damage(error: Exception) -> bool:
    """Whether the file is no database, or one that is broken or has other columns."""
    told = getattr(error, "sqlite_errorcode", None)
    return told in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_ERROR)


def _record(result: RunResult, directory: Path, created_at: datetime) -> RunRecord:
    identity = result.identity.as_json()
    same = ("config_hash", "start", "end", "capital", "engine_version")
    summary_sha256 = summary_hash(directory)
    values: dict[str, Any] = {
        "run_id": result.run_id,
        "mode": result.mode,
        "created_at": created_at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "data_hash": result.identity.data_hash,
        "files": json.dumps(json.loads((directory / SUMMARY).read_bytes())["files"]),
        "summary_sha256": summary_sha256,
        "path": str(directory),
        **{name: identity[name] for name in same},
        **{name: result.summary.get(name) for name in _HEADLINES},
    }
    return RunRecord(**values)
