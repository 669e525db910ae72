"""The sample: same bytes everywhere, every feed, plausible levels, the crises it promises."""

import hashlib
import json
from datetime import date
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.errors import CommandError
from basis_pipeline.market.sample import MANIFEST, write_sample
from basis_pipeline.market.sample.generate import sample_contents

PERP = "market_data/derivatives/futures_ohlcv"
FUNDING = "market_data/derivatives/funding_rates"
SPOT = "market_data/spot_prices"
GLOBS = [
    *(f"{PERP}/{market}_perp_1h_*.csv" for market in ("binance_SOLUSDT", "hyperliquid_SOLUSDC")),
    *(f"{FUNDING}/{m}_funding_rates_*.csv" for m in ("binance_SOLUSDT", "hyperliquid_SOLUSDC")),
    f"{SPOT}/sol_usd/binance_SOLUSDT_1h_*.csv",
    *(f"{PERP}/{v}_{c}USDT_perp_1h_*.csv" for v in ("binance", "bybit") for c in ("BTC", "ETH")),
    f"{PERP}/okx_ETHUSDT_perp_1h_*.csv",
    *(
        f"{FUNDING}/{venue}_{coin}USDT_funding_rates_*.csv"
        for venue in ("binance", "bybit", "okx")
        for coin in ("BTC", "ETH")
    ),
    f"{SPOT}/btc_usd/binance_BTCUSDT_1h_*.csv",
    f"{SPOT}/btc_usd/bybit_BTCUSDT_spot_1h_*.csv",
    f"{SPOT}/eth_usd/bybit_ETHUSDT_spot_1h_*.csv",
    f"{SPOT}/eth_usd/uniswapv3_WETHUSDT_1h_*.csv",
    *(f"{SPOT}/protocol_tokens/uniswapv3_{t}WETH_1h_*.csv" for t in ("EIGEN", "ETHFI")),
    *(
        f"protocol_data/aave/rates/aave_v3_aave-v3-ethereum_{token}_rates_*.csv"
        for token in ("USDT", "WETH", "weETH", "wstETH")
    ),
    *(f"protocol_data/aave/oracle/{lst}_ETH_oracle_*.csv" for lst in ("weETH", "wstETH")),
    *(f"protocol_data/staking/peg_analysis/{t}_peg_analysis_*.csv" for t in ("weETH", "wstETH")),
    "protocol_data/aave/risk_params/*.json",
    *(
        f"market_data/derivatives/risk_params/{venue}_margin_requirements.json"
        for venue in ("binance", "bybit", "okx")
    ),
    "blockchain_data/gas_prices/ethereum_gas_prices_*.csv",
    "execution_costs/lookup_tables/execution_costs_lookup.json",
    *(f"manual_sources/etherfi_distributions/{n}_raw.csv"
      for n in ("eigen_distributions", "ethfi_topups")),
    "protocol_data/staking/benchmark_yields/ethena_susde_*.csv",
]  # fmt: skip


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the default sample, once."""
    out = tmp_path_factory.mktemp("sample") / "data"
    write_sample(out)
    return out


def only(root: Path, pattern: str) -> Path:
    """Return the only file of a feed."""
    (path,) = root.glob(pattern)
    return path


def table(root: Path, pattern: str) -> pd.DataFrame:
    """Return a CSV feed as a reader sees it."""
    return pd.read_csv(only(root, pattern), comment="#", encoding="utf-8-sig")


def hourly(root: Path, pattern: str, column: str) -> pd.Series:
    """Return one column over time, duplicates dropped."""
    frame = table(root, pattern).drop_duplicates()
    return pd.Series(frame[column].to_numpy(), index=pd.to_datetime(frame["timestamp"], utc=True))


def crisis(root: Path, name: str) -> slice:
    """Return the span of a crisis in the manifest."""
    listed = json.loads((root / MANIFEST).read_text())["crises"]
    (found,) = [c for c in listed if c["name"] == name]
    return slice(pd.Timestamp(found["first"]), pd.Timestamp(found["last"]))


def test_bytes_of_a_short_sample_are_pinned() -> None:
    """The same arguments give the same bytes on every machine, Python and numpy.

    Every series has a random stream of its own: the second digest is older than SOL.
    """
    contents = sample_contents(seed=7, days=60, start=date(2024, 3, 1))
    every, without_sol = hashlib.sha256(), hashlib.sha256()
    for name in sorted(contents):
        every.update(name.encode() + b"\0" + contents[name])
        if "SOL" not in name and name != MANIFEST:
            without_sol.update(name.encode() + b"\0" + contents[name])
    assert (every.hexdigest(), without_sol.hexdigest()) == (
        "eb6a81bcda46eaace9c5a68dd0a8aab69ace9d281a1a254285367c0203e4073c",
        "42e2a9bc91c6fec01aa3a8b42a0b6f7ac5568f50bd94630b2aa2eec89490e042",
    )


def test_arguments_change_the_data() -> None:
    """Another seed or start is another sample, so nothing is a constant in disguise."""
    first = sample_contents(seed=1, days=60, start=date(2024, 1, 1))
    other = sample_contents(seed=2, days=60, start=date(2024, 1, 1))
    spot = f"{SPOT}/btc_usd/bybit_BTCUSDT_spot_1h_2024-01-01_2024-02-29.csv"
    assert first.keys() == other.keys()
    assert first[spot] != other[spot]
    later = sample_contents(seed=1, days=60, start=date(2024, 2, 1))
    shared = set(later) & set(first)
    assert shared == {name for name in first if "_2024" not in name}


def test_every_feed_is_one_file(sample: Path) -> None:
    """Each feed's glob finds exactly one file, and no file belongs to no feed."""
    found = {only(sample, pattern) for pattern in GLOBS}
    written = {p for p in sample.rglob("*") if p.is_file() and p.name != MANIFEST}
    assert found == written
    assert len(found) == len(GLOBS)


def test_headers_and_formats_are_those_of_the_real_files(sample: Path, real_data_dir: Path) -> None:
    """A parser that reads the sample meets the columns and timestamp formats of the real files."""
    for pattern in (g for g in GLOBS if g.endswith(".csv") and "SOL" not in g and "sol" not in g):
        ours, theirs = only(sample, pattern), only(real_data_dir, pattern)
        mine, real = table(sample, pattern), table(real_data_dir, pattern)
        assert list(mine.columns) == list(real.columns), ours.name
        assert [c.dtype.kind for _, c in mine.items()] == [c.dtype.kind for _, c in real.items()], (
            ours.name
        )
        timestamp = mine.columns[0]
        shapes = {str(v)[:10].count("-") * 100 + len(str(v)) for v in mine[timestamp].tail(50)}
        assert shapes == {
            str(v)[:10].count("-") * 100 + len(str(v)) for v in real[timestamp].tail(50)
        }
        assert ours.read_bytes().count(b"\n#") == theirs.read_bytes().count(b"\n#")
    for pattern in (g for g in GLOBS if g.endswith(".json")):
        mine, real = (json.loads(only(d, pattern).read_text()) for d in (sample, real_data_dir))
        assert mine.keys() == real.keys()


def test_the_default_sample_covers_its_window(sample: Path) -> None:
    """All modes can run from 2024-01-01 to 2025-02-03 00:00, index snapshots on both sides."""
    end = pd.Timestamp("2025-02-03T23:00Z")
    for pattern in (f"{SPOT}/eth_usd/bybit*", "protocol_data/aave/oracle/weETH*"):
        column = "open" if "spot" in pattern else "oracle_price_eth"
        series = hourly(sample, pattern, column)
        assert (series.index[0], series.index[-1]) == (pd.Timestamp("2024-01-01T00:00Z"), end)
        assert len(series) == 400 * 24
    days = pd.to_datetime(table(sample, "protocol_data/aave/rates/*_weETH_rates_*")["targetDate"])
    assert days.iloc[0] == pd.Timestamp("2024-01-01T00:00Z")
    assert days.iloc[-1] > end


def test_bars_are_bars(sample: Path) -> None:
    """High and low enclose open and close, prices are positive, in every bar of every market."""
    for path in [*sample.glob(f"{PERP}/*.csv"), *sample.glob(f"{SPOT}/*/*.csv")]:
        bars = pd.read_csv(path)
        assert (bars["high"] >= bars[["open", "close"]].max(axis=1)).all(), path.name
        assert (bars["low"] <= bars[["open", "close"]].min(axis=1)).all(), path.name
        assert (bars[["open", "high", "low", "close", "volume"]] > 0).all(axis=None), path.name


def test_levels_are_plausible_for_any_seed(sample: Path) -> None:
    """Prices, volatility, funding and gas stay within what a desk has seen, whatever the seed."""
    default = {path.name: path.read_bytes() for path in sample.rglob("*.csv")}
    for contents in (default, sample_contents(seed=3, days=400, start=date(2024, 1, 1))):

        def read(name: str, held: dict[str, bytes] = contents) -> pd.DataFrame:
            (found,) = [text for path, text in held.items() if name in path]
            return pd.read_csv(StringIO(found.decode("utf-8-sig")), comment="#").drop_duplicates()

        for coin, low, high in (("BTC", 15e3, 200e3), ("ETH", 700, 10e3)):
            spot = read(f"bybit_{coin}USDT_spot")["open"]
            assert spot.between(low, high).all()
            assert 0.3 < np.log(spot).diff().std() * np.sqrt(8760) < 0.9
            funding = read(f"bybit_{coin}USDT_funding")["funding_rate"]
            assert 0.03 < funding.mean() * 1095 < 0.22
            assert 0.02 < (funding < 0).mean() < 0.25
        assert 5 < read("ethereum_gas_prices")["base_fee_gwei"].median() < 40
        assert 1.025 < read("weETH_ETH_oracle")["oracle_price_eth"].pipe(ratio) < 1.045
        assert 1.03 < read("_USDT_rates")["liquidityIndex"].pipe(ratio) < 1.09


def ratio(series: pd.Series) -> float:
    """Return last over first."""
    return float(series.iloc[-1] / series.iloc[0])


def test_venues_agree_and_coins_move_together(sample: Path) -> None:
    """Venues quote one market: perps near spot, BTC and ETH correlated, funding near the carry."""
    spot = hourly(sample, f"{SPOT}/eth_usd/bybit*", "open")
    perp = hourly(sample, f"{PERP}/bybit_ETH*", "open")
    assert (perp / spot - 1).abs().max() < 0.006
    btc = hourly(sample, f"{SPOT}/btc_usd/bybit*", "open")
    assert 0.7 < np.log(spot).diff().corr(np.log(btc).diff()) < 0.9
    basis = (perp / spot - 1).iloc[::8].to_numpy()
    rates = table(sample, f"{FUNDING}/bybit_ETH*")["funding_rate"].to_numpy()
    assert np.corrcoef(basis, rates)[0, 1] > 0.5


def test_indices_only_grow(sample: Path) -> None:
    """Aave indices and redemption rates never fall."""
    for path in sample.glob("protocol_data/aave/rates/*.csv"):
        rates = pd.read_csv(path)
        assert (rates[["liquidityIndex", "variableBorrowIndex"]].diff().dropna() > 0).all(axis=None)
    for lst in ("weETH", "wstETH"):
        rate = table(sample, f"protocol_data/aave/oracle/{lst}*")["oracle_price_eth"]
        assert (rate.diff().dropna() >= 0).all()


def test_crises_happen(sample: Path) -> None:
    """The funding flip, the depeg, the gas spike and the 30 % day are where the manifest says."""
    flip = crisis(sample, "funding_flip")
    for path in sample.glob(f"{FUNDING}/*.csv"):
        frame = pd.read_csv(path)
        timestamps = pd.to_datetime(frame["funding_timestamp"], format="ISO8601", utc=True)
        rates = pd.Series(frame["funding_rate"].to_numpy(), index=timestamps).loc[flip]
        assert len(rates) >= 21
        assert (rates < (-0.0000125 if "hyperliquid" in path.name else -0.0001)).all()
    premium = hourly(sample, "protocol_data/staking/peg_analysis/weETH*", "peg_premium_percent")
    assert premium.loc[crisis(sample, "lst_depeg")].min() < -2.9
    assert abs(premium.loc[crisis(sample, "lst_depeg").stop :].iloc[0]) < 0.3
    gas = hourly(sample, "blockchain_data/gas_prices/*", "base_fee_gwei")
    assert gas.loc[crisis(sample, "gas_spike")].max() > 800
    day = crisis(sample, "crash")
    for folder in ("btc_usd", "eth_usd"):
        price = hourly(sample, f"{SPOT}/{folder}/bybit*", "open")
        assert price.loc[day.stop + pd.Timedelta("1h")] / price.loc[day.start] - 1 < -0.28


def test_every_marked_defect_is_in_its_file(sample: Path) -> None:
    """The manifest's counts are what a reader finds in the files: none more, none less."""
    defects = json.loads((sample / MANIFEST).read_text())["defects"]
    kinds = {d["kind"] for d in defects}
    assert {"price_hole", "funding_gap", "duplicate_rows", "late_stamps", "unordered_rows",
            "byte_order_mark_and_crlf", "late_start", "inverted_margins"} == kinds  # fmt: skip
    for defect in defects:
        content = (sample / defect["file"]).read_bytes()
        found = rows_touched(defect["kind"], content)
        assert found == defect["rows"], defect


def rows_touched(kind: str, content: bytes) -> int:
    """Count the rows of a file with a kind of defect."""
    if kind == "byte_order_mark_and_crlf":
        assert content.startswith(b"\xef\xbb\xbf")
        return content.count(b"\r\n") - 1
    if kind == "inverted_margins":
        margins = json.loads(content)
        inverted = margins["initial_margin_requirement"] < margins["maintenance_margin_requirement"]
        return int(inverted)
    frame = pd.read_csv(StringIO(content.decode()))
    timestamps = frame.iloc[:, 0]
    if kind == "unordered_rows":
        return 72 if (timestamps.diff() < 0).sum() == 1 and timestamps.is_unique else 0
    when = pd.to_datetime(timestamps, format="ISO8601", utc=True)
    if kind == "duplicate_rows":
        return int(frame.duplicated().sum())
    if kind == "late_stamps":
        return int((when != when.dt.floor("h")).sum())
    if kind == "late_start":
        return int((when.iloc[0] - pd.Timestamp("2024-01-01T00:00Z")) / pd.Timedelta("1h"))
    step = pd.Timedelta("8h") if kind == "funding_gap" else pd.Timedelta("1h")
    return len(pd.date_range(when.min(), when.max(), freq=step)) - len(when)


def test_writing_again_replaces_the_earlier_sample(tmp_path: Path) -> None:
    """No file of an earlier span stays behind to disagree with the new one; a README stays."""
    (tmp_path / "README.md").write_text("kept")
    for path in write_sample(tmp_path, days=60):  # the shortest: tests may use it
        assert path.read_bytes().count(b"\n") > 3, path.name
    paths = write_sample(tmp_path, days=70)
    held = sorted(p for p in tmp_path.rglob("*") if p.is_file())
    assert held == sorted([*paths, tmp_path / "README.md"])
    assert not (tmp_path.parent / f".{tmp_path.name}.partial").exists()


def test_other_data_is_left_alone(tmp_path: Path) -> None:
    """A directory of real files is never mixed with generated ones."""
    held = tmp_path / "blockchain_data" / "gas.csv"
    held.parent.mkdir()
    held.write_text("timestamp\n")
    with pytest.raises(CommandError, match=r"API-001.*gas\.csv"):
        write_sample(tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [held]


def test_too_short_a_span_is_rejected(tmp_path: Path) -> None:
    """A span that cannot hold the crises is a usage error, and nothing is written."""
    with pytest.raises(CommandError, match="API-001"):
        write_sample(tmp_path / "data", days=59)
    assert not (tmp_path / "data").exists()
