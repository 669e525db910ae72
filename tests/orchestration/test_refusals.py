"""A broken feed stops exactly the modes that need it, and says which file and why."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.errors import BasisError
from basis_pipeline.orchestration.assets.dataset import dataset_key
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


def empty(file: Path) -> None:
    """Lose everything."""
    file.write_text("")


def cut_short(file: Path) -> None:
    """Keep two days of sixty under the same name."""
    file.write_text("\n".join(file.read_text().splitlines()[:49]) + "\n")


def refusal(outcome: PipelineOutcome, mode: str) -> BasisError:
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


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (spoil_price, "DATA-008"),
        (cut_last_line, "DATA-005"),
        (empty, "DATA-002"),
        (cut_short, "DATA-010"),
        (stray_quote, "DATA-004"),
    ],
)
def test_a_broken_file_stops_the_modes_that_read_it(
    place: Place, spoil: Callable[[Path], None], code: str
) -> None:
    """The mode that reads it is refused with code and file; the other comes through."""
    spoil(place.data / PERP)
    outcome = place.run(*BOTH)
    problem = refusal(outcome, "btc_basis")
    assert problem.code == "BT-001"
    assert code in str(problem)
    assert "bybit_BTCUSDT_perp" in str(problem)
    assert [m.run_id is not None for m in outcome.modes] == [False, True]
    assert {gate.mode for gate in failing(outcome.gates)} == {"", "btc_basis"}
    event = place.instance.get_latest_materialization_event(dataset_key("bybit_btcusdt_perp"))
    assert event is not None
    assert event.asset_materialization is not None
    assert event.asset_materialization.metadata["status"].value == "rejected"


def test_a_refusal_leaves_earlier_results_alone(place: Place) -> None:
    """Runs stay to the byte; every page that shows verdicts is written anew."""
    assert all(mode.run_id for mode in place.run("btc_basis").modes)

    def kept() -> dict[str, str]:
        names = ("runs", "reports", "warehouse/backtest")
        found = {f"{n}/{k}": v for n in names for k, v in contents(place.results / n).items()}
        return {name: found[name] for name in found.keys() - {f"reports/{p}" for p in WRITTEN_ANEW}}

    before = kept()
    told = [(place.results / "reports" / page).read_bytes() for page in WRITTEN_ANEW]
    spoil_price(place.data / PERP)
    refusal(place.run("btc_basis"), "btc_basis")
    assert kept() == before
    for page, was in zip(WRITTEN_ANEW, told, strict=True):
        assert (place.results / "reports" / page).read_bytes() != was


def test_mending_the_file_mends_the_mode(place: Place, sample: Path) -> None:
    """A recorded refusal ends with the next good delivery."""
    spoil_price(place.data / PERP)
    refusal(place.run("btc_basis"), "btc_basis")
    shutil.copy(sample / PERP, place.data / PERP)
    outcome = place.run("btc_basis")
    assert outcome.modes[0].run_id
    assert failing(outcome.gates) == []


def test_an_absent_family_is_a_fault_of_the_modes_that_need_it(place: Place) -> None:
    """A tree with Aave and gas alone runs pure lending without a failed gate, and nothing else."""
    for directory in ("market_data", "manual_sources", "execution_costs", "protocol_data/staking"):
        shutil.rmtree(place.data / directory)
    alone = place.run("pure_lending")
    assert alone.modes[0].run_id
    assert failing(alone.gates) == []
    outcome = place.run()
    through = {mode.mode for mode in outcome.modes if mode.run_id}
    assert through == {"pure_lending", "pure_lending_eth"}
    assert "DATA-001" in str(refusal(outcome, "btc_basis"))
    shared = [gate for gate in outcome.gates if not gate.mode]
    assert failing(shared) == []
    absent = [g for g in shared if g.asset == "raw/bybit_btcusdt_perp"]
    assert [gate.status for gate in absent] == [Status.WARN]


def test_what_one_broken_file_stops_is_one_fault(place: Place) -> None:
    """Gates evaluated before are blocked by the file, not "never evaluated", and group by it."""
    place.run("btc_basis")
    spoil_price(place.data / PERP)
    place.run("btc_basis")
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
    unasked = gates["backtest/simulation[eth_basis] reconciliation"]
    assert unasked.status is Status.NOT_RUN
    assert not [gate for gate in gates.values() if gate.scenario_set]


def test_a_failing_check_shows_the_rows_at_fault(place: Place) -> None:
    """The dataset's check has a table with the offending row, also after the raw step ended."""
    spoil_price(place.data / PERP)
    place.run("btc_basis")
    key = dg.AssetCheckKey(dataset_key("bybit_btcusdt_perp"), "files_and_schema")
    log = place.instance.event_log_storage
    record = log.get_latest_asset_check_execution_by_key([key])[key]
    assert record.event is not None
    evaluation = record.event.get_dagster_event().asset_check_evaluation_data
    rows = evaluation.metadata["offending_rows"]
    assert isinstance(rows, dg.TableMetadataValue)
    assert [row.data["open"] for row in rows.records] == [-5.0]


def test_a_broken_rule_stops_its_mode_alone(place: Place) -> None:
    """An override that breaks a rule of one mode is recorded as its failed gate."""
    outcome = place.run(*BOTH, overrides=["hedge.venues={bybit: 0.5}"])
    assert refusal(outcome, "btc_basis").code == "CONFIG-006"
    assert [gate.name for gate in failing(outcome.gates) if gate.status is Status.FAIL] == [
        "config/mode[btc_basis] rules"
    ]
    assert outcome.modes[1].run_id
