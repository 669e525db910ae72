"""Who computes the figures of a study's points, and in which pieces.

An executor takes a study and spans of points, and yields pieces of them with their figures, in any
order; whoever asks puts them together. A piece takes about a second, as measured on the pieces
before it, so neither slow nor fast points leave a worker waiting. A row depends on its point alone:
where and in which piece it was computed changes no byte.
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

PIECE = 16  # points a thread runs before it looks for the next
FIRST = 64  # points of a piece before anything is measured
PIECE_SECONDS = 1.0


class Pieces:
    """Hands out the points of spans, piece by piece; none reaches over the end of a span."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._left = list(reversed(spans))
        self._points = FIRST

    def next(self) -> Span | None:
        """The next piece; None when there is none left."""
        if not self._left:
            return None
        first, end = self._left.pop()
        last = min(first + self._points - 1, end)
        if last < end:
            self._left.append((last + 1, end))
        return first, last

    def learn(self, points: int, seconds: float) -> None:
        """Size the pieces to come by what one took; at most eight times the size of before."""
        fitting = int(points * PIECE_SECONDS / max(seconds, 1e-6))
        self._points = min(max(fitting, PIECE), 8 * self._points)


def run_figures(study: Study, indices: Indices, threads: int = 1) -> tuple[Floats, Column]:
    """Figures of the points, (points, len(FIGURES)), and their capitals, in the order given."""
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
                while len(waiting) > 4 * threads and len(inside) < PIECE:  # few markets at once
                    waiting.pop(0).result()
            for future in waiting:
                future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return figures, capitals


def run_piece(study: Study, piece: Span, threads: int) -> tuple[Floats, Column, float]:
    """Figures and capitals of a piece, and the seconds they took."""
    begun = time.perf_counter()
    figures, capitals = run_figures(study, np.arange(piece[0], piece[1] + 1), threads)
    return figures, capitals, time.perf_counter() - begun


def in_threads(threads: int) -> Executor:
    """An executor on threads of this process."""

    def run(study: Study, spans: Sequence[Span]) -> Iterator[Piece]:
        pieces = Pieces(spans)
        while (piece := pieces.next()) is not None:
            figures, capitals, seconds = run_piece(study, piece, threads)
            pieces.learn(len(capitals), seconds)
            yield piece, figures, capitals

    return run


@contextmanager
def executor(
    threads: int | None = None, workers: int | None = None, scheduler: str | None = None
) -> Iterator[Executor]:
    """An executor on the cluster at an address, else on worker processes, else on threads here.

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
