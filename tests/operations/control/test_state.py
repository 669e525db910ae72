"""The state: kept in the database, changed once, let go on by persons only."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from basis_pipeline.config.control import ControlLimits, Limit, load_control_limits
from basis_pipeline.errors import BacktestError, BasisError, CommandError, ResultsError
from basis_pipeline.operations.audit_log import Event, read_events
from basis_pipeline.operations.audit_log.files import DIRECTORY
from basis_pipeline.operations.control import state as control
from basis_pipeline.operations.control.model import ControlState, Measured, State
from basis_pipeline.results.database.connection import connect, writing
from basis_pipeline.settings import Settings, project_root
from tests.operations.control.conftest import settings_at

MODE = "btc_basis"
GATE = "raw/aave_usdt_rates landed"


def watched(**bounds: tuple[float | None, float | None]) -> ControlLimits:
    """The committed limits with some of them replaced: alert and halt by name."""
    changed = {Limit(k): {"alert": alert, "halt": halt} for k, (alert, halt) in bounds.items()}
    committed = load_control_limits(project_root() / "configs")
    return ControlLimits(name="limits", overall={**committed.overall, **changed}, modes={})


def failing(count: float) -> list[Measured]:
    """One gate, failed so often in a row."""
    return [Measured(Limit.FAILED_GATES, count, "", GATE)]


def drawdown(share: float, mode: str = MODE) -> list[Measured]:
    """The drawdown of a mode."""
    return [Measured(Limit.DRAWDOWN, share, mode)]


def audited(settings: Settings) -> list[Event]:
    """The audit trail of what was changed, in order."""
    types = ("alerted", "halted", "shut_down", "resumed")
    return list(read_events(settings.results_dir / DIRECTORY, types=types))


def test_where_nothing_ran_the_state_is_normal_and_nothing_is_made(tmp_path: Path) -> None:
    """A fresh clone works, and looking at it leaves no database behind."""
    settings = settings_at(tmp_path)
    assert control.read_state(settings) == ControlState(State.NORMAL)
    assert control.assess(settings, drawdown(0.01)).name is State.NORMAL
    assert (control.transitions(settings), control.standing(settings)) == ([], [])
    assert control.resume(settings, reason="nothing", by="ann") is None
    control.require_work(settings, "a backtest")
    assert list(tmp_path.iterdir()) == []


def test_a_halt_lasts_until_a_person_resumes(settings: Settings) -> None:
    """Who, when and why are kept; doing it twice changes nothing; every change is audited once."""
    made = control.halt(settings, reason="odd fills", by="ann")
    assert made is not None
    assert (made.version, made.previous) == (1, State.NORMAL)
    assert control.halt(settings, reason="again", by="bob") is None
    assert control.alert(settings, reason="milder", by="bob") is None
    state = control.read_state(settings)
    assert (state.name, state.reason, state.by) == (State.HALT, "odd fills", "ann")
    assert state.stops_work
    assert state.since == made.at
    with pytest.raises(BacktestError, match=r"BT-005: a backtest does not run: HALT .*ann: odd"):
        control.require_work(settings, "a backtest")
    control.require_open(settings, "a report")
    assert control.resume(settings, reason="venue confirmed", by="bob") is not None
    assert control.resume(settings, reason="again", by="bob") is None
    state = control.read_state(settings)
    assert (state.name, state.by, state.stops_work) == (State.NORMAL, "bob", False)
    assert state.resumed_at == state.since
    changes = [(t.version, t.previous, t.state) for t in control.transitions(settings)]
    assert changes == [(2, "HALT", "NORMAL"), (1, "NORMAL", "HALT")]
    told = audited(settings)
    assert [(e.type, e.category, e.fields["by"]) for e in told] == [
        ("halted", "audit", "ann"),
        ("resumed", "audit", "bob"),
    ]
    assert told[0].fields["reason"] == "odd fills"


def test_a_shutdown_stops_what_a_halt_lets_run(settings: Settings) -> None:
    """It follows on a halt, and only a person ends it."""
    control.halt(settings, reason="odd fills", by="ann")
    assert control.shutdown(settings, reason="venue gone", by="ann") is not None
    assert control.assess(settings, drawdown(0.9)).name is State.SHUTDOWN
    for require in (control.require_work, control.require_open):
        with pytest.raises(BacktestError, match=r"BT-005.*SHUTDOWN"):
            require(settings, "a report")
    assert control.resume(settings, reason="moved", by="ann") is not None
    control.require_open(settings, "a report")


def test_nothing_is_changed_without_a_reason_and_a_name(settings: Settings) -> None:
    """API-001, and nothing is written."""
    for change in (control.halt, control.alert, control.shutdown, control.resume):
        for said in ({"reason": " ", "by": "ann"}, {"reason": "odd", "by": ""}):
            with pytest.raises(CommandError, match="API-001"):
                change(settings, **said)
    assert control.transitions(settings) == []


def test_breaches_only_make_it_worse(settings: Settings) -> None:
    """First an alert, then a halt; a figure that recovers does not bring work back."""
    assert control.assess(settings, failing(1)).name is State.ALERT
    assert control.assess(settings, failing(2)).name is State.ALERT
    halted = control.assess(settings, failing(3))
    assert (halted.name, halted.by) == (State.HALT, control.POLICY)
    assert f"failed_gates_in_a_row of {GATE}: 3 reaches 3" in halted.reason
    assert control.assess(settings, failing(0)).name is State.HALT
    assert control.standing(settings) == []
    assert [event.type for event in audited(settings)] == ["alerted", "halted"]


def test_what_was_accepted_does_not_halt_again_and_what_is_new_does(settings: Settings) -> None:
    """The same, or a lesser, breach is let be; a worse one, and one that came back, are new."""
    assert control.assess(settings, drawdown(0.45)).name is State.HALT
    control.resume(settings, reason="known crisis in the window", by="ann")
    (standing,) = control.standing(settings)
    assert standing.acknowledged
    for share in (0.45, 0.41, 0.45):
        assert control.assess(settings, drawdown(share)).name is State.NORMAL
    assert control.assess(settings, drawdown(0.45, "eth_basis")).name is State.HALT
    control.resume(settings, reason="the same crisis", by="ann")
    assert control.assess(settings, drawdown(0.46)).name is State.HALT
    control.resume(settings, reason="as before", by="ann")
    assert control.assess(settings, drawdown(0.46)).name is State.NORMAL
    assert control.assess(settings, drawdown(0.01)).name is State.NORMAL
    assert control.assess(settings, drawdown(0.41)).name is State.HALT


def test_failed_gates_are_counted_anew_after_a_resume(settings: Settings) -> None:
    """The first failure after it alerts, the third halts."""
    control.assess(settings, failing(3))
    control.resume(settings, reason="delivered again", by="ann")
    assert control.standing(settings) == []
    found = [control.assess(settings, failing(count)).name for count in (0, 1, 2, 3)]
    assert found == [State.NORMAL, State.ALERT, State.ALERT, State.HALT]


def test_the_age_of_data_is_accepted_until_new_ones_come(settings: Settings) -> None:
    """It grows while nobody can do anything, and that alone is no news."""
    limits = watched(data_age_hours=(24.0, 48.0))

    def aged(hours: float) -> State:
        measured = [Measured(Limit.DATA_AGE, hours, MODE, "aave_usdt_rates")]
        return control.assess(settings, measured, limits).name

    assert aged(50.0) is State.HALT
    control.resume(settings, reason="the venue is closed", by="ann")
    assert [aged(60.0), aged(1.0), aged(30.0)] == [State.NORMAL, State.NORMAL, State.ALERT]


def test_a_figure_that_is_no_number_halts_and_stays_known(settings: Settings) -> None:
    """It is kept as what it is, and accepting it does not last: nobody knows what it hides."""
    assert control.assess(settings, drawdown(float("nan"))).name is State.HALT
    (standing,) = control.standing(settings)
    assert standing.breach.as_json()["value"] is None
    control.resume(settings, reason="engine looked at", by="ann")
    assert control.assess(settings, drawdown(float("nan"))).name is State.HALT


def test_what_is_measured_replaces_only_what_was_known_of_the_same(settings: Settings) -> None:
    """One gate's pass does not hide another's failure."""
    other = Measured(Limit.FAILED_GATES, 2.0, "", "raw/ethereum_gas landed")
    control.assess(settings, [*failing(1), other])
    control.assess(settings, failing(0))
    (left,) = control.standing(settings)
    assert left.breach.measured == other


CHILD = """
import sys
from pathlib import Path
from basis_pipeline.config.control import Limit
from basis_pipeline.operations.control import Measured, assess
from tests.operations.control.conftest import settings_at
settings = settings_at(Path(sys.argv[1]), sys.argv[2])
figures = [Measured(Limit.DRAWDOWN, 0.5, sys.argv[3])]
print("ready", flush=True)
sys.stdin.readline()
print(assess(settings, figures).name)
"""


def test_many_processes_that_breach_at_once_make_one_transition(
    tmp_path: Path, database_url: str
) -> None:
    """On a database that none of them has made yet: one halts, all see it, one audit event."""
    modes = ("btc_basis", "eth_basis", "eth_leveraged", "usdt_market_neutral", "btc_basis")
    pipe, environ = subprocess.PIPE, {**os.environ, "PYTHONPATH": str(project_root())}
    command = [sys.executable, "-c", CHILD, str(tmp_path), database_url]
    children = [
        subprocess.Popen(
            [*command, m], stdin=pipe, stdout=pipe, stderr=pipe, text=True, env=environ
        )
        for m in modes
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n", child.communicate()[1]
    with ThreadPoolExecutor(len(children)) as pool:
        said = list(pool.map(lambda child: child.communicate("go\n", timeout=120), children))
    assert [out for out, _ in said] == ["HALT\n"] * len(modes), said
    settings = settings_at(tmp_path, database_url)
    assert [t.state for t in control.transitions(settings)] == [State.HALT]
    assert len(control.standing(settings)) == len(set(modes))
    assert [event.type for event in audited(settings)] == ["halted"]


def test_a_halt_survives_the_process_that_made_it(tmp_path: Path, database_url: str) -> None:
    """Another process, later, finds it as it was."""
    children = [sys.executable, "-c", CHILD, str(tmp_path), database_url, MODE]
    environ = {**os.environ, "PYTHONPATH": str(project_root())}
    ended = subprocess.run(
        children, input="go\n", capture_output=True, text=True, env=environ, check=True
    )
    assert ended.stdout == "ready\nHALT\n"
    state = control.read_state(settings_at(tmp_path, database_url))
    assert (state.name, state.by) == (State.HALT, control.POLICY)
    assert "drawdown_fraction of btc_basis: 0.5 reaches 0.4" in state.reason


def test_a_damaged_database_is_not_taken_for_normal(tmp_path: Path) -> None:
    """Nobody knows whether work may go on: reading refuses, and so does what asks for leave."""
    settings = settings_at(tmp_path)
    control.halt(settings, reason="odd fills", by="ann")
    (settings.results_dir / "runs.sqlite").write_bytes(b"no database" * 1000)
    for attempt in (
        lambda: control.read_state(settings),
        lambda: control.require_work(settings, "a backtest"),
        lambda: control.resume(settings, reason="mended", by="ann"),
    ):
        with pytest.raises(ResultsError, match="RS-005"):
            attempt()


@pytest.mark.parametrize(
    "damage",
    [
        "DROP TABLE control_transitions",
        "UPDATE control_transitions SET state = 'PAUSED'",
    ],
)
def test_tables_that_were_tampered_with_are_not_taken_for_normal(
    settings: Settings, damage: str
) -> None:
    """RS-005: once control had its tables, their absence means nothing good."""
    control.halt(settings, reason="odd fills", by="ann")
    with writing(connect(settings.results_db_url)) as connection:
        connection.execute(text(damage))
    with pytest.raises(BasisError, match="RS-005"):
        control.require_work(settings, "a backtest")


def test_a_server_out_of_reach_is_not_taken_for_normal(tmp_path: Path) -> None:
    """RS-008: nobody answers, so nobody may work."""
    settings = settings_at(tmp_path, "postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(ResultsError, match="RS-008"):
        control.require_work(settings, "a backtest")


def test_a_log_that_cannot_be_written_does_not_keep_from_halting(settings: Settings) -> None:
    """The change stands in the database, whatever becomes of the log."""
    settings.results_dir.mkdir(parents=True)
    (settings.results_dir / DIRECTORY).write_text("in the way")
    assert control.halt(settings, reason="odd fills", by="ann") is not None
    assert control.read_state(settings).stops_work


def test_a_change_keeps_the_figures_it_was_made_for(settings: Settings) -> None:
    """What the limits saw is evidence, and lies with the change."""
    control.assess(settings, drawdown(0.5))
    with writing(connect(settings.results_db_url)) as connection:
        kept = connection.scalar(text("SELECT breaches FROM control_transitions"))
    (breach,) = json.loads(kept)
    assert (breach["limit"], breach["mode"], breach["value"]) == ("drawdown_fraction", MODE, 0.5)
