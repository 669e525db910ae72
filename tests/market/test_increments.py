"""Several files of one feed: bars of minutes, unfinished candles, announced settlements."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.market.grid import build_grid
from basis_pipeline.market.raw import RawFeed, read_feed
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.window import parse_window
from tests.market.conftest import Catalogue, Put

FOLDER = "market_data/derivatives/futures_ohlcv/bybit_ETHUSDT_perp_1h"
HEADER = "timestamp,open,high,low,close,volume,symbol"


def minute_bars(first: int, last: int) -> list[str]:
    """Return bars of a range of minutes of a day; prices fall and rise."""
    rows = [HEADER]
    for minute in range(first, last):
        price = 3000 + minute % 60
        at = f"2024-06-01T{minute // 60:02d}:{minute % 60:02d}:00Z"
        rows.append(f"{at},{price},{price + 2},{price - 3},{price + 1},2,ETHUSDT")
    return rows


def of_minutes(catalogue: Catalogue, minutes: int = 1) -> DatasetConfig:
    """Return the dataset of the ETH perpetual with finer bars."""
    config = catalogue["bybit_ethusdt_perp"]
    form = config.format.model_copy(update={"interval_minutes": minutes})
    return config.model_copy(update={"format": form})


def test_minutes_become_hours(put: Put, catalogue: Catalogue, tmp_path: Path) -> None:
    """Open first, high max, low min, close last, volume sum; files that overlap are one feed."""
    put(f"{FOLDER}_a.csv", minute_bars(0, 150))
    put(f"{FOLDER}_b.csv", minute_bars(100, 240))
    feed = read_feed(tmp_path, of_minutes(catalogue))
    hours = feed.distinct.frame
    assert [f"{at:%H:%M}" for at in hours["timestamp"]] == ["00:00", "01:00", "02:00", "03:00"]
    assert (hours["open"] == 3000).all()
    assert (hours["high"] == 3061).all()
    assert (hours["low"] == 2997).all()
    assert (hours["close"] == 3060).all()
    assert (hours["volume"] == 120).all()
    assert feed.remarks == ()


def test_hours_that_lack_minutes_are_remarks_and_never_filled(
    put: Put, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Without its first minute an hour has no price at its beginning, and is a gap."""
    lines = minute_bars(0, 240)
    del lines[1 + 130], lines[1 + 60]
    put(f"{FOLDER}_a.csv", lines)
    feed = read_feed(tmp_path, of_minutes(catalogue))
    assert [f"{at:%H}" for at in feed.distinct.frame["timestamp"]] == ["00", "02", "03"]
    assert feed.remarks == (
        "1 hour with 1 bar missing, the first is 2024-06-01 02:00 with 59 of 60",
        "1 hour without the first bar left as gaps, the first is 2024-06-01 01:00 with 59 of 60",
    )


def test_bars_of_another_interval_are_rejected(
    put: Put, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Minutes are no five minutes."""
    put(f"{FOLDER}_a.csv", minute_bars(0, 120))
    with pytest.raises(RejectedDataError, match="96 rows off the grid of 5 minutes"):
        read_feed(tmp_path, of_minutes(catalogue, 5))


@pytest.mark.parametrize("newer", [True, False])
def test_the_unfinished_candle_of_an_older_file_is_replaced(
    newer: bool, put: Put, bars: Callable[..., list[str]], catalogue: Catalogue, tmp_path: Path
) -> None:
    """A remark counts it; where no newer file has the hour it stays, without a remark."""
    older = bars(24)
    older[-1] = older[-1].replace("3024.0,10.5", "3023.5,4.5")
    put(f"{FOLDER}_a.csv", older)
    if newer:
        put(f"{FOLDER}_b.csv", [older[0], *bars(48)[20:]])
    feed = read_feed(tmp_path, catalogue["bybit_ethusdt_perp"])
    last = feed.distinct.frame.iloc[23]
    assert (last["close"], last["volume"]) == ((3024.0, 10.5) if newer else (3023.5, 4.5))
    remark = "1 unfinished last bar of an older file replaced by a newer one, the first at "
    assert feed.remarks == ((f"{remark}2024-06-01 23:00 of {FOLDER}_a.csv",) if newer else ())


def test_only_the_last_candle_is_replaced(
    put: Put, bars: Callable[..., list[str]], catalogue: Catalogue, tmp_path: Path
) -> None:
    """Every other difference is a contradiction."""
    older = bars(24)
    older[-2] = older[-2].replace(",10.5,", ",4.5,")
    put(f"{FOLDER}_a.csv", older)
    put(f"{FOLDER}_b.csv", bars(48))
    with pytest.raises(RejectedDataError) as caught:
        read_feed(tmp_path, catalogue["bybit_ethusdt_perp"])
    assert caught.value.code == "DATA-007"


def test_a_settlement_that_was_announced_long_before_is_not_known(
    put: Put, catalogue: Catalogue, tmp_path: Path
) -> None:
    """An outage of the announcements is a gap, not the rate of hours ago."""
    config = catalogue["bybit_ethusdt_funding"]
    form = config.format.model_copy(update={"settlements": "last_of_interval", "observed": "seen"})
    put(
        "market_data/derivatives/funding_rates/bybit_ETHUSDT_funding_rates_a.csv",
        [
            "funding_timestamp,seen,funding_rate,symbol",
            "2024-06-01T08:00:00Z,2024-06-01T07:00:00Z,0.0009,ETHUSDT",
            "2024-06-01T08:00:00Z,2024-06-01T07:59:59Z,0.0001,ETHUSDT",
            "2024-06-01T16:00:00Z,2024-06-01T09:00:00Z,0.0008,ETHUSDT",
            "2024-06-02T00:00:00Z,2024-06-01T23:59:59Z,0.0003,ETHUSDT",
        ],
    )
    feed = read_feed(tmp_path, config.model_copy(update={"format": form}))
    assert feed.distinct.frame["funding_rate"].tolist() == [0.0001, 0.0003]
    remark = (
        "1 settlement left out, announced over 10 minutes before, the first at 2024-06-01 16:00"
    )
    assert feed.remarks == (remark,)


def test_irregular_indices_grow_geometrically_between_their_rows(
    put: Put, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Closed form: an index that grows evenly is exact at every midnight, to 1e-13."""
    config = catalogue["aave_usdt_rates"]
    form = config.format.model_copy(update={"resample": "geometric"})
    start = pd.Timestamp("2024-05-31T13:47:11", tz="UTC")
    offsets = np.cumsum(np.random.default_rng(3).integers(3_000, 90_000, 120))
    header = "targetDate,symbol,liquidityIndex,currentLiquidityRate,variableBorrowIndex,"
    header += "currentVariableBorrowRate,totalAToken,totalVariableDebt,price"
    rate = 0.05 / (365 * 86_400)
    rows = [
        f"{(start + pd.Timedelta(seconds=int(s))).isoformat()},USDT,{np.exp(rate * s)!r},0.05,"
        f"{np.exp(2 * rate * s)!r},0.1,9e6,8e6,1.0"
        for s in offsets
    ]
    rows = [row.replace("np.float64(", "").replace(")", "") for row in rows]
    put("protocol_data/aave/rates/aave_v3_aave-v3-ethereum_USDT_rates_a.csv", [header, *rows])
    config = config.model_copy(update={"format": form})
    feed: RawFeed = read_feed(tmp_path, config)
    grid = build_grid(config, feed, parse_window("2024-06-03", "2024-06-28"))
    assert grid.present.all()
    elapsed = (grid.timestamps - start.value) / 1e9
    np.testing.assert_allclose(grid.values[:, 0], np.exp(rate * elapsed), rtol=1e-13)
    np.testing.assert_allclose(grid.values[:, 1], np.exp(2 * rate * elapsed), rtol=1e-13)
