"""Files as their publishers make them, out of the plain files of the sample.

A `Form` is one dataset's rows written the way a publisher writes them, with the keys that its
dataset file needs to read them. Numbers are written in full, so that nothing is lost on the way.
"""

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.market.exchange_files import (
    BAR,
    Files,
    answered,
    binance_funding,
    binance_minutes,
    binance_perp,
    binance_spot,
    bybit_funding,
    bybit_klines,
    bybit_metatrader,
    epoch,
    hyperliquid,
    okx_candles,
    okx_funding,
    text,
)


@dataclass(frozen=True)
class Form:
    """One publisher's form.

    dataset: of the catalogue. write: the plain rows (`timestamp` and canonical columns) → files.
    keys: of the dataset file, over those of the catalogue.
    """

    dataset: str
    write: Callable[[pd.DataFrame], Files]
    keys: dict[str, Any] = field(default_factory=dict)


def ccxt_bars(rows: pd.DataFrame) -> Files:
    """Return bars as fetch_ohlcv does."""
    values = rows[list(BAR)].to_numpy().tolist()
    bars = [[at, *row] for at, row in zip(epoch(rows, "ms").tolist(), values, strict=True)]
    return {"bars.json": answered(bars)}


def ccxt_funding(rows: pd.DataFrame) -> Files:
    """Return rates as fetch_funding_rate_history does."""
    records = [
        {"info": {"x": 1}, "symbol": "BTC/USDT:USDT", "fundingRate": rate, "timestamp": at}
        for at, rate in zip(epoch(rows, "ms").tolist(), rows["funding_rate"].tolist(), strict=True)
    ]
    return {"funding.json": answered(records)}


def cryptodatadownload(rows: pd.DataFrame) -> Files:
    """Return the newest first below a URL; older rows in seconds, newer ones in milliseconds."""
    seconds = epoch(rows, "s")
    older = np.arange(len(rows)) < len(rows) // 2
    table = pd.DataFrame(
        {
            "Unix": np.where(older, seconds, seconds * 1000),
            "Date": pd.DatetimeIndex(rows["timestamp"]).strftime("%Y-%m-%d %H:%M:%S"),
            "Symbol": "BTCUSDT",
            **{name.title(): rows[name].to_numpy() for name in BAR[:4]},
            "Volume BTC": rows["volume"].to_numpy(),
            "Volume USDT": 0.0,
            "tradecount": 1,
        }
    )
    address = "https://www.CryptoDataDownload.com\n"
    return {"Bybit_BTCUSDT_1h.csv": text(table.iloc[::-1], first=address)}


def tardis(rows: pd.DataFrame) -> Files:
    """Return announcements around each settlement, the first ones without a rate."""
    parts = []
    for at, rate in zip(epoch(rows, "us").tolist(), rows["funding_rate"].tolist(), strict=True):
        before = np.array([7_200, 3_600, 600, 30, 1]) * 1_000_000
        guesses = [rate * 3, rate * 2, rate * 1.5, rate * 1.1, rate]
        parts.append(
            pd.DataFrame(
                {
                    "exchange": "binance-futures",
                    "symbol": "BTCUSDT",
                    "timestamp": at - before,
                    "local_timestamp": at - before + 1000,
                    "funding_timestamp": at,
                    "funding_rate": guesses,
                    "predicted_funding_rate": "",
                }
            )
        )
    table = pd.concat(parts, ignore_index=True)
    silent = table.iloc[:2].assign(funding_rate=None, funding_timestamp=None)
    table = pd.concat([silent, table])
    table["funding_timestamp"] = table["funding_timestamp"].astype("Int64")
    name = "binance-futures_derivative_ticker_2024-01-01_BTCUSDT.csv.gz"
    return {name: gzip.compress(text(table))}


def deribit(rows: pd.DataFrame) -> Files:
    """Return the rates of one hour and of eight hours."""
    records = [
        {"timestamp": at, "interest_1h": rate, "interest_8h": rate * 8, "index_price": 1.0}
        for at, rate in zip(epoch(rows, "ms").tolist(), rows["funding_rate"].tolist(), strict=True)
    ]
    return {"deribit.json": answered(records, "result")}


def defillama(rows: pd.DataFrame) -> Files:
    """Return percent, at the end of each day."""
    records = [
        {"timestamp": f"{at:%Y-%m-%d}T23:01:12.345Z", "tvlUsd": 1e6, "apy": apr * 100}
        for at, apr in zip(rows["timestamp"], rows["apr"].tolist(), strict=True)
    ]
    return {"susde.json": answered(records, "data")}


def dune(rows: pd.DataFrame) -> Files:
    """Return wei, with times that end in UTC."""
    table = pd.DataFrame(
        {
            "hour": pd.DatetimeIndex(rows["timestamp"]).strftime("%Y-%m-%d %H:%M:%S.000 UTC"),
            "base_fee_wei": np.round(rows["base_fee_gwei"].to_numpy() * 1e9).astype(np.int64),
            "priority_fee_p50_wei": np.round(rows["priority_fee_p50_gwei"].to_numpy() * 1e9).astype(
                np.int64
            ),
        }
    )
    return {"query_123.csv": text(table)}


RESERVE = (
    "liquidity_rate",
    "variable_borrow_rate",
    "total_a_token",
    "total_variable_debt",
    "price_usd",
)


def subgraph(rows: pd.DataFrame) -> Files:
    """Return events at irregular times, in ray; midnights only where the growth changes."""
    times = epoch(rows, "s").astype(np.float64)
    extra = np.concatenate([times[:-1] + shift for shift in (4_001, 30_017, 80_233)])
    moments = np.sort(np.concatenate([times, extra]))
    held = np.searchsorted(times, moments, side="right") - 1
    columns = {
        name: np.exp(np.interp(moments, times, np.log(rows[name].to_numpy())))
        for name in ("liquidity_index", "variable_borrow_index")
    }
    others = {n: rows[n].to_numpy()[held] for n in RESERVE}

    def ray(value: float) -> str:
        return f"{value * 1e27:.0f}"

    records = [
        {
            "timestamp": int(at),
            "reserve": {"symbol": "USDT"},
            "liquidityIndex": ray(columns["liquidity_index"][i]),
            "variableBorrowIndex": ray(columns["variable_borrow_index"][i]),
            "liquidityRate": ray(others["liquidity_rate"][i]),
            "variableBorrowRate": ray(others["variable_borrow_rate"][i]),
            "totalATokenSupply": f"{others['total_a_token'][i] * 1e6:.0f}",
            "totalCurrentVariableDebt": f"{others['total_variable_debt'][i] * 1e6:.0f}",
            "priceInUsd": others["price_usd"][i],
        }
        for i, at in enumerate(moments.tolist())
    ]
    return {"USDT.json": answered(records, "data", "reserveParamsHistoryItems")}


def parquet(rows: pd.DataFrame) -> Files:
    """Return typed times."""
    buffer = io.BytesIO()
    rows.to_parquet(buffer)
    return {"bars.parquet": buffer.getvalue()}


def json_lines(rows: pd.DataFrame) -> Files:
    """Return one object per line."""
    table = rows.assign(timestamp=epoch(rows, "ns"))
    content = table.to_json(orient="records", lines=True, double_precision=15)
    return {"bars.jsonl.gz": gzip.compress(content.encode())}


def close_labels(rows: pd.DataFrame) -> Files:
    """Return semicolons, comments and a preamble; bars labelled by their last millisecond."""
    table = rows.assign(timestamp=epoch(rows, "ms") + 3_600_000 - 1)
    return {"bars.csv": text(table, sep=";", first="exported by hand\n% bars of an hour\n\n")}


PLAIN_BARS: dict[str, Any] = {
    "timestamp": {
        "column": "timestamp",
        "format": "instant",
        "early_seconds": 0,
        "late_seconds": 60,
    },
    "columns": {name: name for name in BAR},
    "identity": {},
}
PERP, FUNDING = "bybit_btcusdt_perp", "bybit_btcusdt_funding"
SUBGRAPH: dict[str, Any] = {
    "preset": "aave_subgraph",
    "format": {"scale": dict.fromkeys(("totalATokenSupply", "totalCurrentVariableDebt"), 1e-6)},
}
FORMS: dict[str, Form] = {
    "binance spot klines": Form("binance_btcusdt_spot", binance_spot, {"preset": "binance_klines"}),
    "binance um klines": Form(PERP, binance_perp, {"preset": "binance_klines"}),
    "binance 1m klines": Form(
        PERP, binance_minutes, {"preset": "binance_klines", "format": {"interval_minutes": 1}}
    ),
    "binance fundingRate": Form(FUNDING, binance_funding, {"preset": "binance_funding"}),
    "bybit kline": Form(PERP, bybit_klines, {"preset": "bybit_klines"}),
    "bybit metatrader": Form(
        PERP,
        bybit_metatrader,
        {"preset": "bybit_metatrader_klines", "format": {"interval_minutes": 1}},
    ),
    "bybit funding": Form(FUNDING, bybit_funding, {"preset": "bybit_funding"}),
    "okx candlesticks": Form("okx_ethusdt_perp", okx_candles, {"preset": "okx_candlesticks"}),
    "okx spot candlesticks": Form(
        "bybit_ethusdt_spot",
        lambda rows: okx_candles(rows, "", "vol"),
        {"preset": "okx_spot_candlesticks"},
    ),
    "okx funding": Form(FUNDING, okx_funding, {"preset": "okx_funding"}),
    "hyperliquid funding": Form(
        FUNDING, hyperliquid, {"preset": "hyperliquid_funding", "frequency_hours": 8}
    ),
    "ccxt ohlcv": Form(PERP, ccxt_bars, {"preset": "ccxt_ohlcv"}),
    "ccxt funding": Form(FUNDING, ccxt_funding, {"preset": "ccxt_funding"}),
    "cryptodatadownload": Form(PERP, cryptodatadownload, {"preset": "cryptodatadownload"}),
    "tardis": Form(FUNDING, tardis, {"preset": "tardis_derivative_ticker"}),
    "deribit": Form(FUNDING, deribit, {"preset": "deribit_funding", "frequency_hours": 8}),
    "aave subgraph": Form("aave_usdt_rates", subgraph, SUBGRAPH),
    "defillama": Form("susde_benchmark", defillama, {"preset": "defillama_chart"}),
    "dune": Form("ethereum_gas", dune, {"preset": "dune_gas"}),
    "parquet": Form(PERP, parquet, {**PLAIN_BARS, "format": {"type": "parquet"}}),
    "json lines": Form(PERP, json_lines, {**PLAIN_BARS, "format": {"type": "jsonl"}}),
    "close labels": Form(
        PERP,
        close_labels,
        {
            **PLAIN_BARS,
            "format": {"delimiter": ";", "skip_lines": 1, "comment": "%", "label": "close"},
        },
    ),
}


def put(directory: Path, files: Files) -> list[Path]:
    """Write files below a directory."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = [directory / name for name in files]
    for path in paths:
        path.write_bytes(files[path.name])
    return paths
