"""`basis halt`, `basis resume`, `basis control`, as a person calls them."""

import json
from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.operations.audit_log import read_events
from basis_pipeline.operations.audit_log.files import DIRECTORY
from basis_pipeline.orchestration.check_history import evaluation_of, latest_records
from basis_pipeline.orchestration.control import CONTROL, STATE
from basis_pipeline.orchestration.instance import opened_instance
from basis_pipeline.settings import load_settings, make_dagster_home
from tests.shell import call as basis

REASON = "okx looks wrong"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A results directory where nothing ran, and a data directory with nothing in it."""
    (tmp_path / "data").mkdir()
    return tmp_path


def results(place: Path) -> tuple[str, str]:
    """The option that names the place."""
    return "--results-dir", str(place / "results")


def test_a_person_halts_sees_and_resumes(place: Path) -> None:
    """Work is rejected with the reason in between; every change is audited once."""
    for _ in range(2):
        halted = basis("halt", "--reason", REASON, "--by", "ann", *results(place))
        assert (halted.returncode, halted.stderr) == (0, "")
        assert f"by ann: {REASON}" in halted.stdout
    assert halted.stdout.startswith("Nothing to change: HALT since")
    data = ("--data-dir", str(place / "data"))
    for work in (("run",), ("backtest", "btc_basis", "--out", str(place / "out"))):
        rejected = basis(*work, *data, *results(place))
        assert (rejected.returncode, rejected.stdout) == (2, "")
        assert rejected.stderr.startswith("BT-005: ")
        assert REASON in rejected.stderr
    assert not (place / "out").exists()
    seen = json.loads(basis("control", "--format", "json", *results(place)).stdout)
    assert (seen["state"], seen["by"], seen["reason"]) == ("HALT", "ann", REASON)
    assert seen["stops_work"]
    resumed = basis("resume", "--by", "bob", "--reason", "confirmed", *results(place))
    assert resumed.stdout.startswith("Control: NORMAL since")
    shown = basis("control", *results(place)).stdout
    assert all(said in shown for said in ("ann", "bob", REASON, "confirmed"))
    log = read_events(place / "results" / DIRECTORY, categories=["audit"])
    assert [event.type for event in log] == ["halted", "resumed"]


def test_a_change_is_shown_in_the_ui(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is an instance, its check of platform/control fails from now on."""
    home = make_dagster_home(load_settings({}, results_dir=place / "results"), {})
    halted = basis("halt", "--reason", REASON, "--by", "ann", *results(place))
    assert (halted.returncode, halted.stderr) == (0, "")
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    key = dg.AssetCheckKey(CONTROL, STATE)
    with opened_instance(home) as instance:
        record = latest_records(instance, [key])[key]
    assert record.status.value == "FAILED"
    evaluation = evaluation_of(record)
    assert evaluation is not None
    assert REASON in str(evaluation.description)


def test_looking_makes_nothing(place: Path) -> None:
    """A fresh clone is normal."""
    seen = basis("control", *results(place))
    assert (seen.returncode, seen.stdout) == (0, "Control: NORMAL: it has never changed\n")
    assert not (place / "results").exists()


@pytest.mark.parametrize(
    "command",
    [
        ("halt", "--reason", " "),
        ("resume", "--by", "ann"),
        ("resume", "--by", "ann", "--reason", ""),
    ],
)
def test_who_and_why_must_be_said(place: Path, command: tuple[str, ...]) -> None:
    """API-001 on one line of stderr, exit 2, nothing written."""
    rejected = basis(*command, *results(place))
    assert (rejected.returncode, rejected.stdout) == (2, "")
    assert rejected.stderr.startswith("API-001: ")
    assert not (place / "results").exists()


def test_a_state_that_cannot_be_read_is_said_and_refuses(place: Path) -> None:
    """An unreadable state is RS-005, not NORMAL."""
    (place / "results").mkdir()
    (place / "results" / "runs.sqlite").write_bytes(b"no database" * 1000)
    for command in (("control",), ("run", "--data-dir", str(place / "data"))):
        rejected = basis(*command, *results(place))
        assert (rejected.returncode, rejected.stdout) == (2, "")
        assert rejected.stderr.startswith("RS-005: ")


def test_after_a_shutdown_no_command_writes_but_gates_and_health(place: Path) -> None:
    """Reports, exports and maintenance are blocked; what only reads still works."""
    stopped = basis("halt", "--shutdown", "--reason", REASON, "--by", "ann", *results(place))
    assert stopped.stdout.startswith("Control: SHUTDOWN since")
    out = str(place / "out")
    for command in (
        ("report", "tear-sheet", "btc_basis", "--out", out),
        ("report", "compare", "btc_basis", "eth_basis", "--out", out),
        ("results", "prune", "--keep", "1", "--yes"),
        ("results", "drain"),
    ):
        blocked = basis(*command, *results(place))
        assert (blocked.returncode, blocked.stdout) == (2, ""), command
        assert blocked.stderr.startswith("BT-005: "), command
    assert not (place / "out").exists()
    assert basis("results", "list", *results(place)).returncode == 0
