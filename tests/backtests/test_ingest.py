"""Raw feeds to datasets with verdicts: a rejection is an outcome, not an exception."""

from pathlib import Path

import pytest

from basis_pipeline.backtests.ingest import feeds_for, ingest
from basis_pipeline.config import load_configs
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.quality import check_names
from basis_pipeline.market.raw import read_feeds
from basis_pipeline.market.sample import write_sample
from basis_pipeline.market.window import parse_window
from basis_pipeline.settings import project_root

CONFIGS = load_configs(project_root() / "configs")
WINDOW = parse_window("2024-01-03", "2024-02-20")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty days of every feed."""
    directory = tmp_path_factory.mktemp("ingest") / "data"
    write_sample(directory, days=60)
    return directory


def ingested(data: Path, *names: str) -> dict[str, Dataset | DataError]:
    """Build the datasets named from the feeds they need."""
    wanted = [CONFIGS.datasets[name] for name in feeds_for(CONFIGS, names)]
    return ingest(CONFIGS, names, read_feeds(data, wanted), WINDOW, {})


def test_repair_sources_are_read_too() -> None:
    """A dataset that may be repaired from another needs that feed as well."""
    assert feeds_for(CONFIGS, ["binance_btcusdt_perp"]) == [
        "binance_btcusdt_perp",
        "bybit_btcusdt_perp",
    ]
    assert feeds_for(CONFIGS, ["ethereum_gas"]) == ["ethereum_gas"]


def test_every_declared_check_is_evaluated(sample: Path) -> None:
    """A good dataset comes with the verdict of each of its checks, in their order."""
    for name, dataset in ingested(sample, *CONFIGS.datasets).items():
        assert isinstance(dataset, Dataset), name
        assert [v.check for v in dataset.verdicts] == list(check_names(CONFIGS.datasets[name]))
        assert all(verdict.evaluated for verdict in dataset.verdicts)


def test_an_absent_feed_is_an_outcome(sample: Path, tmp_path: Path) -> None:
    """Nothing raises: the dataset is its error."""
    assert sample.exists()
    (error,) = ingested(tmp_path, "ethereum_gas").values()
    assert isinstance(error, DataError)
    assert error.code == "DATA-001"


def test_margin_files_are_compared_with_their_own_venue(sample: Path) -> None:
    """The exchange a margin file names is the one whose configuration it is compared with."""
    (dataset,) = ingested(sample, "okx_risk_params").values()
    assert isinstance(dataset, Dataset)
    (verdict,) = [v for v in dataset.verdicts if v.check == "risk_parameters"]
    assert all("configuration" in row for row in verdict.rows)
