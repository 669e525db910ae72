"""Panels of the real data against the raw files read directly with pandas."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.config.slicing import slice_mode
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset, build_datasets
from basis_pipeline.market.panel import Panel, build_panel
from basis_pipeline.market.raw import read_feeds
from basis_pipeline.market.window import parse_window
from tests.market.made_datasets import configs

WINDOW = parse_window("2024-06-01", "2025-03-01")
HOURS = WINDOW.hours
# The real data have no SOL.
MODES = tuple(name for name, mode in configs().modes.items() if mode.asset != "SOL")


@pytest.fixture(scope="module")
def datasets(real_data_dir: Path) -> dict[str, Dataset | DataError]:
    """Return every dataset of the real data over the window."""
    catalogue = configs().datasets.values()
    return build_datasets(catalogue, read_feeds(real_data_dir, catalogue), WINDOW)


class RawFiles:
    """The raw files as a person would read them with pandas."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, glob: str, timestamp: str = "timestamp") -> pd.DataFrame:
        """Read one file, exact duplicates dropped, by its UTC timestamps."""
        (path,) = self.root.glob(glob)
        frame = pd.read_csv(path, comment="#").drop_duplicates()
        seconds = pd.api.types.is_numeric_dtype(frame[timestamp])
        frame.index = pd.to_datetime(frame[timestamp], unit="s" if seconds else None, utc=True)
        frame.index = frame.index.as_unit("ns").round("min")
        return frame.sort_index()

    def hourly(self, glob: str, column: str) -> np.ndarray:
        """Return a column at every hour of the window, NaN where the file has none."""
        return self.read(glob)[column].reindex(HOURS).to_numpy()

    def perp(self, venue: str, coin: str, column: str) -> np.ndarray:
        """Return a venue's price; bybit's where it has none."""
        folder = "market_data/derivatives/futures_ohlcv"
        own, bybit = (
            self.hourly(f"{folder}/{name}_{coin}USDT_perp_1h_*.csv", column)
            for name in (venue, "bybit")
        )
        return np.where(np.isnan(own), bybit, own)

    def funding(self, venue: str, coin: str) -> np.ndarray:
        """Return a venue's settlements; the others' mean where okx has none."""
        found = {
            name: self.read(
                f"market_data/derivatives/funding_rates/{name}_{coin}USDT_*.csv",
                "funding_timestamp",
            )["funding_rate"].reindex(HOURS[HOURS.hour % 8 == 0])
            for name in ("binance", "bybit", venue)
        }
        others = (found["binance"] + found["bybit"]) / 2
        return found[venue].fillna(others).reindex(HOURS, fill_value=0.0).to_numpy()

    def index(self, token: str, column: str) -> np.ndarray:
        """Return an Aave index, linear in its logarithm between the daily snapshots."""
        frame = self.read(f"protocol_data/aave/rates/*_{token}_rates_*.csv", "targetDate")
        logs = np.log(frame[column].to_numpy())
        return np.exp(np.interp(HOURS.asi8, frame.index.asi8, logs))

    def eth_at_aave(self) -> np.ndarray:
        """Return Aave's oracle price of ETH at the last snapshot."""
        frame = self.read("protocol_data/aave/rates/*_WETH_rates_*.csv", "targetDate")
        return frame["price"].reindex(HOURS, method="ffill").to_numpy()

    def spot(self, venue: str, coin: str) -> np.ndarray:
        """Return a venue's price; bybit's where it has none."""
        folder = f"market_data/spot_prices/{coin.lower()}_usd"
        own, bybit = (
            self.hourly(f"{folder}/{name}_{coin}USDT_*.csv", "open") for name in (venue, "bybit")
        )
        return np.where(np.isnan(own), bybit, own)

    def oracle(self) -> np.ndarray:
        """Return the ETH that one weETH redeems for."""
        return self.hourly("protocol_data/aave/oracle/weETH_ETH_oracle_*.csv", "oracle_price_eth")

    def market(self) -> np.ndarray:
        """Return the ETH that one weETH sells for."""
        peg = "protocol_data/staking/peg_analysis/weETH_peg_analysis_*.csv"
        return self.hourly(peg, "market_rate")

    def gas(self) -> np.ndarray:
        """Return ETH per unit of gas."""
        glob = "blockchain_data/gas_prices/ethereum_gas_prices_*.csv"
        fees = [self.hourly(glob, c) for c in ("base_fee_gwei", "priority_fee_p50_gwei")]
        return (fees[0] + fees[1]) * 1e-9

    def costs(self, pair: str) -> np.ndarray:
        """Return basis points by hour and bucket, those of the day."""
        path = self.root / "execution_costs/lookup_tables/execution_costs_lookup.json"
        table = json.loads(path.read_text())[pair]
        days = HOURS.strftime("%Y-%m-%d")
        rows = [[table[size][day] for size in ("10k", "100k", "1m")] for day in days]
        return np.array(rows, dtype=float)

    def token(self, token: str) -> np.ndarray:
        """Return WETH per token: an hour without a trade keeps the last close."""
        glob = f"market_data/spot_prices/protocol_tokens/uniswapv3_{token}WETH_1h_*.csv"
        frame = self.read(glob)
        last = frame["close"].reindex(HOURS, method="ffill").shift(1)
        return frame["open"].reindex(HOURS).fillna(last).to_numpy()

    def earned(self, token: str) -> np.ndarray:
        """Return tokens per eETH by the hour that earned them, of periods paid in the window."""
        folder = self.root / "manual_sources/etherfi_distributions"
        earned = np.zeros(len(HOURS))
        if token == "EIGEN":
            frame = pd.read_csv(folder / "eigen_distributions_raw.csv")
            tokens = frame["eigen_earned"] / (frame["eth_restaked"] + frame["eth_not_restaked"])
            last = pd.to_datetime(frame["staking_period_end"], utc=True)
            payouts = last + pd.Timedelta(days=12)
        else:
            frame = pd.read_csv(folder / "ethfi_topups_raw.csv")
            tokens = frame["ethfi_per_eeth_distributed"]
            payouts = pd.to_datetime(frame["top_up_date"], utc=True)
        for place, row in frame.iterrows():
            begin = pd.Timestamp(row["staking_period_start"], tz="UTC")
            end = pd.Timestamp(row["staking_period_end"], tz="UTC") + pd.Timedelta(days=1)
            if payouts[place] in HOURS:
                inside = (begin < HOURS) & (end >= HOURS)
                earned[inside] = tokens[place] / ((end - begin) / pd.Timedelta("1h"))
        return earned


def expected_arrays(mode: str, raw: RawFiles) -> dict[str, np.ndarray]:
    """Return what a mode's panel must hold; arrays not named are all ones."""
    config = configs().modes[mode]
    usdt, coin, venues = config.share_class == "USDT", config.asset, config.hedge_venues
    staked, leveraged = config.allocation.staking > 0, config.staking.target_ltv > 0
    spot = raw.spot(config.spot.venue, coin) if config.buys_asset else np.ones(len(HOURS))
    eth = spot if coin == "ETH" and usdt else raw.eth_at_aave()
    found = {"spot": spot, "gas_price": raw.gas() * (eth if usdt else 1.0)}
    if not usdt:
        found["numeraire_usd"] = eth
    if config.allocation.lending:
        found["lending_index"] = raw.index(config.lending.token, "liquidityIndex")
    if staked:
        found |= {"oracle_rate": raw.oracle(), "market_rate": raw.market()}
    if leveraged:
        found["collateral_index"] = raw.index("weETH", "liquidityIndex")
        found["borrow_index"] = raw.index("WETH", "variableBorrowIndex")
    if venues:
        found["perp_mark"] = np.stack([raw.perp(v, coin, "open") for v in venues], axis=1)
        extreme = np.stack([raw.perp(v, coin, "high") for v in venues], axis=1)
        found["perp_extreme"] = np.vstack([found["perp_mark"][:1], extreme[:-1]])
        found["funding_rate"] = np.stack([raw.funding(v, coin) for v in venues], axis=1)
    tokens = ("EIGEN", "ETHFI") if staked else ()
    if tokens:
        found["reward_tokens_per_unit"] = np.stack([raw.earned(t) for t in tokens], axis=1)
        in_eth = np.stack([raw.token(t) for t in tokens], axis=1)
        found["reward_price"] = in_eth * (spot[:, None] if usdt else 1.0)
    free = np.zeros((len(HOURS), 3))
    legs = [free + 10.0 if config.buys_asset else free, raw.costs("ETH_weETH") if staked else free]
    legs += [raw.costs(f"{t}_{config.share_class}") for t in tokens]
    legs += [raw.costs(f"{coin}USDT-PERP") for _ in venues]
    return {**found, "cost_bps": np.stack(legs, axis=1)}


def panel_of(mode: str, datasets: dict[str, Dataset | DataError], **overrides: object) -> Panel:
    """Return a mode's panel over the window; double underscores stand for dots."""
    named = {key.replace("__", "."): value for key, value in overrides.items()}
    return build_panel(slice_mode(configs(), mode, named), datasets, WINDOW)


@pytest.mark.parametrize("mode", MODES)
def test_a_panel_of_real_data_is_what_pandas_reads(
    mode: str, real_data_dir: Path, datasets: dict[str, Dataset | DataError]
) -> None:
    """Every array of every mode, repairs included, equals the files read directly."""
    panel = panel_of(mode, datasets)
    for name, expected in expected_arrays(mode, RawFiles(real_data_dir)).items():
        np.testing.assert_allclose(getattr(panel, name), expected, rtol=1e-12, err_msg=name)


def closed_forms(panels: dict[str, Panel]) -> dict[str, float]:
    """Return final equity by SEMANTICS 12 with f = a = 0.5, λ = 0.65, one hedge venue."""

    def growth(series: np.ndarray) -> float:
        return float(series[-1] / series[0])

    def hedge(panel: Panel, quantity: float) -> float:
        """Return what a short of this size earns."""
        mark, rate = panel.perp_mark[:, 0], panel.funding_rate[:, 0]
        settled = float(np.sum((rate * mark)[1:]))
        return quantity * (settled - float(mark[-1] - mark[0]))

    found = {}
    for mode, panel in panels.items():
        capital = 100.0 if configs().modes[mode].share_class == "ETH" else 100_000.0
        staked = growth(panel.oracle_rate)
        if configs().modes[mode].staking.target_ltv > 0:
            leverage = 1.0 / 0.35
            collateral = leverage * growth(panel.collateral_index) * staked
            staked = collateral - (leverage - 1.0) * growth(panel.borrow_index)
        if mode.startswith("pure_lending"):
            found[mode] = capital * growth(panel.lending_index)
        elif capital == 100.0:
            found[mode] = capital * staked
        else:
            quantity = 0.5 * capital / float(panel.spot[0])
            long = quantity * float(panel.spot[-1]) * staked
            found[mode] = 0.5 * capital + long + hedge(panel, quantity)
    return found


def test_the_panels_give_the_closed_forms(datasets: dict[str, Dataset | DataError]) -> None:
    """The reference figures of the real data come out of the panels' arrays."""
    overrides = {"costs__enabled": False, "rewards__enabled": False}
    panels = {}
    for mode in MODES:
        config = configs().modes[mode]
        on_bybit: dict[str, object] = {"spot__venue": "bybit"} if config.buys_asset else {}
        if config.hedge.ratio > 0:
            on_bybit |= {"hedge__venues": {"bybit": 1.0}}
        panels[mode] = panel_of(mode, datasets, **overrides, **on_bybit)
    expected = {
        "pure_lending": 104342.25754557,
        "pure_lending_eth": 101.53951404,
        "btc_basis": 103902.14962672,
        "eth_basis": 102990.82736242,
        "eth_staking_only": 102.08082726,
        "eth_leveraged": 102.39933038,
        "usdt_market_neutral_no_leverage": 103609.50877845,
        "usdt_market_neutral": 103704.20763684,
    }
    assert closed_forms(panels) == pytest.approx(expected, rel=1e-10)
