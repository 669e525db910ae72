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
    """Settings and directories are gates of their own, and green where they can be used."""
    gates = judged(place, CATALOGUE)
    assert {name: gate.status for name, gate in gates.items()} == {
        "files": Status.PASS,
        "settings": Status.PASS,
        "directories": Status.PASS,
    }
    assert {gate.phase for gate in gates.values()} == {1}


def test_a_file_in_place_of_the_data_turns_directories_red(place: Place) -> None:
    """What cannot be read is known before anything tries to."""
    file = place.results / "file"
    file.write_text("in the way")
    gates = judged(place, CATALOGUE, data_dir=str(file))
    assert gates["directories"].status is Status.FAIL
    assert str(file) in gates["directories"].message
    assert gates["settings"].status is Status.PASS


def test_a_window_that_ends_before_it_begins_turns_settings_red(place: Place) -> None:
    """Settings that cannot be used are told by code, and nobody judges the directories."""
    gates = judged(place, CATALOGUE, start="2024-03-01", end="2024-02-01")
    assert gates["settings"].status is Status.FAIL
    assert "CONFIG-011" in gates["settings"].message
    assert gates["directories"].status is Status.BLOCKED


def test_recorded_runs_that_match_their_files_are_green(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file edited after it was recorded is found, with the run it belongs to."""
    monkeypatch.setenv("BASIS_RESULTS_DB_URL", f"sqlite:///{place.results}/runs.sqlite")
    run_id = place.run("pure_lending").modes[0].run_id
    gate = judged(place, RESULTS_STORE)["integrity"]
    assert (gate.status, gate.evidence) == (Status.PASS, {"runs": 1})
    equity = place.results / "runs" / str(run_id) / "equity.parquet"
    equity.write_bytes(equity.read_bytes()[:-1])
    gate = judged(place, RESULTS_STORE)["integrity"]
    assert gate.status is Status.FAIL
    assert "RS-003" in gate.message


def test_without_a_recorded_run_there_is_nothing_to_verify(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing recorded is nothing verified, and no database is made by looking."""
    monkeypatch.setenv("BASIS_RESULTS_DB_URL", f"sqlite:///{place.results}/runs.sqlite")
    gate = judged(place, RESULTS_STORE)["integrity"]
    assert gate.status is Status.NOT_APPLICABLE
    assert not (place.results / "runs.sqlite").exists()
