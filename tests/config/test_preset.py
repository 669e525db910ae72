"""Presets: every one in the repository is valid, and completes a dataset's file."""

from pathlib import Path

import pytest

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.loading import load_directory, load_file
from basis_pipeline.config.preset import Preset
from basis_pipeline.config.preset_page import presets_page
from basis_pipeline.errors import ConfigError
from tests.config.trees import COMMITTED

PRESETS = load_directory(COMMITTED / "presets", Preset, "preset")[0]
FILE = """
name: mine
of: {kind: perp_bars, venue: binance, base: SOL, quote: USDC}
description: mine
owner: me
glob: "*.zip"
preset: binance_klines
repair: {drop_exact_duplicates: true}
coverage: {min_share: 0.95, starts_late: false}
"""
SUBGRAPH = (
    FILE.replace("binance_klines", "aave_subgraph")
    .replace("perp_bars, venue: binance", "lending_rates, venue: aave_v3")
    .replace("base: SOL, quote: USDC", "token: DAI")
)


def read(place: Path, text: str) -> DatasetConfig:
    """Load a dataset's file with the presets of the repository."""
    (place / "presets").symlink_to(COMMITTED / "presets")
    (place / "datasets").mkdir()
    file = place / "datasets" / "mine.yaml"
    file.write_text(text)
    return load_file(file, DatasetConfig, "name")


def test_every_preset_names_its_publishers_page_in_its_first_line() -> None:
    """Each column can be checked there."""
    for name in PRESETS:
        first, _, _ = (COMMITTED / "presets" / f"{name}.yaml").read_text().partition("\n")
        assert first == f"# {PRESETS[name].page}"


def test_the_page_of_presets_is_current() -> None:
    """`python -m basis_pipeline.config.preset_page > docs/presets.md` writes it."""
    page = (COMMITTED.parent / "docs" / "presets.md").read_text(encoding="utf-8")
    assert page == presets_page(PRESETS.values())
    assert page.count("\n| `") == len(PRESETS) + page.partition("## The key")[2].count("\n| `")


def test_a_file_is_completed_by_its_preset(tmp_path: Path) -> None:
    """Columns are written out; keys of the file take precedence, in the format key by key."""
    text = FILE + "format: {interval_minutes: 5, header: none}\n"
    config = read(tmp_path, text)
    assert config.columns["open"].unit == "USDC"
    assert config.format.file_name == "SOLUSDC-"
    assert (config.format.header, config.format.interval_minutes) == ("none", 5)
    assert len(config.format.names) == 12
    assert config.preset == "binance_klines"


def test_columns_may_be_given_by_their_canonical_names(tmp_path: Path) -> None:
    """Also without a preset."""
    plain = FILE.replace(
        "preset: binance_klines",
        "timestamp: {column: t, format: instant, early_seconds: 0, late_seconds: 60}\n"
        "frequency_hours: 1\n"
        "columns: {o: open, h: high, l: low, c: close, v: volume}\n"
        "identity: {}",
    )
    config = read(tmp_path, plain)
    assert config.value_columns == ("open", "high", "low", "close", "volume")
    assert config.columns["h"].description == "highest price of the hour"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (FILE.replace("binance_klines", "binance_candles"), "no preset 'binance_candles'"),
        (FILE + "format: {header: maybe}\n", "format.header"),
        (FILE + "format: {colour: red}\n", "format.colour"),
        (SUBGRAPH, "format.scale lacks totalATokenSupply, totalCurrentVariableDebt"),
    ],
)
def test_what_does_not_fit_is_named(text: str, message: str, tmp_path: Path) -> None:
    """CONFIG-005, with the key."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    assert (caught.value.code, message in caught.value.what) == ("CONFIG-005", True)


@pytest.mark.parametrize("preset", ["ccxt_ohlcv", "cryptodatadownload"])
def test_a_preset_that_fetched_rows_do_not_have_is_rejected(tmp_path: Path, preset: str) -> None:
    """Rows from ccxt are written as plain CSV, not in a publisher's format."""
    source = (
        "source: {kind: ccxt, exchange: binance, symbol: SOL/USDC, data: bars, since: 2024-01-01}"
    )
    text = FILE.replace("binance_klines", preset) + source
    with pytest.raises(ConfigError, match="source ccxt writes CSV with a header") as caught:
        read(tmp_path, text)
    assert ("type: json" in str(caught.value)) == (preset == "ccxt_ohlcv")
