"""The queue before the results database: finished runs that are accepted and not recorded yet.

It is a directory with an empty file a run, `<acceptance number>-<run_id>`. What is recorded is read
from the run's own directory, so nothing here can differ from it. The queue is bounded: who comes
when it is full waits, and is rejected in the end.
"""

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from basis_pipeline.errors import ResultsError
from basis_pipeline.files import locked, sync_directory

DEPTH = 1000
WAIT_SECONDS = 30.0
LONGEST_PAUSE = 2.0
LOCK_SECONDS = 60.0  # it is held for a moment at a time


class Waiting(NamedTuple):
    """A run that waits. Its number is the time of acceptance, in nanoseconds, and grows."""

    number: int
    run_id: str

    @property
    def accepted_at(self) -> datetime:
        """When it was accepted, UTC."""
        return datetime.fromtimestamp(self.number / 1e9, UTC)

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.number:020}-{self.run_id}"


class ResultQueue:
    """Accepts runs of any number of threads and processes, in one order.

    Parameters
    ----------
    directory: of the queue, made when it is first used.
    depth: runs it holds at most.
    wait_seconds: how long one that comes when it is full waits for room.
    """

    def __init__(
        self, directory: Path, *, depth: int = DEPTH, wait_seconds: float = WAIT_SECONDS
    ) -> None:
        self.directory = directory
        self.depth = depth
        self.wait_seconds = wait_seconds

    def accept(self, run_ids: Sequence[str]) -> list[Waiting]:
        """Accept all of them, on the disk when this returns, or none; in the order given.

        Raises
        ------
        ResultsError: RS-009 when the queue stays full, RS-001 when the disk is, RS-007 when another
            holds its lock for too long.
        """
        deadline, pause = time.monotonic() + self.wait_seconds, 0.05
        while True:
            if self._room(len(run_ids)):
                with self._alone():
                    if self._room(len(run_ids)):  # another may have been faster
                        return self._add(run_ids)
            if time.monotonic() >= deadline:
                what = f"{len(self.waiting())} results wait in the queue, which takes {self.depth}"
                raise ResultsError("RS-009", what, where=str(self.directory))
            time.sleep(random.uniform(0.0, pause))
            pause = min(2.0 * pause, LONGEST_PAUSE)

    def waiting(self) -> list[Waiting]:
        """Return the runs that wait, in the order of acceptance. A run may be there twice."""
        try:
            names = sorted(path.name for path in self.directory.iterdir())
        except FileNotFoundError:
            return []
        split = (name.partition("-") for name in names)
        return [Waiting(int(number), run_id) for number, _, run_id in split if number.isdigit()]

    def remove(self, entries: Sequence[Waiting]) -> None:
        """Forget runs that need not wait any longer."""
        for entry in entries:
            (self.directory / entry.name).unlink(missing_ok=True)

    def _room(self, count: int) -> bool:
        waiting = len(self.waiting())
        return waiting == 0 or waiting + count <= self.depth

    def _add(self, run_ids: Sequence[str]) -> list[Waiting]:
        waiting = self.waiting()
        # Later than every other, even when the clock was set back.
        first = max(time.time_ns(), waiting[-1].number + 1 if waiting else 0)
        accepted = [Waiting(first + place, run_id) for place, run_id in enumerate(run_ids)]
        for entry in accepted:
            (self.directory / entry.name).touch()
        sync_directory(self.directory)
        return accepted

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with locked(self.directory / ".lock", LOCK_SECONDS):
                yield
        except TimeoutError as error:
            raise ResultsError("RS-007", str(error), where=str(self.directory)) from error
        except OSError as error:
            what = f"the queue of results cannot be written: {error.strerror}"
            raise ResultsError("RS-001", what, where=str(self.directory)) from error
