"""Executors on Dask: worker processes of this machine, or a cluster of any size at an address.

The study is sent once to each worker, also to one that joins later. Workers may come and go:
another one repeats what a lost one was running.
"""

import copyreg
import logging
import secrets
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from threading import Lock
from typing import Any

from distributed import (
    Client,
    Future,
    KilledWorker,
    LocalCluster,
    Worker,
    WorkerPlugin,
    as_completed,
    get_worker,
)

from basis_pipeline.backtests.fan_out import Executor, Piece, Pieces, Span, run_piece
from basis_pipeline.backtests.scenarios import Study
from basis_pipeline.config.points import Column
from basis_pipeline.engine.model import Floats
from basis_pipeline.errors import BasisError, ComponentError

# Dask pickles exceptions together with their causes. Ours drop the cause, because it may hold
# secrets that the exception has masked.
for _kind in (BasisError, *BasisError.__subclasses__()):
    if _kind in copyreg.dispatch_table:
        del copyreg.dispatch_table[_kind]

PIECES_PER_WORKER = 2  # the one it runs, and the next
CONNECT_SECONDS = 10


class StudyPlugin(WorkerPlugin):
    """A study on a worker. A piece uses all the worker's threads; the next one waits for them."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def setup(self, worker: Worker) -> None:
        """Count the threads of the worker that received the study."""
        self.threads, self.busy = worker.state.nthreads, Lock()


@contextmanager
def on_workers(workers: int) -> Iterator[Executor]:
    """Provide an executor on worker processes of this machine, which end with the context."""
    with _ignoring_interrupts():
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,
            silence_logs=logging.CRITICAL,
            memory_limit=0,
        )
    with cluster, Client(cluster) as client:
        yield on_client(client)


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Make processes started inside, and their children, ignore Ctrl-C.

    A terminal sends it to every process; only this one shall act on it.
    """
    resource_tracker.ensure_running()  # started later, it would unblock Ctrl-C again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def on_cluster(address: str) -> Iterator[Executor]:
    """Provide an executor on the cluster of a scheduler's address; the cluster keeps running.

    Raises
    ------
    ComponentError: COMPONENT-002 when nothing answers there.
    """
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        what = f"no Dask scheduler answers: {error}"
        raise ComponentError("COMPONENT-002", what, where=address) from None
    with client:
        yield on_client(client)


def on_client(client: Client) -> Executor:
    """Return an executor on the cluster that the client is connected to.

    It raises ComponentError COMPONENT-002 when workers die repeatedly on one piece, or the
    scheduler is lost.
    """

    def run(study: Study, spans: Sequence[Span]) -> Iterator[Piece]:
        name, pieces = f"study-{secrets.token_hex(8)}", Pieces(spans)
        running: dict[Future[Any], Span] = {}
        finished = as_completed()

        def submit() -> None:
            while len(running) < PIECES_PER_WORKER * max(len(client.nthreads()), 1):
                if (piece := pieces.next()) is None:
                    return
                future = client.submit(run_on_worker, name, piece, pure=False)
                running[future] = piece
                finished.add(future)

        try:
            client.register_plugin(StudyPlugin(study), name=name)
            submit()
            while running:
                future = next(finished)
                figures, capitals, seconds = future.result()
                piece = running.pop(future)
                pieces.resize(len(capitals), seconds)
                submit()
                yield piece, figures, capitals
        except (KilledWorker, CancelledError, OSError) as error:
            what = f"the cluster did not finish a piece: {error}"
            raise ComponentError("COMPONENT-002", what, where=str(client)) from None
        finally:
            with suppress(CancelledError, OSError):  # the scheduler itself may be lost
                client.cancel(list(running), force=True)
                client.unregister_worker_plugin(name)

    return run


def run_on_worker(name: str, piece: Span) -> tuple[Floats, Column, float]:
    """Run a piece on the worker that calls this; return what `run_piece` returns."""
    plugin = get_worker().plugins[name]
    assert isinstance(plugin, StudyPlugin)
    with plugin.busy:
        return run_piece(plugin.study, piece, plugin.threads)
