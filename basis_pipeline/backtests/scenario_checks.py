"""The gates of many scenarios: every row reconciles, the worst keeps the stated limits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.config.scenario import Constraints, ScenarioSet
from basis_pipeline.verdict import Severity, Verdict, against, count_of, judge, rows_of

PHASE = 6
SHOWN_ROWS = 20
JUDGED = ("total_return", "max_drawdown", "liquidations", "min_health_factor", "min_margin_ratio")
SHOWN = ("index", "window", "market", "path", "status", *JUDGED)
CheckTable = Mapping[str, tuple[Severity, str]]
CHECKS: CheckTable = {
    "reconciliation": (
        "ERROR",
        "the ten components explain equity to 1e-9 of it at every hour of every scenario",
    ),
    "worst_case": ("ERROR", "every scenario keeps the limits that its set states"),
}
# A constraint, the figure it bounds, and the side: 1 from above, -1 from below.
BOUNDS = (
    ("max_liquidations", "liquidations", 1.0),
    ("max_drawdown", "max_drawdown", 1.0),
    ("min_health_factor", "min_health_factor", -1.0),
    ("min_margin_ratio", "min_margin_ratio", -1.0),
)
# The name of a figure in a sentence, and its unit.
NAMED = {
    "liquidations": ("the highest number of liquidations", ""),
    "max_drawdown": ("the largest drawdown", "share"),
    "min_health_factor": ("the lowest health factor", ""),
    "min_margin_ratio": ("the lowest margin ratio", ""),
}


def verdict(
    checks: CheckTable,
    name: str,
    passed: bool | None,
    message: str,
    offending: pd.DataFrame | None = None,
    **facts: Any,
) -> Verdict:
    """Return one verdict with at most `SHOWN_ROWS` rows."""
    rows = () if offending is None else rows_of(offending, SHOWN_ROWS)
    return judge(name, checks[name][0], passed, message, rows=rows, phase=PHASE, **facts)


def broken(rows: pd.DataFrame, constraints: Constraints) -> pd.Series:
    """Return the constraints each row breaks, joined by commas; empty where it keeps them all.

    A row with a status breaks `status`. An undefined figure, such as the health factor without a
    debt, breaks nothing.
    """
    names = pd.Series(np.where(rows["status"] != "", "status", ""), index=rows.index, dtype=object)
    for name, figure, sign in BOUNDS:
        limit = getattr(constraints, name)
        if limit is None:
            continue
        outside = sign * rows[figure] > sign * limit
        names[outside] = names[outside].str.cat([name] * int(outside.sum()), sep=",").str.strip(",")
    return names


def worst(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """Return the worst scenarios: rejected ones first, then those with the largest loss."""
    order = rows.assign(_is_sound=rows["status"] == "").sort_values(
        ["_is_sound", "total_return", "index"], kind="stable"
    )
    return order.head(count).drop(columns="_is_sound")


def reconciles(rows: pd.DataFrame) -> Verdict:
    """Judge whether every scenario reconciles and ran without an error."""
    unsound = rows[rows["status"] != ""]
    codes = ", ".join(sorted(unsound["status"].unique()))
    message = "no scenario was rejected"
    if codes:
        message = f"{count_of(len(unsound), 'scenario')} rejected with {codes}"
    return verdict(
        CHECKS,
        "reconciliation",
        unsound.empty,
        message,
        unsound[list(SHOWN)],
        measured=len(unsound),
        limit=0,
        unit="scenarios",
        evidence={"codes": codes or "none"},
    )


def within_limits(rows: pd.DataFrame, scenarios: ScenarioSet) -> Verdict:
    """Judge whether every scenario keeps the limits of its set; the worst are shown first."""
    if scenarios.limits is None:
        return verdict(CHECKS, "worst_case", None, "the scenario set states no limits")
    outside = broken(rows, scenarios.limits)
    failing = worst(rows.assign(broken=outside)[outside != ""], SHOWN_ROWS)
    figures: dict[str, Any] = {}
    sentences = []
    for name, figure, sign in BOUNDS:
        limit, known = getattr(scenarios.limits, name), rows[figure].dropna()
        if limit is not None and len(known):
            worst_found = float(known.max() if sign > 0 else known.min())
            figures |= {figure: worst_found, f"limit_{figure}": limit}
            what, unit = NAMED[figure]
            sentences.append(against(what, worst_found, limit, unit, floor=sign < 0))
    count = int((outside != "").sum())
    message = f"{count} of {count_of(len(rows), 'scenario')} outside the limits"
    return verdict(
        CHECKS,
        "worst_case",
        failing.empty,
        "; ".join([message, *sentences]),
        failing[["broken", *SHOWN]],
        measured=count,
        limit=0,
        unit="scenarios",
        evidence={"scenarios": len(rows), **figures},
    )


def scenario_checks(rows: pd.DataFrame, scenarios: ScenarioSet) -> list[Verdict]:
    """Evaluate the gates of a finished sweep, stress test or set of bootstrapped paths.

    Parameters
    ----------
    rows: of all points, with the figures `JUDGED`, as `backtests.sweep.read_rows` returns them.
    """
    return [reconciles(rows), within_limits(rows, scenarios)]
