"""Files of the exchanges and the DEX: perps, funding, spot, reward tokens, margin requirements."""

import json
from dataclasses import dataclass
from math import sqrt

import numpy as np

from basis_pipeline.market.sample import crises
from basis_pipeline.market.sample.market_paths import MarketPaths
from basis_pipeline.market.sample.random_walks import Floats
from basis_pipeline.market.sample.text import Column, SampleFile, numbers, rows

PERPS = "market_data/derivatives/futures_ohlcv"
FUNDING = "market_data/derivatives/funding_rates"
SPOT = "market_data/spot_prices"
PERP_MARKETS = (
    ("binance", "BTC"),
    ("binance", "ETH"),
    ("bybit", "BTC"),
    ("bybit", "ETH"),
    ("okx", "ETH"),
    ("binance", "SOL"),
    ("hyperliquid", "SOL"),
)
SPOT_MARKETS = (("binance", "BTC"), ("bybit", "BTC"), ("bybit", "ETH"), ("binance", "SOL"))
FUNDING_MARKETS = (
    *((venue, coin) for venue in ("binance", "bybit", "okx") for coin in ("BTC", "ETH")),
    ("binance", "SOL"),
    ("hyperliquid", "SOL"),
)
QUOTE = {"binance": "USDT", "bybit": "USDT", "okx": "USDT", "hyperliquid": "USDC"}
FUNDING_HOURS = {"binance": 8, "bybit": 8, "okx": 8, "hyperliquid": 1}
FUNDING_PREMIUM = {"hyperliquid": 0.08}
"""Yearly rate that longs of a venue pay beyond those of the others: income of a venue carry."""
HOURS_A_YEAR = 8760
SOURCE = {
    "binance": "binance_futures",
    "bybit": "bybit",
    "okx": "okx",
    "hyperliquid": "hyperliquid",
}
FUNDING_DECIMALS = {"binance": 8, "bybit": 8, "okx": 13, "hyperliquid": 10}
HOURLY_RANGE = {
    "BTC": 0.45 / sqrt(8760.0),
    "ETH": 0.60 / sqrt(8760.0),
    "SOL": 0.80 / sqrt(8760.0),
}
LOT = {"BTC": 3000.0, "ETH": 40000.0, "SOL": 500_000.0}
PERP_DECIMALS = {"BTC": 1, "ETH": 2, "SOL": 3}
SPOT_DECIMALS = {"BTC": 2, "ETH": 2, "SOL": 2}
MARGIN_FILES = ("binance", "bybit", "okx")
POOLS = {
    "WETH": "0x4e68ccd3e89f51c3074ca5072bbac773960dfa36",
    "EIGEN": "0xc2c390c6cd3c4e6c2b70727d35a45e8a072f18ca",
    "ETHFI": "0x06f00544c0bc62e6db10f46d370dfccdc23d8189",
}


@dataclass(frozen=True)
class Bars:
    """Bars of one market, one row per hour: opening prices, volumes and all columns as text."""

    prices: Floats
    volume: Floats
    text: list[Column]


def exchange_files(market: MarketPaths) -> list[SampleFile]:
    """Return the files of the exchanges and of Uniswap."""
    files = [_perp(market, venue, coin) for venue, coin in PERP_MARKETS]
    files += [_spot(market, venue, coin) for venue, coin in SPOT_MARKETS]
    files += [_funding(market, venue, coin) for venue, coin in FUNDING_MARKETS]
    files += [
        _pool_weth(market),
        _pool_token(market, "EIGEN", crises.EIGEN_FIRST_DAY),
        _pool_token(market, "ETHFI", crises.ETHFI_FIRST_DAY),
    ]
    files += [_margin_requirements(venue) for venue in MARGIN_FILES]
    return files


def _bars(
    market: MarketPaths, name: str, path: Floats, reach: Floats, decimals: int, lot: float
) -> Bars:
    """Bars along `path`, one price longer than the bars; wicks scale with `reach`."""
    draw = market.streams.normal
    up, down, trade = (np.abs(draw(f"{name} {w}", len(reach))) for w in ("up", "down", "lot"))
    open_, close = path[:-1], path[1:]
    high = np.maximum(open_, close) * (1.0 + reach * up)
    low = np.minimum(open_, close) * (1.0 - reach * down)
    volume = (lot * market.volatility[-len(reach) :] * (0.5 + trade)).round(3)
    text: list[Column] = [numbers(p, decimals) for p in (open_, high, low, close)]
    return Bars(open_, volume, [*text, numbers(volume)])


def _coin_bars(market: MarketPaths, venue: str, kind: str, coin: str) -> Bars:
    name, hours = f"{venue} {coin} {kind}", market.calendar.hours
    quote = 3e-5 * market.streams.mean_reverting(f"{name} quote", hours + 1, 2.0)
    if kind == "perp":
        noise = 1.2e-4 * market.streams.mean_reverting(f"{name} basis", hours + 1, 4.0)
        quote = quote - 1e-4 + 5e-3 * (market.carry[coin] - 0.10) + noise
    reach = 0.45 * HOURLY_RANGE[coin] * np.sqrt(market.volatility)
    lot = LOT[coin] * (1.0 if kind == "perp" else 0.1)
    decimals = (PERP_DECIMALS if kind == "perp" else SPOT_DECIMALS)[coin]
    path = market.price[coin] * (1.0 + quote)
    return _bars(market, name, path, reach, decimals, lot)


def _timestamps(market: MarketPaths) -> list[str]:
    return [f"{timestamp}Z" for timestamp in market.calendar.hour_texts]


def _binance_extras(bars: Bars) -> list[Column]:
    quote_volume = numbers(bars.volume * bars.prices, 5)
    trades = [str(int(v)) for v in (9.0 * bars.volume + 20000.0).tolist()]
    return [quote_volume, trades]


def _perp(market: MarketPaths, venue: str, coin: str) -> SampleFile:
    bars = _coin_bars(market, venue, "perp", coin)
    symbol = f"{coin}{QUOTE[venue]}"
    path = f"{PERPS}/{venue}_{symbol}_perp_1h_{market.calendar.span()}.csv"
    labels: list[Column] = [SOURCE[venue], symbol, "futures"]
    front = "timestamp,open,high,low,close,volume"
    back = "source,symbol,data_type"
    columns = [_timestamps(market), *bars.text, *labels]
    if venue == "binance":
        columns = [_timestamps(market), *bars.text, *_binance_extras(bars), *labels]
        return SampleFile(path, f"{front},quote_volume,trades_count,{back}", rows(columns))
    if venue == "bybit":
        columns.append(numbers(bars.volume * bars.prices, 4))
        return SampleFile(path, f"{front},{back},turnover", rows(columns))
    return SampleFile(path, f"{front},{back}", rows(columns))


def _spot(market: MarketPaths, venue: str, coin: str) -> SampleFile:
    bars = _coin_bars(market, venue, "spot", coin)
    folder, span = f"{SPOT}/{coin.lower()}_usd", market.calendar.span()
    if venue == "binance":
        header = "timestamp,open,high,low,close,volume,quote_volume,trades_count,source,asset_pair"
        labels = ["binance_spot", f"{coin}/USDT"]
        text = rows([_timestamps(market), *bars.text, *_binance_extras(bars), *labels])
        return SampleFile(f"{folder}/binance_{coin}USDT_1h_{span}.csv", header, text)
    header = "timestamp,open,high,low,close,volume,source,symbol,data_type,turnover"
    turnover = numbers(bars.volume * bars.prices, 7)
    text = rows([_timestamps(market), *bars.text, "bybit", f"{coin}USDT", "spot", turnover])
    return SampleFile(f"{folder}/bybit_{coin}USDT_spot_1h_{span}.csv", header, text)


def _funding(market: MarketPaths, venue: str, coin: str) -> SampleFile:
    """Settled rates: the yearly carry at the settlement plus the venue's own noise."""
    every, symbol = FUNDING_HOURS[venue], f"{coin}{QUOTE[venue]}"
    carry = market.carry[coin][: market.calendar.hours : every] + FUNDING_PREMIUM.get(venue, 0.0)
    own = 0.03 * market.streams.mean_reverting(f"{venue} {coin} funding", len(carry), 32.0 / every)
    rate = numbers((carry + own) / (HOURS_A_YEAR / every), FUNDING_DECIMALS[venue])
    path = f"{FUNDING}/{venue}_{symbol}_funding_rates_{market.calendar.span()}.csv"
    text = rows([_timestamps(market)[::every], rate, symbol, SOURCE[venue]])
    return SampleFile(path, "funding_timestamp,funding_rate,symbol,source", text)


def _pool(market: MarketPaths, pair: tuple[str, str], bars: Bars, first_day: int) -> SampleFile:
    (base, quote), first = pair, 24 * first_day
    folder = "protocol_tokens" if quote == "WETH" else "eth_usd"
    seconds = [str(s) for s in market.calendar.unix_seconds[first:].tolist()]
    dates = [f"{timestamp}+00:00Z" for timestamp in market.calendar.hour_texts[first:]]
    labels: list[Column] = [POOLS[base], "Uniswap v3", "0.3%", base, quote, "geckoterminal_pro"]
    header = (
        "timestamp,date_utc,open,high,low,close,volume,"
        "pool_address,dex,fee_tier,base_token,quote_token,source"
    )
    path = f"{SPOT}/{folder}/uniswapv3_{base}{quote}_1h_{market.calendar.span(first_day)}.csv"
    return SampleFile(path, header, rows([seconds, dates, *bars.text, *labels]))


def _pool_weth(market: MarketPaths) -> SampleFile:
    """ETH in a pool: its price stays near the market, since arbitrage pays beyond the fee."""
    gap = 1.7e-3 * market.streams.mean_reverting("uniswap WETH", market.calendar.hours + 1, 12.0)
    path = market.price["ETH"] * (1.0 + np.clip(gap, -0.0035, 0.0035))
    reach = 0.2 * HOURLY_RANGE["ETH"] * np.sqrt(market.volatility)
    bars = _bars(market, "uniswap WETH", path, reach, 11, 300_000.0)
    return _pool(market, ("WETH", "USDT"), bars, 0)


def _pool_token(market: MarketPaths, token: str, reference_day: int) -> SampleFile:
    first_day = market.calendar.day(reference_day)
    path = market.token_price[token][24 * first_day :]
    reach = np.full(len(path) - 1, 0.004)
    bars = _bars(market, f"uniswap {token}", path, reach, 17, 60.0)
    return _pool(market, (token, "WETH"), bars, first_day)


def _margin_requirements(venue: str) -> SampleFile:
    document = {
        "initial_margin_requirement": 0.05,
        "maintenance_margin_requirement": 0.1,
        "liquidation_threshold": 0.05,
        "max_leverage": 20,
        "margin_call_threshold": 0.15,
        "funding_rate_interval_hours": FUNDING_HOURS[venue],
        "position_size_limits": {"max_position_usdt": 10000000, "min_position_usdt": 1},
    }
    path = f"market_data/derivatives/risk_params/{venue}_margin_requirements.json"
    return SampleFile(path, "", json.dumps(document, indent=2).split("\n"))
