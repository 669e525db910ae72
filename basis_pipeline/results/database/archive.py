"""The runs kept for good: their files, the queue, and the database, held together.

A run's life: its files are written (`results.store`), an entry with its rows is accepted by the
queue, the entry is written to the database and forgotten. Whoever is killed on the way leaves
something that the next start finishes: `start` drains the queue and holds files against rows.
"""

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import delete, exc, select, update

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.connection import connect, kept_open, reading, writing
from basis_pipeline.results.database.migration import migrate
from basis_pipeline.results.database.queue import (
    DEPTH,
    POLL_SECONDS,
    WAIT_SECONDS,
    ResultQueue,
    Waiting,
)
from basis_pipeline.results.database.recording import record_entries
from basis_pipeline.results.database.rows import run_entry, verdicts_entry
from basis_pipeline.results.database.tables import MISSING, RECORDED, RUNS
from basis_pipeline.results.store import SUMMARY, RunResult, read_run
from basis_pipeline.verdict import Verdict

RUNS_DIRECTORY, QUEUE_FILE, LOCK_FILE = "runs", "queue.sqlite", "queue.lock"
BATCH = 64  # entries a transaction
REFUSED = (exc.SQLAlchemyError, sqlite3.Error, KeyError, TypeError, ValueError)


@dataclass(slots=True)
class Reconciliation:
    """What a start found: entries drained, runs by identity, and what keeps some from the database.

    added: files without rows, now recorded · missing: rows whose files are gone, marked so ·
    set_aside: entries the database does not take · unreadable: directories that are no sound run.
    """

    drained: int = 0
    added: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    set_aside: dict[str, str] = field(default_factory=dict)
    unreadable: list[ResultsError] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """One line for each thing that a person has to look at."""
        return [
            *(f"the files of run {run_id} are gone" for run_id in self.missing),
            *(f"run {run_id} was set aside: {why}" for run_id, why in self.set_aside.items()),
            *map(str, self.unreadable),
        ]


class Archive:
    """The runs of one results directory and the database they are queried in.

    Making one opens nothing: results are accepted while the database is out of reach.

    Parameters
    ----------
    results_dir: holds `runs/`, and the queue.
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
        self.runs = results_dir / RUNS_DIRECTORY
        self.engine = connect(url, busy_seconds=wait_seconds)
        self.queue = ResultQueue(results_dir / QUEUE_FILE, depth=depth, wait_seconds=wait_seconds)
        self._lock = results_dir / LOCK_FILE
        self._wait_seconds = wait_seconds

    def start(self) -> Reconciliation:
        """Drain what is left, then hold result files against rows and mend what differs.

        Raises
        ------
        ResultsError: RS-001, RS-005, RS-007, RS-008 or RS-012 when the database cannot be used;
            what waits goes on waiting.
        """
        with self.alone():
            done = Reconciliation(drained=self._drain())
            self._sweep()
            self._mark(done)
            for directory in self._unrecorded():
                try:
                    entry = run_entry(read_run(directory), directory)
                except ResultsError as error:
                    done.unreadable.append(error)
                    continue
                self.queue.accept([entry])
                self._drain()
                done.added.append(entry.run_id)
            done.set_aside = self.queue.set_aside_entries()
        return done

    def accept(self, results: Sequence[tuple[RunResult, Path]]) -> list[int]:
        """Accept runs whose files are in place; durable when this returns. Raises as the queue."""
        return self.queue.accept([run_entry(result, path) for result, path in results])

    def record(self, result: RunResult, directory: Path) -> ResultsError | None:
        """Accept a run and write it to the database; why it waits, or None when it is written.

        Raises
        ------
        ResultsError: as `ResultQueue.accept`: it was not accepted. Its files are found by `start`.
        """
        self.accept([(result, directory)])
        return self._drained()

    def record_verdicts(self, run_id: str, verdicts: Iterable[Verdict]) -> ResultsError | None:
        """Accept the verdicts on a run and write them; as `record`."""
        self.queue.accept([verdicts_entry(run_id, verdicts)])
        return self._drained()

    def drain(self) -> int:
        """Write everything that waits, in order; how many entries. Raises as `start`."""
        with self.alone():
            return self._drain()

    def forget(self, run_ids: Sequence[str]) -> None:
        """Remove runs, rows and files. Killed between the two it leaves the run as it was."""
        with self.alone():
            self._drain()
            with writing(self.engine, exclusive=RUNS.name) as connection:
                places = connection.execute(
                    select(RUNS.c.path).where(RUNS.c.run_id.in_(run_ids))
                ).scalars()
                directories = [Path(path) for path in places]
                connection.execute(delete(RUNS).where(RUNS.c.run_id.in_(run_ids)))
            for directory in directories:
                if directory.exists():
                    aside = directory.with_name(f".{directory.name}.pruned")
                    shutil.rmtree(aside, ignore_errors=True)
                    directory.rename(aside)
                    shutil.rmtree(aside, ignore_errors=True)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """The only one who drains, mends or removes; a killed holder holds nothing.

        Raises
        ------
        ResultsError: RS-007 when another goes on for too long, RS-001 when the lock cannot be made.
        """
        deadline = time.monotonic() + self._wait_seconds
        try:
            self._lock.parent.mkdir(parents=True, exist_ok=True)
            lock = self._lock.open("a")
        except OSError as error:
            what = f"the results cannot be written: {error.strerror}"
            raise ResultsError("RS-001", what, where=str(self._lock)) from error
        with lock:
            while not _locked(lock.fileno()):
                if time.monotonic() >= deadline:
                    what = "another process goes on writing to the results database"
                    raise ResultsError("RS-007", what, where=str(self._lock))
                time.sleep(POLL_SECONDS)
            yield

    def _drained(self) -> ResultsError | None:
        try:
            self.drain()
        except ResultsError as error:
            return error
        return None

    def _drain(self) -> int:
        migrate(self.engine)
        count = 0
        with self.queue.kept_open(), kept_open(self.engine):
            while entries := self.queue.head(BATCH):
                self._write(entries)
                count += len(entries)
        return count

    def _write(self, entries: Sequence[Waiting]) -> None:
        """One transaction; what the database refuses for good is looked for one by one."""
        try:
            with writing(self.engine, exclusive=RUNS.name) as connection:
                record_entries(connection, entries)
        except (*REFUSED, ResultsError) as error:
            if isinstance(error, ResultsError) and error.code != "RS-002":
                raise
            if len(entries) == 1:
                self.queue.set_aside(entries[0].sequence, " ".join(str(error).split())[:500])
                return
            for entry in entries:
                self._write([entry])
            return
        self.queue.remove([waiting.sequence for waiting in entries])

    def _directories(self) -> list[Path]:
        found = self.runs.iterdir() if self.runs.is_dir() else iter(())
        return sorted(path for path in found if not path.name.startswith(".") and path.is_dir())

    def _unrecorded(self) -> list[Path]:
        """Directories that no row tells of, and none that waits."""
        with reading(self.engine) as connection:
            told = {
                row.run_id: row
                for row in connection.execute(select(RUNS.c.run_id, RUNS.c.path, RUNS.c.status))
            }
        found = []
        for directory in self._directories():
            row = told.get(directory.name)
            same = row is not None and row.path == str(directory.absolute())
            elsewhere = row is not None and not same and Path(row.path, SUMMARY).exists()
            if not elsewhere and not (same and row is not None and row.status == RECORDED):
                found.append(directory)
        return found

    def _mark(self, done: Reconciliation) -> None:
        """Mark rows whose files are gone; those of another place are not ours to judge."""
        own = str(self.runs.absolute()) + os.sep
        with reading(self.engine) as connection:
            rows = connection.execute(
                select(RUNS.c.run_id, RUNS.c.path, RUNS.c.status).order_by(RUNS.c.number)
            ).all()
        gone = [
            row for row in rows if row.path.startswith(own) and not Path(row.path, SUMMARY).exists()
        ]
        done.missing = [row.run_id for row in gone]
        newly = [row.run_id for row in gone if row.status != MISSING]
        if newly:
            with writing(self.engine, exclusive=RUNS.name) as connection:
                connection.execute(
                    update(RUNS).where(RUNS.c.run_id.in_(newly)).values(status=MISSING)
                )

    def _sweep(self) -> None:
        if self.runs.is_dir():
            for left in self.runs.glob(".*.pruned"):
                shutil.rmtree(left, ignore_errors=True)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
