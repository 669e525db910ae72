"""The gates of a finished backtest: does it reconcile, repeat, match its closed form, keep limits.

Each check is evaluated from the result's tables or by running the engine again; none reads the
figures that the run says of itself.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from basis_pipeline.config import ModeSlice
from basis_pipeline.engine import simulate
from basis_pipeline.engine.closed_forms import closed_form_equity
from basis_pipeline.engine.model import Floats
from basis_pipeline.market.events import COST_BUCKETS_USD
from basis_pipeline.market.panel import Panel
from basis_pipeline.market.quality import QualityResult
from basis_pipeline.results import metrics
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.summary import growth_of
from basis_pipeline.runs.backtest import TOLERANCE, simulate_slice, unexplained
from basis_pipeline.runs.inputs import market_arrays, parameters_of, plain_panel, plain_run

PHASE = 3
SHOWN_ROWS = 20
REPAIRED_SHARE = 0.10

Severity = Literal["ERROR", "WARN"]
Metrics = dict[str, float | int | str]


@dataclass(frozen=True, slots=True)
class Finished:
    """What a check looks at: the result, and what it was made from."""

    result: RunResult
    mode_slice: ModeSlice
    panel: Panel

    def column(self, table: str, name: str) -> Floats:
        """One column of a result table as float64, (n,)."""
        return self.result.frames[table][name].to_numpy(dtype=np.float64)

    def worst(self, table: str, columns: list[str], excess: Floats) -> pd.DataFrame:
        """Rows of a table where `excess` is above zero or no number, worst first."""
        rows = np.flatnonzero(~(excess <= 0.0))
        rows = rows[np.argsort(-excess[rows], kind="stable")][:SHOWN_ROWS]
        return self.result.frames[table].loc[rows, ["timestamp", *columns]]


Found = tuple[bool, Metrics, pd.DataFrame]
NOTHING = pd.DataFrame()


def _reconciliation(run: Finished) -> Found:
    equity, gap = run.column("equity", "equity"), unexplained(run.result)
    excess = np.abs(gap) - TOLERANCE * np.abs(equity)
    rows = run.worst("attribution", ["residual"], excess)
    share = float(np.max(np.abs(gap) / np.maximum(np.abs(equity), 1e-300)))
    return bool((excess <= 0.0).all()), {"max_abs_residual": share, "limit": TOLERANCE}, rows


def _closed_form(run: Finished) -> Found:
    plain, panel = plain_run(run.mode_slice), plain_panel(run.panel)
    market = market_arrays(panel, plain)
    unliquidated = parameters_of(plain)._replace(
        maintenance_margin=np.full(len(panel.venues), -np.inf), liquidation_threshold=np.inf
    )
    capital = run.result.identity.capital
    expected = closed_form_equity(market, unliquidated, capital)
    simulated = simulate(market, unliquidated, capital).equity
    gap = np.abs(simulated / expected - 1.0)
    rows = pd.DataFrame({"timestamp": panel.hours, "engine": simulated, "closed_form": expected})
    excess = np.flatnonzero(~(gap <= TOLERANCE))[:SHOWN_ROWS]
    return not len(excess), {"max_gap": float(gap.max()), "limit": TOLERANCE}, rows.iloc[excess]


def _determinism(run: Finished) -> Found:
    _, again = simulate_slice(run.mode_slice, run.panel, run.result.identity.capital)
    differing = [name for name, frame in again.items() if not frame.equals(run.result.frames[name])]
    rows = pd.DataFrame({"table": differing})
    return not differing, {"differing_tables": len(differing)}, rows


def _no_liquidation(run: Finished) -> Found:
    events = run.result.frames["events"]
    rows = events[events["kind"] == "liquidation"].head(SHOWN_ROWS)
    return rows.empty, {"liquidations": len(events[events["kind"] == "liquidation"])}, rows


def _limit(run: Finished, column: str, limit: float | None, sign: float, measured: str) -> Found:
    """Compare a risk column with a limit: a ceiling when `sign` is 1, a floor when it is -1."""
    values = run.column("risk", column)
    if limit is None or not np.isfinite(values).any():
        return True, {"applies": "no"}, NOTHING
    excess = np.nan_to_num(sign * (np.abs(values) if sign > 0 else values) - sign * limit)
    worst = float(np.nanmax(np.abs(values)) if sign > 0 else np.nanmin(values))
    rows = run.worst("risk", [column], excess)
    return not (excess > 0).any(), {measured: worst, "limit": limit}, rows


def _delta_band(run: Finished) -> Found:
    limit = run.mode_slice.mode.gates.max_abs_delta
    return _limit(run, "net_delta_ratio", limit, 1.0, "max_abs_delta")


def _margin_ratio_floor(run: Finished) -> Found:
    limit = run.mode_slice.mode.gates.min_margin_ratio
    return _limit(run, "min_margin_ratio", limit, -1.0, "min_margin_ratio")


def _health_factor_floor(run: Finished) -> Found:
    limit = run.mode_slice.mode.gates.min_health_factor
    return _limit(run, "health_factor", limit, -1.0, "min_health_factor")


def _drawdown_limit(run: Finished) -> Found:
    limit = run.mode_slice.mode.gates.max_drawdown
    return _limit(run, "drawdown", limit, 1.0, "max_drawdown")


def _target_apy(run: Finished) -> Found:
    target = run.mode_slice.mode.gates.target_apy
    if target is None:
        return True, {"applies": "no"}, NOTHING
    grown = float(growth_of(run.result.frames, run.result.identity.capital)[-1]) - 1.0
    apy = metrics.annual_yield(grown, metrics.years(run.panel.timestamps))
    return apy >= target, {"apy": apy, "target": target}, NOTHING


def _trade_sizes(run: Finished) -> Found:
    events = run.result.frames["events"]
    trades = events[events["kind"] == "trade"]
    marks = np.searchsorted(run.panel.hours, pd.DatetimeIndex(trades["timestamp"]))
    usd = trades["notional"].to_numpy() * run.panel.numeraire_usd[marks]
    rows = trades.assign(notional_usd=usd)[usd > COST_BUCKETS_USD[-1]]
    rows = rows.sort_values("notional_usd", ascending=False, kind="stable").head(SHOWN_ROWS)
    count, largest = int((usd > COST_BUCKETS_USD[-1]).sum()), float(usd.max(initial=0.0))
    return count == 0, {"trades_above_last_bucket": count, "largest_usd": largest}, rows


def _repaired_data(run: Finished) -> Found:
    share = float(run.panel.repaired.mean())
    repairs = {name: int(mask.sum()) for name, mask in run.panel.repairs.items() if mask.any()}
    rows = pd.DataFrame({"dataset": list(repairs), "repaired_hours": list(repairs.values())})
    return share <= REPAIRED_SHARE, {"repaired_share": share, "limit": REPAIRED_SHARE}, rows


CHECKS: dict[str, tuple[Severity, str, Callable[[Finished], Found]]] = {
    "reconciliation": (
        "ERROR",
        "the ten components explain every change of equity to 1e-9 of equity, at every hour",
        _reconciliation,
    ),
    "closed_form": (
        "ERROR",
        "held still and free of cost, the engine equals its closed form to 1e-9 at every hour",
        _closed_form,
    ),
    "determinism": ("ERROR", "running it again gives the same tables to the bit", _determinism),
    "no_liquidation": (
        "ERROR",
        "neither the lender nor a venue closed a position",
        _no_liquidation,
    ),
    "delta_band": ("ERROR", "net delta over equity stays within gates.max_abs_delta", _delta_band),
    "margin_ratio_floor": (
        "ERROR",
        "every venue's margin ratio stays above gates.min_margin_ratio",
        _margin_ratio_floor,
    ),
    "health_factor_floor": (
        "ERROR",
        "the health factor stays above gates.min_health_factor",
        _health_factor_floor,
    ),
    "drawdown_limit": ("ERROR", "the drawdown stays below gates.max_drawdown", _drawdown_limit),
    "target_apy": ("WARN", "the APY reaches gates.target_apy", _target_apy),
    "trade_sizes": ("WARN", "no trade is above the cost table's last size bucket", _trade_sizes),
    "repaired_data": ("WARN", "at most a tenth of the hours rest on repaired data", _repaired_data),
}


def backtest_checks(result: RunResult, mode_slice: ModeSlice, panel: Panel) -> list[QualityResult]:
    """Evaluate every check of `CHECKS` on a finished backtest, in their order."""
    run = Finished(result, mode_slice, panel)
    results = []
    for name, (severity, description, evaluate) in CHECKS.items():
        passed, metrics, offending = evaluate(run)
        results.append(
            QualityResult(
                name=name,
                passed=passed,
                severity=severity,
                description=description,
                metrics=metrics,
                offending=offending,
                phase=PHASE,
            )
        )
    return results
