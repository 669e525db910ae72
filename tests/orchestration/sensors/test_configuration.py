"""Changed configuration runs the modes it touches, and no other."""

import shutil
from pathlib import Path

import pytest

from basis_pipeline.settings import project_root
from tests.orchestration.platform_alone import Platform


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of `configs/` that the process takes for the project's own."""
    shutil.copytree(project_root() / "configs", tmp_path / "configs")
    monkeypatch.setenv("BASIS_CONFIG_DIR", str(tmp_path / "configs"))
    return tmp_path / "configs"


def edit(file: Path, before: str, after: str) -> None:
    """Replace a text that is there."""
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


@pytest.fixture
def watching(platform: Platform, configs: Path) -> Platform:
    """The platform after the first look at its configuration."""
    assert configs.is_dir()
    assert platform.look("configuration") == []
    assert platform.skipped["configuration"].startswith("first look: remembered")
    return platform


def test_nothing_changed_asks_for_nothing(watching: Platform, configs: Path) -> None:
    """Neither a look alone, nor a file written again, nor a comment."""
    assert watching.look("configuration") == []
    edit(configs / "modes" / "btc_basis.yaml", "mode: btc_basis", "# a remark\nmode: btc_basis")
    assert watching.look("configuration") == []
    assert watching.skipped["configuration"] == "nothing changed"


@pytest.mark.parametrize(
    ("file", "before", "after", "modes"),
    [
        ("modes/btc_basis.yaml", "delta_band: 0.02", "delta_band: 0.03", ["btc_basis"]),
        (
            "share_classes/ETH.yaml",
            "initial_capital: ",
            "initial_capital: 1",
            ["eth_leveraged", "eth_staking_only", "pure_lending_eth"],
        ),
    ],
)
def test_a_changed_file_runs_the_modes_it_touches(
    watching: Platform, configs: Path, file: str, before: str, after: str, modes: list[str]
) -> None:
    """Its slice is what counts; one request a mode, asked for once."""
    edit(configs / file, before, after)
    asked = watching.look("configuration")
    assert [request.partition_key for request in asked] == modes
    assert len({request.tags["basis/batch"] for request in asked}) == 1
    assert watching.look("configuration") == []
    edit(configs / file, after, before)  # and back: that is another change
    again = watching.look("configuration")
    assert [request.partition_key for request in again] == modes
    assert {r.run_key for r in again} & {r.run_key for r in asked} == set()


def test_a_changed_catalogue_entry_makes_its_dataset_first(
    watching: Platform, configs: Path
) -> None:
    """The data run comes first, and carries the modes that are to follow."""
    edit(configs / "datasets" / "bybit_btcusdt_perp.yaml", "max_log_change", "max_abs")
    (asked,) = watching.look("configuration")
    assert asked.tags["basis/modes"] == "btc_basis"
    keys = {key.to_user_string() for key in asked.asset_selection or ()}
    assert {"raw/bybit_btcusdt_perp", "dataset/bybit_btcusdt_perp"} <= keys


def test_a_broken_rule_is_run_so_that_it_is_recorded(watching: Platform, configs: Path) -> None:
    """The mode's own gate says what is wrong."""
    edit(
        configs / "modes" / "btc_basis.yaml",
        "ratio: 1.0, venues: {",
        "ratio: 1.0, venues: {okx: 0.9, ",
    )
    (asked,) = watching.look("configuration")
    assert asked.partition_key == "btc_basis"


def test_a_new_mode_waits_for_the_code_location(watching: Platform, configs: Path) -> None:
    """It has no partition before that; nobody asks for what cannot run."""
    text = (configs / "modes" / "pure_lending.yaml").read_text()
    (configs / "modes" / "mine.yaml").write_text(text.replace("mode: pure_lending", "mode: mine"))
    assert watching.look("configuration") == []
    assert watching.skipped["configuration"] == "reload the code location for mine"


def test_a_broken_file_stops_its_mode_alone(watching: Platform, configs: Path) -> None:
    """The sensor goes on: the broken mode is run, to be recorded, and so is a sound one."""
    file = configs / "modes" / "btc_basis.yaml"
    edit(file, "delta_band: 0.02", "delta_band: [")
    edit(configs / "modes" / "eth_basis.yaml", "delta_band: 0.02", "delta_band: 0.03")
    requests = watching.look("configuration")
    assert [request.partition_key for request in requests] == ["btc_basis", "eth_basis"]
    edit(file, "delta_band: [", "delta_band: 0.03")
    assert [request.partition_key for request in watching.look("configuration")] == ["btc_basis"]
