"""Reports of gates: every form has the same verdicts, and scripts can read them."""

import json
from datetime import UTC, datetime

from basis_pipeline.operations.gate_reports import (
    gates_json,
)
from basis_pipeline.reports.gates import gates_html
from basis_pipeline.reports.page import Provenance
from basis_pipeline.verdict import Status, Verdict

AT = datetime(2024, 6, 1, tzinfo=UTC)
PASS = Verdict(
    check="closed_form",
    severity="ERROR",
    status=Status.PASS,
    message="equal",
    phase=3,
    asset="backtest/run",
    mode="btc_basis",
    evaluated_at=AT,
    run_id="r1",
)
WARN = PASS.at(phase=2, check="outliers", status=Status.WARN, evidence={"outliers": 3})
FAIL = PASS.at(check="reconciliation", status=Status.FAIL, message="a < b & \x00 | c")
NOT_RUN = PASS.at(status=Status.NOT_RUN, message="never evaluated", evaluated_at=None)
WRITTEN = Provenance(AT)
ALL = [WARN, PASS, FAIL, NOT_RUN]


def test_json_holds_every_gate_and_the_verdicts() -> None:
    """Scripts read verdict, counts, phases and each gate with its figures and link."""
    document = json.loads(gates_json([WARN, PASS]))
    assert document["verdict"] == "PASS"
    assert document["counts"]["WARN"] == 1
    assert document["phases"] == {"2 data": "WARN", "3 components and engine": "PASS"}
    first = document["gates"][0]
    assert first["evaluated_at"] == "2024-06-01T00:00:00+00:00"
    assert first["evidence"] == {"outliers": 3}
    assert first["link"] == "/assets/backtest/run?view=checks&checkDetail=outliers"


def test_strict_is_green_with_warnings_and_red_with_what_never_ran() -> None:
    """Real data have warnings; a gate that was not evaluated is not known to pass."""
    assert json.loads(gates_json([PASS, WARN], strict=True))["verdict"] == "PASS"
    assert json.loads(gates_json([PASS, NOT_RUN]))["verdict"] == "PASS"
    assert json.loads(gates_json([PASS, NOT_RUN], strict=True))["verdict"] == "FAIL"


def test_gates_that_one_fault_stops_are_one_entry() -> None:
    """Fifty gates stopped by one broken file are one fault."""
    root = FAIL.at(check="readable", asset="raw/gas", phase=2, cause="DATA-005 at gas.csv")
    behind = [PASS.at(status=Status.BLOCKED, mode=mode, cause=root.cause) for mode in "ab"]
    faults = json.loads(gates_json([*behind, root, FAIL, WARN]))["faults"]
    assert [fault["fault"] for fault in faults] == [root.cause, FAIL.name]
    assert faults[0]["gates"] == [root.name, *(gate.name for gate in behind)]


def test_a_reader_of_the_headline_alone_sees_what_never_ran() -> None:
    """A page that says PASS with half of its gates never evaluated would be believed."""
    assert "PASS, 1 NOT RUN" in gates_html([PASS, NOT_RUN], WRITTEN)
    assert "Quality gates: PASS, " not in gates_html([PASS, WARN], WRITTEN)
    assert "Quality gates: FAIL" in gates_html([FAIL, NOT_RUN], WRITTEN)


def test_every_form_keeps_scenario_sets_apart() -> None:
    """One check of one mode over two sets: two gates, each with its own name and verdict."""
    crises = PASS.at(asset="stress/run", check="worst_case", scenario_set="crises")
    replays = crises.at(scenario_set="replays", status=Status.FAIL, message="too deep")
    own = crises.at(asset="sweep/run", scenario_set="btc_basis")
    rows = json.loads(gates_json([crises, replays, own]))["gates"]
    assert {(row["mode"], row["scenario_set"]) for row in rows[:2]} == {
        ("btc_basis", "crises"),
        ("btc_basis", "replays"),
    }
    page = gates_html([crises, replays, own], WRITTEN)
    for name in ("btc_basis · crises", "stress/run[btc_basis|replays] worst_case"):
        assert name in page
    for row in ("stress/run[crises] worst_case", "stress/run[replays]", "sweep/run worst_case"):
        assert f">{row}" in page
