"""Gates in the records of a real instance: a planted fault turns exactly its gate red."""

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest

from basis_pipeline.errors import ConfigError
from basis_pipeline.orchestration.assets.config import CATALOGUE
from basis_pipeline.orchestration.assets.platform import CHECKS as PLATFORM
from basis_pipeline.orchestration.assets.platform import instance_check, platform_asset
from basis_pipeline.orchestration.records import all_gates, gates_of
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


def looked_at(place: Place, load_defs: Callable[[], dg.Definitions]) -> dict[str, Verdict]:
    """Materialise the platform asset over the definitions given, in the place's instance."""
    asset = platform_asset(load_defs)
    done = dg.materialize(
        [asset],
        instance=place.instance,
        resources={"options": place.request()},
        raise_on_error=False,
    )
    assert done.success
    return {gate.check: gate for gate in gates_of(place.instance, asset.check_specs)}


def test_a_sound_platform_is_green(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instance, code location, jobs and results database, each with its figures."""
    _index_at(place, monkeypatch)
    place.run("pure_lending")
    gates = looked_at(place, lambda: place.defs)
    assert {name: gate.status for name, gate in gates.items()} == dict.fromkeys(
        PLATFORM, Status.PASS
    )
    assert gates["results_store"].evidence == {"runs": 1}


def test_a_changed_run_turns_the_index_red(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file edited after it was recorded is found, with the run it belongs to."""
    _index_at(place, monkeypatch)
    run_id = place.run("pure_lending").modes[0].run_id
    equity = place.results / "runs" / str(run_id) / "equity.parquet"
    equity.write_bytes(equity.read_bytes()[:-1])
    gate = looked_at(place, lambda: place.defs)["results_store"]
    assert gate.status is Status.FAIL
    assert "RS-003" in gate.message


def test_without_a_recorded_run_the_index_is_not_judged(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing recorded is nothing verified: no pass, and no database made by looking."""
    _index_at(place, monkeypatch)
    gates = looked_at(place, lambda: place.defs)
    assert gates["results_store"].status is Status.NOT_APPLICABLE
    assert not (place.results / "runs.sqlite").exists()


def _index_at(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    index = place.results / "runs.sqlite"
    monkeypatch.setenv("BASIS_RESULTS_DB_URL", f"sqlite:///{index}")


def test_a_misspelt_dependency_turns_the_code_location_red(place: Place) -> None:
    """An asset that nobody makes is named."""

    @dg.asset(deps=[["market", "pannel"]])
    def lost() -> None: ...

    gates = looked_at(place, lambda: dg.Definitions(assets=[lost]))
    assert gates["code_location"].status is Status.FAIL
    assert "market/pannel" in gates["code_location"].message
    assert gates["jobs"].status is Status.FAIL


def test_definitions_that_do_not_load_turn_the_code_location_red(place: Place) -> None:
    """What a server could not load is told by code; nobody judges its jobs."""

    def refused() -> dg.Definitions:
        raise ConfigError("CONFIG-004", "no mapping", where="configs/modes/a.yaml")

    gates = looked_at(place, refused)
    assert gates["code_location"].status is Status.FAIL
    assert "CONFIG-004" in gates["code_location"].message
    assert gates["jobs"].status is Status.BLOCKED


def test_a_job_named_like_an_asset_turns_jobs_red(place: Place) -> None:
    """Two operations of one name keep a server from loading what a build accepts."""

    @dg.asset
    def health() -> None: ...

    job = dg.define_asset_job("health", [health])
    gates = looked_at(place, lambda: dg.Definitions(assets=[health], jobs=[job]))
    assert gates["jobs"].status is Status.FAIL
    assert gates["code_location"].status is Status.PASS


def test_another_version_than_the_pinned_turns_the_instance_red(
    place: Place, tmp_path: Path
) -> None:
    """An upgrade past the pin is told with both versions."""
    pins = 'dependencies = ["dagster==1.0.0", "dagster-webserver==1.0.0"]'
    (tmp_path / "pyproject.toml").write_text(f"[project]\n{pins}\n")
    found = instance_check(place.instance, tmp_path)
    assert not found.passed
    assert "pinned is 1.0.0" in found.message
