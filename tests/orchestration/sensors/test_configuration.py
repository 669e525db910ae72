"""Changed configuration runs the modes it touches, and no other."""

import shutil
from pathlib import Path

import pytest

from tests.orchestration.platform_alone import Platform


@pytest.fixture
def configs(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a copy of the configuration that the process reads instead."""
    shutil.copytree(project, tmp_path / "configs")
    monkeypatch.setenv("BASIS_CONFIG_DIR", str(tmp_path / "configs"))
    return tmp_path / "configs"


@pytest.fixture
def watching(platform: Platform, configs: Path) -> Platform:
    """Return the platform after the first tick on its configuration."""
    assert configs.is_dir()
    assert modes_of(platform) == []
    assert platform.skipped["configuration"].startswith("first tick: the configuration is recorded")
    return platform


def edit(file: Path, before: str, after: str) -> None:
    """Replace a text that is there."""
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after))


def modes_of(platform: Platform) -> list[str | None]:
    """Modes that the sensor requests."""
    return [request.partition_key for request in platform.look("configuration")]


def test_a_changed_file_runs_the_modes_it_touches(watching: Platform, configs: Path) -> None:
    """Their slices count, not comments; each change is requested once, with what it is made of."""
    mode = configs / "modes" / "btc_basis.yaml"
    edit(mode, "mode: btc_basis", "# a remark\nmode: btc_basis")
    assert modes_of(watching) == []
    assert watching.skipped["configuration"] == "nothing changed"
    edit(mode, "delta_band: 0.02", "delta_band: 0.03")
    (first,) = watching.look("configuration")
    assert first.partition_key == "btc_basis"
    assert modes_of(watching) == []
    edit(mode, "delta_band: 0.03", "delta_band: 0.02")  # and back: that is another change
    (again,) = watching.look("configuration")
    assert again.run_key != first.run_key
    edit(configs / "venues" / "okx.yaml", "perp_taker_fee_bps: 5", "perp_taker_fee_bps: 6")
    requests = watching.look("configuration")
    modes = ["eth_basis", "usdt_market_neutral"]
    assert [request.partition_key for request in requests] == modes
    assert len({request.tags["basis/batch"] for request in requests}) == 1
    edit(configs / "datasets" / "bybit_btcusdt_perp.yaml", "max_log_change", "max_abs")
    (data,) = watching.look("configuration")
    assert data.tags["basis/modes"] == "btc_basis"
    keys = {key.to_user_string() for key in data.asset_selection or ()}
    assert {"raw/bybit_btcusdt_perp", "dataset/bybit_btcusdt_perp"} <= keys


def test_a_broken_file_is_run_so_that_it_is_recorded(watching: Platform, configs: Path) -> None:
    """A broken rule, broken YAML: its own gate says so, and sound modes are not held up."""
    mode = configs / "modes" / "btc_basis.yaml"
    edit(mode, "ratio: 1.0, venues: {", "ratio: 1.0, venues: {okx: 0.9, ")
    assert modes_of(watching) == ["btc_basis"]
    edit(mode, "delta_band: 0.02", "delta_band: [")
    edit(configs / "modes" / "eth_basis.yaml", "delta_band: 0.02", "delta_band: 0.03")
    assert modes_of(watching) == ["btc_basis", "eth_basis"]
    edit(mode, "delta_band: [", "delta_band: 0.03")
    assert modes_of(watching) == ["btc_basis"]
    text = (configs / "modes" / "pure_lending.yaml").read_text()
    (configs / "modes" / "mine.yaml").write_text(text.replace("mode: pure_lending", "mode: mine"))
    assert modes_of(watching) == []  # it has no partition before that
    assert watching.skipped["configuration"] == "reload the code location for mine"
