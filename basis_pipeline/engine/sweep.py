"""Many scenarios over one market: the hour loop of a run, its figures kept and nothing else.

Scenarios differ in their parameters and their capital. The functions that run them are those of a
single run; they release the interpreter's lock, so threads share the cores.
"""

import numpy as np

from basis_pipeline.engine.compiled import unlocked
from basis_pipeline.engine.figures import FIGURES, conclude
from basis_pipeline.engine.model import (
    MIDNIGHT_COUNT,
    Book,
    Floats,
    MarketArrays,
    Parameters,
    hourly_width,
)
from basis_pipeline.engine.simulation import empty_book, run_marks

FIRST_VECTOR = Parameters._fields.index("hedge_weights")  # of the three that are by venue
VECTORS = 3


def parameter_row(parameters: Parameters) -> Floats:
    """The parameters as one row of numbers, in their order; those by venue take K places each."""
    return np.concatenate([np.atleast_1d(np.asarray(value, float)) for value in parameters])


def parameter_column(name: str, venues: int) -> int:
    """Where a single number among the parameters stands in such a row."""
    place = Parameters._fields.index(name)
    return place if place < FIRST_VECTOR else place + VECTORS * (venues - 1)


@unlocked
def run_rows(
    market: MarketArrays,
    units: Floats,
    rows: Floats,
    capitals: Floats,
    first_midnight: int,
    risk_free: float,
    book: Book,
    hourly: Floats,
    figures: Floats,
) -> None:
    """Run a scenario for each row of parameters; its figures are the same row of `figures`."""
    venues = book.perps.shape[0]
    maintenance, fee = FIRST_VECTOR + venues, FIRST_VECTOR + 2 * venues
    p = FIRST_VECTOR + VECTORS * venues
    for i in range(rows.shape[0]):
        row = rows[i]
        parameters = Parameters(
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
        run_marks(market, units, parameters, capitals[i], first_midnight, book, hourly)
        conclude(book, units.shape[0], risk_free, figures[i])


def figures_of(
    market: MarketArrays,
    units: Floats,
    rows: Floats,
    capitals: Floats,
    *,
    first_midnight: int,
    risk_free: float = 0.0,
) -> Floats:
    """Figures of every scenario, (scenarios, len(FIGURES)); memory beside them is one book.

    Parameters
    ----------
    units: the market's unit table. rows: (scenarios, …), each as `parameter_row` makes it.
    capitals: (scenarios,), in the numeraire. The others are those of `simulate`.
    """
    marks, venues = market.perp_mark.shape
    tokens = market.reward_price.shape[1]
    book = empty_book(marks, venues, tokens, ledger=False)
    hourly = np.empty((1, hourly_width(venues, tokens)))
    figures = np.empty((len(rows), len(FIGURES)))
    run_rows(market, units, rows, capitals, first_midnight, risk_free, book, hourly, figures)
    return figures


def daily_returns_of(
    market: MarketArrays, units: Floats, rows: Floats, capitals: Floats, *, first_midnight: int
) -> Floats:
    """Returns between 00:00 UTC marks of every scenario, (scenarios, days); else as `figures_of`.

    They are what volatility, Sharpe and Sortino are counted from.
    """
    marks, venues = market.perp_mark.shape
    tokens = market.reward_price.shape[1]
    book = empty_book(marks, venues, tokens, ledger=False)
    hourly = np.empty((1, hourly_width(venues, tokens)))
    figures = np.empty((1, len(FIGURES)))
    found = []
    for i in range(len(rows)):
        one = slice(i, i + 1)
        run_rows(
            market, units, rows[one], capitals[one], first_midnight, 0.0, book, hourly, figures
        )
        found.append(book.midnights[: max(int(book.counts[MIDNIGHT_COUNT]) - 1, 0)].copy())
    return np.stack(found)
