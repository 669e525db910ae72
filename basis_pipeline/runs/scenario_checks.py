"""The gates of many scenarios: does every row reconcile, does the worst keep the stated limits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.config.scenario import Constraints, ScenarioSet
from basis_pipeline.market.quality import QualityResult, Severity

PHASE = 6
SHOWN_ROWS = 20
JUDGED = ("total_return", "max_drawdown", "liquidations", "min_health_factor", "min_margin_ratio")
SHOWN = ("index", "window", "market", "path", "status", *JUDGED)
Asked = Mapping[str, tuple[Severity, str]]
CHECKS: Asked = {
    "reconciliation": (
        "ERROR",
        "the ten components explain equity to 1e-9 of it at every hour of every scenario",
    ),
    "worst_case": ("ERROR", "every scenario keeps the limits that its set states"),
}
# A constraint, the figure it bounds, and on which side: 1 from above, -1 from below.
BOUNDS = (
    ("max_liquidations", "liquidations", 1.0),
    ("max_drawdown", "max_drawdown", 1.0),
    ("min_health_factor", "min_health_factor", -1.0),
    ("min_margin_ratio", "min_margin_ratio", -1.0),
)


def verdict(
    asked: Asked,
    name: str,
    passed: bool,
    metrics: dict[str, Any],
    offending: pd.DataFrame | None = None,
) -> QualityResult:
    """One verdict on what was asked, with at most as many rows as can be looked at."""
    severity, description = asked[name]
    return QualityResult(
        name=name,
        passed=passed,
        severity=severity,
        description=description,
        metrics=metrics,
        offending=pd.DataFrame() if offending is None else offending.head(SHOWN_ROWS),
        phase=PHASE,
    )


def broken(rows: pd.DataFrame, constraints: Constraints) -> pd.Series:
    """What each row breaks, its names joined by a comma; empty for a row that keeps everything.

    A row with a status breaks `status`. A figure that is not defined (the health factor of what
    owes nothing) breaks nothing.
    """
    found = pd.Series(np.where(rows["status"] != "", "status", ""), index=rows.index, dtype=object)
    for name, figure, sign in BOUNDS:
        limit = getattr(constraints, name)
        if limit is None:
            continue
        outside = sign * rows[figure] > sign * limit
        found[outside] = found[outside].str.cat([name] * int(outside.sum()), sep=",").str.strip(",")
    return found


def worst(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    """The scenarios to look at first: refused ones, then those that lost most."""
    order = rows.assign(_refused=rows["status"] == "").sort_values(
        ["_refused", "total_return", "index"], kind="stable"
    )
    return order.head(count).drop(columns="_refused")


def reconciles(rows: pd.DataFrame) -> QualityResult:
    """Whether no scenario is refused: by its reconciliation, or for another reason."""
    unsound = rows[rows["status"] != ""]
    codes = ", ".join(sorted(unsound["status"].unique())) or "none"
    metrics = {"refused": len(unsound), "codes": codes}
    return verdict(CHECKS, "reconciliation", unsound.empty, metrics, unsound[list(SHOWN)])


def within_limits(rows: pd.DataFrame, scenarios: ScenarioSet) -> QualityResult:
    """Whether every scenario keeps the limits its set states; its worst are shown first."""
    if scenarios.limits is None:
        return verdict(CHECKS, "worst_case", True, {"applies": "no"})
    outside = broken(rows, scenarios.limits)
    failing = worst(rows.assign(broken=outside)[outside != ""], SHOWN_ROWS)
    figures: dict[str, Any] = {"scenarios": len(rows), "outside": int((outside != "").sum())}
    for name, figure, sign in BOUNDS:
        limit, known = getattr(scenarios.limits, name), rows[figure].dropna()
        if limit is not None and len(known):
            worst_found = float(known.max() if sign > 0 else known.min())
            figures |= {figure: worst_found, f"limit_{figure}": limit}
    return verdict(CHECKS, "worst_case", failing.empty, figures, failing[["broken", *SHOWN]])


def scenario_checks(rows: pd.DataFrame, scenarios: ScenarioSet) -> list[QualityResult]:
    """Evaluate the gates of a finished sweep, stress or set of drawn paths.

    Parameters
    ----------
    rows: all of them, with the figures `JUDGED`, as `runs.sweep.read_rows` gives them.
    """
    return [reconciles(rows), within_limits(rows, scenarios)]
