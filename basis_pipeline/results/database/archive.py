"""The runs kept for good: their directories, the queue, and the database, held together.

A run's life: its directory is written (`results.store`), it is accepted by the queue, its rows are
written to the database and it leaves the queue. Whoever is killed on the way leaves something that
the next start finishes: `start` drains the queue and compares the directories with the rows.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Row, delete, exc, select, update

from basis_pipeline.errors import ResultsError
from basis_pipeline.files import locked
from basis_pipeline.results.database.connection import connect, reading, writing
from basis_pipeline.results.database.migration import migrate
from basis_pipeline.results.database.queue import DEPTH, WAIT_SECONDS, ResultQueue
from basis_pipeline.results.database.recording import RunRows, record, run_rows
from basis_pipeline.results.database.restoring import (
    BACKUPS,
    STAGED,
    finish_restore,
    remove_leftovers,
)
from basis_pipeline.results.database.tables import MISSING, RECORDED, RUNS
from basis_pipeline.results.store import (
    SUMMARY,
    RunResult,
    verdicts_hash,
    write_run,
    write_verdicts,
)
from basis_pipeline.verdict import Verdict

RUNS_DIRECTORY, QUEUE_DIRECTORY, LOCK_FILE = "runs", "waiting", "store.lock"
BATCH = 64  # runs a transaction
REJECTED = (exc.SQLAlchemyError, sqlite3.Error, KeyError, TypeError, ValueError)


@dataclass(slots=True)
class Reconciliation:
    """What a start did: runs drained from the queue, and by identity those that differed.

    added: directories without rows, now recorded · missing: rows whose directories are gone, marked
    so · unreadable: directories that are no sound run, or that the database does not take.
    """

    drained: int = 0
    added: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unreadable: list[ResultsError] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """One line for each thing that a person has to look at."""
        gone = [f"the files of run {run_id} are gone" for run_id in self.missing]
        return [*gone, *map(str, self.unreadable)]


class Archive:
    """The runs of one results directory and the database they are queried in.

    Making one opens nothing: results are accepted while the database is out of reach.

    Parameters
    ----------
    results_dir: holds the runs and the queue.
    url: of the database.
    depth, wait_seconds: of the queue; `wait_seconds` also how long another process that drains it
        is waited for.

    Raises
    ------
    ResultsError: RS-001 or RS-008 as `connect`.
    """

    def __init__(
        self,
        results_dir: Path,
        url: str,
        *,
        depth: int = DEPTH,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        self.directory = results_dir
        self.runs = results_dir / RUNS_DIRECTORY
        self.engine = connect(url, busy_seconds=wait_seconds)
        queue = results_dir / QUEUE_DIRECTORY
        self.queue = ResultQueue(queue, depth=depth, wait_seconds=wait_seconds)
        self._wait_seconds = wait_seconds

    def start(self) -> Reconciliation:
        """Finish what a killed process left: a restore, the queue, directories without rows.

        Raises
        ------
        ResultsError: RS-001, RS-005, RS-007, RS-008 or RS-012 when the database cannot be used;
            what waits goes on waiting.
        """
        with self.alone():
            finish_restore(self.engine, self.directory)
            found = Reconciliation(drained=self._drain())
            remove_leftovers(self.runs.glob(".*.pruned"))
            remove_leftovers(self.directory.glob(f"{STAGED}*"))
            remove_leftovers((self.directory / BACKUPS).glob(".results-*"))
            self._mark(found)
            now, unrecorded = datetime.now(UTC), self._unrecorded()
            for first in range(0, len(unrecorded), BATCH):
                names = [(path.name, now) for path in unrecorded[first : first + BATCH]]
                errors = self._record(names)
                found.added += [name for name, _ in names if name not in errors]
                found.unreadable += errors.values()
        return found

    def keep(
        self, result: RunResult, verdicts: Iterable[Verdict] | None = None
    ) -> ResultsError | None:
        """Write a run with its verdicts, accept it and record it; why it waits, None if recorded.

        Raises
        ------
        ResultsError: as `write_run` and `ResultQueue.accept`.
        """
        write_run(result, self.runs / result.run_id, verdicts)
        return self.record(result.run_id)

    def judge(self, run_id: str, verdicts: Iterable[Verdict]) -> ResultsError | None:
        """Write the verdicts of a stored run in place of those it had, and record them; as `keep`.

        Raises
        ------
        ResultsError: as `write_verdicts` and `ResultQueue.accept`.
        """
        write_verdicts(self.runs / run_id, verdicts)
        return self.record(run_id)

    def record(self, run_id: str) -> ResultsError | None:
        """Accept a stored run and write it to the database; why it waits, None if it is recorded.

        Raises
        ------
        ResultsError: as `ResultQueue.accept`: it was not accepted, and the next start finds it.
        """
        self.queue.accept([run_id])
        try:
            self.drain()
        except ResultsError as error:
            return error
        return None

    def drain(self) -> int:
        """Record everything that waits, in order; how many entries. Raises as `start`."""
        with self.alone():
            return self._drain()

    def forget(self, run_ids: Sequence[str]) -> None:
        """Remove runs, rows and files. Killed between the two it leaves the run as it was."""
        with self.alone():
            self._drain()
            with writing(self.engine, exclusive=RUNS.name) as connection:
                these = RUNS.c.run_id.in_(run_ids)
                paths = connection.execute(select(RUNS.c.path).where(these)).scalars()
                directories = [Path(path) for path in paths]
                connection.execute(delete(RUNS).where(these))
            for directory in directories:
                if directory.exists():
                    aside = directory.with_name(f".{directory.name}.pruned")
                    shutil.rmtree(aside, ignore_errors=True)
                    directory.rename(aside)
                    shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one who drains, repairs or removes.

        Raises
        ------
        ResultsError: RS-007 when another goes on for too long, RS-001 when the lock cannot be made.
        """
        lock = self.directory / LOCK_FILE
        with ExitStack() as held:
            try:
                held.enter_context(locked(lock, self._wait_seconds))
            except TimeoutError as error:
                what = "another process goes on writing to the results database"
                raise ResultsError("RS-007", what, where=str(lock)) from error
            except OSError as error:
                what = f"the results cannot be written: {error.strerror}"
                raise ResultsError("RS-001", what, where=str(lock)) from error
            yield

    def _drain(self) -> int:
        migrate(self.engine)
        count = 0
        while entries := self.queue.waiting()[:BATCH]:
            self._record([(entry.run_id, entry.accepted_at) for entry in entries])
            self.queue.remove(entries)
            count += len(entries)
        return count

    def _record(self, runs: Sequence[tuple[str, datetime]]) -> dict[str, ResultsError]:
        """Record runs in their order; by identity why some of them never can be."""
        rows, errors = {}, {}
        for run_id, accepted_at in runs:
            try:
                if run_id not in rows:
                    rows[run_id] = run_rows(self.runs / run_id, accepted_at)
            except ResultsError as error:
                errors[run_id] = error
        return errors | self._write(list(rows.values()))

    def _write(self, rows: Sequence[RunRows]) -> dict[str, ResultsError]:
        """Write runs in one transaction; what the database does not take is found one by one."""
        try:
            with writing(self.engine, exclusive=RUNS.name) as connection:
                record(connection, rows)
        except REJECTED as error:
            if len(rows) == 1:
                run = rows[0].run
                why = " ".join(str(error).split())[:500]
                what = f"the results database does not take run {run['run_id']}: {why}"
                return {run["run_id"]: ResultsError("RS-004", what, where=run["path"])}
            return {run_id: e for row in rows for run_id, e in self._write([row]).items()}
        return {}

    def _unrecorded(self) -> list[Path]:
        """Return the directories that no row describes."""
        query = select(RUNS.c.run_id, RUNS.c.path, RUNS.c.status, RUNS.c.verdicts_sha256)
        with reading(self.engine) as connection:
            known = {row.run_id: row for row in connection.execute(query)}
        return [
            path
            for path in (sorted(self.runs.iterdir()) if self.runs.is_dir() else ())
            if not path.name.startswith(".")
            and path.is_dir()
            and not (path.name in known and _describes(known[path.name], path))
        ]

    def _mark(self, found: Reconciliation) -> None:
        """Mark rows whose files are gone; those of another place are not ours to judge."""
        own = str(self.runs.absolute()) + os.sep
        query = select(RUNS.c.run_id, RUNS.c.path, RUNS.c.status).order_by(RUNS.c.number)
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        gone = [
            row for row in rows if row.path.startswith(own) and not Path(row.path, SUMMARY).exists()
        ]
        found.missing = [row.run_id for row in gone]
        newly = [row.run_id for row in gone if row.status != MISSING]
        if newly:
            with writing(self.engine, exclusive=RUNS.name) as connection:
                mark = update(RUNS).where(RUNS.c.run_id.in_(newly))
                connection.execute(mark.values(status=MISSING))


def _describes(row: Row[str, str, str, str | None], directory: Path) -> bool:
    """Whether a row is that of a directory, or of the same run in another place."""
    if row.path != str(directory.absolute()):
        return Path(row.path, SUMMARY).exists()
    return bool(row.status == RECORDED and row.verdicts_sha256 == verdicts_hash(directory))
