"""Result tables: exact columns, exact values, the same bytes, every column explained."""

import io

import numpy as np
import pandas as pd
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
def test_a_table_keeps_every_value_and_gives_the_same_bytes(table: str) -> None:
    """NaN and infinity included; neither the index nor attributes of a frame reach the file."""
    frame = make_run(hours=48).frames[table]
    content = encode(table, frame)
    again = decode(content)
    pd.testing.assert_frame_equal(again, frame, check_exact=True, check_dtype=False)
    assert again["timestamp"].dtype == pd.DatetimeTZDtype("ns", "UTC")
    assert pq.read_schema(io.BytesIO(content)).field("timestamp").type == TIMESTAMP
    other = frame.iloc[np.argsort(np.arange(len(frame)))].copy()
    other.index = pd.Index(range(5, 5 + len(frame)), name="other")
    other.attrs["made"] = "elsewhere"
    assert encode(table, other) == content
    assert list(decode(encode(table, frame.iloc[:0])).columns) == list(frame.columns)
    columns = explained(table, list(frame.columns), currency="USDT", asset="ETH")
    assert list(columns) == list(frame.columns)
    assert all(column.meaning for column in columns.values())
    assert not any("{" in column.unit + column.meaning for column in columns.values())


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
        ("positions", ["timestamp", "a:Perp:B", "a:Perp:B"], "repeated"),
        ("risk", ["timestamp", "ltv"], "health_factor"),
    ],
)
def test_wrong_columns_are_named(table: str, columns: list[str], named: str) -> None:
    """A table never gains, loses or reorders columns silently."""
    with pytest.raises(ResultsError, match=named):
        schema(table, columns)


def test_frames_that_would_change_in_writing_are_rejected() -> None:
    """Coarser or naive timestamps, disorder, duplicates and missing text are rejected."""
    frames = make_run(hours=48).frames
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


def test_units_are_those_of_the_share_class_and_the_position() -> None:
    """Aave's balances are scaled; a perpetual counts units of the asset (SEMANTICS 2)."""
    for currency in ("USDT", "ETH"):
        names = ["timestamp", "equity", "flow", "drawdown"]
        columns = explained("equity", names, currency=currency, asset="ETH").values()
        assert [c.unit for c in columns] == ["UTC", currency, currency, "share"]
        assert figure_units(currency=currency)["final_equity"] == currency
    keys = ["timestamp", "aave_v3:aToken:aUSDT", "bybit:Perp:BTCUSDT", "bybit:EntryPrice:BTCUSDT"]
    columns = explained("positions", keys, currency="USDT", asset="BTC").values()
    assert [column.unit for column in columns] == [
        "UTC",
        "scaled aUSDT",
        "BTC",
        "currency of the quote",
    ]
