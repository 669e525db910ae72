"""Many scenarios over one market: the hour loop of a run, its figures kept and nothing else.

Scenarios differ in their parameters and their capital. The functions that run them are those of a
single run; they release the interpreter's lock, so threads share the cores.
"""

import numpy as np

from basis_pipeline.engine.compiled import compiled, unlocked
from basis_pipeline.engine.figures import FIGURES, begin, conclude
from basis_pipeline.engine.model import (
    MIDNIGHT_COUNT,
    Ahead,
    Book,
    Floats,
    MarketArrays,
    Parameters,
    Units,
    hourly_width,
)
from basis_pipeline.engine.simulation import empty_book, empty_stretch, run_marks

FIRST_VECTOR = Parameters._fields.index("hedge_weights")  # of the three that are by venue
VECTORS = 3
BLOCK = 512  # marks: some 180 kB of market


def parameter_row(parameters: Parameters) -> Floats:
    """The parameters as one row of numbers, in their order; those by venue take K places each."""
    return np.concatenate([np.atleast_1d(np.asarray(value, float)) for value in parameters])


def parameter_column(name: str, venues: int) -> int:
    """Where a single number among the parameters stands in such a row."""
    place = Parameters._fields.index(name)
    return place if place < FIRST_VECTOR else place + VECTORS * (venues - 1)


def _books(scenarios: int, marks: int, venues: int, tokens: int) -> Book:
    """A book for each scenario, its arrays stacked; they keep no ledger."""
    one = empty_book(marks, venues, tokens, ledger=False)
    stacked = {
        name: np.zeros((scenarios, *array.shape), array.dtype)
        for name, array in one._asdict().items()
    }
    return Book(**{**stacked, "events": one.events})


@compiled
def _book(books: Book, i: int) -> Book:
    """The book of one scenario."""
    return Book(
        books.state[i],
        books.perps[i],
        books.tokens[i],
        books.events,
        books.counts[i],
        books.tally[i],
        books.midnights[i],
    )


@compiled
def _parameters(row: Floats, venues: int) -> Parameters:
    """The parameters that a row holds."""
    maintenance, fee = FIRST_VECTOR + venues, FIRST_VECTOR + 2 * venues
    p = FIRST_VECTOR + VECTORS * venues
    return Parameters(
        row[0],
        row[1],
        row[2],
        row[3],
        row[4],
        row[5],
        row[FIRST_VECTOR:maintenance],
        row[maintenance:fee],
        row[fee:p],
        row[p],
        row[p + 1],
        row[p + 2] != 0.0,
        row[p + 3],
        row[p + 4],
        row[p + 5],
        row[p + 6],
        row[p + 7],
        row[p + 8],
        row[p + 9],
        row[p + 10] != 0.0,
        row[p + 11] != 0.0,
        int(row[p + 12]),
    )


@unlocked
def run_rows(
    market: MarketArrays,
    units: Units,
    rows: Floats,
    capitals: Floats,
    first_midnight: int,
    risk_free: float,
    books: Book,
    ahead: Ahead,
    hourly: Floats,
    figures: Floats,
) -> None:
    """Run a scenario for each row of parameters; its figures are the same row of `figures`.

    The marks are taken block by block, all scenarios through one block before the next: what a
    block reads of the market stays in the core's cache.
    """
    marks, venues = market.perp_mark.shape
    for first in range(0, marks, BLOCK):
        last = min(first + BLOCK, marks)
        for i in range(rows.shape[0]):
            book, parameters = _book(books, i), _parameters(rows[i], venues)
            if first == 0:
                begin(book, parameters, capitals[i])
            run_marks(market, units, parameters, first, last, first_midnight, book, ahead, hourly)
    for i in range(rows.shape[0]):
        conclude(_book(books, i), marks, risk_free, figures[i])


def figures_of(
    market: MarketArrays,
    units: Units,
    rows: Floats,
    capitals: Floats,
    *,
    first_midnight: int,
    risk_free: float = 0.0,
) -> Floats:
    """Figures of every scenario, (scenarios, len(FIGURES)).

    Memory beside them is a book a scenario, some kilobytes: call it with some scenarios at a time.

    Parameters
    ----------
    units: the market's unit table. rows: (scenarios, …), each as `parameter_row` makes it.
    capitals: (scenarios,), in the numeraire. The others are those of `simulate`.
    """
    return _run(market, units, rows, capitals, first_midnight, risk_free)[0]


def daily_returns_of(
    market: MarketArrays, units: Units, rows: Floats, capitals: Floats, *, first_midnight: int
) -> Floats:
    """Returns between 00:00 UTC marks of every scenario, (scenarios, days); else as `figures_of`.

    They are what volatility, Sharpe and Sortino are counted from.
    """
    _, books = _run(market, units, rows, capitals, first_midnight, 0.0)
    days = max(int(books.counts[0, MIDNIGHT_COUNT]) - 1, 0)
    return books.midnights[:, :days].copy()


def _run(
    market: MarketArrays,
    units: Units,
    rows: Floats,
    capitals: Floats,
    first_midnight: int,
    risk_free: float,
) -> tuple[Floats, Book]:
    marks, venues = market.perp_mark.shape
    tokens = market.reward_price.shape[1]
    books = _books(len(rows), marks, venues, tokens)
    hourly = np.empty((1, hourly_width(venues, tokens)))
    figures = np.empty((len(rows), len(FIGURES)))
    ahead = empty_stretch(venues)
    run_rows(
        market, units, rows, capitals, first_midnight, risk_free, books, ahead, hourly, figures
    )
    return figures, books
