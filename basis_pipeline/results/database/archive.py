"""The archive of runs: their directories, the queue and the database, kept consistent.

A run's directory is written (`results.store`), the queue accepts the run, its rows are written to
the database, and it leaves the queue. If the process is killed, the next start finishes the work:
`start` drains the queue and compares the directories with the rows.

The queue is a directory with an empty file per run, `<acceptance number>-<run_id>`, which can be
counted while the database cannot be reached. Rows are computed from the run's own directory, so
that the queue cannot differ from it.
"""

import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import delete, exc, select, update
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

from basis_pipeline.errors import ResultsError
from basis_pipeline.files import locked, sync_directory
from basis_pipeline.results.database.backup import finish_restore, remove_leftovers
from basis_pipeline.results.database.connection import connect, reading, writing
from basis_pipeline.results.database.migration import migrate
from basis_pipeline.results.database.recording import RunRows, record, run_rows
from basis_pipeline.results.database.tables import MISSING, RECORDED, RUNS
from basis_pipeline.results.origin import Origin, write_origin
from basis_pipeline.results.store import (
    SUMMARY,
    RunResult,
    verdicts_hash,
    write_run,
    write_verdicts,
)
from basis_pipeline.verdict import Verdict

RUNS_DIRECTORY, QUEUE_DIRECTORY, LOCK_FILE = "runs", "waiting", "store.lock"
DEPTH = 1000  # most runs in the queue
WAIT_SECONDS = 30.0
QUEUE_LOCK_SECONDS = 60.0  # it is held for a moment at a time
BATCH = 64  # runs per transaction
REJECTED = (exc.SQLAlchemyError, sqlite3.Error, KeyError, TypeError, ValueError)


class Waiting(NamedTuple):
    """A run in the queue. Its number is the time of acceptance, in nanoseconds, and grows."""

    number: int
    run_id: str

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.number:020}-{self.run_id}"


@dataclass(slots=True)
class Reconciliation:
    """What a start did: the number of runs drained from the queue, and the runs that differed.

    added: directories without rows, now recorded · missing: rows whose directories are gone, now
    marked · unreadable: damaged directories, and those that the database rejects.
    """

    drained: int = 0
    added: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unreadable: list[ResultsError] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """One line for each problem that needs review."""
        gone = [f"the files of run {run_id} are gone" for run_id in self.missing]
        return [*gone, *map(str, self.unreadable)]


class Archive:
    """The runs of one results directory and the database they are queried in.

    The constructor opens nothing: results are accepted while the database cannot be reached.

    Parameters
    ----------
    results_dir: holds the runs and the queue.
    url: of the database.
    depth: most runs in the queue.
    wait_seconds: how long to wait for a full queue, or for another process that drains it or
        writes to the database.

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
        self.queue = results_dir / QUEUE_DIRECTORY
        self.engine = connect(url, busy_seconds=wait_seconds)
        self.depth, self.wait_seconds = depth, wait_seconds

    def start(self) -> Reconciliation:
        """Finish the work of a killed process: a restore, the queue, directories without rows.

        Raises
        ------
        ResultsError: RS-001, RS-005, RS-007, RS-008 or RS-012 when the database cannot be used;
            the queue is unchanged.
        """
        with self.lock():
            finish_restore(self.engine, self.directory)
            remove_leftovers(self.directory)
            done = Reconciliation(drained=self._drain())
            unrecorded, now = self._compare(done), time.time_ns()
            for first in range(0, len(unrecorded), BATCH):
                batch = [Waiting(now, name) for name in unrecorded[first : first + BATCH]]
                errors = self._record(batch)
                done.added += [entry.run_id for entry in batch if entry.run_id not in errors]
                done.unreadable += errors.values()
        return done

    def keep(
        self,
        result: RunResult,
        verdicts: Iterable[Verdict] | None = None,
        origin: Origin | None = None,
    ) -> ResultsError | None:
        """Write a run with its verdicts, accept and record it; returns as `record`.

        Raises
        ------
        ResultsError: as `write_run` and `accept`.
        """
        directory = write_run(result, self.runs / result.run_id, verdicts)
        if origin is not None:
            write_origin(directory, origin)
        return self.record(result.run_id)

    def judge(self, run_id: str, verdicts: Iterable[Verdict]) -> ResultsError | None:
        """Replace the verdicts of a stored run, and record them; returns as `record`.

        Raises
        ------
        ResultsError: as `write_verdicts` and `accept`.
        """
        write_verdicts(self.runs / run_id, verdicts)
        return self.record(run_id)

    def record(self, run_id: str) -> ResultsError | None:
        """Accept a stored run and record it; return why it waits, None if it is recorded.

        Raises
        ------
        ResultsError: as `accept`; the run was not accepted, and the next start records it.
        """
        self.accept([run_id])
        try:
            self.drain()
        except ResultsError as error:
            return error
        return None

    def accept(self, run_ids: Sequence[str]) -> list[Waiting]:
        """Accept stored runs in the order given, all or none; they are on the disk on return.

        Any number of threads and processes may do so at once; all share one order.

        Raises
        ------
        ResultsError: RS-009 when the queue stays full, RS-001 when the disk is full, RS-007 when
            another process holds the lock for too long.
        """
        retrying = Retrying(
            retry=retry_if_exception(lambda e: isinstance(e, ResultsError) and e.code == "RS-009"),
            wait=wait_random_exponential(0.05, max=2.0),
            stop=stop_after_delay(self.wait_seconds),
            reraise=True,
        )
        return retrying(self._accept, run_ids)

    def waiting(self) -> list[Waiting]:
        """Return the runs in the queue, in the order of acceptance. A run may be there twice."""
        return queued(self.directory)

    def drain(self) -> int:
        """Record every run in the queue, in order; return how many. Raises as `start`."""
        with self.lock():
            return self._drain()

    def remove(self, run_ids: Sequence[str]) -> None:
        """Remove rows, then files of this archive; those of an archive it was copied from stay.

        If killed in between, the next start records them again.
        """
        with self.lock():
            self._drain()
            with writing(self.engine, exclusive=RUNS.name) as connection:
                connection.execute(delete(RUNS).where(RUNS.c.run_id.in_(run_ids)))
            for directory in map(self.runs.joinpath, run_ids):
                if directory.exists():
                    aside = directory.with_name(f".{directory.name}.pruned")
                    shutil.rmtree(aside, ignore_errors=True)
                    directory.rename(aside)
                    shutil.rmtree(aside, ignore_errors=True)

    def lock(self) -> AbstractContextManager[None]:
        """Hold the lock for draining, restoring and removing, in a `with` statement.

        Raises
        ------
        ResultsError: RS-007 when another process holds it for too long, RS-001 when files cannot be
            written.
        """
        return _locked(self.directory / LOCK_FILE, self.wait_seconds)

    def _accept(self, run_ids: Sequence[str]) -> list[Waiting]:
        self._require_room(len(run_ids))
        with _locked(self.queue / ".lock", QUEUE_LOCK_SECONDS):
            self._require_room(len(run_ids))  # another process may have been faster
            waiting = self.waiting()
            # Later than every other, even when the clock was set back.
            first = max(time.time_ns(), waiting[-1].number + 1 if waiting else 0)
            accepted = [Waiting(first + place, run_id) for place, run_id in enumerate(run_ids)]
            for entry in accepted:
                (self.queue / entry.name).touch()
            sync_directory(self.queue)
        return accepted

    def _require_room(self, count: int) -> None:
        waiting = len(self.waiting())
        if waiting and waiting + count > self.depth:
            what = f"{waiting} results wait in the queue, which takes {self.depth}"
            raise ResultsError("RS-009", what, where=str(self.queue))

    def _drain(self) -> int:
        migrate(self.engine)
        count = 0
        while entries := self.waiting()[:BATCH]:
            self._record(entries)
            for entry in entries:
                (self.queue / entry.name).unlink(missing_ok=True)
            count += len(entries)
        return count

    def _record(self, entries: Sequence[Waiting]) -> dict[str, ResultsError]:
        """Record runs in order; return by identity why some of them cannot be."""
        rows, errors = {}, {}
        for number, run_id in entries:
            accepted_at = datetime.fromtimestamp(number / 1e9, UTC)
            try:
                if run_id not in rows:
                    rows[run_id] = run_rows(self.runs / run_id, accepted_at)
            except ResultsError as error:
                errors[run_id] = error
        return errors | self._write(list(rows.values()))

    def _write(self, rows: Sequence[RunRows]) -> dict[str, ResultsError]:
        """Write runs in one transaction; if it is rejected, one by one to find the cause."""
        try:
            with writing(self.engine, exclusive=RUNS.name) as connection:
                record(connection, rows)
        except REJECTED as error:
            if len(rows) == 1:
                run = rows[0][RUNS][0]
                why = " ".join(str(error).split())[:500]
                what = f"the results database rejects run {run['run_id']}: {why}"
                return {run["run_id"]: ResultsError("RS-004", what, where=run["path"])}
            return {run_id: e for row in rows for run_id, e in self._write([row]).items()}
        return {}

    def _compare(self, done: Reconciliation) -> list[str]:
        """Mark rows whose files are gone; return the names of directories that no row describes."""
        own = self.runs.absolute()
        query = select(RUNS.c.run_id, RUNS.c.path, RUNS.c.status, RUNS.c.verdicts_sha256)
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(RUNS.c.number)).all()
        described = set()
        for row in rows:
            directory, present = Path(row.path), Path(row.path, SUMMARY).exists()
            if directory.parent != own:
                # The run is in another directory, which this archive does not manage.
                described |= {row.run_id} if present else set()
            elif not present:
                done.missing.append(row.run_id)
            elif row.status == RECORDED and row.verdicts_sha256 == verdicts_hash(directory):
                described.add(row.run_id)
        if any(row.run_id in done.missing and row.status != MISSING for row in rows):
            with writing(self.engine, exclusive=RUNS.name) as connection:
                mark = update(RUNS).where(RUNS.c.run_id.in_(done.missing))
                connection.execute(mark.values(status=MISSING))
        directories = sorted(self.runs.iterdir()) if self.runs.is_dir() else []
        names = [path.name for path in directories if path.is_dir() and path.name[0] != "."]
        return [name for name in names if name not in described]


def queued(results_dir: Path) -> list[Waiting]:
    """Return the runs in the queue of a results directory; creates nothing."""
    try:
        names = sorted(path.name for path in (results_dir / QUEUE_DIRECTORY).iterdir())
    except FileNotFoundError:
        return []
    split = (name.partition("-") for name in names)
    return [Waiting(int(number), run_id) for number, _, run_id in split if number.isdigit()]


def unrecorded(results_dir: Path) -> int:
    """Count the runs of a results directory that wait to be recorded."""
    return len({entry.run_id for entry in queued(results_dir)})


@contextmanager
def _locked(lock: Path, seconds: float) -> Iterator[None]:
    try:
        with locked(lock, seconds):
            yield
    except TimeoutError as error:
        what = "another process is still writing to the results"
        raise ResultsError("RS-007", what, where=str(lock)) from error
    except OSError as error:
        what = f"the results cannot be written: {error.strerror}"
        raise ResultsError("RS-001", what, where=str(error.filename or lock)) from error
