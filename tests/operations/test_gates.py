"""Verdicts: what lets the line pass and what stops it."""

from datetime import UTC, datetime

import pytest

from basis_pipeline.operations.gates import (
    Gate,
    Verdict,
    counts,
    failed,
    verdict_of,
    worst,
)

AT = datetime(2024, 6, 1, tzinfo=UTC)


def gate(verdict: Verdict, *, stopped: bool = False, mode: str = "") -> Gate:
    """A gate with that verdict."""
    metrics = {"max_gap": 2e-12, "limit": 1e-9}
    return Gate(
        3, "backtest/run", "closed_form", mode, "ERROR", verdict, "said", AT, "r", stopped, metrics
    )


PASS, WARN, FAIL, NOT_RUN = (
    gate(v) for v in (Verdict.PASS, Verdict.WARN, Verdict.FAIL, Verdict.NOT_RUN)
)
STOPPED = gate(Verdict.NOT_RUN, stopped=True)


@pytest.mark.parametrize(
    ("passed", "severity", "verdict"),
    [
        (True, "ERROR", Verdict.PASS),
        (True, "WARN", Verdict.PASS),
        (False, "ERROR", Verdict.FAIL),
        (False, "WARN", Verdict.WARN),
    ],
)
def test_verdict_follows_outcome_and_severity(
    passed: bool, severity: str, verdict: Verdict
) -> None:
    """A failed warning is a warning, a failed error a failure."""
    assert verdict_of(passed, severity) is verdict


def test_worst_verdict_decides() -> None:
    """One failure spoils the lot, and nothing at all is not a pass."""
    assert worst([PASS, WARN, NOT_RUN, FAIL]) is Verdict.FAIL
    assert worst([PASS, WARN, NOT_RUN]) is Verdict.NOT_RUN
    assert worst([PASS, WARN]) is Verdict.WARN
    assert worst([PASS]) is Verdict.PASS
    assert worst([]) is Verdict.NOT_RUN


def test_failures_and_unreached_gates_stop_the_line() -> None:
    """A gate nobody asked for stops the line when the reading is strict; a warning never does."""
    everything = [PASS, WARN, FAIL, NOT_RUN, STOPPED]
    assert failed(everything) == [FAIL, STOPPED]
    assert failed(everything, strict=True) == [FAIL, NOT_RUN, STOPPED]
    assert failed([PASS, WARN, NOT_RUN]) == []


def test_counts_name_every_verdict() -> None:
    """Verdicts nobody has are counted too: zero failures is worth saying."""
    assert counts([PASS, PASS, WARN]) == {
        Verdict.FAIL: 0,
        Verdict.NOT_RUN: 0,
        Verdict.WARN: 1,
        Verdict.PASS: 2,
    }


def test_a_gate_tells_its_figures() -> None:
    """Measured value and limit stand beside the claim of a mode's check."""
    found = gate(Verdict.FAIL, mode="btc_basis")
    assert found.name == "backtest/run[btc_basis] closed_form"
    assert found.told == "said (limit 1e-09, max_gap 2e-12)"
    assert (found.value, found.limit) == ("2e-12", "1e-09")


def test_a_gate_links_to_its_check_in_the_ui() -> None:
    """A person gets from a verdict to its history and evidence in one step."""
    assert PASS.link == "/assets/backtest/run?view=checks&checkDetail=closed_form"
