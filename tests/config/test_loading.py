"""Reading a configuration directory: strict models, and every problem names its file."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from basis_pipeline.config import Configs, ModeConfig, load_configs, slice_mode
from basis_pipeline.config.account import account_names, load_accounts
from basis_pipeline.config.loading import MAX_BYTES, load_file, parse_yaml
from basis_pipeline.errors import ConfigError
from tests.config.conftest import Edit
from tests.config.trees import COMMITTED, copy_tree, leaves, put

MODE = "modes/eth_basis.yaml"
STAKING = {
    *("eth_leveraged", "eth_staking_only"),
    *("usdt_market_neutral", "usdt_market_neutral_no_leverage"),
}


def test_the_committed_configuration_loads_and_is_complete(configs: Configs) -> None:
    """Modes, venues, share classes and the catalogue, each under its own name."""
    assert list(configs.modes) == [
        "btc_basis",
        "eth_basis",
        "eth_leveraged",
        "eth_staking_only",
        "funding_arbitrage",
        "pure_lending",
        "pure_lending_eth",
        "sol_basis",
        "usdt_market_neutral",
        "usdt_market_neutral_no_leverage",
    ]
    assert list(configs.venues) == [
        "aave_v3", "binance", "bybit", "curve", "etherfi", "hyperliquid", "jito", "lido", "okx",
        "orca", "uniswapv3",
    ]  # fmt: skip
    assert list(configs.share_classes) == ["BTC", "ETH", "USDC", "USDT"]
    assert len(configs.datasets) == len(list((COMMITTED / "datasets").glob("*.yaml")))


@pytest.mark.parametrize(
    ("name", "keys", "value", "message"),
    [
        (MODE, "leverage", 2.0, "leverage: Extra inputs"),
        (MODE, "hedge.venue", "okx", "hedge.venue: Extra inputs"),
        (MODE, "costs.flat_bps", "5", "costs.flat_bps: .*valid number; it is '5'"),
        (MODE, "costs.flat_bps", True, "costs.flat_bps: .*valid number; it is True"),
        (MODE, "costs.flat_bps", float("nan"), "costs.flat_bps: .*finite"),
        (MODE, "costs.enabled", "on", "costs.enabled: .*valid boolean"),
        (MODE, "spot.venue", None, "spot.venue: .*valid string"),
        (MODE, "allocation.spot", -0.1, "allocation.spot: .*greater than"),
        (MODE, "allocation.lending", 0.6, "allocation: .*sum to 1.1"),
        (MODE, "rebalance.margin_ratio.min", 4.5, "min 4.5 must lie below max 4"),
        (MODE, "share_class", "B C", "share_class: .*pattern"),
        ("venues/okx.yaml", "kind", "bank", "'bank' found using 'kind'"),
        ("venues/okx.yaml", "perp_margin.initial", 0.04, "margin 0.04 lies below maintenance 0.05"),
        ("venues/aave_v3.yaml", "emode.weETH.max_ltv", 0.96, "0.96 exceeds the liquidation thresh"),
        ("share_classes/ETH.yaml", "max_leverage", 0.5, "max_leverage: "),
        ("datasets/ethereum_gas.yaml", "fill", "zero", "fill: Extra inputs"),
    ],
)
def test_what_does_not_fit_its_model_is_rejected_with_file_and_key(
    edit: Edit, name: str, keys: str, value: Any, message: str
) -> None:
    """No unknown key, no text or bool for a number, nothing outside its bounds, in any file."""
    copy = edit(name, lambda content: put(content, tuple(keys.split(".")), value))
    error = load_configs(copy).broken[name]
    assert re.search(message, error.what)
    assert (error.code, error.where) == ("CONFIG-005", name)


def test_no_key_of_a_mode_has_a_default(configs: Configs, edit: Edit) -> None:
    """Every key of a mode file is required: nothing is decided in code."""
    tree = configs.mode("eth_basis").model_dump(mode="json")
    sections = [path for path, _ in leaves(tree)] + [(key,) for key in tree]
    copy = edit(MODE, lambda _: None)
    whole = (copy / MODE).read_text()
    for path in sorted(
        set(sections) - {("hedge", "venues", v) for v in ("binance", "bybit", "okx")}
    ):
        content = parse_yaml(whole, MODE)
        *parents, last = path
        node = content
        for key in parents:
            node = node[key]
        del node[last]
        (copy / MODE).write_text(yaml.safe_dump(content))
        with pytest.raises(ConfigError, match=rf"{'.'.join(map(str, path))}: Field required"):
            load_file(copy / MODE, ModeConfig)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"mode: [eth_basis", "CONFIG-004"),
        (b"mode: eth_basis\n\tasset: ETH\n", "CONFIG-004"),
        (b"a: 1\n---\nb: 2\n", "CONFIG-004"),
        (b"description: caf\xe9\n", "CONFIG-004"),
        (b"mode: !!python/object:os.system {}\n", "CONFIG-004"),
        (b"mode: eth_basis\nmode: eth_basis\n", "CONFIG-004"),
        (b"", "CONFIG-005"),
        (b"- eth_basis\n", "CONFIG-005"),
        (b"? [a, b]\n: 1\n", "CONFIG-004"),
        (b"2024-01-01: 1\n", "CONFIG-005"),
    ],
)
def test_what_is_no_mapping_of_plain_values_is_rejected(
    edit: Edit, content: bytes, code: str
) -> None:
    """Broken syntax, another encoding or shape end in a coded error, never in a traceback."""
    copy = edit(MODE, lambda _: None)
    (copy / MODE).write_bytes(content)
    error = load_configs(copy).broken[MODE]
    assert (error.code, error.where) == (code, MODE)


@pytest.mark.parametrize("emptied", [True, False])
def test_a_missing_or_empty_directory_is_named(tmp_path: Path, emptied: bool) -> None:
    """An absent part of the configuration is CONFIG-003, never an empty catalogue."""
    copy = copy_tree(tmp_path / "configs")
    shutil.rmtree(copy / "datasets")
    if emptied:
        (copy / "datasets").mkdir()
    with pytest.raises(ConfigError, match="datasets") as raised:
        load_configs(copy)
    assert raised.value.code == "CONFIG-003"


def test_a_file_holds_what_its_name_says(edit: Edit) -> None:
    """A copied file with its old name inside cannot shadow another one."""
    copy = edit(MODE, lambda _: None)
    (copy / MODE).rename(copy / "modes" / "other.yaml")
    error = load_configs(copy).broken["modes/other.yaml"]
    assert "mode is 'eth_basis', but the file is named 'other'" in error.what
    assert error.code == "CONFIG-005"


def test_scalars_are_read_as_in_yaml_1_2() -> None:
    """YAML 1.1 reads 010 as eight, 1:30 as ninety, `on` as true and 1e-3 as text."""
    for text, value in [
        *[("1e-3", 1e-3), ("-2E+4", -2e4), ("1.5e3", 1500.0), (".5", 0.5), ("12", 12)],
        *[("010", 10), ("0o10", 8), ("0x1f", 31), ("true", True), ("~", None)],
        *[(text, text) for text in ("1e", "1_000", "1:30", "0b11", "on", "yes", "2024-06-01")],
    ]:
        parsed = parse_yaml(text, "a test")
        assert (parsed, type(parsed)) == (value, type(value)), text


def test_every_leaf_of_every_mode_rejects_another_kind_of_value(configs: Configs) -> None:
    """A list is rejected wherever a single value is expected."""
    for mode in configs.modes.values():
        tree = mode.model_dump(mode="json")
        for path, value in leaves(tree):
            if value in ([], {}):
                continue
            put(tree, path, [value])
            with pytest.raises(ValueError, match=".".join(str(part) for part in path)):
                type(mode).model_validate(tree)
            put(tree, path, value)


BILLION = "\n".join(f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 9)}]" for i in range(9))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"a0: &a0 [x]\n{BILLION}\n", "anchors"),
        ("a: *b\n", "anchors"),
        ("[" * 8000, "nested"),
        ("{a: " * 8000, "nested"),
        ("x" * (MAX_BYTES + 1), "longer"),
    ],
    ids=["bomb", "alias", "list", "mapping", "long"],
)
def test_a_document_that_would_exhaust_memory_is_rejected_at_once(text: str, reason: str) -> None:
    """Neither aliases that multiply, nor depth, nor size reach the constructor."""
    with pytest.raises(ConfigError, match=f"CONFIG-004.*{reason}"):
        parse_yaml(text, "a test")


def test_a_huge_mapping_takes_time_in_proportion() -> None:
    """The check for duplicate keys is not quadratic."""
    assert len(parse_yaml("\n".join(f"k{i}: 1" for i in range(20_000)), "a test")) == 20_000


def test_a_mode_file_with_an_unusable_name_is_rejected_by_itself(
    configs: Configs, tmp_path: Path
) -> None:
    """The name becomes a partition key, a directory and a label; other modes load."""
    copy = copy_tree(tmp_path / "configs")
    names = ["btc-v2", "btc v2", "btc|v2", "btc[v2", "a" * 65, "BTC", "é"]
    for name in names:
        text = (copy / MODE).read_text().replace("mode: eth_basis", f'mode: "{name}"')
        (copy / "modes" / f"{name}.yaml").write_text(text)
    found = load_configs(copy)
    codes = {Path(file).stem: error.code for file, error in found.broken.items()}
    assert codes == dict.fromkeys(names, "CONFIG-005")
    assert found.modes == configs.modes
    assert set(found.mode_names) - set(found.modes) <= {"BTC"}


@pytest.mark.parametrize("name", ["a...b", "a\nb", "a-b"])
def test_an_account_file_with_an_unusable_name_is_no_partition(tmp_path: Path, name: str) -> None:
    """Dagster rejects some names, and with them everything; the file is reported as broken."""
    (tmp_path / "accounts").mkdir()
    for file in (name, "broken"):
        (tmp_path / "accounts" / f"{file}.yaml").write_text("since: null")
    assert set(load_accounts(tmp_path)[1]) == {name, "broken"}
    assert account_names(tmp_path) == ["broken"]


def test_a_broken_dataset_file_with_a_preset_is_rejected_by_itself(tmp_path: Path) -> None:
    """A value of another type than the preset expects is an error of the file."""
    copy = copy_tree(tmp_path / "configs")
    wrong: dict[str, Any] = {"format": 5, "columns": None, "preset": [], "of": []}
    for key, value in wrong.items():
        content = {"name": key, "preset": "aave_subgraph", key: value}
        (copy / "datasets" / f"{key}.yaml").write_text(yaml.safe_dump(content))
    codes = {Path(file).stem: error.code for file, error in load_configs(copy).broken.items()}
    assert codes == dict.fromkeys(wrong, "CONFIG-005")


def test_what_is_not_a_file_is_not_waited_for(tmp_path: Path) -> None:
    """A pipe without a writer would never be read to its end."""
    copy = copy_tree(tmp_path / "configs")
    os.mkfifo(copy / "datasets" / "pipe.yaml")
    assert load_configs(copy).broken["datasets/pipe.yaml"].code == "CONFIG-013"


@pytest.mark.parametrize("content", ["mode: [", "mode: eth_basis\n"])
def test_a_broken_mode_file_stops_that_mode_only(tmp_path: Path, content: str) -> None:
    """Loading the mode raises the error of its file; its name is still listed."""
    copy = copy_tree(tmp_path / "configs")
    (copy / MODE).write_text(content)
    configs = load_configs(copy)
    assert "eth_basis" in configs.mode_names
    for name in configs.modes:
        slice_mode(configs, name)
    with pytest.raises(ConfigError) as caught:
        slice_mode(configs, "eth_basis")
    assert caught.value.where == MODE


@pytest.mark.parametrize(
    ("file", "stopped"),
    [
        ("datasets/susde_benchmark.yaml", set()),
        ("datasets/bybit_btcusdt_perp.yaml", {"btc_basis"}),
        ("venues/lido.yaml", set()),
        ("datasets/weeth_oracle.yaml", STAKING),
        ("venues/etherfi.yaml", STAKING),
        ("share_classes/ETH.yaml", {"eth_leveraged", "eth_staking_only", "pure_lending_eth"}),
    ],
)
def test_a_broken_file_stops_exactly_the_modes_that_read_it(
    tmp_path: Path, file: str, stopped: set[str]
) -> None:
    """Each of them raises the error of that file."""
    copy = copy_tree(tmp_path / "configs")
    (copy / file).write_text("name: [")
    configs = load_configs(copy)
    assert file in configs.broken
    errors = dict(_errors(configs))
    assert errors.keys() == stopped
    assert all(file in f"{error.where} {error.what}" for error in errors.values())


def _errors(configs: Configs) -> Iterator[tuple[str, ConfigError]]:
    for name in configs.modes:
        try:
            slice_mode(configs, name)
        except ConfigError as error:
            yield name, error


def test_a_dataset_is_not_made_without_what_its_repairs_read(edit: Edit) -> None:
    """A gap would otherwise be filled from fewer sources than declared; other datasets load."""
    copy = edit(MODE, lambda _: None)
    (copy / "datasets" / "weeth_oracle.yaml").write_text("")
    configs = load_configs(copy)
    needing = {
        name for name, c in load_configs(COMMITTED).datasets.items() if "weeth_oracle" in c.sources
    }
    assert needing == {"weeth_peg"}
    assert configs.broken["datasets/weeth_peg.yaml"].code == "CONFIG-009"
    assert not needing & configs.datasets.keys()
