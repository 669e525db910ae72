"""Executors on Dask: worker processes of this machine, or a cluster of any size at an address.

The study travels once to each worker, also to one that joins later. Workers may come and go: what a
lost one was running is run again by another.
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

# Dask has exceptions carry what caused them when they are pickled; ours leave it behind, because it
# may hold secrets that they have masked.
for _kind in (BasisError, *BasisError.__subclasses__()):
    if _kind in copyreg.dispatch_table:
        del copyreg.dispatch_table[_kind]

AHEAD = 2  # pieces a worker has: the one it runs, and the next
CONNECT_SECONDS = 10


class Shipped(WorkerPlugin):
    """A study as a worker holds it. A piece has all of its threads; the next one waits for them."""

    def __init__(self, study: Study) -> None:
        self.study = study

    def setup(self, worker: Worker) -> None:
        """Count the threads of the worker that holds it now."""
        self.threads, self.busy = worker.state.nthreads, Lock()


@contextmanager
def on_workers(workers: int) -> Iterator[Executor]:
    """An executor on worker processes of this machine, which end with the context."""
    with _deaf():
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
def _deaf() -> Iterator[None]:
    """Whatever is started inside, and started by that, does not hear Ctrl-C.

    A terminal sends it to every process; this one alone decides what becomes of the others.
    """
    resource_tracker.ensure_running()  # starting it later would let Ctrl-C through again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def on_cluster(address: str) -> Iterator[Executor]:
    """An executor on the cluster whose scheduler has that address; it goes on afterwards.

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
    """An executor on whatever the client is connected to.

    It raises ComponentError COMPONENT-002 when workers die on one piece again and again, or the
    scheduler is lost.
    """

    def run(study: Study, spans: Sequence[Span]) -> Iterator[Piece]:
        name, pieces = f"study-{secrets.token_hex(8)}", Pieces(spans)
        going: dict[Future[Any], Span] = {}
        finished = as_completed()

        def submit() -> None:
            while len(going) < AHEAD * max(len(client.nthreads()), 1):
                if (piece := pieces.next()) is None:
                    return
                future = client.submit(run_there, name, piece, pure=False)
                going[future] = piece
                finished.add(future)

        try:
            client.register_plugin(Shipped(study), name=name)
            submit()
            while going:
                future = next(finished)
                figures, capitals, seconds = future.result()
                piece = going.pop(future)
                pieces.learn(len(capitals), seconds)
                submit()
                yield piece, figures, capitals
        except (KilledWorker, CancelledError, OSError) as error:
            what = f"the cluster did not finish a piece: {error}"
            raise ComponentError("COMPONENT-002", what, where=str(client)) from None
        finally:
            with suppress(CancelledError, OSError):  # the scheduler may be what went away
                client.cancel(list(going), force=True)
                client.unregister_worker_plugin(name)

    return run


def run_there(name: str, piece: Span) -> tuple[Floats, Column, float]:
    """Run a piece on the worker that this is called on; as `run_piece`."""
    held = get_worker().plugins[name]
    assert isinstance(held, Shipped)
    with held.busy:
        return run_piece(held.study, piece, held.threads)
