"""Gates of the environment: each one fails when its object is unusable."""

from pathlib import Path

import pytest

from basis_pipeline.errors import ConfigError
from basis_pipeline.operations.environment import CHECKS, FILES, environment_checks
from basis_pipeline.settings import SecretUrl, Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose directories can be used."""
    data, results = tmp_path / "data", tmp_path / "results"
    data.mkdir()
    return load_settings(data_dir=data, results_dir=results)


def test_a_usable_environment_passes(settings: Settings) -> None:
    """Every check is evaluated and passes; nothing is left behind."""
    found = environment_checks(settings)
    assert [FILES, *(check.check for check in found)] == list(CHECKS)
    assert all(check.passed and check.evaluated for check in found)
    assert list(settings.results_dir.iterdir()) == []


@pytest.mark.parametrize("what", ["data_dir", "results_dir", "database"])
def test_a_directory_that_cannot_be_used_fails(settings: Settings, what: str) -> None:
    """A file in the place of any of the three directories is found and named."""
    file = settings.data_dir.parent / "file"
    file.write_text("in the way")
    value = SecretUrl(f"sqlite:///{file}/runs.sqlite") if what == "database" else file
    _, directories = environment_checks(settings.model_copy(update={what: value}))
    assert not directories.passed
    assert str(file) in directories.message


def test_missing_settings_fail_and_leave_the_directories_unjudged(tmp_path: Path) -> None:
    """A missing variable is reported by its code, and the directories are not evaluated."""
    empty = tmp_path / "empty.env"
    empty.write_text("")
    with pytest.raises(ConfigError) as rejected:
        load_settings({"BASIS_ENV_FILE": str(empty)})
    found, directories = environment_checks(rejected.value)
    assert not found.passed
    assert found.evidence["code"] == "CONFIG-001"
    assert not directories.evaluated
