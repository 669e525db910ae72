"""Many scenarios over one market: the hour loop of a run, of which only the figures are kept.

Scenarios differ in their parameters and their capital. The functions that run them are those of a
single run; they release the interpreter's lock, so threads share the cores.
"""

from typing import Any

import numpy as np

from basis_pipeline.engine.compiled import entry
from basis_pipeline.engine.figures import FIGURES, FIGURES_RECORD, finalize
from basis_pipeline.engine.hours import HourCoefficients
from basis_pipeline.engine.model import Book, Floats, Hourly, Records
from basis_pipeline.engine.simulation import empty_book, empty_table, run_hours
from basis_pipeline.engine.tally import begin

BLOCK = 512  # hours: some 150 kB of market


def _books(scenarios: int, market: HourCoefficients) -> Book:
    """Return a book for each scenario, its parts stacked, without ledgers."""
    one = empty_book(market, ledger=False)
    stacked: dict[str, Any] = {
        name: np.zeros((scenarios, *part.shape), part.dtype) for name, part in one._asdict().items()
    }
    return Book(**{**stacked, "events": one.events, "perps_before": one.perps_before})


@entry
def run_scenarios(
    hours: HourCoefficients,
    parameters: Records,
    venues: Records,
    capitals: Floats,
    first_midnight: int,
    risk_free: float,
    books: Book,
    hourly: Hourly,
    figures: Records,
) -> None:
    """Run a scenario for each record of parameters; its figures have the same place in `figures`.

    The hours are taken block by block, all scenarios through one block before the next, so that
    the market of a block stays in the core's cache.
    """
    count = len(hours.asset)
    for first in range(0, count, BLOCK):
        last = min(first + BLOCK, count)
        for i in range(len(parameters)):
            # Spelled out here, because a compiled function cannot return records.
            book = Book(
                books.holdings[i],
                books.perps[i],
                books.tokens[i],
                books.pending[i],
                books.perps_before,
                books.events,
                books.tally[i],
                books.midnights[i],
            )
            if first == 0:
                begin(book, parameters[i], capitals[i])
            run_hours(hours, parameters[i], venues, first, last, first_midnight, book, hourly)
            if last == count:
                finalize(book, hours, parameters[i], risk_free, figures[i])


def simulate_scenarios(
    hours: HourCoefficients,
    parameters: Records,
    venues: Records,
    capitals: Floats,
    *,
    first_midnight: int,
    risk_free: float = 0.0,
) -> tuple[Floats, Floats]:
    """Return the figures and the daily returns of every scenario.

    Figures are (scenarios, len(FIGURES)). Returns are (scenarios, days), between 00:00 UTC hours:
    volatility, Sharpe and Sortino are computed from them. Each scenario needs a book of some
    kilobytes, so pass a limited number of scenarios at a time.

    Parameters
    ----------
    hours: the market, as `hour_coefficients` returns it.
    parameters: (scenarios,), each as `parameter_record` returns it.
    venues: (K,) of all scenarios, as `venue_terms` returns it.
    capitals: (scenarios,), in the numeraire.
    first_midnight, risk_free: as for `simulate`.
    """
    books = _books(len(parameters), hours)
    table = empty_table(1, len(venues), hours.tokens.shape[1])
    figures = np.empty(len(parameters), FIGURES_RECORD)
    run_scenarios(
        hours,
        parameters,
        venues,
        capitals,
        first_midnight,
        risk_free,
        books,
        table,
        figures,
    )
    days = max(int(books.tally[0].midnights) - 1, 0)
    return figures.view(np.float64).reshape(-1, len(FIGURES)), books.midnights[:, :days]
