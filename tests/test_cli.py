"""The commands as a person and a script call them: real processes, real files."""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from basis_pipeline.market.sample import write_sample
from basis_pipeline.runs.checks import CHECKS
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Verdict
from tests import shell

WINDOW = ("--start", "2024-01-03", "--end", "2024-02-20")
HEAVY = ("dagster", "pandas", "numba", "matplotlib")
TABLES = ("equity", "attribution", "positions", "risk", "events")


def basis(
    *arguments: str | Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, with an environment of its own."""
    own = {**shell.clean(), **(env or {})}
    return shell.run("basis_pipeline", *arguments, env=own)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty days of sample data."""
    directory = tmp_path_factory.mktemp("cli") / "data"
    write_sample(directory, days=60)
    return directory


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A results directory in which one lending and one hedged mode have run."""
    directory = tmp_path_factory.mktemp("cli") / "results"
    modes = ("--mode", "pure_lending", "--mode", "btc_basis")
    done = basis("run", *modes, "--data-dir", data, "--results-dir", directory, *WINDOW)
    assert done.returncode == 0, done.stderr
    assert "PASS" in done.stdout
    assert str(directory / "reports" / "comparison.html") in done.stdout
    return directory


def test_help_answers_at_once() -> None:
    """Nothing heavy is imported before a command needs it."""
    shown = basis("--help")
    assert shown.returncode == 0
    assert {"run", "backtest", "data", "gates", "events", "errors"} <= set(shown.stdout.split())
    code = (
        f"import sys, basis_pipeline.commands.app; print([m for m in {HEAVY} if m in sys.modules])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=project_root()
    )
    assert loaded.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    [
        *("run", "backtest", "sweep", "gates", "events", "errors", "data sample", "data audit"),
        *("stress", "montecarlo", "walk-forward"),
        *("report tear-sheet", "report compare"),
    ],
)
def test_every_command_explains_itself(command: str) -> None:
    """--help says what a command does and what each option means."""
    shown = basis(*command.split(), "--help")
    assert shown.returncode == 0
    assert len(shown.stdout) > 300


BAD_INPUT = [
    (("run", "--mode", "nope"), "CONFIG-007", "available: btc_basis"),
    (("run", "--set", "nope"), "CONFIG-MGR-001", "key=value"),
    (("run", "--set", "hedge.nope=1"), "CONFIG-010", "available: ratio, venues"),
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
    (("backtest",), "API-001", "basis_pipeline backtest --help"),
    (("backtest", "nope", "--out", "x"), "CONFIG-007", "'nope'"),
    (("backtest", "btc_basis"), "API-001", "--out"),
    (
        ("sweep", "btc_basis", "--set-name", "crises", "--scenarios", "x.yaml"),
        *("API-001", "--set-name or --scenarios"),
    ),
    (("sweep", "btc_basis", "--out", "x", "--set-name", "nope"), "CONFIG-003", "crises"),
    (("sweep", "nope", "--out", "x", "--set-name", "crises"), "CONFIG-007", "'nope'"),
    (
        ("sweep", "btc_basis", "--out", "x", "--set-name", "crises", "--tables", "8"),
        *("API-001", "available: 0 … 7"),
    ),
    (
        ("sweep", "btc_basis", "--out", "x", "--set-name", "leverage_and_margin"),
        *("CONFIG-006", "scenario set leverage_and_margin"),
    ),
    (("gates", "--phase", "9"), "API-001", "available: 1 environment and configuration"),
    (("gates", "--phase", "3-1"), "API-001", "'3-1'"),
    (("gates", "--format", "poem"), "API-001", "--format"),
    (("report", "tear-sheet", "nope", "--out", "x.html"), "API-001", "'nope'"),
    (("report", "tear-sheet", "nope"), "API-001", "--out"),
    (("report", "compare", "nope", "--out", "x.html"), "API-001", "nothing to compare it with"),
    (("report", "compare", "a", "b", "--out", "x", "--rank-by", "luck"), "API-001", "sharpe"),
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
    (("errors", "NOPE"), "API-001", "available: CONFIG"),
]


@pytest.mark.parametrize(("arguments", "code", "told"), BAD_INPUT)
def test_bad_input_is_one_message_and_exit_2(
    arguments: tuple[str, ...], code: str, told: str, tmp_path: Path, data: Path
) -> None:
    """One block on stderr: what, where, what is available, what to do; and nothing written."""
    results = tmp_path / "results"
    places = {"BASIS_RESULTS_DIR": str(results), "BASIS_DATA_DIR": str(data)}
    refused = basis(*arguments, env=places)
    assert refused.returncode == 2
    assert refused.stdout == ""
    first, *lines = refused.stderr.splitlines()
    assert first.startswith(f"{code}: ")
    assert told in refused.stderr
    labels = [line.split(":")[0].strip() for line in lines]
    assert labels[-2:] == ["do", "see"]
    assert all(line.startswith("  ") for line in lines)
    assert not results.exists()


def test_a_missing_variable_is_named(tmp_path: Path) -> None:
    """Without a default the message says which variable, where it was looked for, what to do."""
    empty = tmp_path / "empty.env"
    empty.write_text("BASIS_ENVIRONMENT=dev\n")
    refused = basis("run", env={"BASIS_ENV_FILE": str(empty)})
    assert refused.returncode == 2
    assert refused.stderr.startswith("CONFIG-001")
    assert "BASIS_DATA_DIR" in refused.stderr
    assert str(empty) in refused.stderr


def test_run_prints_modes_gates_and_report(results: Path) -> None:
    """What ran lies where the summary says: instance, runs, pages."""
    assert (results / "dagster_home" / "dagster.yaml").exists()
    assert len(list((results / "runs").iterdir())) == 2
    assert {page.name for page in (results / "reports").iterdir()} == {
        "pure_lending.html",
        "btc_basis.html",
        "comparison.html",
        "data_audit.html",
        "gates.html",
    }


def test_report_writes_a_page_a_print_and_a_picture(results: Path, tmp_path: Path) -> None:
    """Of a mode's latest run or of one by its name, with the verdicts recorded of that run."""
    places = ("--results-dir", results)
    run_id = min(directory.name for directory in (results / "runs").iterdir())
    for run, form, start in (
        ("btc_basis", "html", b"<!doctype html>"),
        (run_id, "pdf", b"%PDF"),
        (results / "runs" / run_id, "png", b"\x89PNG"),
    ):
        out = tmp_path / f"sheet.{form}"
        done = basis("report", "tear-sheet", run, "--out", out, "--format", form, *places)
        assert done.returncode == 0, done.stderr
        assert out.read_bytes().startswith(start)
    assert "Not judged" not in (tmp_path / "sheet.html").read_text("utf-8")
    assert "determinism" in (tmp_path / "sheet.html").read_text("utf-8")
    out = tmp_path / "none" / "sheet.html"
    refused = basis("report", "tear-sheet", "btc_basis", "--out", out, *places)
    assert (refused.returncode, refused.stderr[:8]) == (2, "API-002:")


def test_report_compares_runs(results: Path, data: Path, tmp_path: Path) -> None:
    """A run of the research path stands beside a recorded one, each with its own verdicts."""
    changed = ("--set", "hedge.venues={bybit: 1.0}", "--data-dir", data, *WINDOW)
    assert basis("backtest", "btc_basis", "--out", tmp_path / "run", *changed).returncode == 0
    page = tmp_path / "comparison.html"
    asked = ("--out", page, "--rank-by", "sharpe", "--results-dir", results)
    done = basis("report", "compare", "btc_basis", tmp_path / "run", *asked)
    assert done.returncode == 0, done.stderr
    told = page.read_text("utf-8")
    assert "Not judged by any gate" not in told
    assert "mode.hedge.venues.bybit" in told


def test_run_refuses_a_broken_mode_with_exit_1(data: Path, tmp_path: Path) -> None:
    """The window lies outside the data: coded on stderr, the table says which mode, exit code 1."""
    outside = ("--start", "2030-01-01", "--end", "2030-02-01")
    places = ("--data-dir", data, "--results-dir", tmp_path / "results")
    refused = basis("run", "--mode", "pure_lending", *places, *outside)
    assert refused.returncode == 1
    assert "\nBT-001" in refused.stderr
    assert "DATA-012" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert "FAIL" in refused.stdout


def test_broken_files_stop_only_what_needs_them(data: Path, tmp_path: Path) -> None:
    """Modes and a feed that nobody else reads: sound modes run, and each file is a failed gate."""
    configs = shutil.copytree(project_root() / "configs", tmp_path / "configs")
    rule = configs / "modes" / "eth_leveraged.yaml"
    rule.write_text(rule.read_text().replace("target_ltv: 0.", "target_ltv: 0.99"))
    (configs / "modes" / "eth_basis.yaml").write_text("mode: [")
    (configs / "modes" / "btc-v2|a, [b].yaml").write_text("mode: btc-v2")
    (configs / "datasets" / "mine.yaml").write_text("name: mine")
    own = {"BASIS_CONFIG_DIR": str(configs)}
    places = ("--data-dir", data, "--results-dir", tmp_path / "results")
    modes = ("--mode", "eth_basis", "--mode", "eth_leveraged", "--mode", "pure_lending")
    done = basis("run", *modes, *places, *WINDOW, env=own)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    for part in ("CONFIG-004", "\nCONFIG-006", "eth_basis.yaml", "btc-v2|a, [b].yaml", "mine.yaml"):
        assert part in done.stderr
    found = basis("gates", *places[2:], "--phase", "1-3", "--format", "json", env=own)
    assert found.returncode == 1
    gates = json.loads(found.stdout)["gates"]
    failing = {(g["asset"], g["mode"], g["check"]) for g in gates if g["status"] == "FAIL"}
    rules = {("config/mode", mode, "rules") for mode in ("eth_basis", "eth_leveraged")}
    assert failing == {("config/catalogue", "", "files"), *rules}
    sound = {g["status"] for g in gates if g["mode"] == "pure_lending"}
    assert sound <= {"PASS", "WARN", "N/A"}
    assert (tmp_path / "results" / "reports" / "comparison.html").exists()


def test_gates_reads_what_a_run_recorded(results: Path) -> None:
    """Table and JSON tell the same records; modes that never ran are NOT RUN, not passed."""
    table = basis("gates", "--results-dir", results)
    assert table.returncode == 0
    assert "NOT RUN" in table.stdout
    document = json.loads(basis("gates", "--results-dir", results, "--format", "json").stdout)
    assert document["verdict"] == "PASS"
    assert document["counts"]["FAIL"] == 0
    runs = [gate for gate in document["gates"] if gate["asset"] == "backtest/simulation"]
    verdicts = {(g["mode"], g["check"]): g["status"] for g in runs}
    assert verdicts["btc_basis", "reconciliation"] == "PASS"
    assert verdicts["eth_basis", "reconciliation"] == "NOT RUN"


def test_gates_can_be_narrowed_and_made_strict(results: Path) -> None:
    """--phase and --mode choose; --strict lets no unevaluated gate pass."""
    one = basis(
        "gates", "--results-dir", results, "--phase", "3", "--mode", "btc_basis", "--format", "json"
    )
    gates = json.loads(one.stdout)["gates"]
    assert {gate["phase"] for gate in gates} == {3}
    assert {gate["mode"] for gate in gates} == {"btc_basis"}
    assert basis("gates", "--results-dir", results, "--strict").returncode == 1
    rules = ("--phase", "1", "--mode", "btc_basis", "--strict")
    assert basis("gates", "--results-dir", results, *rules).returncode == 0


def test_gates_writes_every_form_to_a_file(results: Path, tmp_path: Path) -> None:
    """A build server reads JUnit, a person Markdown; all forms count the same gates."""
    one = ("gates", "--results-dir", results, "--phase", "2-3", "--mode", "btc_basis")
    gates = json.loads(basis(*one, "--format", "json").stdout)["gates"]
    for form in ("table", "json", "junit", "markdown", "html"):
        file = tmp_path / form
        done = basis(*one, "--format", form, "--out", file)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        told = file.read_text()
        assert "2 data" in told, form
        if form == "junit":
            assert ET.fromstring(told.encode()).get("tests") == str(len(gates))
    refused = basis(*one, "--out", tmp_path / "table" / "below")
    assert refused.returncode == 2
    assert refused.stderr.startswith("API-002")


def test_events_explains_a_run(results: Path) -> None:
    """Found by type, category, mode, run and time; a table to read, JSON with everything."""
    asked = ("events", "--results-dir", results)
    audit = basis(*asked, "--category", "audit", "--mode", "btc_basis", "--since", "2h")
    assert audit.returncode == 0, audit.stderr
    title, *lines = audit.stdout.splitlines()
    assert title.startswith("time (UTC)")
    assert all(" btc_basis " in line for line in lines)
    assert {"run_requested", "configuration_used", "data_read", "gate_verdict", "run_finished"} <= {
        word for line in lines for word in line.split()
    }
    as_json = ("--limit", "0", "--format", "json")
    found = json.loads(basis(*asked, "--type", "run_result", *as_json).stdout)
    assert {event["mode"] for event in found} == {"btc_basis", "pure_lending"}
    run_id = found[0]["run_id"]
    of_run = json.loads(basis(*asked, "--run", run_id, *as_json).stdout)
    assert {event["run_id"] for event in of_run} == {run_id}
    assert len(basis(*asked, "--limit", "3").stdout.splitlines()) == 4
    assert json.loads(basis(*asked, "--until", "2024-01-01", *as_json).stdout) == []


def test_gates_can_be_evaluated_on_the_spot(results: Path) -> None:
    """--execute looks at platform and documents and records what it found; then strict knows it."""
    platform = ("--results-dir", results, "--phase", "4", "--format", "json")
    done = basis("gates", *platform, "--execute")
    gates = {gate["name"]: gate for gate in _named(done.stdout)}
    assert gates["platform/results_store integrity"]["status"] == "PASS", done.stderr
    assert gates["platform/results_store integrity"]["evidence"] == {"runs": 2}
    again = {gate["name"]: gate for gate in _named(basis("gates", *platform).stdout)}
    assert {name: gate["status"] for name, gate in again.items()} == {
        name: gate["status"] for name, gate in gates.items()
    }


def _named(document: str) -> list[dict[str, object]]:
    gates = json.loads(document)["gates"]
    return [{**gate, "name": f"{gate['asset']} {gate['check']}"} for gate in gates]


def test_backtest_writes_the_contract(data: Path, tmp_path: Path) -> None:
    """The research path writes every file of the contract, readable, and no results directory."""
    out, results = tmp_path / "run", tmp_path / "results"
    options = ("--data-dir", data, "--results-dir", results, "--capital", "5000", *WINDOW)
    calm = ("--set", "rebalance.enabled=false", "--set", "hedge.venues={bybit: 1.0}")
    done = basis("backtest", "btc_basis", "--out", out, *options, *calm)
    assert done.returncode == 0, done.stderr
    assert not results.exists()
    summary = json.loads((out / "summary.json").read_bytes())
    config = json.loads((out / "config.json").read_bytes())
    assert summary["capital"] == 5000.0
    assert config["mode"]["hedge"]["venues"] == {"bybit": 1.0}
    verdicts = [Verdict.from_json(v) for v in json.loads((out / "verdicts.json").read_bytes())]
    assert {v.check for v in verdicts if v.mode} == set(CHECKS)
    assert "dataset/bybit_btcusdt_perp" in {v.asset for v in verdicts}
    for verdict in verdicts:
        assert verdict.passed or f"{verdict.name}: {verdict.message}" in done.stdout
    for name in TABLES:
        frame = pd.read_parquet(out / f"{name}.parquet")
        assert frame["timestamp"].dtype == pd.DatetimeTZDtype("ns", "UTC")
    equity = pd.read_parquet(out / "equity.parquet")
    assert list(equity.columns) == ["timestamp", "equity", "flow", "drawdown"]


def test_backtest_of_broken_data_writes_nothing(data: Path, tmp_path: Path) -> None:
    """A refusal of the data is one message, exit code 2, and no half-written run."""
    out = tmp_path / "run"
    outside = ("--start", "2030-01-01", "--end", "2030-02-01")
    refused = basis("backtest", "pure_lending", "--out", out, "--data-dir", data, *outside)
    assert refused.returncode == 2
    assert refused.stderr.startswith("DATA-012")
    assert not out.exists()


def test_the_audit_has_one_verdict_a_feed_in_every_form(data: Path, tmp_path: Path) -> None:
    """A table, JSON for scripts, Markdown and a page with charts: every feed, the same counts."""
    lines = json.loads(_audited(data, "json", tmp_path / "json"))
    verdicts = Counter(line["verdict"] for line in lines)
    counts = ", ".join(f"{verdicts[name]} {name}" for name in ("FAIL", "WARN", "PASS", "N/A"))
    assert len(lines) == 34
    assert verdicts["WARN"] > 0
    for form in ("table", "markdown", "html"):
        document = _audited(data, form, tmp_path / form)
        assert all(line["feed"] in document for line in lines), form
        if form != "html":
            assert f"34 feeds: {counts}" in document
    page = re.sub(r"<[^>]+>", " ", (tmp_path / "html").read_text())
    for name in ("WARN", "PASS"):
        assert re.search(rf"\b{verdicts[name]}\W+{name}\b", page), name
    assert "plotly" in (tmp_path / "html").read_text()
    refused = basis("data", "audit", "--data-dir", data, "--out", tmp_path / "no" / "place")
    assert refused.returncode == 2
    assert refused.stderr.startswith("API-002")


def _audited(data: Path, form: str, out: Path) -> str:
    done = basis("data", "audit", "--data-dir", data, "--format", form, "--out", out)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return out.read_text()


def test_run_writes_pages_of_gates_and_data(results: Path) -> None:
    """Beside the sheets there is a page of every gate and one of the data, and both know of it."""
    gates, audit = (results / "reports" / f"{n}.html" for n in ("gates", "data_audit"))
    assert "btc_basis" in gates.read_text()
    assert "bybit_btcusdt_perp" in audit.read_text()
    assert "ethereum_gas" in audit.read_text()
    assert "okx_ethusdt_perp" not in audit.read_text().partition('id="holes"')[0]


def test_sample_and_audit(tmp_path: Path) -> None:
    """A sample is written, and the audit finds every feed of it usable."""
    out = tmp_path / "sample"
    assert basis("data", "sample", "--out", out, "--days", "60").returncode == 0
    audited = basis("data", "audit", "--data-dir", out, "--format", "json")
    lines = json.loads(audited.stdout)
    assert audited.returncode == 0
    assert {line["verdict"] for line in lines} <= {"PASS", "WARN"}
    (next(out.rglob("ethereum_gas*.csv"))).write_text("")
    spoilt = basis("data", "audit", "--data-dir", out)
    assert spoilt.returncode == 1
    assert "DATA-002" in spoilt.stdout
    assert "1 FAIL" in spoilt.stdout


def test_errors_explains_every_code() -> None:
    """Each code of the registry is listed with what mends it; a prefix narrows the list."""
    everything, some = basis("errors"), basis("errors", "data")
    assert everything.returncode == 0
    assert {"CONFIG-001", "BT-001", "RS-001"} <= set(everything.stdout.replace("│", " ").split())
    assert "DATA-001" in some.stdout
    assert "CONFIG-001" not in some.stdout
