"""`basis init`: a project of one's own, in which the commands work."""

import shutil
from pathlib import Path

import pytest

from basis_pipeline.config import load_configs, slice_mode
from tests import shell

BASIS = "basis_pipeline"
FOLDERS = ("presets", "accounts", "scenarios")


def test_a_project_holds_what_its_modes_need_and_runs(tmp_path: Path, sample: Path) -> None:
    """Its own configuration is used inside it: nothing of the checkout's modes is left."""
    project = tmp_path / "mine"
    made = shell.call("init", project, "--mode", "sol_basis")
    assert made.returncode == 0, made.stderr
    configs = load_configs(project / "configs")
    assert list(configs.modes) == ["sol_basis"]
    assert not configs.broken
    slice_mode(configs, "sol_basis")
    assert "modes: {}" in (project / "configs/control/limits.yaml").read_text()
    shutil.copytree(sample, project / "data", dirs_exist_ok=True)
    env = {**shell.clean(), "PYTHONPATH": str(shell.ROOT)}
    window = ("--start", "2024-01-05", "--end", "2024-01-20")
    ran = shell.run(BASIS, "backtest", "sol_basis", "--out", "mine", *window, env=env, cwd=project)
    assert ran.returncode == 0, ran.stderr
    assert (project / "mine" / "summary.json").exists()
    below = project / "data"
    other = shell.call("backtest", "btc_basis", "--out", "b", *window, cwd=below)
    assert other.returncode == 2
    assert "there is no mode 'btc_basis'" in other.stderr


def test_a_project_has_the_presets_accounts_and_scenario_sets_of_its_modes(tmp_path: Path) -> None:
    """All presets, and of the rest what is meant for its modes."""
    assert shell.call("init", tmp_path / "mine", "--mode", "btc_basis").returncode == 0
    made, shipped = tmp_path / "mine" / "configs", shell.ROOT / "configs"
    names = {folder: {p.name for p in (made / folder).iterdir()} for folder in FOLDERS}
    assert names["presets"] == {path.name for path in (shipped / "presets").iterdir()}
    assert names["accounts"] == {"btc_carry.yaml"}
    assert {"btc_basis.yaml", "crises.yaml"} <= names["scenarios"]
    assert "eth_basis.yaml" not in names["scenarios"]


def test_by_default_it_has_the_carry_modes(tmp_path: Path) -> None:
    """Both default modes can be sliced from what was written."""
    assert shell.call("init", tmp_path / "mine").returncode == 0
    configs = load_configs(tmp_path / "mine" / "configs")
    assert list(configs.modes) == ["funding_arbitrage", "sol_basis"]
    for mode in configs.modes:
        slice_mode(configs, mode)


@pytest.mark.parametrize("name", ["modes.yaml", ".env"])
def test_nothing_is_written_over(tmp_path: Path, name: str) -> None:
    """A directory that is not empty is not changed."""
    (tmp_path / name).write_text("mine")
    rejected = shell.call("init", tmp_path)
    assert rejected.returncode == 2
    assert "API-001" in rejected.stderr
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_unknown_mode_writes_nothing(tmp_path: Path) -> None:
    """The message lists the modes there are."""
    unknown = shell.call("init", tmp_path / "mine", "--mode", "doge_basis")
    assert unknown.returncode == 2
    assert "sol_basis" in unknown.stderr
    assert not (tmp_path / "mine").exists()
