"""Result tables: exact columns, exact values, the same bytes."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from basis_pipeline.errors import ResultsError
from basis_pipeline.results.definitions import figure_units
from basis_pipeline.results.tables import (
    COMPONENTS,
    GROUPS,
    TABLES,
    TIMESTAMP,
    decode,
    encode,
    explained,
    schema,
    to_arrow,
)
from tests.results.made_run import make_run


@pytest.mark.parametrize("table", TABLES)
def test_round_trip_keeps_every_value(table: str) -> None:
    """What is read is what was written, NaN and infinity included, stamps in UTC nanoseconds."""
    frame = make_run().frames[table]
    again = decode(encode(table, frame))
    pd.testing.assert_frame_equal(again, frame, check_exact=True, check_dtype=False)
    assert again["timestamp"].dtype == pd.DatetimeTZDtype("ns", "UTC")


@pytest.mark.parametrize("table", TABLES)
def test_equal_frames_give_equal_bytes(table: str) -> None:
    """Neither the index, attributes nor memory layout of a frame reach the file."""
    frame = make_run().frames[table]
    other = frame.iloc[np.argsort(np.arange(len(frame)))].copy()
    other.index = pd.Index(range(5, 5 + len(frame)), name="other")
    other.attrs["made"] = "elsewhere"
    assert encode(table, other) == encode(table, frame)


def test_files_are_zstd_and_plain_parquet() -> None:
    """Any Parquet reader finds zstd columns and no pandas metadata."""
    content = encode("equity", make_run().frames["equity"])
    file = pq.ParquetFile(pa.BufferReader(content))
    assert file.metadata.row_group(0).column(1).compression == "ZSTD"
    assert b"pandas" not in (file.metadata.metadata or {})
    assert file.schema_arrow.field("timestamp").type == TIMESTAMP


def test_groups_hold_each_component_once() -> None:
    """Carry, basis and costs add up to the whole."""
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(COMPONENTS)


@pytest.mark.parametrize(
    ("table", "columns", "named"),
    [
        ("trades", ["timestamp"], "trades"),
        ("equity", ["equity", "flow", "drawdown"], "timestamp"),
        ("equity", ["timestamp", "equity", "drawdown"], "flow"),
        ("equity", ["timestamp", "flow", "equity", "drawdown"], "out of order"),
        ("attribution", ["timestamp", *COMPONENTS], "residual"),
        ("positions", ["timestamp", "bybit_ETHUSDT"], "bybit_ETHUSDT"),
        ("positions", ["timestamp", "a:Perp:B", "a:Perp:B"], "twice"),
        ("risk", ["timestamp", "ltv"], "health_factor"),
    ],
)
def test_wrong_columns_are_named(table: str, columns: list[str], named: str) -> None:
    """A table never gains, loses or reorders columns silently."""
    with pytest.raises(ResultsError, match=named):
        schema(table, columns)


def test_frames_that_would_change_in_writing_are_refused() -> None:
    """Coarser or naive stamps, disorder, duplicates and missing text are never converted."""
    frames = make_run().frames
    equity, events = frames["equity"], frames["events"]
    naive = equity.assign(timestamp=equity["timestamp"].dt.tz_localize(None))
    coarse = equity.assign(timestamp=equity["timestamp"].dt.as_unit("us"))
    for wrong in (naive, coarse):
        with pytest.raises(ResultsError, match="not datetime64"):
            to_arrow("equity", wrong)
    for wrong in (equity.iloc[::-1], pd.concat([equity.iloc[:1], equity])):
        with pytest.raises(ResultsError, match="not in order"):
            to_arrow("equity", wrong)
    with pytest.raises(ResultsError, match="reason"):
        to_arrow("events", events.assign(reason=[None] * len(events)))


def test_events_of_a_quiet_run_can_be_empty() -> None:
    """No event is a table without rows."""
    empty = make_run().frames["events"].iloc[:0]
    again = decode(encode("events", empty))
    assert again.empty
    assert list(again.columns) == list(empty.columns)


@pytest.mark.parametrize("table", ["equity", "attribution", "positions", "risk", "events"])
def test_every_column_is_explained(table: str) -> None:
    """No column of a result reaches a notebook or the UI without its meaning."""
    names = list(make_run().frames[table].columns)
    found = explained(table, names, currency="USDT", asset="ETH")
    assert list(found) == names
    assert all(column.meaning for column in found.values())
    assert not any("{" in column.unit + column.meaning for column in found.values())


def test_amounts_are_in_the_currency_of_the_share_class() -> None:
    """The same column of an ETH mode and of a USDT mode has another unit."""
    for currency in ("USDT", "ETH"):
        names = ["timestamp", "equity", "flow", "drawdown"]
        units = [
            c.unit for c in explained("equity", names, currency=currency, asset="ETH").values()
        ]
        assert units == ["UTC", currency, currency, "share"]
        assert figure_units(currency=currency)["final_equity"] == currency


def test_a_position_says_whether_it_is_scaled() -> None:
    """Aave's balances are scaled; a perpetual counts units of the asset (SEMANTICS 2)."""
    keys = ["timestamp", "aave_v3:aToken:aUSDT", "bybit:Perp:BTCUSDT", "bybit:EntryPrice:BTCUSDT"]
    found = explained("positions", keys, currency="USDT", asset="BTC")
    assert [column.unit for column in found.values()] == ["UTC", "scaled aUSDT", "BTC", "USDT"]
