"""Tables of a run's worst risk, and of the capital that its size limits allow."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from basis_pipeline.reports.risk_charts import setting
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.table import Cells, Table, Term
from basis_pipeline.results.definitions import DASH, FIGURES, amount, percent
from basis_pipeline.results.metrics import Floats
from basis_pipeline.verdict import Verdict, count_of

# Measure: its figure of the summary, the setting that limits it, whether the lowest value is worst.
MEASURES = {
    "health_factor": ("min_health_factor", "gates.min_health_factor", True),
    "margin_ratio": ("min_margin_ratio", "gates.min_margin_ratio", True),
    "ltv": ("max_ltv", "staking.max_ltv", False),
    "net_delta_ratio": ("max_abs_delta", "gates.max_abs_delta", False),
}
TIMES = ("before", "", "extreme")
# Check: what grows with the capital.
CAPACITY = {"pool_share": "largest share of a pool", "trade_sizes": "largest trade"}


def extremes_table(run: RunView) -> Table:
    """List the worst of every measure before and after the trades, and at the bar's extreme."""
    rows: list[Cells] = []
    for measure, (figure, key, is_floor) in MEASURES.items():
        write: Callable[[float | None, int], str] = (
            percent if FIGURES[figure].unit == "percent" else amount
        )
        for label, columns in _columns(run, measure):
            worst = [_worst(run, column, is_floor=is_floor) for column in columns]
            known = [found for found in worst if found is not None]
            if not known:
                continue
            value, at = (min if is_floor else max)(known)
            limit, hour = setting(run, key), f"{pd.Timestamp(int(at)):%Y-%m-%d %H:%M}"
            spare = None if limit is None else (value - limit if is_floor else limit - value)
            cells = (DASH if found is None else write(found[0], 3) for found in worst)
            bound = DASH if limit is None else f"{'≥' if is_floor else '≤'} {write(limit, 3)}"
            term = Term(label, FIGURES[figure].meaning)
            rows.append((term, *cells, hour, bound, DASH if spare is None else write(spare, 3)))
    extreme = Term(">at the extreme", "At the extreme price of the bar between two hours.")
    titles = (
        "measure", ">before trades", ">after trades", extreme, "worst at, UTC", ">limit",
        ">headroom",
    )  # fmt: skip
    return Table(titles, rows, "Worst of the run, against its limits")


def _columns(run: RunView, measure: str) -> list[tuple[str, list[str]]]:
    """Return label and columns of a measure, by venue where it has one: before, after, extreme."""
    label = FIGURES[MEASURES[measure][0]].label.partition(" ")[2].capitalize()
    stems = [f"{measure}_{time}".rstrip("_") for time in TIMES]
    if measure != "margin_ratio":
        return [(label, stems)]
    return [
        (f"{label}, {venue}", [f"{stem}:{venue}" for stem in stems])
        for venue in run.risk_by_venue(measure)
    ]


def _worst(run: RunView, column: str, *, is_floor: bool) -> tuple[float, int] | None:
    """Return the worst value of a column and its hour; None where it never applies."""
    if column not in run.result.frames["risk"]:
        return None
    values: Floats = run.column("risk", column)
    values = values if is_floor else np.abs(values)
    at = np.flatnonzero(np.isfinite(values))
    if not at.size:
        return None
    place = at[(np.argmin if is_floor else np.argmax)(values[at])]
    return float(values[place]), int(run.stamps[place])


def capacity_table(run: RunView, verdicts: Sequence[Verdict]) -> Table:
    """List the capital at which each size limit is reached, if sizes grow with the capital."""
    capital = run.result.identity.capital
    rows: list[Cells] = [
        (
            CAPACITY[verdict.check],
            verdict.measured_text,
            verdict.limit_text,
            run.money(capital * verdict.limit / verdict.measured),
        )
        for verdict in verdicts
        if verdict.check in CAPACITY and verdict.measured and verdict.limit is not None
    ]
    at_limit = Term(
        f">capital at the limit, {run.currency}",
        "The run's capital × limit over measured: sizes grow with the capital; prices, rates and "
        "slippage stay the same. The higher cost of larger trades is not included.",
    )
    return Table(("size", ">measured", ">limit", at_limit), rows, "Capacity", wide=False)


def worst_risk(run: RunView) -> str:
    """Return a sentence on the worst drawdown, margin and health of the run."""
    summary = run.summary
    parts = [f"drawdown {percent(summary['max_drawdown'])}"]
    for name, what in (
        ("min_margin_ratio", "margin ratio"),
        ("min_health_factor", "health factor"),
    ):
        if summary.get(name) is not None:
            limit = setting(run, f"gates.{name}")
            floor = "" if limit is None else f" (gate: at least {amount(limit, 3)})"
            parts.append(f"lowest {what} {amount(summary[name], 3)}{floor}")
    number = int(summary["liquidations"])
    parts.append("no liquidation" if not number else count_of(number, "liquidation"))
    return f"At worst: {', '.join(parts)}."
