"""The hour loop: one pass over the hours, in the order of events of SEMANTICS 4."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from basis_pipeline.engine.accounting import (
    Valuation,
    accrue,
    begin_row,
    credit_rewards,
    earn_rewards,
    settle_funding,
    value_book,
)
from basis_pipeline.engine.compiled import compiled, entry, hot
from basis_pipeline.engine.figures import FIGURES_RECORD, finalize
from basis_pipeline.engine.hours import HourCoefficients, hour_coefficients
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.liquidation import check_extremes, liquidate
from basis_pipeline.engine.model import (
    COMPONENTS,
    EVENT,
    HOLDINGS,
    LEG_NONE,
    PERP,
    ROW,
    TALLY,
    Book,
    EventKind,
    Floats,
    Hourly,
    MarketArrays,
    Parameters,
    Reason,
    Record,
    Records,
    parameter_record,
    venue_terms,
)
from basis_pipeline.engine.rebalancing import rebalance, trigger
from basis_pipeline.engine.tally import accumulate, begin, update_risk


@hot
def write_holdings(book: Book, t: int, hourly: Hourly) -> None:
    """Write balances, perpetuals and reward tokens into row t of the hourly table."""
    row, held = hourly.rows[t], book.holdings
    row.cash = held.cash
    row.supply = held.supply
    row.spot = held.spot
    row.staked = held.staked
    row.debt = held.debt
    for v in range(len(book.perps)):
        hourly.perps[t, v] = book.perps[v]
    for r in range(len(book.tokens)):
        hourly.tokens[t, r] = book.tokens[r]


@hot
def is_due(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    venues: Records,
    t: int,
    valuation: Valuation,
) -> bool:
    """Say whether hour t needs more than accrual and settlement."""
    due = valuation.liquidation_due or hours.asset[t].has_external_event or t == 0
    if parameters.rebalance_enabled and valuation.equity > 0.0:
        due |= trigger(book, hours, parameters, venues, t, valuation) != Reason.NONE
    return due


@compiled
def trade_hour(
    book: Book,
    hours: HourCoefficients,
    parameters: Record,
    venues: Records,
    t: int,
    accrued: Valuation,
    row: Record,
) -> Valuation:
    """Carry out steps 4 to 7 of SEMANTICS 4 at hour t, and value the book after them.

    `accrued` values the book after the hour's accrual and funding.
    """
    hour = hours.asset[t]
    credit_rewards(book, hours, t, row)
    if t == 0:  # nothing was held before the entry
        row.borrowing = 0.0
    else:
        update_risk(book, hour.spot, parameters, accrued, row.equity_before)
    liquidate(book, hours, parameters, venues, t, row)
    flow = hour.flow
    row.flow = flow
    if flow != 0.0:
        book.holdings.cash += flow
        record(book, t, EventKind.FLOW, LEG_NONE, flow, 1.0, abs(flow), 0.0, 0.0, Reason.FLOW)
    valuation = value_book(book, hours, parameters, venues, t)
    reason = Reason.NONE
    if t == 0:
        reason = Reason.ENTRY
    elif parameters.rebalance_enabled and valuation.equity > 0.0:
        reason = trigger(book, hours, parameters, venues, t, valuation)
    if reason != Reason.NONE:
        valuation = rebalance(book, hours, parameters, venues, t, valuation.equity, reason, row)
    return valuation


@entry
def run_hours(
    hours: HourCoefficients,
    parameters: Record,
    venues: Records,
    first: int,
    last: int,
    first_midnight: int,
    book: Book,
    hourly: Hourly,
) -> None:
    """Run the hours from `first` up to, but not including, `last`.

    Writes the book and the hourly table in place. Row t holds equity, flow and state after the
    trades of hour t, and the profit and loss since the row before it, by component. A table of one
    row is overwritten at every hour: a scenario of a sweep keeps only its figures.

    Parameters
    ----------
    first_midnight: the first hour at 00:00 UTC.
    book: as `begin` made it, or as the hours before `first` left it.
    """
    last_row = len(hourly.rows) - 1
    # `begin` wrote the first value, the capital: the first hour does not count as a midnight.
    midnight = first_midnight + 24 * (book.tally.midnights - (first_midnight > 0))
    for t in range(first, last):
        row = hourly.rows[min(t, last_row)]
        begin_row(row)
        if parameters.liquidates_at_extreme:
            check_extremes(book, hours, venues, t, row)
        funding = 0.0
        if hours.asset[t].settles_funding:
            funding = settle_funding(book, hours, t)
        valuation = value_book(book, hours, parameters, venues, t)
        accrue(book, hours, t, valuation, funding, row)
        if hours.asset[t].earns_rewards:
            earn_rewards(book, hours, t, valuation.collateral)
        if is_due(book, hours, parameters, venues, t, valuation):
            valuation = trade_hour(book, hours, parameters, venues, t, valuation, row)
        accumulate(book, hours.asset[t].spot, parameters, valuation, t == 0, t == midnight, row)
        if t == midnight:
            midnight += 24
        if last_row > 0:
            write_holdings(book, t, hourly)


def as_matrix(records: Records) -> Floats:
    """Return records of floats as a matrix, one row per record of the first axis; a view."""
    return records.view(np.float64).reshape(len(records), -1)


@dataclass(frozen=True, slots=True)
class Simulation:
    """The result of a run: the hourly table, the event ledger and the figures."""

    hourly: Hourly
    events: Records  # EVENT, in order
    figures: Floats  # (len(FIGURES),) of SEMANTICS 11, in the order of `figures.FIGURES`

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Whether every number of an hour is finite, (n,)."""
        rows, perps, tokens = self.hourly
        tables = (as_matrix(rows), as_matrix(perps), tokens)
        return np.logical_and.reduce([np.isfinite(table).all(axis=1) for table in tables])

    @property
    def equity(self) -> Floats:
        """Equity after trades, (n,)."""
        return self.hourly.rows["equity"]

    @property
    def flow(self) -> Floats:
        """Deposits less withdrawals, (n,)."""
        return self.hourly.rows["flow"]

    @property
    def components(self) -> Floats:
        """Profit and loss by component, (n, 10), in the order of `COMPONENTS`."""
        first = (ROW.names or ()).index(COMPONENTS[0])
        return as_matrix(self.hourly.rows)[:, first : first + len(COMPONENTS)]

    @property
    def residual(self) -> Floats:
        """Equity change less flow less the components' sum, by hour; rounding error alone, (n,)."""
        return self.hourly.rows["residual"]


def empty_book(market: HourCoefficients, *, ledger: bool = True) -> Book:
    """Return an empty book for runs over a market.

    Its ledger has room for every possible event; without a ledger, for none. Memory is used only as
    events are written, so a generous bound costs nothing.
    """
    (hours, venues), reward_tokens = market.quotes.shape, market.tokens.shape[1]
    slots = int(market.tokens["slot"].max(initial=0)) + 1
    per_hour = 13 + 4 * venues + 3 * reward_tokens
    return Book(
        holdings=np.zeros(1, HOLDINGS)[0],
        perps=np.zeros(venues, PERP),
        tokens=np.zeros(reward_tokens),
        pending=np.zeros((reward_tokens, slots)),
        perps_before=np.zeros(venues, PERP),
        events=np.empty(hours * per_hour if ledger else 0, EVENT),
        tally=np.zeros(1, TALLY)[0],
        midnights=np.zeros(hours // 24 + 2),
    )


def empty_table(hours: int, venues: int, reward_tokens: int) -> Hourly:
    """Return an hourly table of this shape, not initialised."""
    return Hourly(
        rows=np.empty(hours, ROW),
        perps=np.empty((hours, venues), PERP),
        tokens=np.empty((hours, reward_tokens)),
    )


def simulate(
    market: MarketArrays,
    parameters: Parameters,
    capital: float,
    *,
    first_midnight: int = 0,
    risk_free: float = 0.0,
) -> Simulation:
    """Run the engine over a market.

    Parameters
    ----------
    market: arrays of n hours; their shapes give K and R.
    parameters: the mode as numbers; its per-venue arrays have length K.
    capital: equity before entry costs, in the numeraire, above zero.
    first_midnight: the first hour at 00:00 UTC, 0 to 23.
    risk_free: annual rate that Sharpe and Sortino are measured against.
    """
    hours, venues = market.perp_mark.shape
    coefficients = hour_coefficients(market)
    book = empty_book(coefficients)
    hourly = empty_table(hours, venues, market.reward_price.shape[1])
    rules, terms = parameter_record(parameters), venue_terms(parameters)
    begin(book, rules, capital)
    run_hours(coefficients, rules, terms, 0, hours, first_midnight, book, hourly)
    figures = np.empty(1, FIGURES_RECORD)
    finalize(book, coefficients, rules, risk_free, figures[0])
    return Simulation(
        hourly=hourly,
        events=book.events[: book.tally.events].copy(),
        figures=figures.view(np.float64),
    )
