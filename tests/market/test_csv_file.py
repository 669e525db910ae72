"""CSV files: what the reader accepts, and what it rejects with which code and line."""

import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.market.file_content import LONGEST_LINE
from basis_pipeline.market.recognition import recognise
from basis_pipeline.market.rejection import RejectedDataError
from tests.market.conftest import PERP, Lines, Put, Read, rejected_feed

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
    restamped = [f"{spell(pd.Timestamp(timestamp))},{rest}" for timestamp, _, rest in split]
    return "\n".join([header, *restamped]) + "\n"


def _last_column_first(text: str) -> str:
    return "\n".join(line.rpartition(",")[0] for line in text.splitlines())


@pytest.mark.parametrize("disguise", DISGUISES)
def test_the_same_rows_are_read_through_every_disguise(
    disguise: str, put: Put, bars: Lines, read: Read
) -> None:
    """Byte-order marks, comments, line ends, time formats and order do not change the rows."""
    path = put(PERP, bars())
    plain = read().distinct
    path.write_bytes(DISGUISES[disguise](path.read_text()))
    read_again = read().distinct
    np.testing.assert_array_equal(read_again.timestamps, plain.timestamps)
    np.testing.assert_array_equal(read_again.values, plain.values)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"# only a comment\n", b"timestamp,open\n"])
def test_an_empty_file_is_rejected(content: bytes, put: Put, bars: Lines, read: Read) -> None:
    """DATA-002: no bytes, only comments, or a header without a row."""
    put(PERP, bars()).write_bytes(content)
    assert rejected_feed(read).code == "DATA-002"


def test_a_missing_column_is_rejected_and_the_present_ones_named(
    put: Put, bars: Lines, read: Read
) -> None:
    """DATA-003 says which column, and what is there."""
    put(PERP, [line.replace("close", "last") for line in bars()])
    error = rejected_feed(read)
    assert error.code == "DATA-003"
    assert "close" in error.what
    assert "last" in error.available


@pytest.mark.parametrize(
    ("before", "after", "result"),
    [
        ("3005.0,3007.0", "n/k,3007.0", "line 7, open is 'n/k'"),
        ("2024-06-01T05:00:00Z", "yesterday", "line 7, timestamp is 'yesterday'"),
        ("2024-06-01T05:00:00Z", "2024-06-31T05:00:00Z", "2024-06-31"),
        ("2024-06-01T05:00:00Z", "", "line 7"),
        ("2024-06-01T05:00:00Z", "1024-06-01T05:00:00Z", "1024-06-01"),
        ("10.5,bybit", ",bybit", "volume is nan, not a number"),
        ("10.5,bybit", "inf,bybit", "volume is 'inf'|volume is inf"),
        (",bybit,", ",by,bit,", "line 2 has 11 values under 10 columns"),
    ],
)
def test_an_unreadable_value_is_rejected_with_its_line(
    before: str, after: str, result: str, put: Put, bars: Lines, read: Read
) -> None:
    """DATA-004 names the line, the column and the value."""
    put(PERP, bars()).write_text("\n".join(bars()).replace(before, after) + "\n")
    error = rejected_feed(read)
    assert error.code == "DATA-004"
    assert any(part in error.what for part in result.split("|"))
    assert PERP in error.what


def test_quoted_values_are_read(put: Put, bars: Lines, read: Read) -> None:
    """Marks that are closed on their line are CSV."""
    put(PERP, [line.replace(",bybit,", ',"by,bit",') for line in bars()])
    assert len(read().frame) == 48


def test_a_column_given_twice_is_rejected(put: Put, bars: Lines, read: Read) -> None:
    """DATA-003: it is not known which of the two is meant."""
    put(PERP, [line.replace("turnover", "open") for line in bars()])
    assert (rejected_feed(read).code, "open twice" in rejected_feed(read).what) == (
        "DATA-003",
        True,
    )


def test_a_line_without_end_is_rejected_before_it_fills_memory(
    put: Put, bars: Lines, read: Read
) -> None:
    """DATA-015 after the first piece of a line of 1 GB (a sparse file): 100 MB are never held."""
    path = put(PERP, bars())
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    tracemalloc.start()
    error = rejected_feed(read)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (error.code, error.where) == ("DATA-015", PERP)
    assert "line 50 is longer" in error.what
    assert peak < 10 << 20


def test_bytes_that_are_not_text_are_rejected(put: Put, bars: Lines, read: Read) -> None:
    """A binary file with the name of a CSV file is DATA-004, not a traceback."""
    put(PERP, bars()).write_bytes("\n".join(bars()).encode().replace(b"ETHUSDT", b"\xff\xfe", 3))
    assert rejected_feed(read).code == "DATA-004"


@pytest.mark.parametrize("cut", [1, 2, 4, 8, 20, 40, 60, 75])
def test_a_truncated_last_line_is_rejected_wherever_it_is_cut(
    cut: int, put: Put, bars: Lines, read: Read
) -> None:
    """DATA-005, also when the cut goes through the last value and every field is there."""
    path = put(PERP, bars())
    path.write_bytes(path.read_bytes()[: -1 - cut])
    error = rejected_feed(read)
    assert error.code == "DATA-005"
    assert "2024-06-02" in error.what


def test_a_truncated_line_with_a_line_end_behind_it_is_rejected(
    put: Put, bars: Lines, read: Read
) -> None:
    """An editor may have closed the cut line."""
    put(PERP, [*bars(), "2024-06-03T00:00:00Z,3001.0,3002"])
    assert rejected_feed(read).code == "DATA-005"


@pytest.mark.parametrize("value", ["nan", "", "0", "0.0", "-3005.0"])
def test_a_value_that_is_not_a_price_is_rejected(
    value: str, put: Put, bars: Lines, read: Read
) -> None:
    """DATA-008 for a missing, zero or negative price, with timestamp, column and value."""
    put(PERP, [line.replace(",3005.0,3007.0", f",{value},3007.0") for line in bars()])
    error = rejected_feed(read)
    assert error.code == "DATA-008"
    assert "line 7, 2024-06-01 05:00: open is" in error.what
    assert len(error.offending) == 1


@pytest.mark.parametrize("rate", ["nan", ""])
def test_a_missing_funding_rate_is_rejected(
    rate: str, put: Put, settlements: Lines, read: Read
) -> None:
    """A missing rate never counts as zero."""
    lines = [line.replace("0.00030000", rate) for line in settlements()]
    put("market_data/derivatives/funding_rates/okx_ETHUSDT_funding_rates_a.csv", lines)
    error = rejected_feed(read, "okx_ethusdt_funding")
    assert (error.code, "funding_rate" in error.what) == ("DATA-004", True)


@pytest.mark.parametrize("lines", [(9,), (9, 20), range(1, 49)])
@pytest.mark.parametrize("before", ["bybit", "3008.0"])
@pytest.mark.parametrize("rows", [48, 4000])
def test_a_stray_quotation_mark_is_rejected_with_its_line(
    lines: Sequence[int], before: str, rows: int, put: Put, bars: Lines, read: Read
) -> None:
    """One, two or many: no mark swallows the rows up to the next one, however long the file is."""
    head, *body = bars()
    spoilt = [head, *(body * (rows // 48))]
    for line in lines:
        spoilt[line] = spoilt[line].replace(before, f'"{before}')
    put(PERP, spoilt)
    error = rejected_feed(read)
    first = next(i for i, line in enumerate(spoilt, start=1) if line.count('"') % 2)
    assert error.code == "DATA-004"
    assert f"line {first} has a quotation mark that is not closed" in error.what
    assert error.where == PERP


def test_recognition_rejects_a_line_that_is_too_long(tmp_path: Path) -> None:
    """The file is not read to its end first: such a line may be larger than memory."""
    file = tmp_path / "long.csv"
    file.write_bytes(b"time,rate\n2024-01-01," + b"1" * (4 * LONGEST_LINE))
    with pytest.raises(RejectedDataError, match=r"DATA-015.*line 2 is longer"):
        recognise(file, [], [])
