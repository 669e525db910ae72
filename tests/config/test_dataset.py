"""The catalogue, and a model that rejects meaningless entries."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.universe import Kind

CATALOGUE = Path(__file__).parents[2] / "configs" / "datasets"


HOURLY = {"method": "geometric", "max_hours": 1}
OF_ITSELF = {"source": "okx_ethusdt_perp", "max_hours": 1, "before_first": False}


def _entry(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((CATALOGUE / f"{name}.yaml").read_text())
    return loaded


def test_the_catalogue_holds_every_family_once() -> None:
    """Names, files and globs belong together one to one; sources and peers exist."""
    entries = {path.stem: _entry(path.stem) for path in CATALOGUE.glob("*.yaml")}
    configs = {name: DatasetConfig.model_validate(entry) for name, entry in entries.items()}
    assert all(name == config.name for name, config in configs.items())
    assert len({config.glob for config in configs.values()}) == len(configs)
    for config in configs.values():
        peers = config.agreement.peers if config.agreement else ()
        assert {*config.sources, *peers} <= set(configs)


def test_the_repairs_are_those_a_desk_accepts() -> None:
    """Bybit for Binance and OKX prices, other venues for OKX funding, the oracle before a peg."""
    repaired = {
        path.stem: DatasetConfig.model_validate(_entry(path.stem)).sources
        for path in CATALOGUE.glob("*.yaml")
    }
    assert {name: sources for name, sources in repaired.items() if sources} == {
        "binance_btcusdt_perp": ("bybit_btcusdt_perp",),
        "binance_btcusdt_spot": ("bybit_btcusdt_spot",),
        "binance_ethusdt_perp": ("bybit_ethusdt_perp",),
        "okx_ethusdt_perp": ("bybit_ethusdt_perp",),
        "okx_btcusdt_funding": ("binance_btcusdt_funding", "bybit_btcusdt_funding"),
        "okx_ethusdt_funding": ("binance_ethusdt_funding", "bybit_ethusdt_funding"),
        "weeth_peg": ("weeth_oracle",),
        "wsteth_peg": ("wsteth_oracle",),
    }


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("weeth_oracle", {"repair": {"interpolate": {"method": "geometric", "max_hours": 4}}}, "3"),
        ("weeth_oracle", {"repair": {"interpolate": {"method": "linear", "max_hours": 3}}}, "geom"),
        ("ethereum_gas", {"repair": {"carry_last": {"max_hours": 3}}}, "not a repair of gas"),
        ("okx_ethusdt_funding", {"repair": {"interpolate": HOURLY}}, "not a repair of funding"),
        ("bybit_ethusdt_perp", {"repair": {"interpolate": HOURLY}}, "not a repair of perp_bars"),
        ("okx_ethusdt_perp", {"repair": {"substitute": OF_ITSELF}}, "itself"),
        ("ethereum_gas", {"timestamp": None}, "timestamp and columns"),
        ("ethereum_gas", {"columns": {}}, "timestamp and columns"),
        ("ethereum_gas", {"coverage": {"min_share": 1.5, "starts_late": False}}, "less than"),
        ("ethereum_gas", {"outliers": [{"column": "open", "max_abs": 1}]}, "canonical columns"),
        ("ethereum_gas", {"fill": "zero"}, "Extra inputs"),
        ("ethereum_gas", {"glob": "/gas_*.csv"}, "below the data directory"),
        ("ethereum_gas", {"glob": "../gas_*.csv"}, "below the data directory"),
        ("ethereum_gas", {"glob": "gas/**_2024.csv"}, "whole folders"),
        (
            "binance_solusdt_perp",
            {"format": {"scale": {"open": 0.01}}},
            "says scale: {'open': 0.01}",
        ),
    ],
)
def test_an_entry_that_means_nothing_is_refused(
    name: str, change: dict[str, Any], message: str
) -> None:
    """Repairs that invent values are not valid configuration."""
    entry = _entry(name)
    if "repair" in change:
        change = {"repair": entry["repair"] | change["repair"]}
    with pytest.raises(ValidationError, match=message):
        DatasetConfig.model_validate(entry | change)


def test_a_column_too_few_is_refused() -> None:
    """An entry needs all canonical columns of its kind."""
    entry = _entry("bybit_ethusdt_perp")
    del entry["columns"]["high"]
    with pytest.raises(
        ValidationError, match="must map to open, high, low, close, and may to volume"
    ):
        DatasetConfig.model_validate(entry)


def test_an_entry_cannot_be_changed_after_loading() -> None:
    """Models are frozen: one run cannot change the catalogue of another."""
    config = DatasetConfig.model_validate(_entry("ethereum_gas"))
    assert config.kind is Kind.GAS
    with pytest.raises(ValidationError, match="frozen"):
        config.glob = "*"  # type: ignore[misc]
