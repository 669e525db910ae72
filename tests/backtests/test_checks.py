"""Gates of a backtest: green on a sound run, red with the offending rows for a planted fault."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.backtests.checks import CHECKS, PHASE, Finished, backtest_checks
from basis_pipeline.config import slice_mode
from basis_pipeline.market.window import Window
from basis_pipeline.results.tables import REQUIRED_TABLES
from basis_pipeline.verdict import Status, Verdict
from tests.backtests.trees import CONFIGS, MODES, Tree

MODE = "usdt_market_neutral"  # has every leg, so that every check applies
HOUR = 500


@pytest.fixture
def sound(sample: Tree) -> Finished:
    """Return a finished run with every leg."""
    return sample.run(MODE)


def evaluate(run: Finished) -> dict[str, Verdict]:
    """Evaluate every check; return verdicts by name."""
    checks = backtest_checks(run.result, run.mode_slice, run.panel)
    return {check.check: check for check in checks}


def shown(check: Verdict, name: str) -> list[Any]:
    """Return one column of the rows of a verdict."""
    return [row[name] for row in check.rows]


def iso(hours: pd.DatetimeIndex) -> list[str]:
    """Return hours as the rows of a verdict write them."""
    return [hour.isoformat() for hour in hours]


def failing(run: Finished) -> set[str]:
    """Return the names of the checks that did not pass."""
    return {name for name, check in evaluate(run).items() if not check.passed}


def with_table(
    run: Finished, table: str, change: Callable[[pd.DataFrame], pd.DataFrame | None]
) -> Finished:
    """Return the run with one table altered; the original keeps its own."""
    frame = run.result.frames[table].copy()
    changed = change(frame)
    frames = {**run.result.frames, table: frame if changed is None else changed}
    return replace(run, result=replace(run.result, frames=frames))


def with_gates(run: Finished, **gates: float | None) -> Finished:
    """Return the same run with other limits."""
    mode = run.mode_slice.mode
    limited = mode.model_copy(update={"gates": mode.gates.model_copy(update=gates)})
    return replace(run, mode_slice=run.mode_slice.model_copy(update={"mode": limited}))


def shifted(column: str, amount: float, row: int = HOUR) -> Callable[[pd.DataFrame], None]:
    """Return a change of one cell."""

    def change(frame: pd.DataFrame) -> None:
        frame.loc[row, column] += amount

    return change


def test_a_sound_run_passes_every_error_check(tree: Tree) -> None:
    """The committed modes pass on sample and real data, with warnings at most."""
    for mode in MODES:
        checks = evaluate(tree.run(mode))
        assert list(checks) == list(CHECKS), mode
        for name, check in checks.items():
            severity = CHECKS[name][0]
            assert (check.severity, check.phase) == (severity, PHASE), mode
            assert check.evaluated, mode
            assert check.passed or severity == "WARN", check.message
            assert check.passed == (not check.rows) or severity == "WARN", mode


@pytest.mark.parametrize("component", ["lending", "funding", "gas", "liquidation"])
def test_a_shifted_component_does_not_reconcile(sound: Finished, component: str) -> None:
    """One value of one component a hundredth of a dollar off is found, at its hour."""
    faulty = with_table(sound, "attribution", shifted(component, 0.01))
    check = evaluate(faulty)["reconciliation"]
    assert not check.passed
    assert shown(check, "timestamp") == [sound.panel.hours[HOUR].isoformat()]
    assert check.measured
    assert check.measured > 1e-9


def test_a_scaled_equity_does_not_reconcile(sound: Finished) -> None:
    """An hour whose equity is off is found there and at the next one; a flow without cause too."""
    equity = sound.column("equity", "equity")[HOUR]
    hours = sound.panel.hours
    for off in (1e-6 * equity, np.nan):  # a comparison with NaN is never true
        check = evaluate(with_table(sound, "equity", shifted("equity", off)))
        found = shown(check["reconciliation"], "timestamp")
        assert sorted(found) == iso(hours[[HOUR, HOUR + 1]])
    moved = evaluate(with_table(sound, "equity", shifted("flow", 5.0)))["reconciliation"]
    assert shown(moved, "timestamp") == [hours[HOUR].isoformat()]


def test_reconciliation_allows_rounding_only(sound: Finished) -> None:
    """The limit is 1e-9 of equity: just below it passes, just above it does not."""
    equity = sound.column("equity", "equity")[HOUR]
    for share, passes in ((0.9e-9, True), (1.1e-9, False)):
        faulty = with_table(sound, "attribution", shifted("funding", share * equity))
        assert evaluate(faulty)["reconciliation"].passed is passes


@pytest.mark.parametrize("table", REQUIRED_TABLES)
def test_any_altered_table_is_not_what_running_again_gives(sound: Finished, table: str) -> None:
    """The last bit of any number in any table counts."""
    frame = sound.result.frames[table]
    column = next(name for name in frame.columns if frame[name].dtype == np.float64)
    row = int(np.flatnonzero(frame[column].to_numpy() != 0.0)[-1])

    def nudge(altered: pd.DataFrame) -> None:
        altered.loc[row, column] = np.nextafter(altered.loc[row, column], np.inf)

    check = evaluate(with_table(sound, table, nudge))["determinism"]
    assert not check.passed
    assert shown(check, "table") == [table]


def test_a_benchmark_is_not_part_of_determinism(sound: Finished) -> None:
    """A second run makes no benchmark; that alone is no difference."""
    beside = pd.DataFrame({"timestamp": sound.panel.hours, "lending": 1.0})
    frames = {**sound.result.frames, "benchmark": beside}
    assert evaluate(replace(sound, result=replace(sound.result, frames=frames)))[
        "determinism"
    ].passed


@pytest.mark.parametrize(
    ("array", "first"),
    [("spot", HOUR), ("borrow_index", HOUR)],
)
def test_a_corrupt_panel_is_not_the_closed_form(sound: Finished, array: str, first: int) -> None:
    """A price the engine cannot use is shown with its hour, not averaged away."""
    values = getattr(sound.panel, array).copy()
    values[first] = np.nan
    check = evaluate(replace(sound, panel=replace(sound.panel, **{array: values})))["closed_form"]
    assert not check.passed
    assert shown(check, "timestamp")[0] == sound.panel.hours[first].isoformat()
    assert set(check.rows[0]) == {"timestamp", "engine", "closed_form"}


def test_a_liquidation_is_shown_with_its_event(sound: Finished) -> None:
    """One liquidation anywhere in the ledger fails the run."""

    def plant(events: pd.DataFrame) -> None:
        events.loc[40, ["kind", "reason"]] = "liquidation"

    check = evaluate(with_table(sound, "events", plant))["no_liquidation"]
    assert not check.passed
    assert shown(check, "sequence") == [40]
    assert check.measured == 1


def test_a_real_liquidation_fails_the_run(sample: Tree) -> None:
    """Without rebalancing and with a thin margin, venues close the hedge, and the gate fails."""
    thin = {"allocation.spot": 0.9, "rebalance.enabled": False}
    whole = sample.run("eth_basis").panel
    low = whole.hours[int(np.argmin(whole.spot[:-500]))]  # a short is liquidated on the way up
    run = sample.run("eth_basis", Window(low, whole.hours[-1]), thin)
    checks = evaluate(run)
    assert not checks["no_liquidation"].passed
    assert set(shown(checks["no_liquidation"], "venue")) <= set(run.panel.venues)
    assert not checks["delta_band"].passed
    assert checks["reconciliation"].passed
    assert checks["determinism"].passed
    assert checks["closed_form"].passed  # the forms know no liquidation: it is switched off there


LIMITS = [
    ("delta_band", "max_abs_delta", "net_delta_ratio"),
    ("margin_ratio_floor", "min_margin_ratio", "margin_ratio_extreme"),
    ("health_factor_floor", "min_health_factor", "health_factor"),
    ("drawdown_limit", "max_drawdown", "drawdown"),
]


@pytest.mark.parametrize(("name", "gate", "column"), LIMITS)
def test_a_limit_separates_its_worst_hour(
    sound: Finished, name: str, gate: str, column: str
) -> None:
    """At the worst value the gate passes; slightly stricter it fails with that hour first."""
    values, is_ceiling = np.abs(sound.column("risk", column)), gate.startswith("max")
    at = int(np.nanargmax(values) if is_ceiling else np.nanargmin(values))
    worst = float(values[at])
    assert evaluate(with_gates(sound, **{gate: worst}))[name].passed
    stricter = worst * (1.0 - 1e-9 if is_ceiling else 1.0 + 1e-9)
    check = evaluate(with_gates(sound, **{gate: stricter}))[name]
    assert not check.passed
    assert shown(check, "timestamp")[0] == sound.panel.hours[at].isoformat()
    assert (check.measured, check.limit) == (worst, stricter)


@pytest.mark.parametrize(("name", "gate", "column"), LIMITS)
def test_a_single_hour_beyond_a_limit_is_found(
    sound: Finished, name: str, gate: str, column: str
) -> None:
    """One hour's breach fails the gate, on either side of zero for the delta."""
    limit = getattr(sound.mode_slice.mode.gates, gate)
    breach = limit * (1.01 if gate.startswith("max") else 0.99)
    for value in (breach, -breach) if column == "net_delta_ratio" else (breach,):

        def plant(risk: pd.DataFrame, planted: float = value) -> None:
            risk.loc[HOUR, column] = planted

        check = evaluate(with_table(sound, "risk", plant))[name]
        assert not check.passed
        assert shown(check, "timestamp") == [sound.panel.hours[HOUR].isoformat()]
        assert (check.measured, check.limit) == (breach, limit)


def test_a_loss_of_more_than_a_tenth_is_an_error(sound: Finished) -> None:
    """Whatever drawdown the mode allows; a loss of a tenth still passes."""
    for left, status in ((0.901, Status.PASS), (0.899, Status.FAIL)):

        def fall(equity: pd.DataFrame, share: float = left) -> None:
            equity.loc[equity.index[-1], "equity"] = share * sound.result.identity.capital

        fallen = with_gates(with_table(sound, "equity", fall), max_drawdown=0.9, target_apy=None)
        check = evaluate(fallen)["loss_limit"]
        assert (check.severity, check.status) == ("ERROR", status)
        assert check.measured == pytest.approx(left - 1.0, abs=1e-3)


def test_a_gate_without_a_limit_or_a_figure_does_not_apply(sound: Finished, sample: Tree) -> None:
    """Null switches a gate off; a mode without debt has no health factor to hold."""
    gates = {gate: None for _, gate, _ in LIMITS} | {"target_apy": None}
    checks = evaluate(with_gates(sound, **gates))
    for name in (*(name for name, _, _ in LIMITS), "target_apy"):
        assert checks[name].status is Status.NOT_APPLICABLE
    lending = with_gates(sample.run("pure_lending"), min_health_factor=2.0, min_margin_ratio=0.5)
    for name in ("margin_ratio_floor", "health_factor_floor"):
        assert evaluate(lending)[name].status is Status.NOT_APPLICABLE


def test_a_target_missed_is_a_warning(sample: Tree) -> None:
    """The APY is computed from the tables, not taken from the run's summary."""
    run = sample.run("pure_lending")
    apy = run.result.summary["apy"]
    assert evaluate(with_gates(run, target_apy=apy * (1 - 1e-9)))["target_apy"].passed
    boasting = replace(run, result=replace(run.result, summary={**run.result.summary, "apy": 9.0}))
    check = evaluate(with_gates(boasting, target_apy=apy + 1e-6))["target_apy"]
    assert not check.passed
    assert check.severity == "WARN"
    assert check.measured == pytest.approx(apy, rel=1e-12)


def test_trades_beyond_the_cost_table_are_a_warning(sample: Tree) -> None:
    """Above a million dollars the last bucket's rate is used; the gate lists those trades."""
    for mode, capital in (("btc_basis", 3e6), ("eth_staking_only", 2000.0)):
        window = sample.windows["middle"]
        flows = [{"date": window.hours[5].isoformat(), "amount": -0.9 * capital}]
        sliced = slice_mode(CONFIGS, mode, {"flows": flows})
        run = sample.run_slice(sliced, window, capital)
        check = evaluate(run)["trade_sizes"]
        assert not check.passed
        sizes = shown(check, "notional_usd")
        assert min(sizes) > 1e6
        assert sizes == sorted(sizes, reverse=True)
        counted = run.result.summary["trades_above_last_size_bucket"]
        assert check.evidence["trades_above_last_bucket"] == counted
        assert check.measured == shown(check, "notional_usd")[0]
    assert evaluate(sample.run("btc_basis"))["trade_sizes"].passed


def test_too_many_repaired_hours_are_a_warning(sound: Finished) -> None:
    """Above 10 % of the hours the gate warns and lists the datasets."""
    hours = len(sound.panel.timestamps)
    for share, passes in ((0.09, True), (0.11, False)):
        flags = np.arange(hours) < share * hours
        panel = replace(sound.panel, repaired=flags, repairs={"okx_ethusdt_perp": flags})
        check = evaluate(replace(sound, panel=panel))["repaired_data"]
        assert check.passed is passes
        assert shown(check, "dataset") == ["okx_ethusdt_perp"]
        assert shown(check, "repaired_hours") == [int(flags.sum())]


def test_each_fault_turns_its_own_check_red(sound: Finished) -> None:
    """A fault in the risk table is no fault of the equity; determinism sees every change."""
    ok = failing(sound)
    risk = with_table(sound, "risk", shifted("net_delta_ratio", 1.0))
    assert failing(risk) - ok == {"delta_band", "determinism"}
    attribution = with_table(sound, "attribution", shifted("gas", -1.0))
    assert failing(attribution) - ok == {"reconciliation", "determinism"}
    assert failing(with_gates(sound, min_margin_ratio=5.0)) - ok == {"margin_ratio_floor"}
