"""The real tree: every feed is read, every dataset built, with the repairs it needs."""

from pathlib import Path

import pytest

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.market.audit import audit, audit_table
from basis_pipeline.market.dataset import Dataset, build_datasets
from basis_pipeline.market.raw import read_feeds
from basis_pipeline.market.window import Window, parse_window

WINDOW = parse_window("2024-06-01", "2025-03-01")


@pytest.fixture
def catalogue(catalogue: dict[str, DatasetConfig]) -> dict[str, DatasetConfig]:
    """Return every dataset but those of SOL, which the real data lack."""
    return {name: config for name, config in catalogue.items() if config.of.base != "SOL"}


def _built(
    data_dir: Path, catalogue: dict[str, DatasetConfig], window: Window
) -> dict[str, Dataset]:
    feeds = read_feeds(data_dir, catalogue.values())
    built = build_datasets(catalogue.values(), feeds, window)
    rejected = {name: str(found) for name, found in built.items() if not isinstance(found, Dataset)}
    assert not rejected
    return {name: found for name, found in built.items() if isinstance(found, Dataset)}


def test_all_datasets_are_built_with_the_known_repairs(
    real_data_dir: Path, catalogue: dict[str, DatasetConfig]
) -> None:
    """Seven 23-hour gaps at Binance, OKX's missing months and days, and nothing else."""
    built = _built(real_data_dir, catalogue, WINDOW)
    assert {name: dataset.repairs for name, dataset in built.items() if dataset.repairs} == {
        "binance_btcusdt_perp": {"substituted": 161},
        "binance_btcusdt_spot": {"substituted": 161},
        "binance_ethusdt_perp": {"substituted": 161},
        "okx_btcusdt_funding": {"mean_of_venues": 114},
        "okx_ethusdt_funding": {"mean_of_venues": 114},
        "okx_ethusdt_perp": {"substituted": 2184},
    }
    hourly = [d for d in built.values() if d.config.frequency_hours == 1]
    late = {"uniswapv3_eigenweth_spot": 3529}
    assert {d.name: len(d.frame) for d in hourly} == {d.name: 6553 for d in hourly} | late
    assert {len(built[f"{venue}_ethusdt_funding"].frame) for venue in ("binance", "okx")} == {820}
    assert sum(d.findings.duplicates == 11 for d in built.values()) == 4


def test_the_first_day_of_the_pegs_is_the_oracles(
    real_data_dir: Path, catalogue: dict[str, DatasetConfig]
) -> None:
    """The DEX history starts 23 to 28 hours after the oracle."""
    names = ("weeth_peg", "wsteth_peg", "weeth_oracle", "wsteth_oracle")
    window = parse_window("2024-05-12T01:00", "2024-08-01")
    built = _built(real_data_dir, {name: catalogue[name] for name in names}, window)
    assert built["weeth_peg"].repairs == {"oracle": 27}
    assert built["wsteth_peg"].repairs == {"oracle": 22}


@pytest.mark.parametrize("start", ["2024-01-01", "2023-06-01"])
def test_a_window_before_the_data_is_rejected(
    start: str, real_data_dir: Path, catalogue: dict[str, DatasetConfig]
) -> None:
    """The start in the name of the oracle's file is earlier than its rows and does not count."""
    wanted = [catalogue["weeth_oracle"]]
    feeds = read_feeds(real_data_dir, wanted)
    rejected = build_datasets(wanted, feeds, parse_window(start, "2025-03-01"))["weeth_oracle"]
    assert not isinstance(rejected, Dataset)
    assert rejected.code in {"DATA-010", "DATA-012"}


def test_the_audit_of_the_real_tree_fails_nothing(
    real_data_dir: Path, catalogue: dict[str, DatasetConfig]
) -> None:
    """Every feed serves its own span; the known defects are warnings."""
    table = audit_table(audit(real_data_dir, catalogue.values(), {})).set_index("feed")
    assert set(table["verdict"]) == {"PASS", "WARN"}
    assert table.loc["binance_btcusdt_perp", ["gaps", "longest_gap_hours"]].tolist() == [11, 23]
    assert table.loc["okx_ethusdt_perp", "longest_gap_hours"] == 720
    assert table.loc["ethereum_gas", "verdict"] == "WARN"
