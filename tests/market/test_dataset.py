"""Datasets: aligned, repaired only as declared, every repaired row marked, or rejected."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from basis_pipeline.config.dataset import RepairPolicy
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset, build_dataset, build_datasets
from basis_pipeline.market.raw import RawFeed, read_feed, read_feeds
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.values import MarketValues
from basis_pipeline.market.window import parse_window
from tests.market.conftest import Catalogue, Lines, Put, perp, rejection, without

FUNDING = "market_data/derivatives/funding_rates"
WEEK = parse_window("2024-06-01", "2024-06-07T23:00")
UTC_NS = pd.DatetimeTZDtype("ns", "UTC")


def test_every_hour_of_the_window_is_there_both_ends_included(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """The grid is the window's, in order, once each, whatever the file's order and duplicates."""
    lines = bars(168)
    put(perp("bybit"), [lines[0], *lines[:0:-1], lines[9]])
    dataset = build("bybit_ethusdt_perp")
    assert dataset.frame["timestamp"].dtype == UTC_NS
    assert dataset.frame["timestamp"].tolist() == WEEK.hours.tolist()
    assert dataset.frame["open"].tolist() == [3000.0 + hour for hour in range(168)]
    assert list(dataset.frame.columns[-2:]) == ["source", "repair"]
    assert (dataset.repairs, dataset.findings.duplicates, dataset.own_share) == ({}, 1, 1.0)


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        ("2023-06-01", "2023-06-08", "DATA-012"),
        ("2024-05-31", "2024-06-07", "DATA-012"),
        ("2024-06-01", "2024-06-08", "DATA-012"),
        ("2024-06-01", "2024-12-01", "DATA-010"),
        ("2024-07-01", "2024-12-01", "DATA-010"),
        ("2023-12-01", "2024-06-05", "DATA-010"),
    ],
)
def test_a_window_outside_the_data_and_short_files_are_distinguished(
    start: str, end: str, code: str, put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """Rows for most of the window: the window is wrong. For a fraction: the files are short."""
    put(perp("bybit"), bars(168))
    error = rejection(build, "bybit_ethusdt_perp", parse_window(start, end))
    assert error.code == code
    assert "2024-06-01 00:00 … 2024-06-07 23:00" in error.what


def test_rows_off_the_hour_are_rejected_not_dropped(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """A half-hour bar in an hourly feed is a fault that must be seen."""
    lines = bars(168)
    put(perp("bybit"), [*lines, lines[-1].replace("23:00:00", "23:30:00")])
    error = rejection(build, "bybit_ethusdt_perp")
    assert error.code == "DATA-014"
    assert len(error.offending) == 1


def test_bars_that_contradict_themselves_are_rejected_with_their_rows(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """High below low, or an open outside them: DATA-016 with the rows to look at."""
    lines = bars(168)
    lines[5] = lines[5].replace("3005.0", "2000.0").replace("3002.0", "3009.0")
    put(perp("bybit"), lines)
    error = rejection(build, "bybit_ethusdt_perp")
    assert error.code == "DATA-016"
    assert error.offending["timestamp"].tolist() == [WEEK.hours[4]]


def test_a_policy_without_duplicates_rejects_them(
    put: Put, bars: Lines, build: Callable[..., Dataset], catalogue: Catalogue
) -> None:
    """Dropping exact duplicates is a declared repair like any other."""
    lines = bars(168)
    put(perp("bybit"), [*lines, lines[3]])
    strict = RepairPolicy(drop_exact_duplicates=False)
    config = catalogue["bybit_ethusdt_perp"].model_copy(update={"repair": strict})
    assert rejection(build, "bybit_ethusdt_perp", config=config).code == "DATA-006"


def funding(venue: str) -> str:
    """Return the path of a venue's ETH funding."""
    return f"{FUNDING}/{venue}_ETHUSDT_funding_rates_2024-06-01_2024-06-07.csv"


def test_a_missing_settlement_is_a_gap_never_a_zero(
    put: Put, settlements: Lines, build: Callable[..., Dataset]
) -> None:
    """OKX takes the mean of the other venues, marked; Binance has no repair and is rejected."""
    window = parse_window("2024-06-01", "2024-06-04T23:00")
    put(funding("binance"), settlements(rate=0.0001))
    put(funding("bybit"), settlements(rate=0.0003))
    put(funding("okx"), without(settlements(), {4}))
    dataset = build("okx_ethusdt_funding", window)
    row = dataset.frame.iloc[4]
    assert row["funding_rate"] == pytest.approx(0.0002 * 5)
    assert row["repair"] == "mean_of_venues"
    assert row["source"] == "binance_ethusdt_funding+bybit_ethusdt_funding"
    assert dataset.repairs == {"mean_of_venues": 1}
    put(funding("binance"), without(settlements(), {4}))
    assert rejection(build, "binance_ethusdt_funding", window).code == "DATA-010"
    lost_peer = rejection(build, "okx_ethusdt_funding", window)
    assert (lost_peer.code, "itself lacks 1" in lost_peer.what) == ("DATA-013", True)


@pytest.mark.parametrize("every", [1, 4, 8])
def test_funding_of_any_interval_is_kept_and_its_gaps_are_found(
    every: int, put: Put, settlements: Lines, build: Callable[..., Dataset], catalogue: Catalogue
) -> None:
    """An hourly or 4-hourly venue keeps all its timestamps, and one missing there is a gap too."""
    window = parse_window("2024-06-01", "2024-06-02T23:00")
    count = 48 // every
    put(funding("bybit"), settlements(count, every))
    dataset = build("bybit_ethusdt_funding", window)
    assert (len(dataset.frame), dataset.own_share) == (count, 1.0)
    put(funding("bybit"), without(settlements(count, every), {2}))
    lenient = catalogue["bybit_ethusdt_funding"].coverage.model_copy(update={"min_share": 0.5})
    config = catalogue["bybit_ethusdt_funding"].model_copy(update={"coverage": lenient})
    error = rejection(build, "bybit_ethusdt_funding", window, config)
    assert (error.code, f"2024-06-01 {2 * every:02d}:00" in error.what) == ("DATA-013", True)


def test_a_venue_may_change_its_interval(
    put: Put, settlements: Lines, build: Callable[..., Dataset]
) -> None:
    """From 8 to 4 hours and back is no gap."""
    lines = settlements(24, 4)
    put(funding("bybit"), without(lines, {1, 3, 5, 19, 21, 23}))
    dataset = build("bybit_ethusdt_funding", MIXED)
    assert (len(dataset.frame), dataset.repairs) == (18, {})


MIXED = parse_window("2024-06-01", "2024-06-04T23:00")


@pytest.mark.parametrize(
    ("lost", "interval", "hours"),
    [
        ({9}, None, [4]),  # one settlement of an interval of 4 hours
        ({9, 11}, None, [4, 4]),  # two close to each other
        ({9, 10, 11}, None, [12]),  # as long as it is
        ({22, 23}, None, [8]),  # at the end, where no later row shows the interval
        ({0, 1}, None, [8]),
        ({1, 3, 5}, None, []),  # 8 hours first: another interval, not a gap
        ({1, 3, 5}, 4, [4, 4, 4]),  # unless the files state the interval
    ],
)
def test_missing_settlements_follow_the_interval_of_their_place(
    lost: set[int],
    interval: int | None,
    hours: list[int],
    put: Put,
    settlements: Lines,
    build: Callable[..., Dataset],
    catalogue: Catalogue,
) -> None:
    """A feed declared at 8 hours settles every 4: what is missing is filled at 4."""
    config = catalogue["okx_ethusdt_funding"].model_copy(
        update={"interval_column": "funding_interval_hours"}
    )
    lines = settlements(24, 4)
    for venue in ("binance", "bybit"):
        put(funding(venue), lines)
    if interval:
        lines = [
            f"{line},{interval if i else config.interval_column}" for i, line in enumerate(lines)
        ]
    put(funding("okx"), without(lines, lost))
    dataset = build("okx_ethusdt_funding", MIXED, config)
    assert dataset.findings.gaps["hours"].tolist() == hours
    assert sum(dataset.repairs.values()) == sum(hours) // 4
    if hours:
        assert len(dataset.frame) == 24


def test_late_settlements_are_snapped_to_their_hour(
    put: Put, settlements: Lines, build: Callable[..., Dataset]
) -> None:
    """Two downloads of one settlement, one of them late, are one settlement."""
    lines = settlements(6)
    late = [line.replace(":00Z", ":00.412Z") for line in lines]
    put(funding("bybit"), [*late, *lines[3:5]])
    dataset = build("bybit_ethusdt_funding", parse_window("2024-06-01", "2024-06-02T23:00"))
    assert dataset.frame["timestamp"].dt.hour.tolist() == [0, 8, 16, 0, 8, 16]
    assert dataset.findings.duplicates == 2


def test_daily_snapshots_enclose_the_window(put: Put, build: Callable[..., Dataset]) -> None:
    """From the last one at or before the start to the first at or after the end, where it is.

    Without it the quotes of the last snapshot hold, and its index ends there.
    """
    header = (
        "targetDate,symbol,liquidityIndex,currentLiquidityRate,variableBorrowIndex,"
        "currentVariableBorrowRate,totalAToken,totalVariableDebt,price"
    )
    rows = [
        f"2024-06-{day:02d}T00:00:00Z,USDT,{1 + day / 1e4!r},0.05,{1 + day / 5e3!r},0.06,9,8,1.0"
        for day in range(1, 11)
    ]
    path = "protocol_data/aave/rates/aave_v3_aave-v3-ethereum_USDT_rates_a.csv"
    put(path, [header, *rows])
    dataset = build("aave_usdt_rates", parse_window("2024-06-02T05:00", "2024-06-04T01:00"))
    assert dataset.frame["timestamp"].dt.day.tolist() == [2, 3, 4, 5]
    beyond = parse_window("2024-06-09", "2024-06-10T01:00")
    dataset = build("aave_usdt_rates", beyond)
    assert dataset.frame["timestamp"].dt.day.tolist() == [9, 10]
    values, last = MarketValues({"aave_usdt_rates": dataset}), beyond.hours[-1:].asi8
    with pytest.raises(DataError, match="no value at 2024-06-10 01:00"):
        values.liquidity_index("USDT", last)
    assert values.pool_total("USDT", "total_a_token", last).tolist() == [9.0]


def test_a_rejected_feed_rejects_only_its_dataset(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Building many: an absent feed is its error, the others are built."""
    put(perp("bybit"), bars(168))
    wanted = [catalogue["bybit_ethusdt_perp"], catalogue["okx_ethusdt_perp"]]
    built = build_datasets(wanted, read_feeds(tmp_path, wanted), WEEK)
    assert isinstance(built["bybit_ethusdt_perp"], Dataset)
    rejected = built["okx_ethusdt_perp"]
    assert isinstance(rejected, RejectedDataError)
    assert rejected.code == "DATA-001"


def test_a_raw_feed_is_read_once_and_not_changed(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Building datasets leaves the raw frame as it was read."""
    put(perp("bybit"), [*bars(168)[::-1][:-1], bars(168)[0]][::-1])
    raw: RawFeed = read_feed(tmp_path, catalogue["bybit_ethusdt_perp"])
    before = raw.frame.copy()
    build_dataset(raw.config, raw, WEEK, {})
    pd.testing.assert_frame_equal(raw.frame, before)
