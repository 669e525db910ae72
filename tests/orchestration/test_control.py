"""Emergency control in the graph: what halts it, what it refuses, and where that is seen."""

from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from basis_pipeline.config.control import load_control_limits
from basis_pipeline.errors import BacktestError, BasisError
from basis_pipeline.operations import control as emergency
from basis_pipeline.operations.control import State
from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.assets.config import MODE as SLICE
from basis_pipeline.orchestration.assets.market import PANEL
from basis_pipeline.orchestration.assets.raw import raw_key
from basis_pipeline.orchestration.assets.report import COMPARISON
from basis_pipeline.orchestration.assets.results import RECORD
from basis_pipeline.orchestration.check_history import evaluation_of, latest_records
from basis_pipeline.orchestration.control import (
    CONTROL,
    STATE,
    consecutive_failures,
    enforce_limits,
)
from basis_pipeline.settings import project_root
from tests.orchestration.conftest import Place, problems

RATES = "protocol_data/aave/rates/*_USDT_rates_*.csv"
GAS_EATS = 20.0  # USDT of capital
MODE, RAW = "pure_lending", raw_key("aave_usdt_rates")
LIMITS = load_control_limits(project_root() / "configs")


def shown(place: Place) -> tuple[str, str]:
    """Return status and description of the check of `platform/control`."""
    key = dg.AssetCheckKey(CONTROL, STATE)
    record = latest_records(place.instance, [key])[key]
    evaluation = evaluation_of(record)
    assert evaluation is not None
    return record.status.value, evaluation.description or ""


def test_a_broken_delivery_alerts_then_halts_and_a_person_brings_work_back(ran: Place) -> None:
    """Three failures in a row are a halt; reports still run, backtests do not until a resume."""
    settings = ran.request().settings
    (rates,) = ran.data.glob(RATES)
    sound = rates.read_bytes()
    rates.write_bytes(sound[: len(sound) // 2])
    states = []
    for _ in range(3):
        assert ran.execute(RAW).success
        states.append(emergency.read_state(settings).name)
    assert states == [State.ALERT, State.ALERT, State.HALT]
    assert "is 3, the limit is 3" in emergency.read_state(settings).reason
    assert shown(ran)[0] == "FAILED"
    assert shown(ran)[1].startswith("HALT since")
    rates.write_bytes(sound)
    assert ran.execute(RAW).success
    (problem,) = ran.run_mode(MODE, SIMULATION)
    assert isinstance(problem, BacktestError)
    assert problem.code == "BT-005"
    assert "is 3, the limit is 3" in problem.what
    assert ran.execute(COMPARISON).success
    assert emergency.resume(settings, reason="delivered again", by="ann")
    assert ran.run_mode(MODE) == []
    assert emergency.read_state(settings).name is State.NORMAL


def test_a_figure_beyond_its_limit_halts_what_comes_after_it(ran: Place) -> None:
    """The mode that breached is recorded as the evidence it is; the next one is blocked."""
    assert ran.run_mode("btc_basis", SIMULATION, RECORD, capital=GAS_EATS) == []
    state = emergency.read_state(ran.request().settings)
    assert state.name is State.HALT
    assert "drawdown_fraction of btc_basis" in state.reason
    (problem,) = ran.run_mode(MODE, SIMULATION, capital=GAS_EATS)
    assert isinstance(problem, BacktestError)
    assert problem.code == "BT-005"
    assert shown(ran) == ("FAILED", state.description)


def test_a_what_if_halts_nobody(ran: Place) -> None:
    """Who asks what an unhedged book would have done holds none: work goes on."""
    assert ran.run_mode("btc_basis", SLICE, PANEL, SIMULATION, overrides=["hedge.ratio=0.0"]) == []
    assert emergency.read_state(ran.request().settings).name is State.NORMAL


def test_after_a_shutdown_nothing_is_read_nor_written(place: Place) -> None:
    """Ingestion and reports refuse too; the state can still be looked at."""
    settings = place.request().settings
    emergency.shutdown(settings, reason="venue gone", by="ann")
    for key in (RAW, COMPARISON):
        (problem,) = problems(place.execute(key))
        assert isinstance(problem, BacktestError)
        assert problem.code == "BT-005"
    assert place.execute(CONTROL).success
    assert shown(place)[1].startswith("SHUTDOWN since")


def test_a_state_that_cannot_be_read_refuses_and_is_seen(ran: Place) -> None:
    """The state is unknown: the backtest is blocked, and the check says why."""
    place, settings = ran, ran.request().settings
    emergency.halt(settings, reason="odd fills", by="ann")
    for suffix in ("", "-wal", "-shm"):
        (place.results / f"runs.sqlite{suffix}").unlink(missing_ok=True)
    (place.results / "runs.sqlite").write_bytes(b"no database" * 1000)
    (problem,) = place.run_mode(MODE, SIMULATION)
    assert isinstance(problem, BasisError)
    assert problem.code == "RS-005"
    assert place.execute(CONTROL).success
    assert shown(place)[0] == "FAILED"
    assert shown(place)[1].startswith("RS-005")


def evaluated(
    instance: dg.DagsterInstance, passed: bool, key: str = "raw/made_up", **found: Any
) -> str:
    """Run one check of an asset, and return the run's id."""
    asset_key, name = dg.AssetKey(key.split("/")), found.pop("check", "readable")

    @dg.asset(key=asset_key, check_specs=[dg.AssetCheckSpec(name, asset=asset_key)])
    def made_up() -> Iterator[dg.MaterializeResult[None]]:
        result = dg.AssetCheckResult(check_name=name, passed=passed, **found)
        yield dg.MaterializeResult(check_results=[result])

    return dg.materialize([made_up], instance=instance).run_id


def counted(instance: dg.DagsterInstance, run_id: str, since: float = 0.0) -> list[float]:
    """Return the counts of a run."""
    return [figure.value for figure in consecutive_failures(instance, run_id, LIMITS, since)]


def test_failures_are_counted_back_to_the_last_pass() -> None:
    """Over all runs, up to the count that anybody asks for, and not beyond a resume."""
    with dg.DagsterInstance.ephemeral() as instance:
        verdicts = (False, True, False, False, False, False)
        runs = [evaluated(instance, passed) for passed in verdicts]
        assert [counted(instance, run) for run in (runs[1], runs[-1])] == [[0.0], [3.0]]
        (last,) = instance.all_logs(runs[-1], of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
        assert counted(instance, runs[-1], since=last.timestamp - 1e-6) == [1.0]
        assert counted(instance, runs[-1], since=last.timestamp) == [0.0]


@pytest.mark.parametrize(
    "found",
    [
        {"severity": dg.AssetCheckSeverity.WARN},
        {"metadata": {"code": "DATA-012"}},
    ],
)
def test_a_warning_or_a_window_beside_the_data_is_no_failure(found: dict[str, Any]) -> None:
    """An absent feed and a wrong window are no emergency; both end a row of failures."""
    with dg.DagsterInstance.ephemeral() as instance:
        evaluated(instance, passed=False)
        assert counted(instance, evaluated(instance, passed=False, **found)) == [0.0]
        assert counted(instance, evaluated(instance, passed=False)) == [1.0]


def test_only_gates_that_say_something_is_wrong_are_counted() -> None:
    """A poor figure, or a mode that is rejected for its data, is judged elsewhere."""
    with dg.DagsterInstance.ephemeral() as instance:
        for key, check in (("market/panel", "inputs"), ("backtest/simulation", "drawdown_limit")):
            assert counted(instance, evaluated(instance, False, key, check=check)) == []
        for key, check in (
            ("backtest/simulation", "reconciliation"),
            ("results/record", "integrity"),
        ):
            assert counted(instance, evaluated(instance, False, key, check=check)) == [1.0]


def test_what_changes_nothing_is_not_shown_again(place: Place) -> None:
    """One record a change, however often the figures are held against the limits."""
    settings = place.request().settings
    figures = [emergency.Measurement(emergency.Limit.DRAWDOWN, 0.5, MODE)]
    for _ in range(3):
        assert enforce_limits(place.instance, settings, figures).name is State.HALT
    records = place.instance.event_log_storage.get_asset_check_execution_history(
        dg.AssetCheckKey(CONTROL, STATE), limit=10
    )
    assert len(records) == 1
