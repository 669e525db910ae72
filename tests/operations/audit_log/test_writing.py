"""Writing the log: a recorded event is on the disk, and a failing log stops no work."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from basis_pipeline.errors import correlation_id
from basis_pipeline.operations.audit_log import (
    Category,
    Event,
    EventType,
    correlated,
    emit,
    log_directory,
    read_events,
)
from basis_pipeline.settings import Settings, load_settings, project_root
from tests.planted import SECRETS

CHILD = """
import os, signal, sys
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.settings import load_settings
settings = load_settings(results_dir=sys.argv[1])
for number in range(300):
    emit(settings, EventType.MESSAGE, "test", number=number, text="x" * 2000)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Results of its own."""
    return load_settings(results_dir=tmp_path / "results")


def logged(settings: Settings) -> list[Event]:
    """Everything in the log."""
    return list(read_events(log_directory(settings)))


def test_an_event_says_when_what_and_in_which_run(settings: Settings) -> None:
    """The correlation id is the Dagster run; the environment tells production from a trial."""
    with correlated("run-1", "btc_basis"):
        emit(settings, EventType.RUN_STARTED, "job")
        assert correlation_id() == "run-1"
    emit(settings, EventType.DATA_REJECTED, "feed", code="DATA-008")
    first, second = logged(settings)
    assert (first.type, first.category, first.level) == ("run_started", "audit", "INFO")
    assert (first.run_id, first.mode, first.pid) == ("run-1", "btc_basis", os.getpid())
    assert first.environment == settings.environment
    assert (second.run_id, second.mode, second.level) == ("", "", "ERROR")
    assert second.fields == {"code": "DATA-008"}
    assert second.at >= first.at
    assert second.seq > first.seq


def test_secrets_are_masked_and_odd_values_are_written(settings: Settings) -> None:
    """A password never reaches the disk; what JSON cannot hold becomes text."""
    odd = {"path": Path("a"), "nan": float("nan"), "set": {2, 1}, "break": "a\nb\u2028c\0"}
    emit(
        settings, EventType.MESSAGE, "test", password=SECRETS[0], url=f"x://u:{SECRETS[1]}@h", **odd
    )
    (event,) = logged(settings)
    assert event.fields["password"] == "***"
    assert event.fields["break"] == odd["break"]
    (file,) = log_directory(settings).iterdir()
    assert not any(secret in file.read_text() for secret in SECRETS)


def test_processes_that_write_at_once_and_are_killed_leave_whole_lines(
    tmp_path: Path,
) -> None:
    """Every event that was recorded is there, also after kill -9; no line is torn or mixed."""
    command = [sys.executable, "-c", CHILD, str(tmp_path)]
    children = [subprocess.Popen(command, cwd=project_root()) for _ in range(3)]
    codes = {child.wait(timeout=60) for child in children}
    assert codes == {-signal.SIGKILL}
    events = logged(load_settings(results_dir=tmp_path))
    for child in children:
        own = [event.fields["number"] for event in events if event.pid == child.pid]
        assert own == list(range(300))


def test_a_forked_process_writes_a_file_of_its_own(settings: Settings) -> None:
    """A worker that was forked in the middle of a run neither loses nor repeats events."""
    emit(settings, EventType.MESSAGE, "test", text="before")
    if not (pid := os.fork()):
        emit(settings, EventType.MESSAGE, "test", text="child")
        os._exit(0)
    os.waitpid(pid, 0)
    emit(settings, EventType.MESSAGE, "test", text="parent")
    assert [(e.fields["text"], e.pid == pid) for e in logged(settings)] == [
        ("before", False),
        ("child", True),
        ("parent", False),
    ]


def test_a_log_that_cannot_be_written_is_reported_once_and_stops_nothing(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """Work continues without a log; stderr says so, and why."""
    settings.results_dir.mkdir()
    log_directory(settings).write_text("in the way")
    for _ in range(3):
        emit(settings, EventType.MESSAGE, "test", text="unheard")
    assert capsys.readouterr().err.count("EVENT-001") == 1
    log_directory(settings).unlink()
    emit(settings, EventType.MESSAGE, "test", text="heard")
    assert [event.fields["text"] for event in logged(settings)] == ["heard"]


def test_the_log_level_quiets_what_is_not_audit(tmp_path: Path) -> None:
    """BASIS_LOG_LEVEL=ERROR leaves out times and messages; the audit trail stays complete."""
    settings = load_settings({**os.environ, "BASIS_LOG_LEVEL": "ERROR"}, results_dir=tmp_path)
    emit(settings, EventType.TIMING, "step", seconds=1.0)
    emit(settings, EventType.RUN_STARTED, "job")
    emit(settings, EventType.MESSAGE, "test", level="CRITICAL", text="loud")
    assert [event.type for event in logged(settings)] == ["run_started", "message"]
    assert {EventType(e.type).category for e in logged(settings)} == {
        Category.AUDIT,
        Category.BUSINESS,
    }
