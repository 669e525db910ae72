"""The worker: drains the queue as long as it is wanted, whatever happens to the database."""

from collections.abc import Callable
from threading import Event

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.database.archive import Archive, Reconciliation

POLL_SECONDS = 0.2
LONGEST_PAUSE = 10.0


def follow(
    archive: Archive,
    ended: Event,
    started: Callable[[Reconciliation], object] = lambda _: None,
    failed: Callable[[ResultsError], object] = lambda _: None,
) -> int:
    """Reconcile, then write what arrives until `ended`, then what is left; how many entries.

    A database that cannot be used is tried again, after pauses that grow: what waits is kept.
    `started` is told what the start found, `failed` each failure that differs from the last.
    """
    count, pause, last, is_started = 0, POLL_SECONDS, "", False
    while True:
        leaving = ended.is_set()  # looked at before: what arrived until now is still written
        try:
            if is_started:
                count += archive.drain()
            else:
                found = archive.start()
                count, is_started = found.drained + len(found.added), True
                started(found)
            pause, last = POLL_SECONDS, ""
        except ResultsError as error:
            pause = min(2.0 * pause, LONGEST_PAUSE)
            if str(error) != last:
                last = str(error)
                failed(error)
        if leaving:
            return count
        ended.wait(pause)
