"""SEMANTICS 12 from the CSV files themselves, with pandas and numpy and nothing of the pipeline."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from basis_pipeline.config.mode import ModeConfig

Floats = NDArray[np.float64]

PERPS = "market_data/derivatives/futures_ohlcv/{}_{}USDT_perp_1h_*.csv"
FUNDING = "market_data/derivatives/funding_rates/{}_{}USDT_funding_rates_*.csv"
RATES = "protocol_data/aave/rates/aave_v3_aave-v3-ethereum_{}_rates_*.csv"
ORACLE = "protocol_data/aave/oracle/{}_ETH_oracle_*.csv"
SPOT = {
    "BTC": "market_data/spot_prices/btc_usd/{}_BTCUSDT_*1h_*.csv",
    "ETH": "market_data/spot_prices/eth_usd/{}_*ETHUSDT_*1h_*.csv",
}


@cache
def read(root: Path, glob: str, stamp: str) -> pd.DataFrame:
    """Read one file in order of time, each timestamp once, rounded to the full hour."""
    (path,) = root.glob(glob)
    frame = pd.read_csv(path, comment="#", encoding="utf-8-sig")
    unit = "s" if frame[stamp].dtype.kind in "if" else None
    text = {} if unit else {"format": "ISO8601"}
    at = pd.to_datetime(frame[stamp], unit=unit, utc=True, **text).dt.round("h")
    frame.index = pd.DatetimeIndex(at).as_unit("ns")
    return frame[~frame.index.duplicated()].sort_index()


class Files:
    """The files of a data directory, over the hours of a window."""

    def __init__(self, root: Path, hours: pd.DatetimeIndex) -> None:
        self.root, self.hours = root, hours

    def table(self, glob: str, stamp: str = "timestamp") -> pd.DataFrame:
        """Read one file as `read` does."""
        return read(self.root, glob, stamp)

    def bars(self, glob: str, venue: str, coin: str) -> Floats:
        """Return opens; a pool's empty hour keeps the last close, other gaps are bybit's."""
        frame = self.table(glob.format(venue, coin)).reindex(self.hours)
        if venue == "uniswapv3":
            return frame["open"].fillna(frame["close"].ffill().shift()).to_numpy()
        if venue != "bybit":
            frame = frame.fillna(self.table(glob.format("bybit", coin)))
        return frame["open"].to_numpy()

    def funding(self, venue: str, coin: str) -> Floats:
        """Return rates at their hours, 0 between; one that okx lacks is the mean of the others."""
        rates = self.table(FUNDING.format(venue, coin), "funding_timestamp")["funding_rate"]
        if venue == "okx":
            others = [
                self.table(FUNDING.format(name, coin), "funding_timestamp")["funding_rate"]
                for name in ("binance", "bybit")
            ]
            rates = rates.combine_first((others[0] + others[1]) / 2)
        return rates.reindex(self.hours, fill_value=0.0).to_numpy()

    def index(self, token: str, column: str) -> Floats:
        """Interpolate an Aave index between its daily snapshots, linearly in its logarithm."""
        frame = self.table(RATES.format(token), "targetDate")
        logs = np.log(frame[column].to_numpy())
        return np.exp(np.interp(self.hours.asi8, frame.index.asi8, logs))

    def oracle(self, lst: str) -> Floats:
        """Return the ETH one token redeems for; short gaps are interpolated alike."""
        frame = self.table(ORACLE.format(lst))
        logs = np.log(frame["oracle_price_eth"].to_numpy())
        return np.exp(np.interp(self.hours.asi8, frame.index.asi8, logs))


def ratio(series: Floats) -> Floats:
    """Return the growth since the first hour."""
    return series / series[0]


def carried(files: Files, mode: ModeConfig, capital: float) -> Floats:
    """Return what the legs of a carry earn: `q ΔP` less funding, signed units (SEMANTICS 12)."""
    legs = mode.hedge.carry
    marks = {venue: files.bars(PERPS, venue, mode.asset) for venue in legs}
    gross = sum(abs(leg) for leg in legs.values())
    price = sum(abs(leg) * marks[venue][0] for venue, leg in legs.items()) / gross
    earned = np.zeros(len(files.hours))
    for venue, leg in legs.items():
        quantity, mark = leg * capital / price, marks[venue]
        paid = quantity * files.funding(venue, mode.asset) * mark
        paid[0] = 0.0  # what settles at the first hour settles before the entry
        earned += quantity * (mark - mark[0]) - np.cumsum(paid)
    return earned


def equity_by_hand(files: Files, mode: ModeConfig, capital: float) -> Floats:
    """Return hourly equity of a mode without rebalancing and costs, formula by formula."""
    weights, lst = mode.allocation, mode.staking.lst
    if weights.lending == 1.0:
        return capital * ratio(files.index(mode.lending.token, "liquidityIndex"))
    growth = np.ones(len(files.hours))
    if weights.staking:
        growth = ratio(files.oracle(lst))
        if ltv := mode.staking.target_ltv:
            leverage = 1.0 / (1.0 - ltv)
            supplied = ratio(files.index(lst, "liquidityIndex"))
            owed = ratio(files.index("WETH", "variableBorrowIndex"))
            growth = leverage * supplied * growth - (leverage - 1.0) * owed
    if mode.share_class == "ETH":
        return capital * growth
    if mode.hedge.carry:
        equity = capital + carried(files, mode, capital)
        if weights.lending:
            grown = ratio(files.index(mode.lending.token, "liquidityIndex")) - 1.0
            equity += weights.lending * capital * grown
        return equity
    price = files.bars(SPOT[mode.asset], mode.spot.venue, mode.asset)
    share = weights.spot + weights.staking
    quantity = share * capital / price[0]
    equity = (1.0 - share) * capital + quantity * price * growth
    for venue, weight in mode.hedge.venues.items():
        mark = files.bars(PERPS, venue, mode.asset)
        paid = files.funding(venue, mode.asset) * mark
        paid[0] = 0.0  # what settles at the first hour settles before the entry
        equity += weight * quantity * (np.cumsum(paid) - (mark - mark[0]))
    return equity
