"""A broken feed stops exactly the modes that need it, and says which file and why."""

import hashlib
import shutil
from pathlib import Path

import dagster as dg

from basis_pipeline.errors import BasisError
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.check_history import evaluation_of, latest_records
from basis_pipeline.orchestration.checks import verdict_of
from basis_pipeline.orchestration.launch import PipelineOutcome
from basis_pipeline.orchestration.records import all_gates
from basis_pipeline.verdict import Status, by_fault, failing
from tests.orchestration.conftest import Place

PERP = "market_data/derivatives/futures_ohlcv/bybit_BTCUSDT_perp_1h_2024-01-01_2024-02-29.csv"
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


def stray_quote(file: Path) -> None:
    """Leave a quotation mark open near the beginning of a long file."""
    lines = file.read_text().splitlines()
    lines[7] = lines[7].replace(",", ',"', 1)
    file.write_text("\n".join(lines) + "\n")


def cut_short(file: Path) -> None:
    """Keep two days of sixty under the same name."""
    file.write_text("\n".join(file.read_text().splitlines()[:49]) + "\n")


def rejection(outcome: PipelineOutcome, mode: str) -> BasisError:
    """The one coded problem of a mode."""
    (found,) = [m for m in outcome.modes if m.mode == mode]
    assert found.run_id is None
    (problem,) = found.problems
    assert isinstance(problem, BasisError)
    return problem


def contents(directory: Path) -> dict[str, str]:
    """Every file below a directory with its hash."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def recorded(runs: Path) -> dict[str, str]:
    """What recorded runs hold for good: their verdicts are those of the last time they came out."""
    return {name: h for name, h in contents(runs).items() if not name.endswith("verdicts.json")}


def test_a_broken_file_stops_the_modes_that_read_it(ran: Place, sample: Path) -> None:
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

    before = stored()
    pages = {page: (ran.results / "reports" / page).read_bytes() for page in WRITTEN_ANEW}
    spoil_price(ran.data / PERP)
    outcome = ran.run(*BOTH)
    problem = rejection(outcome, "btc_basis")
    assert problem.code == "BT-001"
    assert "DATA-008" in str(problem)
    assert "bybit_BTCUSDT_perp" in str(problem)
    assert [m.run_id is not None for m in outcome.modes] == [False, True]
    assert {gate.mode for gate in failing(outcome.gates)} == {"", "btc_basis"}
    assert before.items() <= stored().items()
    for page, content in pages.items():
        assert (ran.results / "reports" / page).read_bytes() != content
    _is_one_fault(ran)
    key = dg.AssetCheckKey(dataset_key("bybit_btcusdt_perp"), "files_and_schema")
    verdict = verdict_of(evaluation_of(latest_records(ran.instance, [key])[key]))
    assert [row["open"] for row in verdict.rows] == [-5.0]
    event = ran.instance.get_latest_materialization_event(key.asset_key)
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["status"].value == "rejected"

    shutil.copy(sample / PERP, ran.data / PERP)
    outcome = ran.run("btc_basis")
    assert outcome.modes[0].run_id
    assert failing(outcome.gates) == []


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
    """A tree with Aave and gas alone runs pure lending without a failed gate, and nothing else."""
    for directory in ("market_data", "manual_sources", "execution_costs", "protocol_data/staking"):
        shutil.rmtree(place.data / directory)
    outcome = place.run(*BOTH)
    assert [mode.mode for mode in outcome.modes if mode.run_id] == ["pure_lending"]
    assert "DATA-001" in str(rejection(outcome, "btc_basis"))
    shared = [gate for gate in outcome.gates if not gate.mode]
    assert failing([gate for gate in outcome.gates if gate.mode != "btc_basis"]) == []
    absent = [g for g in shared if g.asset == "raw/bybit_btcusdt_perp"]
    assert [gate.status for gate in absent] == [Status.WARN]


def test_a_broken_rule_stops_its_mode_alone(place: Place) -> None:
    """An override that breaks a rule of one mode is recorded as its failed gate."""
    outcome = place.run(*BOTH, overrides=["hedge.venues={bybit: 0.5}"])
    assert rejection(outcome, "btc_basis").code == "CONFIG-006"
    assert [gate.name for gate in failing(outcome.gates) if gate.status is Status.FAIL] == [
        "config/mode[btc_basis] rules"
    ]
    assert outcome.modes[1].run_id
