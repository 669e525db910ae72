"""Figures of result tables that no engine made, counted by the engine's own functions."""

import numpy as np
import pandas as pd

from basis_pipeline.engine.accounting import Survey
from basis_pipeline.engine.figures import FIGURES, begin, conclude, tally
from basis_pipeline.engine.ledger import record
from basis_pipeline.engine.model import (
    COMPONENTS,
    E_LIQUIDATION,
    E_REBALANCE,
    E_TRADE,
    EQUITY,
    FLOW,
    LENDING,
    SPOT,
    Floats,
)
from basis_pipeline.engine.simulation import empty_book
from basis_pipeline.runs.backtest import named_figures
from tests.engine.markets import made_parameters

KINDS = {"trade": E_TRADE, "rebalance": E_REBALANCE, "liquidation": E_LIQUIDATION}


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
    """Figures of hourly equity, flows and components (n, 10); delta as a share of equity."""
    hours = len(equity)
    parameters, book = made_parameters(0), empty_book(hours, 0, 0)
    begin(book, parameters, capital)
    row, unit = np.zeros(20), np.ones(10)
    for t in range(hours):
        row[EQUITY], row[FLOW] = equity[t], flow[t]
        row[LENDING : LENDING + len(COMPONENTS)] = parts[t]
        book.state[SPOT] = delta[t] * equity[t] if delta is not None else 0.0
        lowest = margin_ratio[t] if margin_ratio is not None else np.inf
        seen = Survey(float(equity[t]), 0.0, 0.0, 0.0, 0.0, True, float(lowest))
        midnight = t >= first_midnight and (t - first_midnight) % 24 == 0
        tally(book, unit, parameters, seen, t == 0, midnight, row)
    if events is not None and marks is not None:
        for mark, (_, event) in zip(marks, events.iterrows(), strict=True):
            record(
                book, int(mark), KINDS[event["kind"]], 0, event["notional"], 1.0, 0.0, 0.0, 0.0, 0
            )
    figures = np.empty(len(FIGURES))
    conclude(book, hours, risk_free, figures)
    return named_figures(figures)
