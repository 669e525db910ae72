"""Raw families to checked datasets: a refusal is an outcome, not a raise."""

from pathlib import Path

import pytest

from basis_pipeline.config import load_configs
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.quality import check_names
from basis_pipeline.market.raw import read_feeds
from basis_pipeline.market.sample import write_sample
from basis_pipeline.market.window import parse_window
from basis_pipeline.runs.ingest import CheckedDataset, checked_datasets, feeds_for
from basis_pipeline.settings import project_root

CONFIGS = load_configs(project_root() / "configs")
WINDOW = parse_window("2024-01-03", "2024-02-20")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty days of every family."""
    directory = tmp_path_factory.mktemp("ingest") / "data"
    write_sample(directory, days=60)
    return directory


def checked(data: Path, *names: str) -> dict[str, CheckedDataset]:
    """The datasets named, from the families they need."""
    wanted = [CONFIGS.datasets[name] for name in feeds_for(CONFIGS, names)]
    return checked_datasets(CONFIGS, names, read_feeds(data, wanted), WINDOW, {})


def test_repair_sources_are_read_too() -> None:
    """A dataset that may be repaired from another needs that family as well."""
    assert feeds_for(CONFIGS, ["binance_btcusdt_perp"]) == [
        "binance_btcusdt_perp",
        "bybit_btcusdt_perp",
    ]
    assert feeds_for(CONFIGS, ["ethereum_gas"]) == ["ethereum_gas"]


def test_every_declared_check_is_evaluated(sample: Path) -> None:
    """A good dataset comes with the outcome of each of its checks, in their order."""
    found = checked(sample, *CONFIGS.datasets)
    for name, dataset in found.items():
        assert isinstance(dataset.outcome, Dataset), name
        assert [c.check for c in dataset.checks] == list(check_names(CONFIGS.datasets[name]))
        assert all(check.evaluated for check in dataset.checks)


def test_an_absent_family_is_an_outcome(sample: Path, tmp_path: Path) -> None:
    """Nothing raises: the dataset is its error, and only the check that owns it has looked."""
    assert sample.exists()
    (found,) = checked(tmp_path, "ethereum_gas").values()
    assert isinstance(found.outcome, DataError)
    assert found.outcome.code == "DATA-001"
    assert [c.check for c in found.checks if c.evaluated] == ["files_and_schema"]


def test_margin_files_are_held_against_their_own_venue(sample: Path) -> None:
    """The exchange a margin file names is the one whose configuration it is compared with."""
    (found,) = checked(sample, "okx_risk_params").values()
    (check,) = [c for c in found.checks if c.check == "margin_parameters"]
    assert "configuration" in check.rows[0]
