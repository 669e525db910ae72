"""A verdict that Dagster has recorded is read back as it was."""

from datetime import UTC, datetime

import dagster as dg
import pytest

from basis_pipeline.orchestration.checks import check_result, verdict_of
from basis_pipeline.verdict import Status, Verdict

KEY = dg.AssetKey(["backtest", "simulation"])
AT = datetime(2024, 6, 1, tzinfo=UTC)
FULL = Verdict(
    check="target_apy",
    severity="WARN",
    status=Status.WARN,
    message="APY -10.9 % is below the target of at least 5 %, by 15.9 points",
    measured=-0.109,
    limit=0.05,
    unit="share",
    evidence={"code": "BT-001", "trades": 3, "worst": 1.5},
    rows=({"at": "2024-06-01T00:00:00+00:00", "value": 1.5}, {"at": None, "value": None}),
    phase=3,
    asset="backtest/simulation",
    mode="btc_basis",
)


@pytest.mark.parametrize(
    ("verdict", "passed"),
    [
        (FULL, False),
        (FULL.at(severity="ERROR", status=Status.FAIL, rows=()), False),
        (FULL.at(status=Status.PASS, measured=0.06), True),
        (FULL.at(status=Status.NOT_APPLICABLE, measured=None, limit=None, unit=""), True),
    ],
)
def test_a_recorded_verdict_is_read_back_without_loss(verdict: Verdict, passed: bool) -> None:
    """Pages, commands and the database show what the check said, not a part of it."""

    @dg.asset_check(asset=KEY, name="target_apy")
    def check() -> dg.AssetCheckResult:
        return check_result(KEY, verdict)

    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [check], instance=instance, selection=dg.AssetSelection.all_asset_checks()
        )
        (evaluation,) = done.get_asset_check_evaluations()
    assert evaluation.passed is passed
    assert evaluation.metadata["status"].value == verdict.status.value
    read = verdict_of(evaluation)
    assert read.at(mode="btc_basis") == verdict
