"""Files of exchanges as each of them makes them, out of plain rows."""

import gzip
import io
import json
import zipfile
from typing import Any

import numpy as np
import pandas as pd

Files = dict[str, bytes]


def text(rows: pd.DataFrame, *, header: bool = True, sep: str = ",", first: str = "") -> bytes:
    """Return rows as CSV."""
    return (first + rows.to_csv(index=False, header=header, sep=sep)).encode()


def zipped(name: str, content: bytes) -> bytes:
    """Return a zip archive of one file."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def epoch(rows: pd.DataFrame, unit: str) -> np.ndarray:
    """Return the timestamps as whole numbers since 1970."""
    return pd.DatetimeIndex(rows["timestamp"]).as_unit(unit).asi8


def halves(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the older and the newer half."""
    middle = len(rows) // 2
    return rows.iloc[:middle], rows.iloc[middle:]


def minutes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return sixty bars per hour that aggregate to the hourly ones."""
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
    """Return the twelve columns of a kline."""
    times = epoch(rows, unit)
    length = {"ms": 60_000, "us": 60_000_000}[unit] * minutes_each
    bars = rows[["open", "high", "low", "close", "volume"]].reset_index(drop=True)
    bars.insert(0, "open_time", times)
    bars["close_time"] = times + length - 1
    for name in KLINE[7:]:
        bars[name] = 0
    return bars


def binance_spot(rows: pd.DataFrame) -> Files:
    """Return files without a header; milliseconds, then microseconds."""
    older, newer = halves(rows)
    return {
        f"BTCUSDT-1h-{month}.zip": zipped(
            f"BTCUSDT-1h-{month}.csv", text(binance(part, unit), header=False)
        )
        for month, part, unit in (("2024-01", older, "ms"), ("2024-02", newer, "us"))
    }


def binance_perp(rows: pd.DataFrame) -> Files:
    """Return an older file without a header and a newer one with it; they overlap."""
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
    """Return one file per month of minute bars."""
    return {
        f"BTCUSDT-1m-2024-0{n}.zip": zipped(
            f"BTCUSDT-1m-2024-0{n}.csv", text(binance(minutes(part), "ms", 1))
        )
        for n, part in enumerate(halves(rows.reset_index(drop=True)), start=1)
    }


def binance_funding(rows: pd.DataFrame) -> Files:
    """Return settlements a few milliseconds late, with the interval."""
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
    """Return a JSON document with its rows at a path."""
    for key in reversed(path):
        records = {key: records}
    return json.dumps(records).encode()


def texts(rows: pd.DataFrame, *columns: str) -> list[list[str]]:
    """Return numbers as text, as in the JSON of exchanges."""
    return [[repr(float(x)) for x in row] for row in rows[list(columns)].to_numpy()]


BAR = ("open", "high", "low", "close", "volume")


def bybit_klines(rows: pd.DataFrame) -> Files:
    """Return bars, the newest first, with numbers as text."""
    bars = [
        [str(at), *row, "0"]
        for at, row in zip(epoch(rows, "ms").tolist(), texts(rows, *BAR), strict=True)
    ]
    return {"BTCUSDT_60.json": answered(bars[::-1], "result", "list")}


def bybit_metatrader(rows: pd.DataFrame) -> Files:
    """Return bars of minutes on a clock three hours ahead."""
    bars = minutes(rows)
    local = pd.DatetimeIndex(bars["timestamp"]).tz_convert("Etc/GMT-3")
    table = pd.DataFrame({"time": local.strftime("%Y.%m.%d %H:%M"), **bars[list(BAR)]})
    return {"BTCUSDT_1_2024-01-01_2024-01-31.csv.gz": gzip.compress(text(table, header=False))}


def bybit_funding(rows: pd.DataFrame) -> Files:
    """Return objects with numbers as text."""
    records = [
        {"symbol": "BTCUSDT", "fundingRate": rate, "fundingRateTimestamp": str(at)}
        for at, [rate] in zip(epoch(rows, "ms"), texts(rows, "funding_rate"), strict=True)
    ]
    return {"page1.json": answered(records, "result", "list")}


def okx_candles(rows: pd.DataFrame, suffix: str = "-SWAP", volume: str = "vol_ccy") -> Files:
    """Return minutes of several instruments in one file, some candles not confirmed."""
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
    """Return every instrument, with a header in two languages and not in UTF-8."""
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
    """Return settlements a few milliseconds late."""
    records = [
        {"coin": "BTC", "fundingRate": rate, "premium": "0.0", "time": int(at) + 44}
        for at, [rate] in zip(epoch(rows, "ms"), texts(rows, "funding_rate"), strict=True)
    ]
    return {"BTC.json": answered(records)}
