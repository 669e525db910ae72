"""The warehouse: what an asset hands on comes back the same, or as the error it was rejected."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.config import load_configs, slice_mode
from basis_pipeline.config.current import current_configs
from basis_pipeline.errors import BasisError, DataError, PlatformError
from basis_pipeline.files import write_atomically
from basis_pipeline.market.dataset import build_dataset
from basis_pipeline.market.panel import Panel
from basis_pipeline.market.raw import read_feed, read_feeds
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.window import parse_window
from basis_pipeline.orchestration.assets.backtest import SIMULATION
from basis_pipeline.orchestration.assets.config import MODE
from basis_pipeline.orchestration.assets.dataset import dataset_key
from basis_pipeline.orchestration.assets.market import PANEL
from basis_pipeline.orchestration.assets.raw import raw_key
from basis_pipeline.orchestration.io_managers import ParquetIOManager
from basis_pipeline.orchestration.resources import RunOptions
from tests.orchestration.conftest import SHIPPED, Place

CONFIGS = load_configs(SHIPPED).datasets
NAMES = {config.kind: name for name, config in sorted(CONFIGS.items())}  # one a kind of feed


@pytest.fixture
def warehouse(tmp_path: Path) -> ParquetIOManager:
    """Return an empty warehouse."""
    return ParquetIOManager(options=RunOptions(results_dir=str(tmp_path)))


@pytest.mark.parametrize("name", NAMES.values())
def test_raw_feeds_and_datasets_come_back_the_same(
    name: str, sample: Path, warehouse: ParquetIOManager
) -> None:
    """Frames keep their types and bits; hashes, files and repairs travel with them."""
    # Where a feed is fetched from is no part of a run.
    config = CONFIGS[name].model_copy(update={"source": None})
    raw = read_feed(sample, config)
    warehouse.store(raw_key(name), raw)
    again = warehouse.load(raw_key(name))
    pd.testing.assert_frame_equal(again.frame, raw.frame)
    assert (again.config, again.files, again.span) == (raw.config, raw.files, raw.span)
    assert again.content_hash == raw.content_hash

    sources = read_feeds(sample, [CONFIGS[s] for s in config.sources])
    dataset = build_dataset(config, again, parse_window("2024-01-03", "2024-02-20"), sources)
    warehouse.store(dataset_key(name), dataset)
    loaded = warehouse.load(dataset_key(name))
    pd.testing.assert_frame_equal(loaded.frame, dataset.frame)
    for field in ("config", "window", "own_share", "repairs", "content_hashes", "verdicts"):
        assert getattr(loaded, field) == getattr(dataset, field)
    assert loaded.findings.to_json() == dataset.findings.to_json()


def test_slices_come_back_the_same(warehouse: ParquetIOManager) -> None:
    """The slice that is read has the hash of the slice that was written."""
    for mode in current_configs().modes:
        mode_slice = slice_mode(current_configs(), mode)
        warehouse.store(MODE, mode_slice, mode)
        assert warehouse.load(MODE, mode).canonical == mode_slice.canonical
        assert warehouse.load(MODE, mode).config_hash == mode_slice.config_hash


def test_panels_come_back_the_same(ran: Place, warehouse: ParquetIOManager) -> None:
    """Every array of a panel keeps its shape and its bits."""
    panel: Panel = ParquetIOManager(options=ran.request()).load(PANEL, "btc_basis")
    warehouse.store(PANEL, panel, "btc_basis")
    again = warehouse.load(PANEL, "btc_basis")
    assert again.data_hashes == panel.data_hashes
    np.testing.assert_array_equal(again.cost_bps, panel.cost_bps)
    np.testing.assert_array_equal(again.funding_rate, panel.funding_rate)


def test_a_rejection_stands_in_the_place_of_the_value(
    sample: Path, warehouse: ParquetIOManager
) -> None:
    """Loading raises the recorded error with its rows; an earlier value is not read by mistake."""
    key = raw_key("ethereum_gas")
    raw = read_feed(sample, current_configs().datasets["ethereum_gas"])
    warehouse.store(key, raw)
    rows = pd.DataFrame({"timestamp": [pd.Timestamp("2024-01-01", tz="UTC")], "open": [-1.0]})
    rejection = RejectedDataError("DATA-008", "no price", where="gas.csv", offending=rows)
    warehouse.store(key, rejection)
    with pytest.raises(DataError) as raised:
        warehouse.load(key)
    assert str(raised.value) == str(rejection)
    assert isinstance(raised.value, RejectedDataError)
    assert raised.value.offending.to_dict("records") == [
        {"timestamp": "2024-01-01T00:00:00+00:00", "open": -1.0}
    ]
    assert warehouse.find(key) is None
    warehouse.store(key, raw)
    assert warehouse.load(key).content_hash == raw.content_hash


def test_what_was_never_written_is_named(warehouse: ParquetIOManager) -> None:
    """A missing value is a coded error that says what to materialise."""
    with pytest.raises(PlatformError, match="PLATFORM-002") as raised:
        warehouse.load(PANEL, "btc_basis")
    assert "market/panel[btc_basis]" in str(raised.value)
    assert warehouse.find(PANEL, "btc_basis") is None


def test_an_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the new file is complete the old one stands, and nothing lies about."""
    file = tmp_path / "value.json"
    write_atomically(file, b"old")
    monkeypatch.setattr("os.fsync", _full_disk)
    with pytest.raises(OSError, match="no space"):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_damaged_panel_stops_its_backtest_until_it_is_made_anew(ran: Place) -> None:
    """PLATFORM-003 names the file and the asset to materialise; doing so repairs it."""
    (kept,) = (ran.results / "warehouse" / "market" / "panel").glob("pure_lending.*")
    kept.write_bytes(kept.read_bytes()[:-100])
    (problem,) = ran.run_mode("pure_lending", SIMULATION)
    assert isinstance(problem, BasisError)
    assert (problem.code, Path(problem.where)) == ("PLATFORM-003", kept)
    assert problem.action == "materialise market/panel[pure_lending]"
    assert ran.run_mode("pure_lending", PANEL, SIMULATION) == []


def test_a_warehouse_that_cannot_be_written_is_told_by_code(ran: Place) -> None:
    """RS-001 for a file in the way of a run, or of a table; as for a full or read-only disk."""
    for asset in (SIMULATION, PANEL):
        directory = ran.results.joinpath("warehouse", *asset.path)
        shutil.rmtree(directory)
        directory.write_text("in the way")
        (problem,) = ran.run_mode("pure_lending", asset)
        assert isinstance(problem, BasisError)
        assert problem.code == "RS-001"


def _full_disk(_descriptor: int) -> None:
    raise OSError("no space left on device")
