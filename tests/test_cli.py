"""The commands as users and scripts call them, on real files."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from basis_pipeline.backtests.checks import CHECKS
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Verdict, input_warnings
from tests import shell

WINDOW = ("--start", "2024-01-03", "--end", "2024-02-20")
HEAVY = ("dagster", "pandas", "numba", "matplotlib")
NOBODY = 65534
TABLES = ("equity", "attribution", "positions", "risk", "events")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Path:
    """A results directory in which one lending and one hedged mode have run."""
    directory = tmp_path_factory.mktemp("cli") / "results"
    named = ("pure_lending", "btc_basis", "sol_basis")
    modes = (*(word for mode in named for word in ("--mode", mode)), "--without", "sol_basis")
    places = ("--data-dir", sample, "--results-dir", directory)
    done = shell.call("run", *modes, *places, *WINDOW)
    assert done.returncode == 0, done.stderr
    assert "Left out (--without): sol_basis" in done.stdout
    assert "PASS" in done.stdout
    assert str(directory / "reports" / "comparison.html") in done.stdout
    return directory


def test_help_answers_at_once() -> None:
    """Nothing heavy is imported before a command needs it."""
    shown = shell.call("--help")
    assert shown.returncode == 0
    assert {"run", "backtest", "data", "gates", "events", "errors"} <= set(shown.stdout.split())
    code = (
        f"import sys, basis_pipeline.commands.app; print([m for m in {HEAVY} if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=project_root()
    )
    assert loaded.stdout.strip() == "[]"


def test_every_command_explains_itself() -> None:
    """--help says what a command does and what each option means."""
    for command in (
        *("run", "backtest", "sweep", "stress", "montecarlo", "walk-forward", "gates", "events"),
        *("errors", "data sample", "data audit", "report tear-sheet", "report compare", "explain"),
    ):
        shown = shell.call(*command.split(), "--help")
        assert shown.returncode == 0
        assert len(shown.stdout) > 300


BAD_INPUT = [
    (("run", "--mode", "nope"), "CONFIG-007", "available: btc_basis"),
    (("run", "--without", "nope"), "CONFIG-007", "available: btc_basis"),
    (("run", "--mode", "btc_basis", "--without", "btc_basis"), "API-001", "every mode is left out"),
    (("run", "--set", "nope"), "CONFIG-MGR-001", "key=value"),
    (("run", "--set", "hedge.nope=1"), "CONFIG-010", "available: carry, ratio, venues"),
    (("run", "--set", "costs.enabled=perhaps"), "CONFIG-005", "costs.enabled"),
    (("run", "--set", "costs.enabled={"), "CONFIG-MGR-004", "costs.enabled"),
    (("run", "--mode", "btc_basis", "--set", "hedge.venues={bybit: 0.4}"), "CONFIG-006", "0.4"),
    (("run", "--start", "soon"), "CONFIG-011", "'soon'"),
    (("run", "--start", "2024-02-01T00:30"), "CONFIG-011", "whole hour"),
    (("run", "--start", "2024-02-01", "--end", "2024-01-01"), "CONFIG-011", "starts at 2024-02-01"),
    (("run", "--capital", "-1"), "CONFIG-012", "-1"),
    (("run", "--capital", "nan"), "CONFIG-012", "nan"),
    (("run", "--capital", "much"), "API-001", "--capital"),
    (("run", "--data-dir", "/no/such/place"), "API-001", "/no/such/place"),
    (("run", "--nope"), "API-001", "--nope"),
    (("nope",), "API-001", "nope"),
    (("backtest",), "API-001", "basis backtest --help"),
    (("backtest", "nope", "--out", "x"), "CONFIG-007", "'nope'"),
    (("backtest", "btc_basis"), "API-001", "--out"),
    (
        ("sweep", "btc_basis", "--set-name", "crises", "--scenarios", "x.yaml"),
        *("API-001", "--set-name or --scenarios"),
    ),
    (("sweep", "btc_basis", "--out", "x", "--set-name", "nope"), "CONFIG-003", "crises"),
    (("sweep", "nope", "--out", "x", "--set-name", "crises"), "CONFIG-007", "'nope'"),
    (
        ("sweep", "btc_basis", "--out", "x", "--set-name", "leverage_and_margin"),
        *("CONFIG-006", "scenario set leverage_and_margin"),
    ),
    (("sweep", "btc_basis", "--threads", "2", "--workers", "2"), "API-001", "--threads and --work"),
    (("gates", "--phase", "9"), "API-001", "available: 1 environment and configuration"),
    (("gates", "--phase", "3-1"), "API-001", "'3-1'"),
    (("gates", "--format", "poem"), "API-001", "--format"),
    (("report", "tear-sheet", "nope", "--out", "x.html"), "API-001", "'nope'"),
    (("report", "tear-sheet", "nope"), "API-001", "--out"),
    (
        ("report", "compare", "nope", "--out", "x.html"),
        "API-001",
        "a comparison needs at least two runs",
    ),
    (("report", "compare", "a", "b", "--out", "x", "--rank-by", "luck"), "API-001", "sharpe"),
    (("explain", "nope"), "API-001", "'nope'"),
    (("events", "--type", "nope"), "EVENT-005", "run_blocked"),
    (("events", "--category", "nope"), "EVENT-005", "available: audit, data, risk"),
    (("events", "--since", "soon"), "EVENT-006", "'soon'"),
    (("events", "--since", "1d", "--until", "2d"), "EVENT-006", "between 1d and 2d"),
    (("events", "--limit", "-1"), "API-001", "--limit"),
    (("events", "--results-dir", "/no/such/place"), "EVENT-008", "/no/such/place"),
    (("gates", "--results-dir", "/no/such/place"), "PLATFORM-002", "/no/such/place"),
    (("data", "sample", "--out", "x", "--days", "3"), "API-001", "3 days"),
    (("data", "sample", "--out", "x", "--start", "today"), "API-001", "'today'"),
    (("data", "audit", "--data-dir", "/no/such/place"), "API-001", "/no/such/place"),
    (("data", "audit", "--data-dir", "d" * 300), "API-001", "File name too long"),
    (("request", "r" * 300), "API-001", "File name too long"),
    (("init", "p" * 300), "API-001", "File name too long"),
    (("data", "sample", "--out", "s" * 300), "API-001", "File name too long"),
    (("errors", "NOPE"), "API-001", "available: CONFIG"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD_INPUT)
def test_bad_input_is_one_message_and_exit_2(
    arguments: tuple[str, ...], code: str, message: str, tmp_path: Path, sample: Path
) -> None:
    """One block on stderr: what, where, what is available, what to do; and nothing written."""
    results = tmp_path / "results"
    places = {"BASIS_RESULTS_DIR": str(results), "BASIS_DATA_DIR": str(sample)}
    rejected = shell.call(*arguments, env=places)
    assert rejected.returncode == 2
    assert rejected.stdout == ""
    first, *lines = rejected.stderr.splitlines()
    assert first.startswith(f"{code}: ")
    assert message in rejected.stderr
    labels = [line.split(":")[0].strip() for line in lines]
    assert labels[-2:] == ["do", "see"]
    assert all(line.startswith("  ") for line in lines)
    assert not results.exists()


def test_a_path_of_another_user_says_who_may_use_it(tmp_path: Path) -> None:
    """API-002: its permissions, or the path, must be changed."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    user = os.geteuid()
    try:
        os.seteuid(user or NOBODY)
        rejected = shell.call("init", closed / "project")
    finally:
        os.seteuid(user)
    assert rejected.returncode == 2
    assert rejected.stderr.startswith("API-002: a path cannot be used: Permission denied\n")
    assert f"where: {closed / 'project'}" in rejected.stderr
    assert "change its permissions" in rejected.stderr


def test_a_missing_variable_is_named(tmp_path: Path) -> None:
    """Without a default the message says which variable, where it was looked for, what to do."""
    empty = tmp_path / "empty.env"
    empty.write_text("BASIS_ENVIRONMENT=dev\n")
    rejected = shell.call("run", env={"BASIS_ENV_FILE": str(empty)})
    assert rejected.returncode == 2
    assert rejected.stderr.startswith("CONFIG-001")
    assert "BASIS_DATA_DIR" in rejected.stderr
    assert str(empty) in rejected.stderr


def test_run_writes_instance_runs_and_pages(results: Path) -> None:
    """The results are where the summary says; the pages of gates and data show the run."""
    assert (results / "dagster_home" / "dagster.yaml").exists()
    assert len(list((results / "runs").iterdir())) == 2
    names = ("pure_lending", "btc_basis", "comparison", "data_audit", "gates")
    pages = {name: (results / "reports" / f"{name}.html").read_text("utf-8") for name in names}
    assert "btc_basis" in pages["gates"]
    assert "bybit_btcusdt_perp" in pages["data_audit"]
    assert "ethereum_gas" in pages["data_audit"]


def test_report_writes_a_page_a_print_and_a_picture(results: Path, tmp_path: Path) -> None:
    """Of a mode's latest run or of one by its name, with the verdicts recorded of that run.

    The print is of several A4 pages and shows the charts.
    """
    places = ("--results-dir", results)
    run_id = min(directory.name for directory in (results / "runs").iterdir())
    for run, form, start in (
        ("btc_basis", "html", b"<!doctype html>"),
        (run_id, "pdf", b"%PDF"),
        (results / "runs" / run_id, "png", b"\x89PNG"),
    ):
        out = tmp_path / f"sheet.{form}"
        done = shell.call("report", "tear-sheet", run, "--out", out, "--format", form, *places)
        assert done.returncode == 0, done.stderr
        assert out.read_bytes().startswith(start)
    assert "Not judged" not in (tmp_path / "sheet.html").read_text("utf-8")
    assert "determinism" in (tmp_path / "sheet.html").read_text("utf-8")
    printed = (tmp_path / "sheet.pdf").read_bytes()
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 16
    assert len(printed) > 317_000  # with its charts: the text alone is 295,000
    out = tmp_path / "none" / "sheet.html"
    rejected = shell.call("report", "tear-sheet", "btc_basis", "--out", out, *places)
    assert (rejected.returncode, rejected.stderr[:8]) == (2, "API-002:")


def test_explain_takes_what_a_report_takes(results: Path) -> None:
    """A mode, the beginning of a run's name or its directory; text to read, JSON for scripts."""
    places = ("--results-dir", results)
    run_id = min(directory.name for directory in (results / "runs").iterdir())
    shown = shell.call("explain", "btc_basis", *places)
    assert shown.returncode == 0, shown.stderr
    for part in ("The run earned", "closed at the market", "Entry and rebalances by trigger"):
        assert part in shown.stdout
    assert "Inputs with warnings: " in shown.stdout or "No input dataset" in shown.stdout
    found = [
        json.loads(shell.call("explain", run, "--format", "json", *places).stdout)
        for run in (run_id[:10], results / "runs" / run_id)
    ]
    assert found[0] == found[1]
    assert found[0]["run_id"] == run_id


def test_a_backtest_writes_the_contract_and_is_compared(
    results: Path, sample: Path, tmp_path: Path
) -> None:
    """The research path writes every file of the contract; its run stands beside a recorded one."""
    out, own = tmp_path / "run", tmp_path / "results"
    options = ("--data-dir", sample, "--results-dir", own, "--capital", "5000", *WINDOW)
    calm = ("--set", "rebalance.enabled=false", "--set", "hedge.venues={bybit: 1.0}")
    done = shell.call("backtest", "btc_basis", "--out", out, *options, *calm)
    assert done.returncode == 0, done.stderr
    assert not own.exists()
    assert json.loads((out / "summary.json").read_bytes())["capital"] == 5000.0
    config = json.loads((out / "config.json").read_bytes())
    assert config["mode"]["hedge"]["venues"] == {"bybit": 1.0}
    verdicts = [Verdict.from_json(v) for v in json.loads((out / "verdicts.json").read_bytes())]
    assert {v.check for v in verdicts if v.mode} == set(CHECKS)
    assert "dataset/bybit_btcusdt_perp" in {v.asset for v in verdicts}
    for verdict in verdicts:
        assert verdict.passed or f"{verdict.name}: {verdict.message}" in done.stdout
    assert input_warnings(verdicts) in done.stdout
    for name in TABLES:
        frame = pd.read_parquet(out / f"{name}.parquet")
        assert frame["timestamp"].dtype == pd.DatetimeTZDtype("ns", "UTC")
    equity = pd.read_parquet(out / "equity.parquet")
    assert list(equity.columns) == ["timestamp", "equity", "flow", "drawdown"]
    page = tmp_path / "comparison.html"
    options = ("--out", page, "--rank-by", "sharpe", "--results-dir", results)
    compared = shell.call("report", "compare", "btc_basis", out, *options)
    assert compared.returncode == 0, compared.stderr
    assert "Not judged by any gate" not in page.read_text("utf-8")
    assert "mode.hedge.venues.bybit" in page.read_text("utf-8")


def test_a_window_outside_the_data_blocks_the_mode(sample: Path, tmp_path: Path) -> None:
    """`run` exits 1 with the mode in its table, `backtest` 2 with nothing half-written."""
    outside = ("--data-dir", sample, "--start", "2030-01-01", "--end", "2030-02-01")
    blocked = shell.call("run", "--mode", "pure_lending", "--results-dir", tmp_path / "r", *outside)
    assert blocked.returncode == 1
    assert "\nBT-001" in blocked.stderr
    assert "DATA-012" in blocked.stderr
    assert "Traceback" not in blocked.stderr
    assert "FAIL" in blocked.stdout
    rejected = shell.call("backtest", "pure_lending", "--out", tmp_path / "run", *outside)
    assert rejected.returncode == 2
    assert rejected.stderr.startswith("DATA-012")
    assert not (tmp_path / "run").exists()


def test_broken_files_stop_only_what_needs_them(sample: Path, tmp_path: Path) -> None:
    """Modes and a feed that nobody else reads: sound modes run, and each file is a failed gate."""
    configs = shutil.copytree(project_root() / "configs", tmp_path / "configs")
    rule = configs / "modes" / "eth_leveraged.yaml"
    rule.write_text(rule.read_text().replace("target_ltv: 0.", "target_ltv: 0.99"))
    (configs / "modes" / "eth_basis.yaml").write_text("mode: [")
    (configs / "modes" / "btc-v2|a, [b].yaml").write_text("mode: btc-v2")
    (configs / "datasets" / "mine.yaml").write_text("name: mine")
    own = {"BASIS_CONFIG_DIR": str(configs)}
    places = ("--data-dir", sample, "--results-dir", tmp_path / "results")
    modes = ("--mode", "eth_basis", "--mode", "eth_leveraged", "--mode", "pure_lending")
    done = shell.call("run", *modes, *places, *WINDOW, env=own)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    for part in ("CONFIG-004", "\nCONFIG-006", "eth_basis.yaml", "btc-v2|a, [b].yaml", "mine.yaml"):
        assert part in done.stderr
    found = shell.call("gates", *places[2:], "--phase", "1-3", "--format", "json", env=own)
    assert found.returncode == 1
    gates = json.loads(found.stdout)["gates"]
    failing = {(g["asset"], g["mode"], g["check"]) for g in gates if g["status"] == "FAIL"}
    rules = {("config/mode", mode, "rules") for mode in ("eth_basis", "eth_leveraged")}
    assert failing == {("config/catalogue", "", "files"), *rules}
    sound = {g["status"] for g in gates if g["mode"] == "pure_lending"}
    assert sound <= {"PASS", "WARN", "N/A"}
    assert (tmp_path / "results" / "reports" / "comparison.html").exists()


def test_gates_shows_what_a_run_recorded(results: Path, tmp_path: Path) -> None:
    """Every form counts the same gates; modes that never ran are NOT RUN, not passed."""
    command = ("gates", "--results-dir", results)
    table = shell.call(*command)
    assert table.returncode == 0
    assert "NOT RUN" in table.stdout
    document = json.loads(shell.call(*command, "--format", "json").stdout)
    assert (document["verdict"], document["counts"]["FAIL"]) == ("PASS", 0)
    gates = {(g["asset"], g["mode"], g["check"]): g for g in document["gates"]}
    simulation = "backtest/simulation"
    assert gates[simulation, "btc_basis", "reconciliation"]["status"] == "PASS"
    assert gates[simulation, "eth_basis", "reconciliation"]["status"] == "NOT RUN"
    integrity = gates["platform/results_store", "", "integrity"]
    assert (integrity["status"], integrity["evidence"]) == ("PASS", {"runs": 2})
    for form in ("table", "html"):
        file = tmp_path / form
        done = shell.call(*command, "--format", form, "--out", file)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert "2 data" in file.read_text(), form
    rejected = shell.call(*command, "--out", tmp_path / "table" / "below")
    assert rejected.returncode == 2
    assert rejected.stderr.startswith("API-002")


def test_gates_can_be_narrowed_and_made_strict(results: Path) -> None:
    """--strict lets no unevaluated gate pass: of modes that have run there is none."""
    command = ("gates", "--results-dir", results, "--strict")
    modes = ("--mode", "btc_basis", "--mode", "pure_lending")
    one = shell.call(*command, "--phase", "3", "--mode", "btc_basis", "--format", "json")
    gates = json.loads(one.stdout)["gates"]
    assert {(gate["phase"], gate["mode"]) for gate in gates} == {(3, "btc_basis")}
    assert shell.call(*command, "--phase", "3").returncode == 1  # the other modes
    of_modes = shell.call(*command, *modes, "--phase", "3-6")
    assert of_modes.returncode == 0, of_modes.stdout


def test_a_gate_is_waived_until_a_moment(results: Path) -> None:
    """A person gives a reason; it is counted separately and recorded in the audit log."""
    command = ("gates", "--results-dir", results)
    gates = json.loads(shell.call(*command, "--format", "json").stdout)["gates"]
    warned = next(
        f"{g['asset']}[{g['mode']}] {g['check']}"
        for g in gates
        if g["mode"] and g["status"] == "WARN"
    )
    terms = ("--by", "ann", "--reason", "known", "--results-dir", results)
    done = shell.call("gates", "waive", warned, *terms, "--until", "2090-01-01")
    assert done.returncode == 0, done.stderr
    assert f"{warned}: WARN waived by ann until 2090-01-01 00:00 UTC" in done.stdout
    document = json.loads(shell.call(*command, "--format", "json").stdout)
    assert document["counts"]["WAIVED"] == 1
    past = shell.call("gates", "waive", warned, *terms, "--until", "2020-01-01")
    assert (past.returncode, past.stderr[:7]) == (2, "API-001")
    events = shell.call("events", "--results-dir", results, "--type", "gate_waived")
    assert "gate_waived" in events.stdout
    (results / "waivers.jsonl").unlink()


def test_events_explains_a_run(results: Path) -> None:
    """Found by type, category, mode, run and time; a table to read, JSON with everything."""
    command = ("events", "--results-dir", results)
    audit = shell.call(*command, "--category", "audit", "--mode", "btc_basis", "--since", "2h")
    assert audit.returncode == 0, audit.stderr
    title, *lines = audit.stdout.splitlines()
    assert title.startswith("time (UTC)")
    assert all(" btc_basis " in line for line in lines)
    assert {"run_requested", "configuration_used", "data_read", "gate_verdict", "run_finished"} <= {
        word for line in lines for word in line.split()
    }
    as_json = ("--limit", "0", "--format", "json")
    found = json.loads(shell.call(*command, "--type", "run_result", *as_json).stdout)
    assert {event["mode"] for event in found} == {"btc_basis", "pure_lending"}
    run_id = found[0]["run_id"]
    of_run = json.loads(shell.call(*command, "--run", run_id, *as_json).stdout)
    assert {event["run_id"] for event in of_run} == {run_id}
    assert len(shell.call(*command, "--limit", "3").stdout.splitlines()) == 4
    assert json.loads(shell.call(*command, "--until", "2024-01-01", *as_json).stdout) == []


def test_gates_of_the_platform_can_be_evaluated_on_the_spot(results: Path) -> None:
    """--execute evaluates them and records the result."""
    command = ("gates", "--results-dir", results, "--phase", "4", "--format", "json")
    before, after = (
        {f"{gate['asset']} {gate['check']}": gate for gate in json.loads(done.stdout)["gates"]}
        for done in (shell.call(*command), shell.call(*command, "--execute"))
    )
    store = "platform/results_store integrity"
    assert before[store]["run_id"] != after[store]["run_id"]
    assert before.keys() == after.keys()


def test_errors_explains_every_code() -> None:
    """Each code of the registry is listed with what to do; a prefix narrows the list."""
    everything, some = shell.call("errors"), shell.call("errors", "data")
    assert everything.returncode == 0
    assert {"CONFIG-001", "BT-001", "RS-001"} <= set(everything.stdout.replace("│", " ").split())
    assert "DATA-001" in some.stdout
    assert "CONFIG-001" not in some.stdout
