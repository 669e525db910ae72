"""Files as their publishers make them, out of the plain files of the sample.

A `Form` is one dataset's rows written the way a publisher writes them, with the keys that its
dataset file needs to read them. Numbers are written in full, so that nothing is lost on the way.
"""

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

Files = dict[str, bytes]


@dataclass(frozen=True)
class Form:
    """One publisher's form.

    dataset: of the catalogue. write: the plain rows (`timestamp` and canonical columns) → files.
    keys: of the dataset file, over those of the catalogue.
    """

    dataset: str
    write: Callable[[pd.DataFrame], Files]
    keys: dict[str, Any] = field(default_factory=dict)


def text(rows: pd.DataFrame, *, header: bool = True, sep: str = ",", first: str = "") -> bytes:
    """Rows as CSV."""
    return (first + rows.to_csv(index=False, header=header, sep=sep)).encode()


def zipped(name: str, content: bytes) -> bytes:
    """A zip archive of one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def epoch(rows: pd.DataFrame, unit: str) -> np.ndarray:
    """The timestamps as whole numbers since 1970."""
    return pd.DatetimeIndex(rows["timestamp"]).as_unit(unit).asi8


def halves(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The older and the newer half."""
    middle = len(rows) // 2
    return rows.iloc[:middle], rows.iloc[middle:]


def minutes(rows: pd.DataFrame) -> pd.DataFrame:
    """Sixty bars an hour that come to the hourly ones."""
    bars = rows.loc[rows.index.repeat(60)].reset_index(drop=True)
    minute = np.tile(np.arange(60), len(rows))
    bars["timestamp"] += pd.to_timedelta(minute, unit="min")
    inner = (minute > 0) & (minute < 59)
    calm = np.minimum(bars["open"], bars["close"])
    first, last = bars["open"].copy(), bars["close"].copy()
    bars["open"] = np.where(minute == 0, first, calm)
    bars["close"] = np.where(minute == 59, last, calm)
    top = np.maximum(bars["open"], bars["close"])
    bars["high"] = np.where(minute == 20, bars["high"], np.where(inner, calm, top))
    bars["low"] = np.where(minute == 30, bars["low"], calm)
    bars["volume"] /= 60
    return bars


KLINE = [
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote_volume",
    "count",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "ignore",
]


def binance(rows: pd.DataFrame, unit: str, minutes_each: int = 60) -> pd.DataFrame:
    """Twelve columns of a kline."""
    times = epoch(rows, unit)
    length = {"ms": 60_000, "us": 60_000_000}[unit] * minutes_each
    bars = rows[["open", "high", "low", "close", "volume"]].reset_index(drop=True)
    bars.insert(0, "open_time", times)
    bars["close_time"] = times + length - 1
    for name in KLINE[7:]:
        bars[name] = 0
    return bars


def binance_spot(rows: pd.DataFrame) -> Files:
    """No header; milliseconds, then microseconds."""
    older, newer = halves(rows)
    return {
        f"BTCUSDT-1h-{month}.zip": zipped(
            f"BTCUSDT-1h-{month}.csv", text(binance(part, unit), header=False)
        )
        for month, part, unit in (("2024-01", older, "ms"), ("2024-02", newer, "us"))
    }


def binance_perp(rows: pd.DataFrame) -> Files:
    """Older files have no header, newer ones have; the newer increment overlaps the older."""
    older, newer = halves(rows)
    overlapping = rows.loc[rows.index[rows.index >= newer.index[0] - 24]]
    unfinished = older.copy()
    last = unfinished.index[-1]
    unfinished.loc[last, "close"] = unfinished.loc[last, "open"]
    unfinished.loc[last, ["high", "low"]] = unfinished.loc[last, "open"]
    return {
        "BTCUSDT-1h-2024-01.zip": zipped(
            "BTCUSDT-1h-2024-01.csv", text(binance(unfinished, "ms"), header=False)
        ),
        "BTCUSDT-1h-2024-02.zip": zipped(
            "BTCUSDT-1h-2024-02.csv", text(binance(overlapping, "ms"))
        ),
    }


def binance_minutes(rows: pd.DataFrame) -> Files:
    """A file a month of minutes."""
    return {
        f"BTCUSDT-1m-2024-0{n}.zip": zipped(
            f"BTCUSDT-1m-2024-0{n}.csv", text(binance(minutes(part), "ms", 1))
        )
        for n, part in enumerate(halves(rows.reset_index(drop=True)), start=1)
    }


def binance_funding(rows: pd.DataFrame) -> Files:
    """A few milliseconds late, with the interval."""
    table = pd.DataFrame(
        {
            "calc_time": epoch(rows, "ms") + 7,
            "funding_interval_hours": 8,
            "last_funding_rate": rows["funding_rate"].to_numpy(),
        }
    )
    name = "BTCUSDT-fundingRate-2024-01"
    return {f"{name}.zip": zipped(f"{name}.csv", text(table))}


def answered(records: Any, *path: str) -> bytes:
    """A JSON document with its rows at a path."""
    for key in reversed(path):
        records = {key: records}
    return json.dumps(records).encode()


def texts(rows: pd.DataFrame, *columns: str) -> list[list[str]]:
    """Numbers as the text that JSON of exchanges has."""
    return [[repr(float(x)) for x in row] for row in rows[list(columns)].to_numpy()]


BAR = ("open", "high", "low", "close", "volume")


def bybit_klines(rows: pd.DataFrame) -> Files:
    """Newest first, numbers as text."""
    bars = [
        [str(at), *row, "0"]
        for at, row in zip(epoch(rows, "ms").tolist(), texts(rows, *BAR), strict=True)
    ]
    return {"BTCUSDT_60.json": answered(bars[::-1], "result", "list")}


def bybit_metatrader(rows: pd.DataFrame) -> Files:
    """Minutes on a clock three hours ahead."""
    bars = minutes(rows)
    local = pd.DatetimeIndex(bars["timestamp"]).tz_convert("Etc/GMT-3")
    table = pd.DataFrame({"time": local.strftime("%Y.%m.%d %H:%M"), **bars[list(BAR)]})
    return {"BTCUSDT_1_2024-01-01_2024-01-31.csv.gz": gzip.compress(text(table, header=False))}


def bybit_funding(rows: pd.DataFrame) -> Files:
    """Objects with numbers as text."""
    records = [
        {"symbol": "BTCUSDT", "fundingRate": rate, "fundingRateTimestamp": str(at)}
        for at, [rate] in zip(epoch(rows, "ms"), texts(rows, "funding_rate"), strict=True)
    ]
    return {"page1.json": answered(records, "result", "list")}


def okx_candles(rows: pd.DataFrame, suffix: str = "-SWAP", volume: str = "vol_ccy") -> Files:
    """Minutes of several instruments in one file, with candles that are not confirmed."""
    bars = minutes(rows)
    table = bars[["open", "high", "low", "close"]].copy()
    table.insert(0, "instrument_name", f"ETH-USDT{suffix}")
    table[["vol", "vol_ccy", "vol_quote"]] = 0.0
    table[volume] = bars["volume"]
    table["open_time"] = epoch(bars, "ms")
    table["confirm"] = 1
    others = table.iloc[:500].assign(instrument_name="BTC-USDT-SWAP", open=1.0)
    unconfirmed = table.iloc[-1:].assign(open_time=table["open_time"].iloc[-1] + 60_000, confirm=0)
    content = text(pd.concat([others, table, unconfirmed]))
    return {"candlesticks-2024-01.zip": zipped("candlesticks-2024-01.csv", content)}


def okx_funding(rows: pd.DataFrame) -> Files:
    """Every instrument, a header in two languages and not in UTF-8."""
    table = pd.DataFrame(
        {
            "instrument_name/合约名称": "BTC-USDT-SWAP",
            "contract_type/合约类型": "swap",
            "funding_rate/预测资金费率": 0.1,
            "real_funding_rate/实际资金费率": rows["funding_rate"].to_numpy(),
            "funding_time/资金费率时间": epoch(rows, "ms"),
        }
    )
    other = table.iloc[:9].copy()
    other.iloc[:, 0] = "DOGE-USDT-SWAP"
    content = pd.concat([other, table]).to_csv(index=False).encode("gb18030")
    return {"allswaprate-swaprate-2024-01.zip": zipped("allswaprate-swaprate-2024-01.csv", content)}


def hyperliquid(rows: pd.DataFrame) -> Files:
    """A few milliseconds late."""
    records = [
        {"coin": "BTC", "fundingRate": rate, "premium": "0.0", "time": int(at) + 44}
        for at, [rate] in zip(epoch(rows, "ms"), texts(rows, "funding_rate"), strict=True)
    ]
    return {"BTC.json": answered(records)}


def ccxt_bars(rows: pd.DataFrame) -> Files:
    """What fetch_ohlcv returns."""
    values = rows[list(BAR)].to_numpy().tolist()
    bars = [[at, *row] for at, row in zip(epoch(rows, "ms").tolist(), values, strict=True)]
    return {"bars.json": answered(bars)}


def ccxt_funding(rows: pd.DataFrame) -> Files:
    """What fetch_funding_rate_history returns."""
    records = [
        {"info": {"x": 1}, "symbol": "BTC/USDT:USDT", "fundingRate": rate, "timestamp": at}
        for at, rate in zip(epoch(rows, "ms").tolist(), rows["funding_rate"].tolist(), strict=True)
    ]
    return {"funding.json": answered(records)}


def cryptodatadownload(rows: pd.DataFrame) -> Files:
    """Newest first under an address; older rows in seconds, newer ones in milliseconds."""
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
    """Announcements every half minute around each settlement, the first ones without a rate."""
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
    """What an hour paid, beside eight hours."""
    records = [
        {"timestamp": at, "interest_1h": rate, "interest_8h": rate * 8, "index_price": 1.0}
        for at, rate in zip(epoch(rows, "ms").tolist(), rows["funding_rate"].tolist(), strict=True)
    ]
    return {"deribit.json": answered(records, "result")}


def defillama(rows: pd.DataFrame) -> Files:
    """Percent, at the end of each day."""
    records = [
        {"timestamp": f"{at:%Y-%m-%d}T23:01:12.345Z", "tvlUsd": 1e6, "apy": apr * 100}
        for at, apr in zip(rows["timestamp"], rows["apr"].tolist(), strict=True)
    ]
    return {"susde.json": answered(records, "data")}


def dune(rows: pd.DataFrame) -> Files:
    """Wei, and times that end in UTC."""
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
    """Events at irregular times, in ray; midnights only where the growth changes."""
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
    """Typed times."""
    buffer = io.BytesIO()
    rows.to_parquet(buffer)
    return {"bars.parquet": buffer.getvalue()}


def json_lines(rows: pd.DataFrame) -> Files:
    """An object a line."""
    table = rows.assign(timestamp=epoch(rows, "ns"))
    content = table.to_json(orient="records", lines=True, double_precision=15)
    return {"bars.jsonl.gz": gzip.compress(content.encode())}


def close_labels(rows: pd.DataFrame) -> Files:
    """Semicolons, comments and a preamble; labelled by the last millisecond of each bar."""
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
