"""The gates of a finished backtest: reconciliation, determinism, closed form and limits.

Each check is evaluated from the result's tables or by running the engine again; none relies on the
figures in the run's summary.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.backtests.backtest import TOLERANCE, simulate_slice, unexplained
from basis_pipeline.backtests.benchmarks import LENDING
from basis_pipeline.backtests.inputs import market_arrays, parameters_of, plain_panel, plain_run
from basis_pipeline.backtests.tables import WICK
from basis_pipeline.config import ModeSlice
from basis_pipeline.engine import simulate
from basis_pipeline.engine.closed_forms import closed_form_equity
from basis_pipeline.engine.model import Floats
from basis_pipeline.market.events import COST_BUCKETS_USD
from basis_pipeline.market.panel import Panel
from basis_pipeline.results import metrics
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.summary import growth_of
from basis_pipeline.verdict import Severity, Verdict, against, count_of, judge, rows_of

PHASE = 3
# A run that fails one of these is wrong, not merely unprofitable: it is never stored as a result.
BLOCKING = ("reconciliation", "closed_form", "determinism")
ASSET = "backtest/simulation"
SHOWN_ROWS = 20
REPAIRED_SHARE = 0.10
LARGEST_LOSS = 0.10  # share of the capital, whatever drawdown a mode allows itself


@dataclass(frozen=True, slots=True)
class Finished:
    """A finished run and its inputs, as checks read them."""

    result: RunResult
    mode_slice: ModeSlice
    panel: Panel

    def column(self, table: str, name: str) -> Floats:
        """Return one column of a result table as float64, (n,)."""
        return self.result.frames[table][name].to_numpy(dtype=np.float64)

    @property
    def total_return(self) -> float:
        """Time-weighted return over the window."""
        return float(growth_of(self.result.frames, self.result.identity.capital)[-1]) - 1.0

    def worst(self, table: str, columns: list[str], excess: Floats) -> pd.DataFrame:
        """Return the rows of a table where `excess` is above zero or NaN, worst first."""
        rows = np.flatnonzero(~(excess <= 0.0))
        rows = rows[np.argsort(-excess[rows], kind="stable")][:SHOWN_ROWS]
        return self.result.frames[table].loc[rows, ["timestamp", *columns]]


# Whether the check passed (None: not applicable), message, further fields, offending rows.
Outcome = tuple[bool | None, str, dict[str, Any], pd.DataFrame]
NOTHING = pd.DataFrame()


def _not_applicable(reason: str) -> Outcome:
    return None, reason, {}, NOTHING


def _compared(
    what: str,
    value: float,
    limit: float,
    rows: pd.DataFrame = NOTHING,
    *,
    floor: bool = False,
    noun: str = "",
) -> Outcome:
    """Compare a share with its limit."""
    passed = value >= limit if floor else value <= limit
    message = against(what, value, limit, "share", floor=floor, noun=noun)
    return passed, message, {"measured": value, "limit": limit, "unit": "share"}, rows


def _reconciliation(run: Finished) -> Outcome:
    equity, gap = run.column("equity", "equity"), unexplained(run.result)
    excess = np.abs(gap) - TOLERANCE * np.abs(equity)
    rows = run.worst("attribution", ["residual"], excess)
    share = float(np.max(np.abs(gap) / np.maximum(np.abs(equity), 1e-300)))
    message = against("the largest unexplained share of equity", share, TOLERANCE)
    facts = {"measured": share, "limit": TOLERANCE}
    return bool((excess <= 0.0).all()), message, facts, rows


def _closed_form(run: Finished) -> Outcome:
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
    largest = float(gap.max())
    message = against("the largest relative difference to the closed form", largest, TOLERANCE)
    return not len(excess), message, {"measured": largest, "limit": TOLERANCE}, rows.iloc[excess]


def _determinism(run: Finished) -> Outcome:
    _, again = simulate_slice(run.mode_slice, run.panel, run.result.identity.capital)
    differing = [name for name, frame in again.items() if not frame.equals(run.result.frames[name])]
    message = "a second run gives the same tables to the bit"
    if differing:
        message = f"a second run gives other values in {', '.join(differing)}"
    facts = {"measured": len(differing), "limit": 0, "unit": "tables"}
    return not differing, message, facts, pd.DataFrame({"table": differing})


def _no_liquidation(run: Finished) -> Outcome:
    events = run.result.frames["events"]
    rows = events[events["kind"] == "liquidation"]
    message = "no position was liquidated"
    if len(rows):
        first = rows.iloc[0]
        message = f"{count_of(len(rows), 'liquidation')}, the first at {first['venue']} on "
        message += f"{first['timestamp']:%Y-%m-%d %H:%M} UTC"
    if wicks := int((rows["reason"] == "wick").sum()):
        message += f"; {wicks} at a wick, beyond {WICK:g} times the bar's open and close, that "
        message += "no other venue on the same side shows"
    facts = {"measured": len(rows), "limit": 0, "unit": "liquidations"}
    return rows.empty, message, facts, rows.head(SHOWN_ROWS)


def _limit(
    run: Finished,
    columns: tuple[str, ...],
    gate: str,
    what: str,
    *,
    unit: str = "",
    floor: bool = False,
) -> Outcome:
    """Compare the worst of some risk columns with the mode's limit under `gates`."""
    table, limit = run.result.frames["risk"], getattr(run.mode_slice.mode.gates, gate)
    if limit is None:
        return _not_applicable(f"the mode states no gates.{gate}")
    measured = table[list(columns)].to_numpy(dtype=np.float64)
    if not np.isfinite(measured).any():
        return _not_applicable(f"{columns[0]} is not defined for this mode")
    if floor:
        values = np.fmin.reduce(measured, axis=1)
        excess, worst = np.nan_to_num(limit - values), float(np.nanmin(values))
    else:
        values = np.fmax.reduce(np.abs(measured), axis=1)
        excess, worst = np.nan_to_num(values - limit), float(np.nanmax(values))
    message = against(what, worst, limit, unit, floor=floor)
    facts = {"measured": worst, "limit": limit, "unit": unit}
    return not (excess > 0).any(), message, facts, run.worst("risk", list(columns), excess)


# Before an hour's trades, after them, and at the extreme of the bar between.
DELTA = ("net_delta_ratio", "net_delta_ratio_before")
MARGIN_RATIO = ("min_margin_ratio", "min_margin_ratio_before", "margin_ratio_extreme")
HEALTH_FACTOR = ("health_factor", "health_factor_before")


def _delta_band(run: Finished) -> Outcome:
    what = "the largest net delta over equity"
    return _limit(run, DELTA, "max_abs_delta", what, unit="share")


def _margin_ratio_floor(run: Finished) -> Outcome:
    return _limit(run, MARGIN_RATIO, "min_margin_ratio", "the lowest margin ratio", floor=True)


def _health_factor_floor(run: Finished) -> Outcome:
    return _limit(run, HEALTH_FACTOR, "min_health_factor", "the lowest health factor", floor=True)


def _drawdown_limit(run: Finished) -> Outcome:
    return _limit(run, ("drawdown",), "max_drawdown", "the largest drawdown", unit="share")


def _loss_limit(run: Finished) -> Outcome:
    return _compared("the return", run.total_return, -LARGEST_LOSS, floor=True)


def _target_apy(run: Finished) -> Outcome:
    target = run.mode_slice.mode.gates.target_apy
    if target is None:
        return _not_applicable("the mode states no gates.target_apy")
    if reason := run.result.summary["not_annualised"]:
        return _not_applicable(f"APY is not defined: {reason}")
    apy = metrics.annual_yield(run.total_return, metrics.years(run.panel.timestamps))
    return _compared("APY", apy, target, floor=True, noun="target")


def _beats_lending(run: Finished) -> Outcome:
    benchmark = run.result.frames.get("benchmark")
    if benchmark is None or LENDING not in benchmark:
        return _not_applicable("there are no lending rates over the window")
    if run.mode_slice.mode.allocation.lending == 1.0:
        return _not_applicable("the mode is plain lending")
    growth = benchmark[LENDING].to_numpy()
    lending, noun = float(growth[-1] / growth[0]) - 1.0, "plain-lending return"
    return _compared("the return", run.total_return, lending, floor=True, noun=noun)


def _pool_share(run: Finished) -> Outcome:
    limit, mode = run.mode_slice.mode.gates.max_pool_share, run.mode_slice.mode
    if limit is None:
        return _not_applicable("the mode states no gates.max_pool_share")
    panel, held = run.panel, run.result.frames["positions"]
    protocol = mode.lending.protocol
    debt = run.mode_slice.debt_token
    # Index of a scaled balance, and its pool.
    pools = {
        f"{protocol}:aToken:a{mode.lending.token}": (panel.lending_index, panel.pool_supplied),
        f"{protocol}:aToken:a{mode.staking.lst}": (panel.collateral_index, panel.pool_collateral),
        f"{protocol}:debtToken:debt{debt}": (panel.borrow_index, panel.pool_borrowed),
    }
    pools = {key: pool for key, pool in pools.items() if key in held}
    if not all((total > 0.0).all() for _, total in pools.values()):
        return _not_applicable("the rates files do not state the totals of the pools")
    shares = {key: held[key].to_numpy() * (i / total) for key, (i, total) in pools.items()}
    if not shares:
        return _not_applicable("the mode neither supplies nor borrows")
    worst = max(shares, key=lambda key: float(shares[key].max()))
    share = float(shares[worst].max())
    return _compared(f"the largest share of a pool, {worst},", share, limit)


def _trade_sizes(run: Finished) -> Outcome:
    events = run.result.frames["events"]
    trades = events[events["kind"] == "trade"]
    hours = np.searchsorted(run.panel.hours, pd.DatetimeIndex(trades["timestamp"]))
    usd = trades["notional"].to_numpy() * run.panel.numeraire_usd[hours]
    bucket = COST_BUCKETS_USD[-1]
    rows = trades.assign(notional_usd=usd)[usd > bucket]
    rows = rows.sort_values("notional_usd", ascending=False, kind="stable").head(SHOWN_ROWS)
    count, largest = int((usd > bucket).sum()), float(usd.max(initial=0.0))
    what = f"{count_of(count, 'trade')} above the last size bucket of the cost table; the largest"
    facts = {"measured": largest, "limit": float(bucket), "unit": "USD"}
    facts["evidence"] = {"trades_above_last_bucket": count}
    return count == 0, against(what, largest, float(bucket), "USD"), facts, rows


def _repaired_data(run: Finished) -> Outcome:
    share = float(run.panel.repaired.mean())
    repairs = {name: int(mask.sum()) for name, mask in run.panel.repairs.items() if mask.any()}
    rows = pd.DataFrame({"dataset": list(repairs), "repaired_hours": list(repairs.values())})
    return _compared("the share of hours with repaired data", share, REPAIRED_SHARE, rows)


CHECKS: dict[str, tuple[Severity, str, Callable[[Finished], Outcome]]] = {
    "reconciliation": (
        "ERROR",
        "the ten components explain every change of equity to 1e-9 of equity, at every hour",
        _reconciliation,
    ),
    "closed_form": (
        "ERROR",
        "without rebalancing and costs, the engine equals its closed form to 1e-9 at every hour",
        _closed_form,
    ),
    "determinism": ("ERROR", "a second run gives the same tables to the bit", _determinism),
    "no_liquidation": (
        "ERROR",
        "neither the lending protocol nor a venue liquidated a position",
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
    "loss_limit": ("ERROR", "the loss is at most 10 % of the capital", _loss_limit),
    "beats_lending": ("WARN", "the return is at least that of plain lending", _beats_lending),
    "pool_share": ("WARN", "no position is above gates.max_pool_share of its pool", _pool_share),
    "target_apy": ("WARN", "the APY is at least gates.target_apy", _target_apy),
    "trade_sizes": ("WARN", "no trade is above the cost table's last size bucket", _trade_sizes),
    "repaired_data": ("WARN", "at most 10 % of the hours use repaired data", _repaired_data),
}


def backtest_checks(result: RunResult, mode_slice: ModeSlice, panel: Panel) -> list[Verdict]:
    """Evaluate every check of `CHECKS` on a finished backtest, in their order."""
    run = Finished(result, mode_slice, panel)
    verdicts = []
    place: dict[str, Any] = {"phase": PHASE, "asset": ASSET, "mode": result.mode}
    for name, (severity, _, evaluate) in CHECKS.items():
        passed, message, facts, rows = evaluate(run)
        verdicts.append(
            judge(name, severity, passed, message, rows=rows_of(rows), **facts, **place)
        )
    return verdicts
