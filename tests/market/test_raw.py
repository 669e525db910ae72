"""Raw files: what the reader accepts, and what it rejects with which code."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.market import raw
from basis_pipeline.market.raw import RawFeed, read_feed, read_feeds
from basis_pipeline.market.rejection import RejectedDataError
from tests.market.conftest import PERP, Catalogue, Lines, Put, Read, rejected_feed

RATES = "protocol_data/aave/rates/aave_v3_aave-v3-ethereum_USDT_rates_2024-06-01_2024-06-04.csv"
ORACLE = "protocol_data/aave/oracle/weETH_ETH_oracle_2024-06-01_2024-06-02.csv"
RATES_HEADER = (
    "targetDate,timestamp,symbol,liquidityIndex,currentLiquidityRate,variableBorrowIndex,"
    "currentVariableBorrowRate,totalAToken,totalVariableDebt,price,date"
)


def test_a_clean_file_is_read_unchanged(put: Put, bars: Lines, read: Read) -> None:
    """Types, rows, span, hash and file facts of the plainest case."""
    path = put(PERP, bars())
    feed = read()
    assert feed.frame["timestamp"].dtype == pd.DatetimeTZDtype("ns", "UTC")
    assert feed.frame["open"].dtype == np.float64
    assert feed.frame["open"].tolist() == [3000.0 + hour for hour in range(48)]
    assert feed.frame["file"].unique().tolist() == [PERP]
    (file,) = feed.files
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (file.path, file.size, file.rows) == (PERP, path.stat().st_size, 48)
    assert [f"{bound:%d %H}" for bound in feed.span] == ["01 00", "02 23"]


def test_the_raw_frame_is_the_feed_as_it_was_delivered(
    put: Put, bars: Lines, settlements: Lines, read: Read
) -> None:
    """Duplicates and late timestamps are in it, counted; they are settled in the distinct rows."""
    lines = bars()
    put(PERP, [*lines, lines[7]])
    feed = read()
    assert (len(feed.frame), feed.exact_duplicates) == (49, 1)
    assert len(feed.distinct.timestamps) == 48
    late = [line.replace(":00Z", ":00.347Z") for line in settlements()]
    put("market_data/derivatives/funding_rates/bybit_ETHUSDT_funding_rates_a.csv", late)
    feed = read("bybit_ethusdt_funding")
    assert (feed.frame["funding_timestamp"].dt.microsecond == 347_000).all()
    assert (feed.distinct.timestamps % 3_600_000_000_000 == 0).all()


def test_an_absent_feed_names_the_files_in_its_folder(put: Put, bars: Lines, read: Read) -> None:
    """DATA-001 helps to find a misnamed file."""
    put(PERP.replace("bybit_", "bybit-"), bars())
    error = rejected_feed(read)
    assert error.code == "DATA-001"
    assert "bybit-ETHUSDT" in error.available


def test_a_data_directory_that_does_not_exist_is_absent(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    """The message names a misspelt directory."""
    with pytest.raises(RejectedDataError, match="does not exist"):
        read_feed(tmp_path / "nowhere", catalogue["ethereum_gas"])


STRANGE: dict[str, Callable[[Path], object]] = {
    "a name that is not UTF-8": lambda path: path.rename(
        os.fsdecode(os.fsencode(path).replace(b"2024", b"\xff24", 1))
    ),
    "a carriage return inside a line": lambda path: path.write_text(
        path.read_text().replace("bybit", "by\rbit", 1)
    ),
    "bytes that are not text, and no line end": lambda path: path.write_bytes(
        path.read_bytes()[:-1].replace(b"\n2024-06-01T09", b"\xff\n2024-06-01T09")
    ),
    "another symbol": lambda path: path.write_text(path.read_text().replace("ETHUSDT", "BTCUSDT")),
    "not readable": lambda path: (path.unlink(), path.symlink_to(path.parent), None),
}


@pytest.mark.parametrize("strange", STRANGE)
def test_whatever_is_in_one_feed_stops_that_feed_alone(
    strange: str, put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """A coded error in its place, and the other feed is read."""
    other = PERP.replace("bybit_ETHUSDT", "okx_ETHUSDT")
    STRANGE[strange](put(PERP, bars()))
    put(other, bars())
    feeds = read_feeds(tmp_path, [catalogue["bybit_ethusdt_perp"], catalogue["okx_ethusdt_perp"]])
    assert isinstance(feeds["bybit_ethusdt_perp"], RejectedDataError)
    assert isinstance(feeds["okx_ethusdt_perp"], RawFeed)


def test_an_unforeseen_exception_rejects_its_feed(
    monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue, tmp_path: Path
) -> None:
    """It does not stop the other feeds, and the message names the feed and the exception."""

    def fail(*_: object) -> list[Path]:
        raise RuntimeError("the disk\nfailed")

    monkeypatch.setattr(raw, "feed_files", fail)
    error = read_feeds(tmp_path, [catalogue["ethereum_gas"]])["ethereum_gas"]
    assert isinstance(error, RejectedDataError)
    assert error.what == "ethereum_gas cannot be read: RuntimeError: the disk failed"


def test_a_timestamp_with_two_different_rows_is_rejected(put: Put, bars: Lines, read: Read) -> None:
    """DATA-006 shows both rows."""
    lines = bars()
    put(PERP, [*lines, lines[5].replace("3005.0", "3005.5")])
    error = rejected_feed(read)
    assert error.code == "DATA-006"
    assert "close 3005.0 against 3005.5" in error.what
    assert len(error.offending) == 2


def test_two_files_that_disagree_are_rejected(put: Put, bars: Lines, read: Read) -> None:
    """DATA-007 names both files and the timestamp; files that overlap and agree are one feed."""
    put(PERP, bars())
    other = PERP.replace("2024-06-02", "2024-06-03")
    put(other, bars(72)[30:31] + bars(72)[31:])
    assert rejected_feed(read).code == "DATA-003"  # the second file has no header
    put(other, [bars()[0], *bars(72)[31:]])
    assert (read().exact_duplicates, len(read().files)) == (18, 2)
    put(other, [bars()[0], *(line.replace("3040.0", "3039.5") for line in bars(72)[31:])])
    error = rejected_feed(read)
    assert error.code == "DATA-007"
    assert PERP in error.where
    assert other in error.where
    assert "2024-06-02 14:00" in error.what


def _rates(indices: list[float]) -> list[str]:
    return [RATES_HEADER] + [
        f"2024-06-{day:02d}T00:00:00Z,0,USDT,{index!r},0.05,{index * 1.1!r},0.06,9e6,8e6,1.0,x"
        for day, index in enumerate(indices, start=1)
    ]


def test_a_falling_index_is_rejected(put: Put, read: Read) -> None:
    """DATA-009 shows both values; an index that stands still is allowed."""
    put(RATES, _rates([1.01, 1.0101, 1.0101, 1.0102]))
    assert len(read("aave_usdt_rates").frame) == 4
    put(RATES, _rates([1.01, 1.0102, 1.0101, 1.0103]))
    error = rejected_feed(read, "aave_usdt_rates")
    assert error.code == "DATA-009"
    assert "1.0102 at 2024-06-02 00:00 to 1.0101 at 2024-06-03 00:00" in error.what


@pytest.mark.parametrize(("rate", "rejected"), [(1.0379999999999, False), (1.037, True)])
def test_an_oracle_may_fall_by_rounding_only(
    rate: float, rejected: bool, put: Put, read: Read
) -> None:
    """The derived redemption rate falls by 1e-14 in real files, and that is no fall."""
    rows = [f"2024-06-01 0{i}:00:00+00:00,{x!r},weETH" for i, x in enumerate((1.038, rate, 1.0381))]
    put(ORACLE, ["# Source: derived", "timestamp,oracle_price_eth,asset", *rows])
    if rejected:
        assert rejected_feed(read, "weeth_oracle").code == "DATA-009"
    else:
        assert len(read("weeth_oracle").frame) == 3


def test_another_symbol_inside_is_rejected(put: Put, bars: Lines, read: Read) -> None:
    """DATA-011, for a whole file and for one stray row."""
    put(PERP, bars(symbol="BTCUSDT"))
    assert rejected_feed(read).code == "DATA-011"
    lines = bars()
    put(PERP, [*lines[:-1], lines[-1].replace("ETHUSDT", "BTCUSDT")])
    error = rejected_feed(read)
    assert error.code == "DATA-011"
    assert "'BTCUSDT' instead of 'ETHUSDT' in 1 row, the first on line 49" in error.what


def test_the_data_version_is_the_content_not_the_name(put: Put, bars: Lines, read: Read) -> None:
    """A renamed file is the same data; one changed byte is not."""
    path = put(PERP, bars())
    before = read().content_hash
    path = path.rename(path.with_name(path.name.replace("2024-06-02", "2024-06-09")))
    assert read().content_hash == before
    path.write_text(path.read_text().replace("3047.0", "3047.1"))
    assert read().content_hash != before
