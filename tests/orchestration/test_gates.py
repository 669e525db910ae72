"""Gates in the records of a real instance: a planted fault turns exactly its gate red."""

import dagster as dg

from basis_pipeline.operations.gates import Gate, Verdict
from basis_pipeline.orchestration.assets.config import CATALOGUE
from basis_pipeline.orchestration.records import all_gates
from tests.orchestration.conftest import Place


def judged(place: Place, key: dg.AssetKey, **asked: object) -> dict[str, Gate]:
    """Materialise one asset in the place's instance; its gates as they are recorded."""
    job = place.defs.resolve_implicit_global_asset_job_def()
    request = {k: v for k, v in place.request(**asked).model_dump().items() if v}
    job.execute_in_process(
        instance=place.instance,
        asset_selection=[key],
        run_config={"resources": {"request": {"config": request}}},
        raise_on_error=False,
    )
    found = all_gates(place.instance, place.defs)
    return {gate.check: gate for gate in found if gate.asset == key.to_user_string()}


def test_the_environment_is_judged_in_phase_1(place: Place) -> None:
    """Settings and directories are gates of their own, and green where they can be used."""
    gates = judged(place, CATALOGUE)
    assert {name: gate.verdict for name, gate in gates.items()} == {
        "settings": Verdict.PASS,
        "directories": Verdict.PASS,
    }
    assert {gate.phase for gate in gates.values()} == {1}


def test_a_file_in_place_of_the_data_turns_directories_red(place: Place) -> None:
    """What cannot be read is known before anything tries to."""
    file = place.results / "file"
    file.write_text("in the way")
    gates = judged(place, CATALOGUE, data_dir=str(file))
    assert gates["directories"].verdict is Verdict.FAIL
    assert str(file) in gates["directories"].message
    assert gates["settings"].verdict is Verdict.PASS


def test_a_window_that_ends_before_it_begins_turns_settings_red(place: Place) -> None:
    """Settings that cannot be used are told by code, and nobody judges the directories."""
    gates = judged(place, CATALOGUE, start="2024-03-01", end="2024-02-01")
    assert gates["settings"].verdict is Verdict.FAIL
    assert "CONFIG-011" in gates["settings"].message
    assert gates["directories"].verdict is Verdict.NOT_RUN
