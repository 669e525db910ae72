"""The machine: one pass over the marks, in the order of events of SEMANTICS 4."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from basis_pipeline.engine.accounting import (
    accrue,
    credit_rewards,
    holdings,
    record_funding,
    settle_funding,
    survey,
    survey_now,
    take_balances,
    unit_table,
)
from basis_pipeline.engine.compiled import compiled, hot
from basis_pipeline.engine.figures import FIGURES, begin, conclude, tally, tally_quiet
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.liquidation import find_liquidations, liquidate
from basis_pipeline.engine.model import (
    BORROWING,
    CASH,
    COMPONENTS,
    COUNTS,
    E_FLOW,
    EQUITY,
    EVENT_COLUMNS,
    EVENT_COUNT,
    EXECUTION_COST,
    FIRST_PERP,
    FIRST_STATE,
    FLOW,
    FUNDING,
    GAS,
    LEG_NONE,
    LENDING,
    LIQUIDATION,
    MIDNIGHT_COUNT,
    OVERSIZE_COUNT,
    PERP_PRICE,
    R_ENTRY,
    R_FLOW,
    R_NONE,
    R_REWARDS,
    RESIDUAL,
    REWARDS,
    SPOT_PRICE,
    STAKING,
    STATE_SIZE,
    STRETCH,
    TALLY_SIZE,
    U_LENDING_INDEX,
    U_SPOT,
    Ahead,
    Book,
    Floats,
    MarketArrays,
    Parameters,
    Units,
    hourly_width,
)
from basis_pipeline.engine.rebalancing import find_rebalances, restore, trigger
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


@hot
def foresee(
    book: Book,
    market: MarketArrays,
    units: Units,
    parameters: Parameters,
    t: int,
    marks: int,
    ahead: Ahead,
) -> int:
    """Let the marks from t on pass as if nothing were done; the number of those where nothing is.

    Steps 1 to 3 and 7 of SEMANTICS 4, and whether there is anything to do in the others.
    """
    for j in range(marks):
        ahead.due[j] = 0
    ahead.due[marks - 1] = units.arrival[t] < t + marks  # a stretch ends with an arrival
    if t == 0:  # the entry
        ahead.due[0] = 1
    accrue(book, units, t, marks, ahead)
    settle_funding(book, units, t, marks, ahead)
    survey(book, units, parameters, t, marks, ahead)
    find_liquidations(book, units, parameters, t, marks, ahead)
    find_rebalances(book, market, units, parameters, t, marks, ahead)
    quiet = 0
    while quiet < marks and ahead.due[quiet] == 0:
        quiet += 1
    return quiet


@hot
def write_accrued(ahead: Ahead, j: int, row: Floats) -> None:
    """Start a row of the hourly table with what was accrued and settled."""
    row[FLOW] = 0.0
    row[LENDING] = ahead.lending[j]
    row[BORROWING] = ahead.borrowing[j]
    row[STAKING] = ahead.staking[j]
    row[REWARDS] = ahead.rewards[j]
    row[FUNDING] = ahead.funding[j]
    row[SPOT_PRICE] = ahead.spot_price[j]
    row[PERP_PRICE] = ahead.perp_price[j]
    row[EXECUTION_COST] = 0.0
    row[GAS] = 0.0
    row[LIQUIDATION] = 0.0


@compiled
def write_quiet(book: Book, units: Units, t: int, marks: int, ahead: Ahead, hourly: Floats) -> None:
    """Write the rows and settlements of marks at which nothing is done."""
    for j in range(marks):
        row = hourly[t + j]
        write_accrued(ahead, j, row)
        row[EQUITY] = ahead.equity[j]
        row[RESIDUAL] = ahead.residual[j]
        record_funding(book, units, t + j)
        take_balances(book, ahead, j)
        write_holdings(book, row)


@compiled
def act(
    book: Book,
    market: MarketArrays,
    units: Units,
    parameters: Parameters,
    t: int,
    j: int,
    midnight: bool,
    ahead: Ahead,
    row: Floats,
) -> None:
    """Do what is to be done at mark t, place j: steps 3 to 7 of SEMANTICS 4."""
    if t == 0:
        row[:] = 0.0
    else:
        write_accrued(ahead, j, row)
        record_funding(book, units, t)
        take_balances(book, ahead, j)
        credit_rewards(book, market, units, t, row)
        liquidate(book, market, units, parameters, t, row)
    flow = market.flow[t]
    if flow != 0.0:
        book.state[CASH] += flow
        record(book, t, E_FLOW, LEG_NONE, flow, 1.0, abs(flow), 0.0, 0.0, R_FLOW)
    seen = survey_now(book, units, parameters, t, ahead)
    spot, lending_index = units.asset[U_SPOT, t], units.asset[U_LENDING_INDEX, t]
    reason, total = R_NONE, seen.equity
    if t == 0:
        reason = R_ENTRY
    elif parameters.rebalance_enabled and total > 0.0:
        reason = trigger(holdings(book), spot, lending_index, parameters, seen)
        if rewards_due(book, market, parameters, t, total):
            sell_rewards(book, market, parameters, t, total, row)
            total = survey_now(book, units, parameters, t, ahead).equity
            reason = R_REWARDS if reason == R_NONE else reason
    if reason != R_NONE:
        restore(book, market, parameters, t, total, reason, row)
        seen = survey_now(book, units, parameters, t, ahead)
    row[EQUITY] = seen.equity
    row[FLOW] = flow
    tally(book, spot, parameters, seen, t == 0, midnight, row)


@compiled
def run_marks(
    market: MarketArrays,
    units: Units,
    parameters: Parameters,
    first: int,
    last: int,
    first_midnight: int,
    book: Book,
    ahead: Ahead,
    hourly: Floats,
) -> None:
    """Run the marks from `first` up to `last`, which is not among them.

    Writes the book, its tally and `hourly` (n, columns of `model`) in place.
    Row t holds equity, flow and state after the trades of mark t, and the profit and loss since the
    row before it, by component. A table of one row is written at will: a scenario of a sweep leaves
    its figures alone.

    Stretches of marks at which nothing is done pass at once; the others are done one by one. Both
    ways take the same products in the same order, so where a stretch ends changes no bit.

    Parameters
    ----------
    units: the market's unit table.
    first_midnight: the first mark at 00:00 UTC.
    book: as `begin` made it, or as the marks before `first` left it.
    ahead: room for a stretch.
    """
    last_row, t = hourly.shape[0] - 1, first
    while t < last:
        marks = min(STRETCH, last - t, units.arrival[t] + 1 - t)
        quiet = foresee(book, market, units, parameters, t, marks, ahead)
        midnight = first_midnight + 24 * book.counts[MIDNIGHT_COUNT]
        if quiet > 0:
            tally_quiet(book, units, parameters, t, quiet, midnight, ahead)
            if last_row > 0:
                write_quiet(book, units, t, quiet, ahead, hourly)
            take_balances(book, ahead, quiet - 1)
            t += quiet
        if quiet < marks:
            row = hourly[min(t, last_row)]
            midnight = first_midnight + 24 * book.counts[MIDNIGHT_COUNT]
            act(book, market, units, parameters, t, quiet, t == midnight, ahead, row)
            if last_row > 0:
                write_holdings(book, row)
            t += 1


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

    Its ledger has room for every event they can bring; without a ledger, for none. Its pages are
    only touched as events are written, so a generous bound costs nothing.
    """
    per_mark = 12 + 4 * venues + 3 * reward_tokens
    counts: NDArray[np.int64] = np.zeros(COUNTS, dtype=np.int64)
    return Book(
        state=np.zeros(STATE_SIZE),
        perps=np.zeros((venues, 3)),
        tokens=np.zeros(reward_tokens),
        events=np.empty((marks * per_mark if ledger else 0, len(EVENT_COLUMNS))),
        counts=counts,
        tally=np.zeros(TALLY_SIZE),
        midnights=np.zeros(marks // 24 + 1),
    )


def empty_stretch(venues: int) -> Ahead:
    """Room for a stretch of marks."""
    flags = ("margin_fits", "notable", "low_margin", "due")
    places: dict[str, NDArray[Any]] = {
        name: np.zeros(STRETCH, np.int64 if name in flags else np.float64) for name in Ahead._fields
    }
    return Ahead(**{**places, "balance": np.zeros((venues, STRETCH))})


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
    units, ahead = unit_table(market), empty_stretch(venues)
    run_marks(market, units, parameters, 0, marks, first_midnight, book, ahead, hourly)
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
