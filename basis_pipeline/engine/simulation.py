"""The machine: one pass over the marks, in the order of events of SEMANTICS 4."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basis_pipeline.engine.accounting import (
    accrue,
    credit_rewards,
    settle_funding,
    survey,
    unit_table,
)
from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.figures import FIGURES, begin, conclude, tally
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.liquidation import liquidate
from basis_pipeline.engine.model import (
    CASH,
    COMPONENTS,
    COUNTS,
    E_FLOW,
    EQUITY,
    EVENT_COLUMNS,
    EVENT_COUNT,
    FIRST_PERP,
    FIRST_STATE,
    FLOW,
    LEG_NONE,
    LENDING,
    MIDNIGHT_COUNT,
    OVERSIZE_COUNT,
    R_ENTRY,
    R_FLOW,
    R_NONE,
    R_REWARDS,
    RESIDUAL,
    STATE_SIZE,
    TALLY_SIZE,
    Book,
    Floats,
    MarketArrays,
    Parameters,
    Units,
    hourly_width,
)
from basis_pipeline.engine.rebalancing import restore, trigger
from basis_pipeline.engine.trading import rewards_due, sell_rewards


@hot
def write_holdings(book: Book, row: Floats) -> None:
    """Write balances, perpetuals and reward tokens into a row of the hourly table."""
    for i in range(STATE_SIZE):
        row[FIRST_STATE + i] = book.state[i]
    venues = book.perps.shape[0]
    for v in range(venues):
        for i in range(3):
            row[FIRST_PERP + 3 * v + i] = book.perps[v, i]
    for r in range(book.tokens.shape[0]):
        row[FIRST_PERP + 3 * venues + r] = book.tokens[r]


@compiled
def run_marks(
    market: MarketArrays,
    units: Units,
    parameters: Parameters,
    first: int,
    last: int,
    first_midnight: int,
    book: Book,
    hourly: Floats,
) -> None:
    """Run the marks from `first` up to `last`, which is not among them.

    Writes the book, its tally and `hourly` (n, columns of `model`) in place.
    Row t holds equity, flow and state after the trades of mark t, and the profit and loss since the
    row before it, by component. A table and a ledger of one row keep the last mark and the last
    event alone: that is all a scenario of a sweep leaves beside its figures.

    Parameters
    ----------
    units: the market's unit table.
    first_midnight: the first mark at 00:00 UTC.
    book: as `begin` made it, or as the marks before `first` left it.
    """
    last_row = hourly.shape[0] - 1
    midnight = first_midnight + 24 * book.counts[MIDNIGHT_COUNT]
    for t in range(first, last):
        row, unit, quoted = hourly[min(t, last_row)], units.asset[t], units.perps[t]
        if t == 0:
            row[:] = 0.0
        else:
            accrue(book, market, unit, quoted, t, row)
            settle_funding(book, quoted, t, row)
            credit_rewards(book, market, unit, t, row)
            liquidate(book, market, unit, quoted, parameters, t, row)
        flow = market.flow[t]
        if flow != 0.0:
            book.state[CASH] += flow
            record(book, t, E_FLOW, LEG_NONE, flow, 1.0, abs(flow), 0.0, 0.0, R_FLOW)
        seen = survey(book, market, unit, quoted, parameters, t)
        reason = R_NONE
        if t == 0:
            reason = R_ENTRY
        elif parameters.rebalance_enabled and seen.equity > 0.0:
            reason = trigger(book, unit, parameters, seen)
            if rewards_due(book, market, parameters, t, seen.equity):
                sell_rewards(book, market, parameters, t, seen.equity, row)
                reason = R_REWARDS if reason == R_NONE else reason
        if reason != R_NONE:
            restore(book, market, unit, quoted, parameters, t, reason, row)
            seen = survey(book, market, unit, quoted, parameters, t)
        row[EQUITY] = seen.equity
        row[FLOW] = flow
        tally(book, unit, parameters, seen, t == 0, t == midnight, row)
        if t == midnight:
            midnight += 24
        if last_row > 0:
            write_holdings(book, row)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What a run leaves: the hourly table, the event ledger and a count of oversize trades."""

    hourly: Floats  # (n, hourly_width)
    events: Floats  # (number of events, len(EVENT_COLUMNS))
    oversize_trades: int
    figures: Floats  # (len(FIGURES),) of SEMANTICS 11, in the order of `figures.FIGURES`
    venues: int
    reward_tokens: int

    @property
    def equity(self) -> Floats:
        """Equity after trades, (n,)."""
        return self.hourly[:, EQUITY]

    @property
    def flow(self) -> Floats:
        """Deposits less withdrawals, (n,)."""
        return self.hourly[:, FLOW]

    @property
    def components(self) -> Floats:
        """Profit and loss by component, (n, 10), in the order of `COMPONENTS`."""
        return self.hourly[:, LENDING : LENDING + len(COMPONENTS)]

    @property
    def state(self) -> Floats:
        """Balances after trades, (n, STATE_SIZE)."""
        return self.hourly[:, FIRST_STATE:FIRST_PERP]

    @property
    def tokens(self) -> Floats:
        """Reward tokens held, (n, R)."""
        return self.hourly[:, FIRST_PERP + 3 * self.venues :]

    @property
    def perps(self) -> Floats:
        """Quantity, margin balance and entry price by venue, (n, K, 3)."""
        flat = self.hourly[:, FIRST_PERP : FIRST_PERP + 3 * self.venues]
        return flat.reshape(len(flat), self.venues, 3)

    @property
    def residual(self) -> Floats:
        """Equity change less flow less the components' sum, by mark; rounding error alone, (n,)."""
        return self.hourly[:, RESIDUAL]


def empty_book(marks: int, venues: int, reward_tokens: int, *, ledger: bool = True) -> Book:
    """Return a book with nothing in it, for runs of `marks` marks.

    Its ledger has room for every event they can bring; without a ledger, for one. Its pages are
    only touched as events are written, so a generous bound costs nothing.
    """
    per_mark = 12 + 4 * venues + 3 * reward_tokens
    counts: NDArray[np.int64] = np.zeros(COUNTS, dtype=np.int64)
    return Book(
        state=np.zeros(STATE_SIZE),
        perps=np.zeros((venues, 3)),
        tokens=np.zeros(reward_tokens),
        events=np.empty((marks * per_mark if ledger else 1, len(EVENT_COLUMNS))),
        counts=counts,
        tally=np.zeros(TALLY_SIZE),
        midnights=np.zeros(marks // 24 + 1),
    )


def simulate(
    market: MarketArrays,
    parameters: Parameters,
    capital: float,
    *,
    first_midnight: int = 0,
    risk_free: float = 0.0,
) -> Simulation:
    """Run the machine over a market.

    Parameters
    ----------
    market: arrays of n marks; K and R are read off their shapes.
    parameters: the mode as numbers; its per-venue arrays have length K.
    capital: equity before entry costs, in the numeraire, above zero.
    first_midnight: the first mark at 00:00 UTC, 0 to 23.
    risk_free: annual rate that Sharpe and Sortino are measured against.
    """
    marks, venues = market.perp_mark.shape
    reward_tokens = market.reward_price.shape[1]
    book = empty_book(marks, venues, reward_tokens)
    hourly = np.empty((marks, hourly_width(venues, reward_tokens)))
    begin(book, parameters, capital)
    run_marks(market, unit_table(market), parameters, 0, marks, first_midnight, book, hourly)
    figures = np.empty(len(FIGURES))
    conclude(book, marks, risk_free, figures)
    return Simulation(
        hourly=hourly,
        events=book.events[: book.counts[EVENT_COUNT]].copy(),
        oversize_trades=int(book.counts[OVERSIZE_COUNT]),
        figures=figures,
        venues=venues,
        reward_tokens=reward_tokens,
    )
