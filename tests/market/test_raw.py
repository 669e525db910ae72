"""Raw files: what the reader survives, and what it refuses with which code."""

import hashlib
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.config.dataset import DatasetConfig
from basis_pipeline.market import raw
from basis_pipeline.market.raw import RawFeed, read_feed, read_feeds
from basis_pipeline.market.rejection import RejectedDataError

Catalogue = dict[str, DatasetConfig]
Lines = Callable[..., list[str]]
Put = Callable[[str, list[str]], Path]
Read = Callable[..., RawFeed]

PERP = "market_data/derivatives/futures_ohlcv/bybit_ETHUSDT_perp_1h_2024-06-01_2024-06-02.csv"
RATES = "protocol_data/aave/rates/aave_v3_aave-v3-ethereum_USDT_rates_2024-06-01_2024-06-04.csv"
ORACLE = "protocol_data/aave/oracle/weETH_ETH_oracle_2024-06-01_2024-06-02.csv"
RATES_HEADER = (
    "targetDate,timestamp,symbol,liquidityIndex,currentLiquidityRate,variableBorrowIndex,"
    "currentVariableBorrowRate,totalAToken,totalVariableDebt,price,date"
)


@pytest.fixture
def read(tmp_path: Path, catalogue: Catalogue) -> Read:
    """Read one family of the test's data directory."""
    return lambda name="bybit_ethusdt_perp": read_feed(tmp_path, catalogue[name])


def refusal(read: Read, name: str = "bybit_ethusdt_perp") -> RejectedDataError:
    """The error a family is refused with."""
    with pytest.raises(RejectedDataError) as caught:
        read(name)
    return caught.value


def test_a_clean_file_is_read_as_it_landed(put: Put, bars: Lines, read: Read) -> None:
    """Types, rows, span, hash and file facts of the plainest case."""
    path = put(PERP, bars())
    family = read()
    assert family.frame["timestamp"].dtype == pd.DatetimeTZDtype("ns", "UTC")
    assert family.frame["open"].dtype == np.float64
    assert family.frame["open"].tolist() == [3000.0 + hour for hour in range(48)]
    assert family.frame["file"].unique().tolist() == [PERP]
    (file,) = family.files
    assert file.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (file.path, file.size, file.rows) == (PERP, path.stat().st_size, 48)
    assert [f"{bound:%d %H}" for bound in family.span] == ["01 00", "02 23"]


def test_exact_duplicates_are_counted_and_kept_in_the_raw_frame(
    put: Put, bars: Lines, read: Read
) -> None:
    """Raw is as it landed: a duplicate is a fact about it, not a defect it mends."""
    lines = bars()
    put(PERP, [*lines, lines[7]])
    family = read()
    assert (len(family.frame), family.exact_duplicates) == (49, 1)
    assert len(family.distinct.timestamps) == 48


DISGUISES: dict[str, Callable[[str], bytes]] = {
    "byte-order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "comments": lambda text: ("# Source: somewhere\n#\n" + text).encode(),
    "mark and comments": lambda text: b"\xef\xbb\xbf# Source: x\r\n" + text.encode(),
    "comments below the header": lambda text: text.replace("\n", "\n# note\n", 1).encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "zone and Z": lambda text: text.replace("Z,", "+00:00Z,").encode(),
    "blank instead of T": lambda text: text.replace("T0", " 0").replace("Z,", "+00:00,").encode(),
    "no zone": lambda text: text.replace("00:00Z,", "00:00,").encode(),
    "unordered": lambda text: _shuffled(text).encode(),
    "no final line end behind a whole value": lambda text: _last_column_first(text).encode(),
    "unix seconds": lambda text: _restamped(text, lambda t: str(t.value // 10**9)).encode(),
    "unix milliseconds": lambda text: _restamped(text, lambda t: str(t.value // 10**6)).encode(),
    "an offset": lambda text: _restamped(
        text, lambda t: t.tz_convert("Etc/GMT-2").isoformat()
    ).encode(),
}


def _shuffled(text: str) -> str:
    header, *rows = text.splitlines()
    return "\n".join([header, *rows[::-2], *rows[-2::-2]]) + "\n"


def _restamped(text: str, spell: Callable[[pd.Timestamp], str]) -> str:
    header, *rows = text.splitlines()
    split = [row.partition(",") for row in rows]
    restamped = [f"{spell(pd.Timestamp(stamp))},{rest}" for stamp, _, rest in split]
    return "\n".join([header, *restamped]) + "\n"


def _last_column_first(text: str) -> str:
    return "\n".join(line.rpartition(",")[0] for line in text.splitlines())


@pytest.mark.parametrize("disguise", DISGUISES)
def test_the_same_rows_are_read_through_every_disguise(
    disguise: str, put: Put, bars: Lines, read: Read
) -> None:
    """Byte-order marks, comments, line ends, stamp forms and order do not change what is read."""
    path = put(PERP, bars())
    plain = read().distinct
    path.write_bytes(DISGUISES[disguise](path.read_text()))
    read_again = read().distinct
    np.testing.assert_array_equal(read_again.timestamps, plain.timestamps)
    np.testing.assert_array_equal(read_again.values, plain.values)


def test_late_stamps_are_kept_as_landed_and_snapped_only_in_the_distinct_rows(
    put: Put, settlements: Lines, read: Read
) -> None:
    """A settlement a few hundred milliseconds late is that hour's settlement."""
    lines = [line.replace(":00Z", ":00.347Z") for line in settlements()]
    put("market_data/derivatives/funding_rates/bybit_ETHUSDT_funding_rates_a.csv", lines)
    family = read("bybit_ethusdt_funding")
    assert (family.frame["funding_timestamp"].dt.microsecond == 347_000).all()
    assert (family.distinct.timestamps % 3_600_000_000_000 == 0).all()


def test_an_absent_family_names_what_lies_there_instead(put: Put, bars: Lines, read: Read) -> None:
    """DATA-001 helps to find a misnamed file."""
    put(PERP.replace("bybit_", "bybit-"), bars())
    error = refusal(read)
    assert error.code == "DATA-001"
    assert "bybit-ETHUSDT" in error.available


def test_a_data_directory_that_does_not_exist_is_absent(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    """A misspelt directory is said to be one."""
    with pytest.raises(RejectedDataError, match="does not exist"):
        read_feed(tmp_path / "nowhere", catalogue["ethereum_gas"])


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# only a comment\n", b"timestamp,open\n"])
def test_an_empty_file_is_refused(content: bytes, put: Put, bars: Lines, read: Read) -> None:
    """DATA-002: no bytes, only comments, or a header without a row."""
    put(PERP, bars()).write_bytes(content)
    assert refusal(read).code == "DATA-002"


def test_a_missing_column_is_refused_and_the_present_ones_named(
    put: Put, bars: Lines, read: Read
) -> None:
    """DATA-003 says which column, and what is there."""
    put(PERP, [line.replace("close", "last") for line in bars()])
    error = refusal(read)
    assert error.code == "DATA-003"
    assert "close" in error.what
    assert "last" in error.available


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("3005.0,3007.0", "n/k,3007.0", "line 7, open is 'n/k'"),
        ("2024-06-01T05:00:00Z", "yesterday", "line 7, timestamp is 'yesterday'"),
        ("2024-06-01T05:00:00Z", "2024-06-31T05:00:00Z", "2024-06-31"),
        ("2024-06-01T05:00:00Z", "", "line 7"),
        ("2024-06-01T05:00:00Z", "1024-06-01T05:00:00Z", "1024-06-01"),
        ("10.5,bybit", ",bybit", "volume is nan, no number"),
        ("10.5,bybit", "inf,bybit", "volume is 'inf'|volume is inf"),
        (",bybit,", ",by,bit,", "line 2 has 11 values under 10 columns"),
    ],
)
def test_an_unreadable_value_is_refused_with_its_line(
    before: str, after: str, told: str, put: Put, bars: Lines, read: Read
) -> None:
    """DATA-004 names the line, the column and the value."""
    put(PERP, bars()).write_text("\n".join(bars()).replace(before, after) + "\n")
    error = refusal(read)
    assert error.code == "DATA-004"
    assert any(part in error.what for part in told.split("|"))
    assert PERP in error.what


QUOTED = (9, 20)


@pytest.mark.parametrize("lines", [QUOTED[:1], QUOTED, range(1, 49)])
@pytest.mark.parametrize("before", ["bybit", "3008.0", "10.5"])
@pytest.mark.parametrize("rows", [48, 4000])
def test_a_stray_quotation_mark_is_rejected_with_its_line(
    lines: list[int], before: str, rows: int, put: Put, bars: Lines, read: Read
) -> None:
    """One, two or many: no mark swallows the rows up to the next one, however long the file is."""
    head, *body = bars()
    spoilt = [head, *(body * (rows // 48))]
    for line in lines:
        spoilt[line] = spoilt[line].replace(before, f'"{before}')
    put(PERP, spoilt)
    error = refusal(read)
    first = next(i for i, line in enumerate(spoilt, start=1) if line.count('"') % 2)
    assert error.code == "DATA-004"
    assert f"line {first} has a quotation mark that is not closed" in error.what
    assert error.where == PERP


def test_quoted_values_are_read(put: Put, bars: Lines, read: Read) -> None:
    """Marks that are closed on their line are CSV."""
    put(PERP, [line.replace(",bybit,", ',"by,bit",') for line in bars()])
    assert len(read().frame) == 48


def test_a_column_given_twice_is_rejected(put: Put, bars: Lines, read: Read) -> None:
    """DATA-003: nobody knows which of the two is meant."""
    put(PERP, [line.replace("turnover", "open") for line in bars()])
    assert (refusal(read).code, "open twice" in refusal(read).what) == ("DATA-003", True)


def test_a_line_without_end_is_rejected_before_it_fills_memory(
    put: Put, bars: Lines, read: Read
) -> None:
    """DATA-015 after the first piece of a line of 1 GB (a sparse file): 100 MB are never held."""
    path = put(PERP, bars())
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    tracemalloc.start()
    error = refusal(read)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (error.code, error.where) == ("DATA-015", PERP)
    assert "line 50 is longer" in error.what
    assert peak < 10 << 20


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
    feeds = read_feeds(
        tmp_path, [catalogue["bybit_ethusdt_perp"], catalogue["okx_ethusdt_perp"]], 1
    )
    assert isinstance(feeds["bybit_ethusdt_perp"], RejectedDataError)
    assert isinstance(feeds["okx_ethusdt_perp"], RawFeed)


def test_an_exception_nobody_foresaw_rejects_its_feed(
    monkeypatch: pytest.MonkeyPatch, catalogue: Catalogue, tmp_path: Path
) -> None:
    """It is not raised into the other feeds, and names the feed and itself."""

    def fail(*_: object) -> list[Path]:
        raise RuntimeError("the disk\nsneezed")

    monkeypatch.setattr(raw, "feed_files", fail)
    error = read_feeds(tmp_path, [catalogue["ethereum_gas"]])["ethereum_gas"]
    assert isinstance(error, RejectedDataError)
    assert error.what == "ethereum_gas cannot be read: RuntimeError: the disk sneezed"


def test_bytes_that_are_no_text_are_refused(put: Put, bars: Lines, read: Read) -> None:
    """A binary file under a CSV's name is DATA-004, not a traceback."""
    put(PERP, bars()).write_bytes("\n".join(bars()).encode().replace(b"ETHUSDT", b"\xff\xfe", 3))
    assert refusal(read).code == "DATA-004"


@pytest.mark.parametrize("cut", [1, 2, 4, 8, 20, 40, 60, 75])
def test_a_truncated_last_line_is_refused_wherever_it_is_cut(
    cut: int, put: Put, bars: Lines, read: Read
) -> None:
    """DATA-005, also when the cut goes through the last value and every field is there."""
    path = put(PERP, bars())
    path.write_bytes(path.read_bytes()[: -1 - cut])
    error = refusal(read)
    assert error.code == "DATA-005"
    assert "2024-06-02" in error.what


def test_a_truncated_line_with_a_line_end_behind_it_is_refused(
    put: Put, bars: Lines, read: Read
) -> None:
    """An editor may have closed the cut line."""
    put(PERP, [*bars(), "2024-06-03T00:00:00Z,3001.0,3002"])
    assert refusal(read).code == "DATA-005"


def test_a_stamp_with_two_different_rows_is_refused(put: Put, bars: Lines, read: Read) -> None:
    """DATA-006 shows both rows."""
    lines = bars()
    put(PERP, [*lines, lines[5].replace("3005.0", "3005.5")])
    error = refusal(read)
    assert error.code == "DATA-006"
    assert "close 3005.0 against 3005.5" in error.what
    assert len(error.offending) == 2


def test_two_files_that_disagree_are_refused(put: Put, bars: Lines, read: Read) -> None:
    """DATA-007 names both files and the stamp; files that overlap and agree are one family."""
    put(PERP, bars())
    other = PERP.replace("2024-06-02", "2024-06-03")
    put(other, bars(72)[30:31] + bars(72)[31:])
    assert refusal(read).code == "DATA-003"  # the second file has no header
    put(other, [bars()[0], *bars(72)[31:]])
    assert (read().exact_duplicates, len(read().files)) == (18, 2)
    put(other, [bars()[0], *(line.replace("3040.0", "3039.5") for line in bars(72)[31:])])
    error = refusal(read)
    assert error.code == "DATA-007"
    assert PERP in error.where
    assert other in error.where
    assert "2024-06-02 14:00" in error.what


@pytest.mark.parametrize("value", ["nan", "", "0", "0.0", "-3005.0"])
def test_a_price_that_is_none_is_refused(value: str, put: Put, bars: Lines, read: Read) -> None:
    """DATA-008 for a missing, zero or negative price, with stamp, column and value."""
    put(PERP, [line.replace(",3005.0,3007.0", f",{value},3007.0") for line in bars()])
    error = refusal(read)
    assert error.code == "DATA-008"
    assert "line 7, 2024-06-01 05:00: open is" in error.what
    assert len(error.offending) == 1


@pytest.mark.parametrize("rate", ["nan", ""])
def test_a_funding_rate_that_is_none_is_refused(
    rate: str, put: Put, settlements: Lines, read: Read
) -> None:
    """A rate is never taken for zero."""
    lines = [line.replace("0.00030000", rate) for line in settlements()]
    put("market_data/derivatives/funding_rates/okx_ETHUSDT_funding_rates_a.csv", lines)
    error = refusal(read, "okx_ethusdt_funding")
    assert (error.code, "funding_rate" in error.what) == ("DATA-004", True)


def _rates(indices: list[float]) -> list[str]:
    return [RATES_HEADER] + [
        f"2024-06-{day:02d}T00:00:00Z,0,USDT,{index!r},0.05,{index * 1.1!r},0.06,9e6,8e6,1.0,x"
        for day, index in enumerate(indices, start=1)
    ]


def test_a_falling_index_is_refused(put: Put, read: Read) -> None:
    """DATA-009 shows both values; an index that stands still is allowed."""
    put(RATES, _rates([1.01, 1.02, 1.02, 1.03]))
    assert len(read("aave_usdt_rates").frame) == 4
    put(RATES, _rates([1.01, 1.02, 1.0199, 1.03]))
    error = refusal(read, "aave_usdt_rates")
    assert error.code == "DATA-009"
    assert "1.02 at 2024-06-02 00:00 to 1.0199 at 2024-06-03 00:00" in error.what


@pytest.mark.parametrize(("rate", "refused"), [(1.0379999999999, False), (1.037, True)])
def test_an_oracle_may_wiggle_by_rounding_only(
    rate: float, refused: bool, put: Put, read: Read
) -> None:
    """The derived redemption rate falls by 1e-14 in real files, and that is no fall."""
    rows = [f"2024-06-01 0{i}:00:00+00:00,{x!r},weETH" for i, x in enumerate((1.038, rate, 1.039))]
    put(ORACLE, ["# Source: derived", "timestamp,oracle_price_eth,asset", *rows])
    if refused:
        assert refusal(read, "weeth_oracle").code == "DATA-009"
    else:
        assert len(read("weeth_oracle").frame) == 3


def test_another_symbol_inside_is_refused(put: Put, bars: Lines, read: Read) -> None:
    """DATA-011, for a whole file and for one stray row."""
    put(PERP, bars(symbol="BTCUSDT"))
    assert refusal(read).code == "DATA-011"
    lines = bars()
    put(PERP, [*lines[:-1], lines[-1].replace("ETHUSDT", "BTCUSDT")])
    error = refusal(read)
    assert error.code == "DATA-011"
    assert "'BTCUSDT' from line 49" in error.what


def test_one_refused_family_stops_no_other(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Many families at once: each is itself or its own error."""
    put(PERP, bars())
    put(PERP.replace("ETH", "BTC"), bars())
    wanted = [catalogue["bybit_ethusdt_perp"], catalogue["bybit_btcusdt_perp"]]
    found = read_feeds(tmp_path, wanted)
    assert isinstance(found["bybit_ethusdt_perp"], RawFeed)
    refused = found["bybit_btcusdt_perp"]
    assert isinstance(refused, RejectedDataError)
    assert refused.code == "DATA-011"


def test_the_data_version_is_the_content_not_the_name(put: Put, bars: Lines, read: Read) -> None:
    """A renamed file is the same data; one changed byte is not."""
    path = put(PERP, bars())
    before = read().content_hash
    path = path.rename(path.with_name(path.name.replace("2024-06-02", "2024-06-09")))
    assert read().content_hash == before
    path.write_text(path.read_text().replace("3047.0", "3047.1"))
    assert read().content_hash != before
