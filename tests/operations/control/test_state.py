"""The state: stored in the database, changed once, and resumed by persons only."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from basis_pipeline.config.control import Limit
from basis_pipeline.errors import BacktestError, BasisError, CommandError, ResultsError
from basis_pipeline.operations.audit_log import Event, read_events
from basis_pipeline.operations.audit_log.files import DIRECTORY
from basis_pipeline.operations.control import state as control
from basis_pipeline.operations.control.model import (
    RESUME,
    ControlState,
    Measurement,
    OpenBreach,
    State,
)
from basis_pipeline.results.database.connection import connect, writing
from basis_pipeline.settings import Settings, project_root
from tests import postgres
from tests.operations.control.conftest import settings_at

MODE = "btc_basis"
GATE = "raw/aave_usdt_rates landed"
NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"


def failing(count: float) -> list[Measurement]:
    """One gate that failed a number of times in a row."""
    return [Measurement(Limit.FAILED_GATES, count, "", GATE)]


def drawdown(share: float, mode: str = MODE) -> list[Measurement]:
    """The drawdown of a mode."""
    return [Measurement(Limit.DRAWDOWN, share, mode)]


def audited(settings: Settings) -> list[Event]:
    """The audit trail of what was changed, in order."""
    types = ("alerted", "halted", "shut_down", "resumed")
    return list(read_events(settings.results_dir / DIRECTORY, types=types))


def open_breaches(settings: Settings) -> tuple[OpenBreach, ...]:
    """What is open."""
    return control.read_state(settings).breaches


def test_where_nothing_ran_the_state_is_normal_and_nothing_is_made(tmp_path: Path) -> None:
    """A fresh clone works, and reading the state creates no database."""
    settings = settings_at(tmp_path)
    assert control.read_state(settings) == ControlState(State.NORMAL)
    assert control.enforce_limits(settings, drawdown(0.01)).name is State.NORMAL
    assert control.transitions(settings) == []
    assert not control.resume(settings, reason="nothing", by="ann")
    control.require_not_halted(settings, "a backtest")
    assert list(tmp_path.iterdir()) == []


def test_a_halt_lasts_until_a_person_resumes(settings: Settings) -> None:
    """Who, when and why are stored; doing it twice changes nothing; a change is audited once."""
    assert control.halt(settings, reason="odd fills", by="ann")
    assert not control.halt(settings, reason="again", by="bob")
    state = control.read_state(settings)
    assert (state.name, state.reason, state.by) == (State.HALT, "odd fills", "ann")
    assert state.stops_work
    with pytest.raises(BacktestError, match=r"BT-005: a backtest is blocked: HALT .*ann: odd"):
        control.require_not_halted(settings, "a backtest")
    control.require_not_shut_down(settings, "a report")
    assert control.resume(settings, reason="venue confirmed", by="bob")
    assert not control.resume(settings, reason="again", by="bob")
    state = control.read_state(settings)
    assert (state.name, state.by, state.stops_work) == (State.NORMAL, "bob", False)
    assert state.resumed_at == state.since
    changes = [(t.version, t.previous, t.state) for t in control.transitions(settings)]
    assert changes == [(2, "HALT", "NORMAL"), (1, "NORMAL", "HALT")]
    events = audited(settings)
    assert [(e.type, e.category, e.fields["by"]) for e in events] == [
        ("halted", "audit", "ann"),
        ("resumed", "audit", "bob"),
    ]
    assert events[0].fields["reason"] == "odd fills"


def test_a_shutdown_stops_what_a_halt_lets_run(settings: Settings) -> None:
    """It follows on a halt, and only a person ends it."""
    control.halt(settings, reason="odd fills", by="ann")
    assert control.shutdown(settings, reason="venue gone", by="ann")
    assert control.enforce_limits(settings, drawdown(0.9)).name is State.SHUTDOWN
    for require in (control.require_not_halted, control.require_not_shut_down):
        with pytest.raises(BacktestError, match=r"BT-005.*SHUTDOWN"):
            require(settings, "a report")
    assert control.resume(settings, reason="moved", by="ann")
    control.require_not_shut_down(settings, "a report")


def test_nothing_is_changed_without_a_reason_and_a_name(settings: Settings) -> None:
    """API-001, and nothing is written."""
    for change in (control.halt, control.shutdown, control.resume):
        for words in ({"reason": " ", "by": "ann"}, {"reason": "odd", "by": ""}):
            with pytest.raises(CommandError, match="API-001"):
                change(settings, **words)
    assert control.transitions(settings) == []


def test_an_alert_ends_by_itself_and_a_halt_does_not(settings: Settings) -> None:
    """Recovery ends the one, a person the other; both name the command."""
    assert control.enforce_limits(settings, failing(1)).name is State.ALERT
    assert control.enforce_limits(settings, failing(0)).name is State.NORMAL
    for count, expected in ((1, State.ALERT), (2, State.ALERT), (3, State.HALT), (0, State.HALT)):
        state = control.enforce_limits(settings, failing(count))
        assert state.name is expected
        assert RESUME in state.description
        is_over = "is 3, the limit is 3 (no longer the case)" in state.description
        assert is_over == (count == 0)
    assert state.by == control.POLICY
    assert f"failed_gates_in_a_row of {GATE} is 3, the limit is 3" in state.reason
    events = ["alerted", "resumed", "alerted", "halted"]
    assert [event.type for event in audited(settings)] == events


def test_an_alert_names_the_breaches_of_now(settings: Settings) -> None:
    """Ended breaches are not repeated, and new ones are named."""
    control.enforce_limits(settings, failing(1))
    control.enforce_limits(settings, drawdown(0.25))
    state = control.enforce_limits(settings, failing(0))
    assert state.name is State.ALERT
    assert "drawdown_fraction of btc_basis is 0.25, the limit is 0.2" in state.description
    assert GATE not in state.description


def test_a_resume_accepts_what_is_open_and_nothing_else(settings: Settings) -> None:
    """The same, or a lesser, breach is accepted; a worse one, and one that came back, are new."""
    assert control.enforce_limits(settings, drawdown(0.45)).name is State.HALT
    control.resume(settings, reason="known crisis in the window", by="ann")
    (breach,) = open_breaches(settings)
    assert breach.accepted
    for share in (0.45, 0.41, 0.45):
        assert control.enforce_limits(settings, drawdown(share)).name is State.NORMAL
    assert control.enforce_limits(settings, drawdown(0.45, "eth_basis")).name is State.HALT
    control.resume(settings, reason="the same crisis", by="ann")
    assert control.enforce_limits(settings, drawdown(0.46)).name is State.HALT
    control.resume(settings, reason="as before", by="ann")
    assert control.enforce_limits(settings, drawdown(0.46)).name is State.NORMAL
    assert control.enforce_limits(settings, drawdown(0.01)).name is State.NORMAL
    assert control.enforce_limits(settings, drawdown(0.41)).name is State.HALT


def test_failed_gates_are_counted_anew_after_a_resume(settings: Settings) -> None:
    """The first failure after it alerts, the third halts; an automatic NORMAL is no resume."""
    control.enforce_limits(settings, failing(3))
    control.resume(settings, reason="delivered again", by="ann")
    assert open_breaches(settings) == ()
    resumed_at = control.read_state(settings).resumed_at
    found = [control.enforce_limits(settings, failing(count)).name for count in (0, 1, 0, 2, 3)]
    assert found == [State.NORMAL, State.ALERT, State.NORMAL, State.ALERT, State.HALT]
    assert control.read_state(settings).resumed_at == resumed_at


def test_a_figure_that_is_not_a_number_halts_every_time(settings: Settings) -> None:
    """It cannot be accepted for good, since its true value is unknown."""
    assert control.enforce_limits(settings, drawdown(float("nan"))).name is State.HALT
    (breach,) = open_breaches(settings)
    assert breach.value != breach.value
    control.resume(settings, reason="engine looked at", by="ann")
    assert control.enforce_limits(settings, drawdown(float("nan"))).name is State.HALT


CHILD = """
import sys
from pathlib import Path
from basis_pipeline.config.control import Limit
from basis_pipeline.operations.control import Measurement, enforce_limits
from tests.operations.control.conftest import settings_at
settings = settings_at(Path(sys.argv[1]), sys.argv[2])
figures = [Measurement(Limit.DRAWDOWN, 0.5, sys.argv[3])]
print("ready", flush=True)
sys.stdin.readline()
print(enforce_limits(settings, figures).name)
"""


def test_many_processes_that_breach_at_once_make_one_transition(
    tmp_path: Path, database_url: str
) -> None:
    """On a database that none of them has made yet: one halts, all see it, one audit event."""
    modes = ("btc_basis", "eth_basis", "btc_basis")
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
    assert len(open_breaches(settings)) == len(set(modes))
    assert [event.type for event in audited(settings)] == ["halted"]


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
        control.require_not_halted(settings, "a backtest")


def test_a_server_out_of_reach_is_not_taken_for_normal(tmp_path: Path) -> None:
    """RS-008 where the state was never known; a person can still halt."""
    settings = settings_at(tmp_path, NOWHERE)
    with pytest.raises(ResultsError, match="RS-008"):
        control.require_not_halted(settings, "a backtest")
    assert control.halt(settings, reason="odd fills", by="ann")
    assert control.read_state(settings).is_pending
    with pytest.raises(BacktestError, match=r"BT-005.*odd fills"):
        control.require_not_halted(settings, "a backtest")


@pytest.mark.parametrize("state", [State.ALERT, State.HALT])
def test_while_the_server_is_down_the_last_known_state_holds(
    tmp_path: Path, postgres_url: str, state: State
) -> None:
    """An alert lets a run go on, a halt blocks it; the message says how old that is."""
    with postgres.database(postgres_url) as url:
        settings = settings_at(tmp_path, url)
        settings.results_dir.mkdir()
        control.enforce_limits(settings, failing(1))
        if state is State.HALT:
            control.halt(settings, reason="odd fills", by="ann")
    down = settings_at(tmp_path, NOWHERE)
    known = control.read_state(down)
    assert known.name is state
    assert "last known state, 0 min old: the results database is down" in known.description
    assert control.enforce_limits(down, drawdown(0.01)).name is state
    if known.stops_work:
        with pytest.raises(BacktestError, match="BT-005"):
            control.require_not_halted(down, "a backtest")
    else:
        control.require_not_halted(down, "a backtest")


def test_a_halt_of_the_limits_while_the_server_is_down_holds_when_it_is_back(
    tmp_path: Path, postgres_url: str
) -> None:
    """It blocks at once, and is stored in the database when that is next read."""
    with postgres.database(postgres_url) as url:
        settings = settings_at(tmp_path, url)
        settings.results_dir.mkdir()
        control.enforce_limits(settings, failing(1))
        down = settings_at(tmp_path, NOWHERE)
        assert control.enforce_limits(down, drawdown(0.5)).name is State.HALT
        with pytest.raises(BacktestError, match=r"BT-005.*drawdown_fraction"):
            control.require_not_halted(down, "a backtest")
        with pytest.raises(ResultsError, match="RS-008"):
            control.resume(down, reason="nobody can know", by="ann")
        assert control.read_state(settings).name is State.HALT
        assert [t.state for t in control.transitions(settings)] == ["HALT", "ALERT"]
        assert control.resume(settings, reason="looked at", by="ann")
        assert control.read_state(settings).name is State.NORMAL


def test_a_read_only_results_directory_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A halt is read where nothing can be written, and reading creates nothing."""
    settings = settings_at(tmp_path)
    control.halt(settings, reason="odd fills", by="ann")
    before = sorted(settings.results_dir.rglob("*"))
    monkeypatch.setattr(os, "access", lambda *_: False)  # who runs as root may write everywhere
    assert control.read_state(settings).name is State.HALT
    assert len(control.transitions(settings)) == 1
    assert sorted(settings.results_dir.rglob("*")) == before


def test_a_log_that_cannot_be_written_does_not_keep_from_halting(settings: Settings) -> None:
    """The change is stored in the database even without the log."""
    settings.results_dir.mkdir(parents=True)
    (settings.results_dir / DIRECTORY).write_text("in the way")
    assert control.halt(settings, reason="odd fills", by="ann") is not None
    assert control.read_state(settings).stops_work
