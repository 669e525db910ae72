"""A verdict is the same wherever it is stored, and a check that was not evaluated never passes."""

import json
from datetime import UTC, datetime

import pytest

from basis_pipeline.verdict import Status, Verdict, against, counts, failing, status_of, worst

FULL = Verdict(
    check="target_apy",
    severity="WARN",
    status=Status.WARN,
    message="APY -10.9 % is below the target of 5 %",
    measured=-0.109,
    limit=0.05,
    unit="share",
    evidence={"code": "DATA-013", "rows": 3},
    rows=({"timestamp": "2024-06-01T00:00Z", "value": 1.5},),
    phase=3,
    asset="backtest/run",
    mode="btc_basis",
    evaluated_at=datetime(2024, 6, 1, tzinfo=UTC),
    run_id="abc",
    cause="",
)


def of(status: Status) -> Verdict:
    """A verdict with that status."""
    return FULL.at(status=status)


def test_a_verdict_survives_json() -> None:
    """Every field of a verdict survives."""
    assert Verdict.from_json(json.loads(json.dumps(FULL.to_json()))) == FULL


def test_only_what_was_evaluated_or_does_not_apply_passes() -> None:
    """A blocked check, or one that never ran, does not pass."""
    assert {status for status in Status if of(status).passed} == {
        Status.PASS,
        Status.NOT_APPLICABLE,
    }
    assert not of(Status.BLOCKED).evaluated
    assert not of(Status.NOT_RUN).evaluated
    assert status_of(False, "ERROR") is Status.FAIL
    assert status_of(False, "WARN") is Status.WARN


def test_the_worst_status_is_a_failure_and_nothing_at_all_is_not_run() -> None:
    """An empty list of verdicts must not look like a pass."""
    assert worst([of(status) for status in Status]) is Status.FAIL
    assert worst([]) is Status.NOT_RUN
    assert counts([of(Status.WARN), of(Status.WARN)])[Status.WARN] == 2


def test_a_missing_verdict_stops_the_line_only_when_asked_to() -> None:
    """`--strict` adds what was never evaluated; warnings never stop."""
    every = [of(status) for status in Status]
    assert [v.status for v in failing(every)] == [Status.FAIL, Status.BLOCKED]
    assert Status.NOT_RUN in [v.status for v in failing(every, strict=True)]


def test_a_place_names_its_partition() -> None:
    """Two modes' verdicts on one check can be told apart."""
    assert FULL.name == "backtest/run[btc_basis] target_apy"
    assert FULL.at(scenario_set="crises").place == "backtest/run[btc_basis|crises]"


@pytest.mark.parametrize(
    ("sentence", "says"),
    [
        (
            against("APY", -0.108776, 0.05, "share", floor=True, noun="target"),
            "APY -10.88 % is below the target of 5 %, by 15.88 points",
        ),
        (
            against("the largest drawdown", 0.2, 0.1, "share"),
            "the largest drawdown 20 % is above the maximum of 10 %, by 10 points",
        ),
        (
            against("the lowest margin ratio", 0.3, 0.3, floor=True),
            "the lowest margin ratio 0.3 is exactly the minimum of 0.3",
        ),
    ],
)
def test_a_message_states_the_fact_the_limit_and_the_margin(sentence: str, says: str) -> None:
    """The message states the fact, not the rule."""
    assert sentence == says


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(1.0, "rows", "1 row"), (2.0, "rows", "2 rows"), (0.0, "rows", "0 rows"), (1.0, "ns", "1 ns")],
)
def test_a_figure_of_one_is_singular(value: float, unit: str, text: str) -> None:
    """Measured values and limits are read in sentences."""
    assert FULL.at(measured=value, unit=unit).measured_text == text
