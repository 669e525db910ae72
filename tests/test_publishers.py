"""A backtest does not depend on how its files are written: every publisher's form, or a cause."""

import gzip
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.backtests.backtest import run_backtest
from basis_pipeline.backtests.ingest import feeds_for
from basis_pipeline.config import load_configs, slice_mode
from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.config.loading import load_directory, load_file, parse_yaml, validate
from basis_pipeline.config.preset import Preset, complete
from basis_pipeline.errors import BasisError
from basis_pipeline.market.dataset import Dataset, build_dataset, build_datasets
from basis_pipeline.market.panel import build_panel
from basis_pipeline.market.proposal import propose
from basis_pipeline.market.raw import RawFeed, read_feed, read_feeds
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.window import parse_window
from tests.config.trees import COMMITTED
from tests.market.exchange_files import Files, answered, zipped
from tests.market.publishers import FORMS, PLAIN_BARS, Form, put

WINDOW = parse_window("2024-01-05", "2024-01-14")
# The modes that read every dataset of the forms; the benchmark moves no equity.
MODES = {"btc": "btc_basis", "eth": "eth_basis", "aave": "pure_lending"}
FOLDER = "publisher"

Feeds = Mapping[str, RawFeed | Exception]


@pytest.fixture(scope="module")
def market(sample: Path) -> "Market":
    """The sample's feeds and datasets, read once."""
    return Market(sample)


class Market:
    """What the sample's plain files come to, and what a dataset in another form changes."""

    def __init__(self, data_dir: Path) -> None:
        self._files: dict[str, Files] = {}
        self.configs = load_configs(COMMITTED)
        self.slices = {mode: slice_mode(self.configs, mode) for mode in MODES.values()}
        names = {name for one in self.slices.values() for name in one.datasets}
        self.names = sorted({*names, *(form.dataset for form in FORMS.values())})
        wanted = [self.configs.datasets[n] for n in feeds_for(self.configs, self.names)]
        self.feeds = read_feeds(data_dir, wanted)
        catalogue = [self.configs.datasets[name] for name in self.names]
        self.datasets = build_datasets(catalogue, self.feeds, WINDOW)

    def rows(self, name: str) -> pd.DataFrame:
        """The rows of a feed's plain files, once each: `timestamp` and canonical columns."""
        feed = self.feeds[name]
        assert isinstance(feed, RawFeed)
        return feed.distinct.frame

    def files(self, form: str) -> Files:
        """A form's files, written once."""
        if form not in self._files:
            self._files[form] = FORMS[form].write(self.rows(FORMS[form].dataset))
        return self._files[form]

    def build(self, directory: Path, config: DatasetConfig) -> Dataset:
        """The dataset out of files in another form."""
        return build_dataset(config, read_feed(directory, config), WINDOW, self.feeds)

    def equity(self, name: str, changed: Dataset | None = None) -> np.ndarray:
        """Equity of the mode that reads a dataset, with that dataset changed."""
        mode = next((mode for part, mode in MODES.items() if part in name), "btc_basis")
        datasets = {**self.datasets, **({name: changed} if changed else {})}
        panel = build_panel(self.slices[mode], datasets, WINDOW)
        result = run_backtest(self.slices[mode], panel, WINDOW, 1e5)
        return result.frames["equity"]["equity"].to_numpy()


def config_of(name: str, keys: Mapping[str, Any], pattern: str = "*") -> DatasetConfig:
    """The dataset's file with other keys: what a preset says is not stated again."""
    path = COMMITTED / "datasets" / f"{name}.yaml"
    document = parse_yaml(path.read_text(), name)
    preset = None
    if "preset" in keys:
        preset = load_file(COMMITTED / "presets" / f"{keys['preset']}.yaml", Preset, "preset")
        for key in ("timestamp", "columns", "identity", "frequency_hours"):
            del document[key]
    document |= {"glob": f"{FOLDER}/{pattern}", "source": None, **keys}
    return validate(DatasetConfig, complete(document, preset), name)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_equity_of_the_plain_file(
    form: str, market: Market, tmp_path: Path
) -> None:
    """The dataset is the same, and so is what it earns."""
    written: Form = FORMS[form]
    put(tmp_path / FOLDER, market.files(form))
    changed = market.build(tmp_path, config_of(written.dataset, written.keys))
    plain = market.datasets[written.dataset]
    assert isinstance(plain, Dataset)
    assert (changed.frame["timestamp"] == plain.frame["timestamp"]).all()
    for column in changed.config.value_columns:
        if column != "volume":
            np.testing.assert_allclose(changed.frame[column], plain.frame[column], rtol=1e-13)
    equity = market.equity(written.dataset, changed)
    np.testing.assert_allclose(equity, market.equity(written.dataset), rtol=1e-12)


def parquet_of(content: bytes) -> bytes:
    """The rows of a CSV file as Parquet."""
    buffer = io.BytesIO()
    pd.read_csv(io.BytesIO(content)).to_parquet(buffer)
    return buffer.getvalue()


HOURS = [f"2024-01-01T{hour:02d}:00:00Z" for hour in range(24)]
ROWS = [f"{at},{100 + n},{102 + n},{99 + n},{101 + n},5.0" for n, at in enumerate(HOURS)]
HEAD = "timestamp,open,high,low,close,volume"
CSV = "\n".join([HEAD, *ROWS, ""]).encode()
SIXTEEN = "\n".join(
    [HEAD, *(f"{1704067200000000 + n * 3600000000}{row[20:]}" for n, row in enumerate(ROWS)), ""]
).encode()
OTHER = CSV.replace(b",1", b",1000").replace(b"2024-01-01", b"2024-01-02")
KLINES = {"preset": "binance_klines"}
DERIBIT = answered(
    [{"timestamp": 1704067200000 + n * 3600000, "interest_8h": 0.001} for n in range(24)], "result"
)


def archive(**members: bytes) -> bytes:
    """A zip archive of several files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name, content in members.items():
            opened.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


# Files, keys of the dataset's file, code, and what the message says.
REJECTED: dict[str, tuple[dict[str, bytes], dict[str, Any], str, str]] = {
    "stated milliseconds": (
        {"a.csv": SIXTEEN},
        {"format": {"unit": "ms"}},
        "DATA-004",
        "16-digit timestamps: microseconds; set `unit: us`",
    ),
    "no header": (
        {"a.csv": CSV.partition(b"\n")[2]}, {}, "DATA-003", "no header row: give `names`",
    ),
    "semicolons": (
        {"a.csv": CSV.replace(b",", b";")},
        {},
        "DATA-003",
        "its values are separated by ';': set `delimiter`",
    ),
    "too few names": (
        {"a.csv": CSV.partition(b"\n")[2]},
        {"format": {"header": "none", "names": ["timestamp", "open"]}},
        "DATA-004",
        "line 1 has 6 values, and `names` has 2",
    ),
    "json": (
        {"a.csv": b"[[1704067200000, 1, 2, 3]]"}, {}, "DATA-004", "set `format: {type: json}`",
    ),
    "json lines": (
        {"a.csv": b'{"t": 1}\n{"t": 2}\n'}, {}, "DATA-004", "set `format: {type: jsonl}`",
    ),
    "parquet": ({"a.csv": parquet_of(CSV)}, {}, "DATA-004", "set `format: {type: parquet}`"),
    "a web page": (
        {"a.csv": b"<!DOCTYPE html>\n<html>\n</html>\n"}, {}, "DATA-004", "the download failed",
    ),
    "excel": (
        {"a.xlsx": archive(xl__workbook_xml=b"<x/>")}, {}, "DATA-004", "an Excel workbook",
    ),
    "two files in a zip": (
        {"a.zip": archive(a=CSV, b=CSV)}, {}, "DATA-004", "a zip archive of 2 files",
    ),
    "a cut gzip": (
        {"a.csv.gz": gzip.compress(CSV)[:-12]}, {}, "DATA-005", "its gzip stream ends early",
    ),
    "a damaged zip": (
        {"a.zip": zipped("a.csv", CSV * 20).replace(b"PK\x01\x02", b"PK\x00\x00")},
        {},
        "DATA-004",
        "an archive that cannot be read",
    ),
    "another symbol by its name": (
        {"ETHUSDT-1h-2024-01.zip": zipped("ETHUSDT-1h.csv", CSV)},
        KLINES,
        "DATA-011",
        "ETHUSDT-1h-2024-01.zip is another symbol",
    ),
    "another symbol inside the archive": (
        {"BTCUSDT-1h-2024-01.zip": zipped("ETHUSDT-1h-2024-01.csv", CSV)},
        KLINES,
        "DATA-011",
        "ETHUSDT-1h-2024-01.csv does not begin",
    ),
    "another symbol by its prices": (
        {"a.csv": CSV, "b.csv": OTHER, "c.csv": CSV.replace(b"2024-01-01", b"2024-01-03")},
        {"limits": {"price": [1, 1e9]}},
        "DATA-011", "b.csv is another symbol: its prices",
    ),
    "a filter that keeps nothing": (
        {"a.csv": CSV},
        {"format": {"where": {"volume": "BTC-USDT-SWAP"}}},
        "DATA-011",
        "no row in which volume is 'BTC-USDT-SWAP'",
    ),
    "deribit's eight hours": (
        {"a.json": DERIBIT},
        {"preset": "deribit_funding"},
        "DATA-003",
        "it is the rate over the last eight hours, given every hour",
    ),
    "deribit's eight hours on purpose": (
        {"a.json": DERIBIT},
        {"preset": "deribit_funding", "columns": {"interest_8h": "funding_rate"}},
        "CONFIG-005",
        "interest_8h must not be used: it is the rate over the last eight hours",
    ),
    "no list of rows": (
        {"a.json": b'{"result": {"list": []}}'},
        {**PLAIN_BARS, "format": {"type": "json"}},
        "DATA-003",
        "set `records`",
    ),
    "a cut line of JSON": (
        {"a.jsonl": b'{"timestamp": 1}\n{"timest'},
        {**PLAIN_BARS, "format": {"type": "jsonl"}},
        "DATA-005",
        "line 2 of publisher/a.jsonl is truncated",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REJECTED)
def test_what_cannot_be_read_is_rejected_with_its_cause(case: str, tmp_path: Path) -> None:
    """The message says what the file is and what to set, not to deliver it again."""
    files, keys, code, message = REJECTED[case]
    put(tmp_path / FOLDER, files)
    name = "bybit_btcusdt_funding" if "deribit" in case else "bybit_btcusdt_perp"
    with pytest.raises(BasisError) as caught:
        read_feed(tmp_path, config_of(name, keys if "preset" in keys else {**PLAIN_BARS, **keys}))
    assert (caught.value.code, message in caught.value.what) == (code, True), caught.value.what
    assert "deliver" not in str(caught.value)


# What the command finds in each form: preset, flags that it asks for.
FOUND: dict[str, tuple[str | None, str]] = {
    "binance spot klines": ("binance_klines", "--kind"),
    "binance um klines": ("binance_klines", "--kind"),
    "binance 1m klines": ("binance_klines", "--kind"),
    "binance fundingRate": ("binance_funding", ""),
    "bybit kline": ("bybit_klines", "--kind"),
    "bybit metatrader": ("bybit_metatrader_klines", ""),
    "bybit funding": ("bybit_funding", ""),
    "okx candlesticks": ("okx_candlesticks", "--base --quote"),
    "okx funding": ("okx_funding", "--base --quote"),
    "hyperliquid funding": ("hyperliquid_funding", ""),
    "ccxt ohlcv": ("ccxt_ohlcv", "--kind --venue --base --quote"),
    "ccxt funding": ("ccxt_funding", "--venue"),
    "cryptodatadownload": ("cryptodatadownload", "--kind"),
    "tardis": ("tardis_derivative_ticker", "--venue"),
    "deribit": ("deribit_funding", "--base --quote"),
    "aave subgraph": ("aave_subgraph", "--decimals"),
    "defillama": ("defillama_chart", "--token"),
    "dune": ("dune_gas", "--chain --token"),
    "parquet": (None, "--kind --venue --base --quote"),
    "json lines": (None, "--kind --venue --base --quote"),
}
GIVEN = {"venue": "kraken", "quote": "USDT", "token": "ETH", "chain": "ethereum", "decimals": "6"}
PRESETS = load_directory(COMMITTED / "presets", Preset, "preset")[0]


@pytest.mark.parametrize("form", FOUND)
def test_a_form_is_recognised_and_what_it_lacks_is_asked_for(
    form: str, market: Market, tmp_path: Path
) -> None:
    """With the flags given the proposed file reads the rows; without them they are named."""
    preset, flags = FOUND[form]
    written = FORMS[form]
    paths = put(tmp_path / FOLDER, market.files(form))
    args = (paths, tmp_path, PRESETS.values(), ("USDT", "USDC"))
    proposal = propose(*args, {})
    assert proposal.document.get("preset") == preset
    assert [flag.split()[0] for flag in proposal.missing] == flags.split()
    config = market.configs.datasets[written.dataset]
    given = GIVEN | {"base": config.of.base or "BTC", "kind": str(config.kind)}
    asked = {flag.removeprefix("--") for flag in flags.split()}
    complete_one = propose(*args, {key: value for key, value in given.items() if key in asked})
    assert not complete_one.missing
    (tmp_path / "presets").symlink_to(COMMITTED / "presets")
    file = tmp_path / "datasets" / f"{complete_one.name}.yaml"
    file.parent.mkdir()
    file.write_text(complete_one.to_yaml())
    read = load_file(file, DatasetConfig, "name")
    assert read == complete_one.config()
    plain = market.rows(written.dataset)
    rows = read_feed(tmp_path, read).distinct
    assert rows.timestamps[0] == plain["timestamp"].iloc[0].value
    assert len(rows.timestamps) == (241 if read.format.resample else len(plain))
    comments = [line for line in complete_one.to_yaml().splitlines() if line.startswith("#")]
    assert any("Assumed: no gap may be filled" in line for line in comments)


def test_files_of_two_feeds_are_not_proposed_as_one(market: Market, tmp_path: Path) -> None:
    """The one that differs is named."""
    files = market.files("binance fundingRate")
    files = {**files, "ETHUSDT-fundingRate-2024-01.zip": next(iter(files.values()))}
    paths = put(tmp_path / FOLDER, files)
    with pytest.raises(RejectedDataError, match=r"ETHUSDT.*they are not one feed"):
        propose(paths, tmp_path, PRESETS.values(), ("USDT",), {})
