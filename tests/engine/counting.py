"""Figures of result tables that no engine made, counted by the engine's own functions."""

import numpy as np
import pandas as pd

from basis_pipeline.backtests.backtest import named_figures
from basis_pipeline.engine.accounting import Valuation
from basis_pipeline.engine.compiled import entry
from basis_pipeline.engine.figures import FIGURES_RECORD, finalize
from basis_pipeline.engine.hours import hour_coefficients
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.model import (
    COMPONENTS,
    LEG_SPOT,
    ROW,
    Book,
    EventKind,
    Floats,
    Reason,
    Record,
    parameter_record,
)
from basis_pipeline.engine.simulation import empty_book
from basis_pipeline.engine.tally import accumulate, begin
from tests.engine.markets import free, made_parameters, mode_case, still


# Python may not call what only compiled functions call.
@entry
def _count_hour(
    book: Book, rules: Record, valuation: Valuation, first: bool, midnight: bool, row: Record
) -> None:
    accumulate(book, 1.0, rules, valuation, first, midnight, row)


@entry
def _count_event(book: Book, hour: int, kind: int, size: float) -> None:
    record(book, hour, kind, LEG_SPOT, size, 1.0, 0.0, 0.0, 0.0, Reason.NONE)


def count_marks(
    equity: Floats,
    flow: Floats,
    parts: Floats,
    capital: float,
    *,
    delta: Floats | None = None,
    margin_ratio: Floats | None = None,
    events: pd.DataFrame | None = None,
    marks: Floats | None = None,
    risk_free: float = 0.0,
    first_midnight: int = 0,
) -> dict[str, float | int]:
    """Compute the figures of hourly equity, flows and components (n, 10); delta over equity."""
    hours = len(equity)
    market, _, _ = mode_case("pure_lending", hours=hours)
    coefficients = hour_coefficients(free(still(market)))
    parameters, book = parameter_record(made_parameters(0)), empty_book(coefficients)
    begin(book, parameters, capital)
    row = np.zeros(1, ROW)[0]
    for t in range(hours):
        row.flow = flow[t]
        for name, part in zip(COMPONENTS, parts[t], strict=True):
            row[name] = part
        book.holdings.spot = delta[t] * equity[t] if delta is not None else 0.0
        lowest = margin_ratio[t] if margin_ratio is not None else np.inf
        valuation = Valuation(
            equity=float(equity[t]),
            collateral=0.0,
            staked_value=0.0,
            debt=0.0,
            long=0.0,
            short=0.0,
            perp_change=0.0,
            rewards_change=0.0,
            largest_reward=0.0,
            margin_fits=True,
            margin_ratio=float(lowest),
            liquidation_due=False,
        )
        midnight = t > 0 and t >= first_midnight and (t - first_midnight) % 24 == 0
        _count_hour(book, parameters, valuation, t == 0, midnight, row)
    if events is not None and marks is not None:
        for mark, (_, event) in zip(marks, events.iterrows(), strict=True):
            kind = EventKind[event["kind"].upper()]
            _count_event(book, int(mark), kind, event["notional"])
    figures = np.empty(1, FIGURES_RECORD)
    finalize(book, coefficients, parameters, risk_free, figures[0])
    return named_figures(figures.view(np.float64))
