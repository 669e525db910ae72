"""Gates in the records of a real instance: a planted fault turns exactly its gate red."""

import dagster as dg
import pytest

from basis_pipeline.orchestration.assets.config import CATALOGUE
from basis_pipeline.orchestration.assets.platform import RESULTS_STORE
from basis_pipeline.orchestration.records import all_gates
from basis_pipeline.verdict import Status, Verdict
from tests.orchestration.conftest import Place


def judged(place: Place, key: dg.AssetKey, **asked: object) -> dict[str, Verdict]:
    """Materialise one asset in the place's instance; its gates as they are recorded."""
    job = place.defs.resolve_implicit_global_asset_job_def()
    request = {k: v for k, v in place.request(**asked).model_dump().items() if v}
    job.execute_in_process(
        instance=place.instance,
        asset_selection=[key],
        run_config={"resources": {"options": {"config": request}}},
        raise_on_error=False,
    )
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


def test_recorded_runs_are_verified(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a run there is nothing to verify; a file edited after it was recorded is found."""
    monkeypatch.setenv("BASIS_RESULTS_DB_URL", f"sqlite:///{place.results}/runs.sqlite")
    assert judged(place, RESULTS_STORE)["integrity"].status is Status.NOT_APPLICABLE
    assert not (place.results / "runs.sqlite").exists()
    mode = place.run("pure_lending").modes[0].run_id
    gate = judged(place, RESULTS_STORE)["integrity"]
    assert (gate.status, gate.evidence) == (Status.PASS, {"runs": 1})
    equity = place.results / "runs" / str(mode) / "equity.parquet"
    equity.write_bytes(equity.read_bytes()[:-1])
    gate = judged(place, RESULTS_STORE)["integrity"]
    assert gate.status is Status.FAIL
    assert "RS-003" in gate.message
