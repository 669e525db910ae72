"""Reports of gates: every form tells the same verdicts, and scripts can read them."""

import json
from datetime import UTC, datetime
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.error_codes import PHASES
from basis_pipeline.operations.gate_reports import (
    gates_json,
    gates_junit,
    gates_markdown,
)
from basis_pipeline.reports.gates import check_link, gates_html
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


def cases(text: str) -> dict[str, ET.Element]:
    """Cases of a JUnit document by verdict, the first word of their output."""
    found = ET.fromstring(text.encode()).iter("testcase")
    return {str(case.findtext("system-out")).split(":")[0]: case for case in found}


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
    """Real data carry true warnings; what nobody looked at is not known to be right."""
    assert json.loads(gates_json([PASS, WARN], strict=True))["verdict"] == "PASS"
    assert json.loads(gates_json([PASS, NOT_RUN]))["verdict"] == "PASS"
    assert json.loads(gates_json([PASS, NOT_RUN], strict=True))["verdict"] == "FAIL"


def test_gates_that_one_fault_stops_are_one_entry() -> None:
    """Fifty gates behind one broken file are one thing to repair."""
    root = FAIL.at(check="readable", asset="raw/gas", phase=2, cause="DATA-005 at gas.csv")
    behind = [PASS.at(status=Status.BLOCKED, mode=mode, cause=root.cause) for mode in "ab"]
    faults = json.loads(gates_json([*behind, root, FAIL, WARN]))["faults"]
    assert [fault["fault"] for fault in faults] == [root.cause, FAIL.name]
    assert faults[0]["gates"] == [root.name, *(gate.name for gate in behind)]


def test_a_reader_of_the_headline_alone_sees_what_never_ran() -> None:
    """A page that says PASS with half of its gates never evaluated would be believed."""
    for told in (gates_markdown([PASS, NOT_RUN]), gates_html([PASS, NOT_RUN], WRITTEN)):
        assert "PASS, 1 NOT RUN" in told
    for told in (gates_markdown([PASS, WARN]), gates_html([PASS, WARN], WRITTEN)):
        assert "Quality gates: PASS, " not in told
    for told in (gates_markdown([FAIL, NOT_RUN]), gates_html([FAIL, NOT_RUN], WRITTEN)):
        assert "Quality gates: FAIL" in told


def test_junit_tells_the_four_verdicts_apart() -> None:
    """A build server counts failures and skipped gates; the evidence is the case's output."""
    text = gates_junit(ALL)
    root = ET.fromstring(text.encode())
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("4", "1", "1")
    assert [suite.get("name") for suite in root] == ["2 data", "3 components and engine"]
    found = cases(text)
    assert set(found) == {"PASS", "WARN", "FAIL", "NOT RUN"}
    assert found["FAIL"].find("failure") is not None
    assert found["NOT RUN"].find("skipped") is not None
    for verdict in ("PASS", "WARN"):
        assert {child.tag for child in found[verdict]} == {"system-out"}
    assert "outliers: 3" in str(found["WARN"].findtext("system-out"))
    assert found["PASS"].get("classname") == "backtest/run[btc_basis]"


def test_junit_agrees_with_the_exit_code_when_strict() -> None:
    """What stops the line is a failure in the file too."""
    root = ET.fromstring(gates_junit([NOT_RUN], strict=True).encode())
    assert (root.get("failures"), root.get("skipped")) == ("1", "0")


@given(st.text())
def test_junit_is_well_formed_whatever_a_check_says(message: str) -> None:
    """Markup and control characters of a message break no build server."""
    text = gates_junit([FAIL.at(message=message, evidence={"said": message})])
    assert len(cases(text)) == 1


def test_a_gate_links_to_its_check_in_the_ui() -> None:
    """A person gets from a verdict to its history and evidence in one step."""
    assert check_link(PASS) == "/assets/backtest/run?view=checks&checkDetail=closed_form"


def test_every_form_tells_scenario_sets_apart() -> None:
    """One check of one mode over two sets: two gates, each with its own name and verdict."""
    crises = PASS.at(asset="stress/run", check="worst_case", scenario_set="crises")
    replays = crises.at(scenario_set="replays", status=Status.FAIL, message="too deep")
    own = crises.at(asset="sweep/run", scenario_set="btc_basis")
    pair = [crises, replays, own]
    rows = json.loads(gates_json(pair))["gates"]
    assert {(row["mode"], row["scenario_set"]) for row in rows[:2]} == {
        ("btc_basis", "crises"),
        ("btc_basis", "replays"),
    }
    found = cases(gates_junit(pair[:2]))
    assert found["PASS"].get("classname") == "stress/run[btc_basis|crises]"
    assert found["FAIL"].get("classname") == "stress/run[btc_basis|replays]"
    lines = gates_markdown(pair).splitlines()
    assert [line for line in lines if "FAIL | [stress/run[btc_basis\\|replays] worst_case]" in line]
    page = gates_html(pair, WRITTEN)
    for name in ("btc_basis · crises", "stress/run[btc_basis|replays] worst_case"):
        assert name in page
    for row in ("stress/run[crises] worst_case", "stress/run[replays]", "sweep/run worst_case"):
        assert f">{row}" in page


def test_markdown_has_a_row_a_gate_with_its_link() -> None:
    """A comment on a change shows phases, verdicts and where to look; a bar breaks no cell."""
    text = gates_markdown(ALL, strict=True)
    assert text.startswith("# Quality gates: FAIL")
    rows = [line for line in text.splitlines() if "checkDetail=" in line]
    assert len(rows) == len(ALL)
    assert any("\\|" in row for row in rows)
    assert f"## 2 {PHASES[2]}: WARN" in text
