"""Timestamps: every form of one instant is that instant, and what is none stays none."""

from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_pipeline.config.dataset import TimestampRule
from basis_pipeline.market.timestamps import (
    SECOND_NS,
    UNREADABLE,
    open_times,
    parse_timestamps,
    snap,
)

INSTANTS = st.integers(1_420_070_400, 4_070_908_800).map(lambda s: datetime.fromtimestamp(s, UTC))


@settings(max_examples=25)
@given(INSTANTS, st.integers(-12, 14))
def test_every_form_of_an_instant_reads_alike(at: datetime, offset: int) -> None:
    """Unix numbers of four units, Z, UTC, +00:00, both, an offset, a blank for the T."""
    plain = at.strftime("%Y-%m-%dT%H:%M:%S")
    elsewhere = at.astimezone(timezone(timedelta(hours=offset)))
    seconds = int(at.timestamp())
    forms = [
        f"{plain}Z",
        f"{plain}+00:00Z",
        plain,
        plain.replace("T", " "),
        f"{plain.replace('T', ' ')}+00:00",
        f"{plain}.000Z",
        elsewhere.isoformat(),
        str(seconds),
        str(seconds * 1000),
        str(seconds * 10**6),
        str(seconds * 10**9),
        f"{plain.replace('T', ' ')}.000 UTC",
        f"{plain.replace('T', ' ')} UTC",
    ]
    for form in forms:
        assert parse_timestamps(pa.chunked_array([[form]])).tolist() == [seconds * SECOND_NS], form
    mixed = parse_timestamps(pa.chunked_array([forms]))
    assert set(mixed.tolist()) == {seconds * SECOND_NS}


@pytest.mark.parametrize(
    "text", ["", "n/a", "2024", "2024-13-01", "12:00", "1e9", "-5", "0", "1024-01-01T00:00:00Z"]
)
def test_what_is_no_timestamp_is_unreadable(text: str) -> None:
    """Nothing is guessed, also beside timestamps that are fine."""
    timestamps = parse_timestamps(pa.chunked_array([["2024-01-01T00:00:00Z", text]]))
    assert (timestamps == UNREADABLE).tolist() == [False, True]


@pytest.mark.parametrize("seconds", [-3600, -3599, -61, -60, -1, 0, 60, 61, 3539, 3540])
def test_only_timestamps_within_the_tolerance_snap(seconds: int) -> None:
    """Funding within a minute of the hour on either side is that hour's; others stay put."""
    hour = 1_717_200_000 * SECOND_NS
    rule = TimestampRule(column="t", format="instant", early_seconds=60, late_seconds=60)
    landed = np.array([hour + seconds * SECOND_NS])
    near = min(abs(seconds), 3600 - abs(seconds)) <= 60
    snapped = snap(landed, rule)
    assert (snapped % (3600 * SECOND_NS) == 0).all() == near
    assert near or (snapped == landed).all()


@pytest.mark.parametrize(("unit", "per"), [("s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9)])
def test_a_stated_unit_holds_for_every_row(unit: str, per: int) -> None:
    """Numbers that are plausible in another unit only are unreadable, not taken for that."""
    second = 1_717_200_000
    texts = pa.chunked_array([[str(second * per), str(second * per * 1000)]])
    timestamps = parse_timestamps(texts, unit)
    assert timestamps[0] == second * SECOND_NS
    assert unit == "ns" or timestamps[1] == UNREADABLE


def test_typed_times_and_clocks_ahead_of_utc() -> None:
    """Parquet has its own types; a clock of UTC+3 shows 03:00 at midnight."""
    at = datetime(2024, 6, 1, 3, tzinfo=UTC)
    for kind in (pa.timestamp("s", "UTC"), pa.timestamp("ms"), pa.timestamp("ns", "Asia/Tokyo")):
        column = pa.chunked_array([pa.array([at.replace(tzinfo=None)]).cast(pa.timestamp("us"))])
        typed = column.cast(pa.timestamp("us", "UTC")).cast(kind)
        assert parse_timestamps(typed).tolist() == [1_717_210_800 * SECOND_NS], kind
    texts = pa.chunked_array([["2024.06.01 03:00"]])
    assert parse_timestamps(texts, None, 3).tolist() == [1_717_200_000 * SECOND_NS]


def test_close_times_become_open_times() -> None:
    """The last millisecond of an hour closes the bar that the next full hour closes."""
    hour = 3600 * SECOND_NS
    closes = np.array([5 * hour, 5 * hour - 1_000_000, 5 * hour - 1800 * SECOND_NS])
    assert open_times(closes, hour).tolist() == [4 * hour, 4 * hour, 4 * hour - 1800 * SECOND_NS]
