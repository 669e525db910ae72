"""A waiver accepts a gate with a reason until a set time; it never makes it pass."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest

from basis_pipeline.config.control import load_control_limits
from basis_pipeline.errors import CommandError, ResultsError
from basis_pipeline.operations.audit_log import log_directory, read_events
from basis_pipeline.operations.waivers import read_waivers, waive, waived
from basis_pipeline.reports.banners import with_status
from basis_pipeline.reports.gates import gates_html
from basis_pipeline.reports.page import Provenance
from basis_pipeline.results.database.backup import WAIVERS
from basis_pipeline.settings import Settings, config_directory, load_settings
from basis_pipeline.verdict import Status, Verdict, failing, judge, tally
from tests.operations.test_gate_reports import FAIL, PASS, WARN

NOW = datetime.now(UTC)
SOON, LATER = NOW + timedelta(hours=1), NOW + timedelta(days=30)
DEEP = judge("drawdown_limit", "ERROR", False, "deep", measured=0.2, limit=0.1, unit="share").at(
    asset="backtest/run", mode="btc_basis", phase=3, evaluated_at=NOW
)
ALL = [PASS, WARN, FAIL, DEEP]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Results of its own."""
    return load_settings({}, results_dir=tmp_path)


def test_a_waived_failure_neither_passes_nor_stops(settings: Settings) -> None:
    """A status of its own, with who, why and until when; --strict does not accept it."""
    waive(settings, ALL, "drawdown_limit", by="Ann", reason="new mode", until=LATER)
    shown = waived(ALL, read_waivers(settings))
    (own,) = with_status(shown, Status.WAIVED)
    assert (own.name, own.passed) == (DEEP.name, False)
    assert own.evidence["waived_by"] == "Ann"
    assert tally(shown) == "1 FAIL, 1 WAIVED, 1 WARN, 1 PASS"
    assert failing(shown) == [FAIL]
    assert failing(shown, strict=True) == [FAIL, own]
    page = gates_html(shown, Provenance(NOW), control=load_control_limits(config_directory()))
    for text in ("Ann", "new mode", f"{LATER:%Y-%m-%d %H:%M} UTC", "✎", "≤ 10 %", "−10 %"):
        assert text in page
    event = read_events(log_directory(settings), types=["gate_waived"])[0]
    assert (event.fields["by"], event.fields["gate"]) == ("Ann", DEEP.name)


def test_a_waiver_expires_and_covers_nothing_worse(settings: Settings) -> None:
    """After its expiry the gate is as before; a waived warning that fails is a failure."""
    waive(settings, ALL, WARN.name, by="Ann", reason="known", until=SOON)
    known = read_waivers(settings)
    assert waived([WARN], known, SOON) == [WARN]
    assert waived([WARN], known, NOW)[0].status is Status.WAIVED
    worse = WARN.at(status=Status.FAIL)
    assert waived([worse], known) == [worse]
    passed = WARN.at(status=Status.PASS)
    assert waived([passed], known) == [passed]


@pytest.mark.parametrize(
    ("gate", "by", "until", "what"),
    [
        ("closed_form", "Ann", LATER, "no gate"),
        ("no_such", "Ann", LATER, "no gate"),
        (DEEP.name, " ", LATER, "a name and a reason"),
        (DEEP.name, "Ann", NOW - timedelta(hours=1), "has passed"),
    ],
)
def test_what_cannot_be_waived_is_rejected(
    settings: Settings, gate: str, by: str, until: datetime, what: str
) -> None:
    """A passed gate, an unknown one, no name, a time in the past; nothing is written."""
    with pytest.raises(CommandError, match=what):
        waive(settings, ALL, gate, by=by, reason="why", until=until)
    assert read_waivers(settings) == []


def test_two_gates_of_one_check_have_to_be_told_apart(settings: Settings) -> None:
    """The error lists both by their whole names."""
    other = DEEP.at(mode="eth_basis")
    with pytest.raises(CommandError) as caught:
        waive(settings, [DEEP, other], "drawdown_limit", by="Ann", reason="why", until=LATER)
    assert caught.value.available == f"{DEEP.name}; {other.name}"


def test_waivers_at_once_are_all_kept_and_a_damaged_file_is_no_waiver(settings: Settings) -> None:
    """Lines do not mix; a file that cannot be read accepts nothing silently."""
    checks: list[Verdict] = [DEEP.at(check=f"check_{number}") for number in range(8)]
    threads = [
        Thread(
            target=waive,
            args=(settings, checks, one.check),
            kwargs={"by": "Ann", "reason": "r" * 3000, "until": LATER},
        )
        for one in checks
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {waiver.gate for waiver in read_waivers(settings)} == {one.name for one in checks}
    file = settings.results_dir / WAIVERS
    file.write_text(file.read_text() + json.dumps({"gate": "x"}) + "\n")
    with pytest.raises(ResultsError, match="RS-003"):
        read_waivers(settings)
