"""The research path: raw files in, one result out; repeatable, complete or rejected."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from basis_pipeline.backtests.judged import judged_backtest
from basis_pipeline.engine import ENGINE_VERSION
from basis_pipeline.errors import ConfigError, DataError
from basis_pipeline.market.window import parse_window
from basis_pipeline.results.store import RunResult
from basis_pipeline.results.tables import encode
from tests.backtests.trees import CONFIGS, Tree

WINDOW = parse_window("2024-02-10", "2024-03-20")
ORACLE = "protocol_data/aave/oracle/weETH_ETH_oracle_*.csv"


def run(root: Path, mode: str, **options: Any) -> RunResult:
    """Backtest over a few weeks."""
    return judged_backtest(CONFIGS, mode, root, options.pop("window", WINDOW), **options).result


def content(result: RunResult) -> dict[str, bytes]:
    """Return the bytes of every table."""
    return {name: encode(name, frame) for name, frame in result.frames.items()}


def subset(tree: Tree, target: Path, *globs: str) -> Path:
    """Copy some files of a tree into a data directory."""
    for glob in globs:
        for path in tree.root.glob(glob):
            copy = target / path.relative_to(tree.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)
    return target


@pytest.mark.parametrize("mode", ["pure_lending_eth", "usdt_market_neutral"])
def test_running_again_gives_the_same_identity_and_bytes(sample: Tree, mode: str) -> None:
    """SEMANTICS 13: code, configuration and data decide every byte."""
    window = sample.windows["middle"]
    first, again = (run(sample.root, mode, window=window) for _ in range(2))
    assert first.run_id == again.run_id
    assert content(first) == content(again)
    assert first.summary == again.summary


@pytest.mark.parametrize("mode", ["pure_lending", "btc_basis", "usdt_market_neutral"])
def test_the_two_ways_to_a_result_agree(tree: Tree, mode: str) -> None:
    """Reading only what one mode needs gives what reading everything gives."""
    alone = run(tree.root, mode, window=tree.windows["odd"])
    together = tree.run(mode, "odd")
    for name, frame in together.result.frames.items():
        assert encode(name, frame) == encode(name, alone.frames[name])
    hashes = alone.identity.data_hashes
    assert together.result.identity.data_hashes.items() <= hashes.items()


def test_an_override_ends_with_its_call(sample: Tree) -> None:
    """The next call runs the mode as committed, whatever the previous one overrode."""
    plain = run(sample.root, "eth_basis")
    overrides = {"hedge.venues": {"bybit": 1.0}, "costs.enabled": False, "allocation.spot": 0.4}
    changed = run(sample.root, "eth_basis", overrides=overrides, capital=5_000.0)
    assert changed.run_id != plain.run_id
    assert changed.config["mode"]["hedge"]["venues"] == {"bybit": 1.0}
    after = run(sample.root, "eth_basis")
    assert after.run_id == plain.run_id
    assert content(after) == content(plain)
    assert overrides["hedge.venues"] == {"bybit": 1.0}


def test_everything_that_decides_a_run_is_in_its_identity(sample: Tree, tmp_path: Path) -> None:
    """Mode, override, capital, window and data each make another run; so does the engine."""
    other_data = tmp_path / "data"
    shutil.copytree(sample.root, other_data)
    (gas,) = other_data.glob("blockchain_data/gas_prices/*.csv")
    lines = gas.read_text("utf-8-sig").splitlines()
    gas.write_text("\n".join([*lines, lines[-1]]) + "\n")  # an exact duplicate: the same values
    plain = run(sample.root, "pure_lending")
    runs = [
        plain,
        run(sample.root, "pure_lending_eth"),
        run(sample.root, "pure_lending", overrides={"costs.gas_multiplier": 1.3}),
        run(sample.root, "pure_lending", capital=100_001.0),
        run(sample.root, "pure_lending", window=parse_window("2024-02-10", "2024-03-19T23:00")),
        run(sample.root, "pure_lending", window=parse_window("2024-02-10T01:00", "2024-03-20")),
        run(other_data, "pure_lending"),
    ]
    assert len({result.run_id for result in runs}) == len(runs)
    assert plain.identity.engine_version == ENGINE_VERSION
    assert plain.summary["final_equity"] == runs[-1].summary["final_equity"]


@pytest.mark.parametrize(
    ("mode", "start", "end", "code"),
    [
        ("usdt_market_neutral", "2023-12-31T23:00", "2024-02-01", "DATA-012"),
        ("pure_lending", "2024-03-01", "2024-05-02", "DATA-012"),
        ("pure_lending", "2024-04-01", "2024-06-01", "DATA-010"),
    ],
)
def test_a_window_outside_the_data_is_rejected(
    sample: Tree, mode: str, start: str, end: str, code: str
) -> None:
    """No file is extended over hours it lacks: DATA-012, or DATA-010 where half is missing."""
    with pytest.raises(DataError, match="its rows span") as raised:
        run(sample.root, mode, window=parse_window(start, end))
    assert raised.value.code == code
    assert raised.value.where


def test_a_window_on_real_data_ends_where_the_data_end(real: Tree) -> None:
    """Before the oracle's first row, whatever its file name promises, there is no weETH."""
    with pytest.raises(DataError) as raised:
        run(real.root, "eth_leveraged", window=parse_window("2024-05-12", "2024-06-01"))
    assert raised.value.code == "DATA-012"
    assert "weeth_oracle" in raised.value.what
    run(real.root, "eth_leveraged", window=parse_window("2024-05-12T01:00", "2024-06-01"))


LACKING = {
    "pure_lending_eth": ("ethereum_gas", "blockchain_data/gas_prices/*"),
    "btc_basis": ("binance_btcusdt_spot", "market_data/spot_prices/btc_usd/binance_*"),
    "eth_leveraged": ("weeth_oracle", ORACLE),
}


@pytest.mark.parametrize("mode", LACKING)
def test_a_missing_feed_is_named_by_its_file_pattern(
    sample: Tree, tmp_path: Path, mode: str
) -> None:
    """DATA-001 says which feed, and what file to deliver where."""
    name, glob = LACKING[mode]
    data = subset(sample, tmp_path / "data", "**/*.*")
    for path in data.glob(glob):
        path.unlink()
    with pytest.raises(DataError) as raised:
        run(data, mode)
    assert raised.value.code == "DATA-001"
    assert name in raised.value.what
    assert CONFIGS.datasets[name].glob in raised.value.where


NEEDED_FILES: dict[str, tuple[str, ...]] = {
    "pure_lending": ("protocol_data/aave/rates/*", "blockchain_data/gas_prices/*"),
    "pure_lending_eth": ("protocol_data/aave/rates/*WETH*", "blockchain_data/gas_prices/*"),
}


@pytest.mark.parametrize("mode", NEEDED_FILES)
def test_lending_runs_on_aave_and_gas_files_alone(tree: Tree, tmp_path: Path, mode: str) -> None:
    """Only what a mode needs must exist; a missing benchmark changes none of its figures."""
    window = tree.windows["middle"]
    data = subset(tree, tmp_path, *NEEDED_FILES[mode])
    alone = run(data, mode, window=window)
    whole = run(tree.root, mode, window=window)
    for name in ("equity", "attribution", "positions", "risk", "events"):
        assert encode(name, alone.frames[name]) == encode(name, whole.frames[name])
    assert "susde" not in alone.frames["benchmark"].columns
    with pytest.raises(DataError, match="DATA-001"):
        run(data, "btc_basis", window=window)


def test_a_mode_without_costs_needs_no_gas(sample: Tree, tmp_path: Path) -> None:
    """What an override switches off must not exist either."""
    data = subset(sample, tmp_path, "protocol_data/aave/rates/*USDT*")
    result = run(data, "pure_lending", overrides={"costs.enabled": False})
    assert result.summary["total_cost"] == 0.0
    assert list(result.identity.data_hashes) == ["aave_usdt_rates"]


def test_a_repair_needs_its_source_only_where_there_is_a_gap(sample: Tree, tmp_path: Path) -> None:
    """Without Bybit's file, Binance's 23-hour gap stops the mode; a window without it runs."""
    perps = "market_data/derivatives/futures_ohlcv"
    data = subset(sample, tmp_path / "data", "**/*.*")
    for path in data.glob(f"{perps}/bybit_BTCUSDT*"):
        path.unlink()
    on_binance = {"hedge.venues": {"binance": 1.0}, "spot.venue": "bybit"}
    hours = sample.run("btc_basis", "whole", on_binance).panel
    holes = hours.hours[hours.repairs["binance_btcusdt_perp"]]
    assert len(holes) >= 23
    across = parse_window("2024-01-02", "2024-04-29")
    with pytest.raises(DataError) as raised:
        run(data, "btc_basis", overrides=on_binance, window=across)
    assert raised.value.code == "DATA-013"
    before = parse_window("2024-01-02", f"{holes[0]:%Y-%m-%d}")
    run(data, "btc_basis", overrides=on_binance, window=before)


@pytest.mark.parametrize("capital", [0.0, -1.0, float("nan"), float("inf")])
def test_an_invalid_capital_is_rejected(sample: Tree, capital: float) -> None:
    """CONFIG-012 before any file is read."""
    with pytest.raises(ConfigError, match="cannot be invested") as raised:
        run(sample.root / "nowhere", "pure_lending", capital=capital)
    assert raised.value.code == "CONFIG-012"


def test_the_share_class_gives_the_default_capital(sample: Tree) -> None:
    """100,000 USDT and 100 ETH, from configuration."""
    for mode, capital in (("pure_lending", 100_000.0), ("pure_lending_eth", 100.0)):
        result = run(sample.root, mode)
        assert (result.identity.capital, result.summary["capital"]) == (capital, capital)
        assert result.summary["share_class"] == CONFIGS.mode(mode).share_class


def test_the_summary_counts_what_was_repaired(sample: Tree) -> None:
    """Hours that use repaired data are in the run's own figures, by dataset."""
    found = sample.run("btc_basis")
    summary, panel = found.result.summary, found.panel
    assert summary["hours"] == len(panel.timestamps)
    assert summary["repaired_hours"] == int(panel.repaired.sum()) > 0
    expected = {name: int(mask.sum()) for name, mask in panel.repairs.items() if mask.any()}
    assert summary["repairs"] == expected
    assert {"binance_btcusdt_perp", "binance_btcusdt_spot"} <= set(expected)
