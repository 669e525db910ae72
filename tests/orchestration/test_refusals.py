"""A broken feed stops exactly the modes that need it, and says which file and why."""

import hashlib
import shutil
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg

from basis_pipeline.errors import BasisError
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.assets.report import COMPARISON
from basis_pipeline.orchestration.batches import MODE_ASSETS
from basis_pipeline.orchestration.check_history import evaluation_of, latest_records
from basis_pipeline.orchestration.checks import verdict_of
from basis_pipeline.orchestration.records import all_gates
from basis_pipeline.verdict import Status, by_fault, failing
from tests.orchestration.conftest import Place, events_of

PERP = "market_data/derivatives/futures_ohlcv/bybit_BTCUSDT_perp_1h_2024-01-01_2024-02-29.csv"
FEED = "bybit_btcusdt_perp"
BOTH = ("btc_basis", "pure_lending")
WRITTEN_ANEW = ("gates.html", "data_audit.html", "comparison.html", "btc_basis.html")


def spoil_price(file: Path) -> None:
    """Make one price negative."""
    lines = file.read_text().splitlines()
    cells = lines[700].split(",")
    lines[700] = ",".join([cells[0], "-5.0", *cells[2:]])
    file.write_text("\n".join(lines) + "\n")


def cut_last_line(file: Path) -> None:
    """Lose the end of the file, as an interrupted copy does."""
    file.write_text(file.read_text()[:-20])


def cut_short(file: Path) -> None:
    """Keep two days of sixty under the same name."""
    file.write_text("\n".join(file.read_text().splitlines()[:49]) + "\n")


def contents(directory: Path) -> dict[str, str]:
    """Every file below a directory with its hash."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def recorded(runs: Path) -> dict[str, str]:
    """Return what recorded runs hold, without their verdicts, which are of the latest run."""
    return {name: h for name, h in contents(runs).items() if not name.endswith("verdicts.json")}


def test_a_broken_file_stops_the_modes_that_read_it(ran: Place) -> None:
    """One mode is blocked with code and file, the other goes on; results and pages keep up."""

    def stored() -> dict[str, str]:
        names = ("runs", "reports", "warehouse/backtest")
        files = {f"{n}/{k}": v for n in names for k, v in contents(ran.results / n).items()}
        return {
            name: files[name]
            for name in files
            if name not in {f"reports/{page}" for page in (*WRITTEN_ANEW, "pure_lending.html")}
            and not name.endswith("verdicts.json")
        }

    before, since = stored(), datetime.now(UTC)
    pages = {page: (ran.results / "reports" / page).read_bytes() for page in WRITTEN_ANEW}
    spoil_price(ran.data / PERP)
    outcome = ran.run(*BOTH)
    assert [m.run_id is not None for m in outcome.modes] == [False, True]
    (problem,) = outcome.modes[0].problems
    assert isinstance(problem, BasisError)
    assert problem.code == "BT-001"
    assert "DATA-008" in str(problem)
    assert "bybit_BTCUSDT_perp" in str(problem)
    assert {gate.mode for gate in failing(outcome.gates)} == {"", "btc_basis"}
    assert before.items() <= stored().items()
    for page, content in pages.items():
        assert (ran.results / "reports" / page).read_bytes() != content
    _is_one_fault(ran)
    _is_logged(ran, since)
    key = dg.AssetCheckKey(dataset_key(FEED), "files_and_schema")
    verdict = verdict_of(evaluation_of(latest_records(ran.instance, [key])[key]))
    assert [row["open"] for row in verdict.rows] == [-5.0]
    event = ran.instance.get_latest_materialization_event(key.asset_key)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["status"].value == "rejected"


def _is_logged(place: Place, since: datetime) -> None:
    """Require the events of the broken feed, the failing gates and the blocked run."""
    broken = [e.fields for e in events_of(place, "data_rejected", since=since)]
    assert (FEED, "DATA-008") in {(e["dataset"], e["code"]) for e in broken}
    (blocked,) = events_of(place, "run_blocked", since=since)
    assert (blocked.mode, blocked.level, blocked.fields["code"]) == ("btc_basis", "ERROR", "BT-001")
    assert "DATA-008" in blocked.fields["reason"]
    (finished,) = events_of(place, "run_finished", run_id=blocked.run_id)
    assert finished.fields == {"outcome": "failed"}
    verdicts = events_of(place, "gate_verdict", since=since)
    failed = [e for e in verdicts if e.fields["verdict"] == "FAIL"]
    assert {event.level for event in failed} == {"ERROR"}
    of_platform = ("health", "platform")
    assert all(e.at <= blocked.at for e in failed if not e.component.startswith(of_platform))
    assert events_of(place, "run_result", run_id=blocked.run_id) == []


def _is_one_fault(place: Place) -> None:
    """Gates evaluated before are blocked by the file, not "never evaluated", and group by it."""
    gates = {gate.name: gate for gate in all_gates(place.instance, place.defs)}
    unread = gates["dataset/bybit_btcusdt_perp coverage"]
    unreached = gates["backtest/simulation[btc_basis] reconciliation"]
    for gate in (unread, unreached):
        assert gate.status is Status.BLOCKED
        assert gate.evaluated_at is not None
        assert gate.cause.startswith("DATA-0")
    assert unread.cause == f"DATA-008 at {PERP}"
    assert "before: PASS, the largest unexplained share" in unreached.message
    faults = by_fault(failing(gates.values()))
    assert [PERP in group[0].fault for group in faults].count(True) == 1
    assert max(map(len, faults)) > 10
    assert gates["backtest/simulation[eth_basis] reconciliation"].status is Status.NOT_RUN
    assert not [gate for gate in gates.values() if gate.scenario_set]


def test_an_absent_family_is_a_fault_of_the_modes_that_need_it(place: Place) -> None:
    """A tree with Aave and gas alone runs pure lending without a failed gate, and nothing else.

    `full_pipeline` as the UI and `dagster job execute` launch it: everything for one mode.
    """
    for directory in ("market_data", "manual_sources", "execution_costs", "protocol_data/staking"):
        shutil.rmtree(place.data / directory)
    done = place.execute(job="full_pipeline", mode="pure_lending")
    made = {event.asset_key for event in done.get_asset_materialization_events()}
    assert done.success
    assert {*MODE_ASSETS, COMPARISON} <= made
    (problem,) = place.run_mode("btc_basis")
    assert "DATA-001" in str(problem)
    gates = all_gates(place.instance, place.defs)
    assert failing([gate for gate in gates if gate.mode != "btc_basis"]) == []
    absent = [gate for gate in gates if gate.asset == f"raw/{FEED}"]
    assert [gate.status for gate in absent] == [Status.WARN]


def test_a_broken_rule_stops_its_mode_alone(ran: Place) -> None:
    """An override that breaks a rule of one mode is recorded as its failed gate."""
    asked = {"overrides": ["hedge.venues={bybit: 0.5}"]}
    (problem,) = ran.run_mode("btc_basis", **asked)
    assert isinstance(problem, BasisError)
    assert problem.code == "CONFIG-006"
    gates = all_gates(ran.instance, ran.defs)
    assert [gate.name for gate in failing(gates) if gate.status is Status.FAIL] == [
        "config/mode[btc_basis] rules"
    ]
    assert ran.run_mode("pure_lending", **asked) == []
