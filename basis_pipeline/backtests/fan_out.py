"""Computing the figures of a study's points in pieces: on threads, processes or a cluster.

An executor takes a study and spans of points, and yields pieces of them with their figures, in any
order; the caller puts them together. A piece takes about a second, estimated from the pieces before
it, so that neither slow nor fast points leave a worker idle. A row depends on its point alone:
where and in which piece it is computed changes no byte.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from basis_pipeline.backtests.scenarios import Prepared, Study
from basis_pipeline.config.points import Column, Indices
from basis_pipeline.engine import FIGURES
from basis_pipeline.engine.model import Floats, Records
from basis_pipeline.engine.sweep import simulate_scenarios

Span = tuple[int, int]  # first and last point, both included
Piece = tuple[Span, Floats, Column]  # its figures (points, len(FIGURES)) and capitals (points,)
Executor = Callable[[Study, Sequence[Span]], Iterator[Piece]]

PIECE = 16  # points that a thread computes at a time
FIRST = 64  # points of the first piece
PIECE_SECONDS = 1.0


class Pieces:
    """The points of spans, in pieces; no piece crosses the end of a span."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._left = list(reversed(spans))
        self._points = FIRST

    def next(self) -> Span | None:
        """Return the next piece; None when there is none left."""
        if not self._left:
            return None
        first, end = self._left.pop()
        last = min(first + self._points - 1, end)
        if last < end:
            self._left.append((last + 1, end))
        return first, last

    def resize(self, points: int, seconds: float) -> None:
        """Set the size of later pieces from one's time; at most eight times the present size."""
        fitting = int(points * PIECE_SECONDS / max(seconds, 1e-6))
        self._points = min(max(fitting, PIECE), 8 * self._points)


def run_figures(study: Study, indices: Indices, threads: int = 1) -> tuple[Floats, Column]:
    """Compute the figures of points, (points, len(FIGURES)), and their capitals, in their order."""
    figures = np.empty((len(indices), len(FIGURES)))
    capitals = np.empty(len(indices))

    def run(prepared: Prepared, rows: Records, money: Floats, inside: Indices) -> None:
        figures[inside], _ = simulate_scenarios(
            prepared.hours,
            rows,
            prepared.venues,
            money,
            first_midnight=prepared.first_midnight,
            risk_free=prepared.risk_free,
        )

    with ThreadPoolExecutor(threads) as pool:
        waiting: list[Future[None]] = []
        try:
            for prepared, rows, money, inside in study.groups(indices):
                capitals[inside] = money
                for first in range(0, len(inside), PIECE):
                    part = slice(first, first + PIECE)
                    waiting.append(
                        pool.submit(run, prepared, rows[part], money[part], inside[part])
                    )
                while (
                    len(waiting) > 4 * threads and len(inside) < PIECE
                ):  # keeps few markets in memory
                    waiting.pop(0).result()
            for future in waiting:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return figures, capitals


def run_piece(study: Study, piece: Span, threads: int) -> tuple[Floats, Column, float]:
    """Compute figures and capitals of a piece, and the seconds they took."""
    begun = time.perf_counter()
    figures, capitals = run_figures(study, np.arange(piece[0], piece[1] + 1), threads)
    return figures, capitals, time.perf_counter() - begun


def in_threads(threads: int) -> Executor:
    """Return an executor on threads of this process."""

    def run(study: Study, spans: Sequence[Span]) -> Iterator[Piece]:
        pieces = Pieces(spans)
        while (piece := pieces.next()) is not None:
            figures, capitals, seconds = run_piece(study, piece, threads)
            pieces.resize(len(capitals), seconds)
            yield piece, figures, capitals

    return run


@contextmanager
def executor(
    threads: int | None = None, workers: int | None = None, scheduler: str | None = None
) -> Iterator[Executor]:
    """Provide an executor on a cluster, else on worker processes, else on threads.

    Parameters
    ----------
    threads: of this process; one per core when not given.
    workers: processes of this machine.
    scheduler: address of a Dask scheduler.

    Raises
    ------
    ComponentError: COMPONENT-002 when no scheduler answers at the address.
    """
    if workers is None and scheduler is None:
        yield in_threads(threads or os.cpu_count() or 1)
        return
    from basis_pipeline.backtests.cluster import on_cluster, on_workers

    with on_cluster(scheduler) if scheduler else on_workers(workers or 1) as run:
        yield run
