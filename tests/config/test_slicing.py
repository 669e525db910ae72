"""Slices by mode: their content, the datasets they need, and their hash."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from basis_pipeline.config import Configs, ModeSlice, load_configs, slice_mode
from basis_pipeline.errors import ConfigError
from tests.config.trees import Keys, backwards, copy_tree, leaves, put

ETH_PERPS = [
    f"{venue}_ethusdt_{kind}"
    for venue in ("binance", "bybit", "okx")
    for kind in ("funding", "perp")
]
REWARDS = ["eigen_rewards", "ethfi_rewards", "uniswapv3_eigenweth_spot", "uniswapv3_ethfiweth_spot"]
GAS = ["aave_weth_rates", "ethereum_gas"]
WEETH = ["weeth_oracle", "weeth_peg"]

NEEDED = {
    "pure_lending": ["aave_usdt_rates", *GAS],
    "pure_lending_eth": GAS,
    "btc_basis": [
        "binance_btcusdt_funding",
        "binance_btcusdt_perp",
        "binance_btcusdt_spot",
        "bybit_btcusdt_funding",
        "bybit_btcusdt_perp",
        "execution_costs",
        *GAS,
    ],
    "funding_arbitrage": [
        "binance_solusdt_funding",
        "binance_solusdt_perp",
        "hyperliquid_solusdc_funding",
        "hyperliquid_solusdc_perp",
    ],
    "eth_basis": [*ETH_PERPS, "bybit_ethusdt_spot", "ethereum_gas", "execution_costs"],
    "sol_basis": [
        "binance_solusdt_funding",
        "binance_solusdt_perp",
        "binance_solusdt_spot",
        "hyperliquid_solusdc_funding",
        "hyperliquid_solusdc_perp",
    ],
    "eth_staking_only": [*WEETH, *REWARDS, *GAS, "execution_costs"],
    "eth_leveraged": [*WEETH, *REWARDS, *GAS, "aave_weeth_rates", "execution_costs"],
    "usdt_market_neutral_no_leverage": [
        *ETH_PERPS, *WEETH, *REWARDS, "bybit_ethusdt_spot", "ethereum_gas", "execution_costs",
    ],
    "usdt_market_neutral": [
        *ETH_PERPS, *WEETH, *REWARDS, "bybit_ethusdt_spot", *GAS, "aave_weeth_rates",
        "execution_costs",
    ],
}  # fmt: skip


def test_a_mode_needs_exactly_these_datasets(configs: Configs) -> None:
    """Feeds that a mode does not read cannot stop it; those it reads are in its identity."""
    for mode, needed in NEEDED.items():
        assert list(slice_mode(configs, mode).datasets) == sorted(needed), mode


def test_what_is_switched_off_is_not_needed(configs: Configs) -> None:
    """Costs, rewards, leverage and venues take their datasets with them, and no others."""
    for mode, overrides, dropped in [
        ("pure_lending", {"costs.enabled": False}, GAS),
        ("pure_lending_eth", {"costs.enabled": False}, ["ethereum_gas"]),
        ("btc_basis", {"costs.enabled": False}, [*GAS, "execution_costs"]),
        ("btc_basis", {"costs.model": "flat"}, ["execution_costs"]),
        ("btc_basis", {"costs.gas_multiplier": 0.0}, GAS),
        ("btc_basis", {"costs.model": "fees"}, ["execution_costs"]),
        ("eth_basis", {"costs.enabled": False}, ["ethereum_gas", "execution_costs"]),
        ("eth_staking_only", {"costs.enabled": False}, [*GAS, "execution_costs"]),
        ("eth_leveraged", {"costs.enabled": False}, ["ethereum_gas", "execution_costs"]),
        ("eth_leveraged", {"rewards.enabled": False}, REWARDS),
        ("usdt_market_neutral", {"rewards.enabled": False}, REWARDS),
        ("usdt_market_neutral", {"staking.target_ltv": 0.0}, ["aave_weeth_rates", GAS[0]]),
        (
            "usdt_market_neutral",
            {"hedge.venues": {"bybit": 1.0}},
            [name for name in ETH_PERPS if not name.startswith("bybit")],
        ),
    ]:
        kept = slice_mode(configs, mode, overrides).datasets
        assert set(NEEDED[mode]) - set(kept) == set(dropped), mode
        assert set(kept) <= set(NEEDED[mode]), mode


def test_another_token_or_spot_venue_brings_its_own_datasets(configs: Configs) -> None:
    """WstETH has its own oracle, peg and reserve and pays no rewards; a pool is another series."""
    lido = slice_mode(configs, "usdt_market_neutral", {"staking.lst": "wstETH"})
    assert set(lido.datasets) == {
        *ETH_PERPS, "wsteth_oracle", "wsteth_peg", "aave_wsteth_rates", *GAS,
        "bybit_ethusdt_spot", "execution_costs",
    }  # fmt: skip
    assert lido.reward_tokens == ()
    pool = slice_mode(configs, "eth_basis", {"spot.venue": "uniswapv3"})
    assert "uniswapv3_ethusdt_spot" in pool.datasets
    assert "bybit_ethusdt_spot" not in pool.datasets


def test_a_slice_holds_the_venues_it_touches(configs: Configs) -> None:
    """Fees of other venues are not part of a slice."""
    touched = {name: list(slice_mode(configs, name).venues) for name in configs.modes}
    assert touched == {
        "btc_basis": ["binance", "bybit"],
        "eth_basis": ["binance", "bybit", "okx"],
        "eth_leveraged": ["aave_v3", "etherfi"],
        "eth_staking_only": ["etherfi"],
        "funding_arbitrage": ["binance", "hyperliquid"],
        "pure_lending": ["aave_v3"],
        "pure_lending_eth": ["aave_v3"],
        "sol_basis": ["binance", "hyperliquid"],
        "usdt_market_neutral": ["aave_v3", "binance", "bybit", "etherfi", "okx"],
        "usdt_market_neutral_no_leverage": ["binance", "bybit", "etherfi", "okx"],
    }


def test_a_dataset_that_no_file_describes_is_named(configs: Configs) -> None:
    """CONFIG-009 has the keys, the nearest datasets, and what to write."""
    kept = {name: d for name, d in configs.datasets.items() if name != "weeth_oracle"}
    with pytest.raises(ConfigError) as raised:
        slice_mode(replace(configs, datasets=kept), "eth_leveraged")
    assert raised.value.code == "CONFIG-009"
    assert raised.value.what == "no dataset matches {kind: oracle, lst: weETH}"
    assert "wsteth_oracle: {kind: oracle, lst: wstETH}" in raised.value.available
    assert "`of: {kind: oracle, lst: weETH}`" in raised.value.action
    with pytest.raises(ConfigError, match="CONFIG-009") as raised:
        slice_mode(configs, "eth_basis", {"spot.venue": "binance"})
    assert raised.value.what.endswith("venue: binance, base: ETH, quote: USDT or USD or USDC}")
    assert "bybit_ethusdt_spot" in raised.value.available


def test_all_datasets_a_mode_lacks_are_named_at_once(configs: Configs) -> None:
    """One message lists every missing file."""
    with pytest.raises(ConfigError, match="lacks 5 datasets") as raised:
        slice_mode(configs, "btc_basis", {"asset": "DOGE"})
    assert raised.value.code == "CONFIG-009"
    for kind in ("spot_bars", "perp_bars", "funding"):
        assert f"{{kind: {kind}, venue: binance, base: DOGE, quote: USDT}}" in raised.value.action


def test_names_of_datasets_mean_nothing(configs: Configs) -> None:
    """A slice finds its datasets by their key `of`, not by their names."""
    plain = slice_mode(configs, "usdt_market_neutral")
    names = {name: f"x{i}" for i, name in enumerate(configs.datasets)}
    renamed = {
        names[name]: config.model_copy(update={"name": names[name]})
        for name, config in configs.datasets.items()
    }
    found = slice_mode(replace(configs, datasets=renamed), "usdt_market_neutral").datasets
    assert set(found) == {names[name] for name in plain.datasets}


def test_two_files_of_the_same_thing_are_rejected(configs: Configs) -> None:
    """CONFIG-014 names both: a run must not depend on which of them is read."""
    copy = configs.datasets["weeth_peg"].model_copy(update={"name": "peg_copy"})
    double = replace(configs, datasets={**configs.datasets, "peg_copy": copy})
    slice_mode(double, "eth_basis")
    with pytest.raises(ConfigError, match="peg_copy, weeth_peg") as raised:
        slice_mode(double, "eth_leveraged")
    assert raised.value.code == "CONFIG-014"


@pytest.mark.parametrize(
    "name", ["", "ETH_BASIS", "eth", "eth_basis ", "default", "../modes/eth_basis"]
)
def test_an_unknown_mode_lists_the_modes_and_never_falls_back(configs: Configs, name: str) -> None:
    """A misspelt mode never runs another one."""
    with pytest.raises(ConfigError, match="there is no mode") as raised:
        slice_mode(configs, name)
    assert raised.value.code == "CONFIG-007"
    assert raised.value.available == ", ".join(sorted(NEEDED))


def test_the_hash_is_that_of_the_canonical_text(configs: Configs) -> None:
    """Sorted keys, no spaces: the hash can be computed independently."""
    for name in configs.modes:
        sliced = slice_mode(configs, name)
        assert sliced.name == name
        text = json.dumps(json.loads(sliced.canonical), sort_keys=True, separators=(",", ":"))
        assert sliced.canonical == text
        assert sliced.config_hash == hashlib.sha256(text.encode()).hexdigest()
        # Where files are fetched from is no part of a run, and so not of its text.
        assert ModeSlice.model_validate_json(text).canonical == text


def test_the_order_of_keys_in_files_is_no_part_of_the_hash(
    configs: Configs, tmp_path: Path
) -> None:
    """Two directories with the same values in another order are the same configuration."""
    copy = copy_tree(tmp_path / "configs")
    for path in copy.rglob("*.yaml"):
        content = backwards(yaml.safe_load(path.read_text()))
        path.write_text(yaml.safe_dump(content, sort_keys=False))
    reordered = load_configs(copy)
    for name in configs.modes:
        assert slice_mode(reordered, name).config_hash == slice_mode(configs, name).config_hash


def test_what_is_spelled_alike_hashes_alike(configs: Configs) -> None:
    """A whole number for a fraction, and an override equal to the file's value."""
    plain = slice_mode(configs, "eth_basis").config_hash
    same = {"staking.flash_fee_bps": 0, "allocation.spot": 0.5, "spot": {"venue": "bybit"}}
    assert slice_mode(configs, "eth_basis", same).config_hash == plain
    assert len({slice_mode(configs, name).config_hash for name in configs.modes}) == len(
        configs.modes
    )


_WORDS = (
    "USDT", "ETH", "WETH", "BTC", "table", "flat", "open", "close", "oracle", "market", "extreme",
    "finite", "date", "positive", "instant", "2025-01-01T00:00:00Z", ";", "latin-1", "jsonl",
)  # fmt: skip
_POLICIES = (
    {"source": "another", "max_hours": 1},
    {"source": "another", "max_hours": 1, "before_first": False},
    {"datasets": ["another"], "max_hours": 1, "before_first": False},
    {"method": "geometric", "max_hours": 1},
    {"max_hours": 1},
)


def others(value: Any) -> list[Any]:
    """Values beside one of a configuration, some of which will fit its place."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value * 0.99, value + 1, value + 0.001, value - 1]
    return [f"{value}_too", *_WORDS] if isinstance(value, str) else [0.5, 5, "x", ["x"], *_POLICIES]


def with_another(tree: dict[str, Any], path: Keys, value: Any) -> ModeSlice | None:
    """The slice of a tree with the value at `path` replaced; None when nothing else fits there."""
    for instead in others(value):
        if instead == value:
            continue
        put(tree, path, instead)
        try:
            return ModeSlice.model_validate_json(json.dumps(tree))
        except ValidationError:
            continue
        finally:
            put(tree, path, value)
    return None


def test_every_field_of_a_slice_is_in_its_hash(configs: Configs) -> None:
    """Any one value changed, in mode, share class, venue or dataset, is another configuration."""
    flows = {"flows": [{"date": "2024-07-01", "amount": 5.0}]}
    sliced = slice_mode(configs, "usdt_market_neutral", flows)
    of_each_kind = {config.kind: {name: config} for name, config in sliced.datasets.items()}
    hashes, fixed = set(), {}
    for datasets in ({}, *of_each_kind.values()):  # one at a time, which is validated sooner
        part = sliced.model_copy(update={"datasets": datasets})
        hashes.add(part.config_hash)
        tree = part.model_dump(mode="json")
        for path, value in leaves(tree):
            if datasets and path[0] != "datasets":
                continue
            found = with_another(tree, path, value)
            if found is None:
                fixed[path] = value
            else:
                assert found.config_hash not in hashes, path
                hashes.add(found.config_hash)
    assert len(hashes) > 200
    # Only what decides its model takes no other value, and what another kind of dataset may have.
    bound = {path for path, value in fixed.items() if value not in (None, [], {})}
    assert {path[-1] for path in bound} == {
        "kind", "to", "column", "method", "payout_delay_days", "header", "settlements",
    }  # fmt: skip
    assert {path[0] for path in fixed.keys() - bound} == {"datasets"}
