"""Gates in the records of a real instance: a planted fault turns exactly its gate red."""

import dagster as dg

from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.assets.config import CATALOGUE
from basis_pipeline.orchestration.assets.platform import RESULTS_STORE
from basis_pipeline.orchestration.assets.results import RECORD
from basis_pipeline.orchestration.records import all_gates
from basis_pipeline.verdict import Status, Verdict
from tests.orchestration.conftest import Place


def judged(place: Place, key: dg.AssetKey, **asked: object) -> dict[str, Verdict]:
    """Materialise one asset in the place's instance; its gates as they are recorded."""
    place.execute(key, **asked)
    found = all_gates(place.instance, place.defs)
    return {gate.check: gate for gate in found if gate.asset == key.to_user_string()}


def test_the_environment_is_judged_in_phase_1(place: Place) -> None:
    """Settings and directories are gates of their own; what cannot be used turns them red."""
    gates = judged(place, CATALOGUE)
    assert {name: (gate.status, gate.phase) for name, gate in gates.items()} == dict.fromkeys(
        ("files", "settings", "directories"), (Status.PASS, 1)
    )
    file = place.results / "file"
    file.write_text("in the way")
    gates = judged(place, CATALOGUE, data_dir=str(file))
    assert gates["directories"].status is Status.FAIL
    assert str(file) in gates["directories"].message
    assert gates["settings"].status is Status.PASS
    gates = judged(place, CATALOGUE, start="2024-03-01", end="2024-02-01")
    assert gates["settings"].status is Status.FAIL
    assert "CONFIG-011" in gates["settings"].message
    assert gates["directories"].status is Status.BLOCKED


def test_recorded_runs_are_verified(ran: Place) -> None:
    """A file edited after its run was recorded is found."""
    before = set((ran.results / "runs").iterdir())
    assert ran.run_mode("pure_lending", SIMULATION, RECORD, capital=5000.0) == []
    gate = judged(ran, RESULTS_STORE)["integrity"]
    assert (gate.status, gate.evidence) == (Status.PASS, {"runs": 3})
    (new,) = set((ran.results / "runs").iterdir()) - before
    equity = new / "equity.parquet"
    equity.write_bytes(equity.read_bytes()[:-1])
    gate = judged(ran, RESULTS_STORE)["integrity"]
    assert gate.status is Status.FAIL
    assert "RS-003" in gate.message


def test_without_a_run_there_is_nothing_to_verify(place: Place) -> None:
    """And looking makes no database."""
    assert judged(place, RESULTS_STORE)["integrity"].status is Status.NOT_APPLICABLE
    assert not (place.results / "runs.sqlite").exists()
