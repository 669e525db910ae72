"""Repairs: only what is declared, every repaired row marked, or the dataset is rejected."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from basis_pipeline.config.dataset import CarryLast, RepairPolicy
from basis_pipeline.market.dataset import Dataset, build_datasets
from basis_pipeline.market.raw import read_feeds
from basis_pipeline.market.window import parse_window
from tests.market.conftest import Catalogue, Lines, Put, perp, rejection, without

WEEK = parse_window("2024-06-01", "2024-06-07T23:00")


def test_a_gap_is_filled_from_the_declared_venue_and_marked(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """All five values come from the peer; both contents are named; nothing else is touched."""
    gap = set(range(30, 36))
    put(perp("binance"), [line.replace("10.5,", "77.0,") for line in without(bars(168), gap)])
    put(perp("bybit"), bars(168))
    dataset = build("binance_ethusdt_perp")
    repaired = dataset.frame["repair"] == "substituted"
    assert set(np.flatnonzero(repaired)) == gap
    assert set(dataset.frame.loc[repaired, "source"]) == {"bybit_ethusdt_perp"}
    assert set(dataset.frame.loc[repaired, "volume"]) == {10.5}
    assert set(dataset.frame.loc[~repaired, "volume"]) == {77.0}
    assert set(dataset.frame.loc[~repaired, "repair"]) == {""}
    assert dataset.repairs == {"substituted": 6}
    assert set(dataset.content_hashes) == {"binance_ethusdt_perp", "bybit_ethusdt_perp"}


def test_a_substitute_is_not_read_where_there_is_no_gap(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """Only what is needed must exist."""
    put(perp("binance"), bars(168))
    assert list(build("binance_ethusdt_perp").content_hashes) == ["binance_ethusdt_perp"]


@pytest.mark.parametrize("stands_in", ["absent", "broken", "gappy"])
def test_a_gap_without_a_usable_substitute_is_rejected(
    stands_in: str, put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """DATA-013 says that the gap's own repair failed, and why."""
    put(perp("binance"), without(bars(168), {30, 31}))
    if stands_in == "broken":
        put(perp("bybit"), bars(168, symbol="BTCUSDT"))
    if stands_in == "gappy":
        put(perp("bybit"), without(bars(168), {31}))
    error = rejection(build, "binance_ethusdt_perp")
    reasons = {"absent": "DATA-001", "broken": "DATA-011", "gappy": "itself lacks 1"}
    assert error.code == "DATA-013"
    assert reasons[stands_in] in error.what
    assert error.fault.startswith(error.code if stands_in == "gappy" else reasons[stands_in])
    assert "2024-06-02 06:00 … 2024-06-02 07:00 (2 hours)" in error.what


def test_a_gap_longer_than_its_policy_is_rejected_with_its_hours(
    put: Put, bars: Lines, build: Callable[..., Dataset], catalogue: Catalogue
) -> None:
    """24 hours may be substituted, 25 may not; a complete venue may have no gap at all."""
    lenient = catalogue["binance_ethusdt_perp"].coverage.model_copy(update={"min_share": 0.5})
    config = catalogue["binance_ethusdt_perp"].model_copy(update={"coverage": lenient})
    put(perp("bybit"), bars(168))
    put(perp("binance"), without(bars(168), set(range(30, 54))))
    assert build("binance_ethusdt_perp", config=config).repairs == {"substituted": 24}
    put(perp("binance"), without(bars(168), set(range(30, 55))))
    error = rejection(build, "binance_ethusdt_perp", config=config)
    assert error.code == "DATA-013"
    assert "2024-06-02 06:00 … 2024-06-03 06:00 (25 hours)" in error.what
    assert "over at most 24 hours" in error.what
    assert perp("binance") in error.where


def test_a_gap_over_the_windows_edge_counts_whole(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """A window that begins inside a gap does not make it shorter."""
    put(perp("bybit"), bars(168))
    put(perp("binance"), without(bars(168), set(range(30, 55))))
    window = parse_window("2024-06-03T05:00", "2024-06-07")
    error = rejection(build, "binance_ethusdt_perp", window)
    assert error.code == "DATA-013"
    assert "(25 hours)" in error.what


def test_a_short_file_is_not_stretched_by_its_substitute(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """An unlimited repair before the first row is still bounded by the feed's own coverage."""
    put(perp("bybit"), bars(168))
    put(perp("okx"), without(bars(168), set(range(100))))
    dataset = build("okx_ethusdt_perp")
    assert dataset.repairs == {"substituted": 100}
    put(perp("okx"), without(bars(168), set(range(150))))
    error = rejection(build, "okx_ethusdt_perp")
    assert error.code == "DATA-010"
    assert "10.7%" in error.what


def test_an_oracle_grows_through_a_short_gap_and_no_further(
    put: Put, build: Callable[..., Dataset], catalogue: Catalogue
) -> None:
    """Three hours are interpolated geometrically and marked, four are rejected."""
    rate = [1.04 * 1.0001**hour for hour in range(168)]
    rows = [
        f"{at:%Y-%m-%d %H}:00:00+00:00,{x!r},weETH" for at, x in zip(WEEK.hours, rate, strict=True)
    ]
    lines = ["timestamp,oracle_price_eth,asset", *rows]
    path = "protocol_data/aave/oracle/weETH_ETH_oracle_2024-06-01_2024-06-07.csv"
    lenient = catalogue["weeth_oracle"].coverage.model_copy(update={"min_share": 0.9})
    config = catalogue["weeth_oracle"].model_copy(update={"coverage": lenient})
    put(path, without(lines, {50, 51, 52}))
    dataset = build("weeth_oracle", config=config)
    np.testing.assert_allclose(dataset.frame["oracle_rate"], rate, rtol=1e-12)
    assert np.flatnonzero(dataset.frame["repair"] == "interpolated").tolist() == [50, 51, 52]
    put(path, without(lines, {50, 51, 52, 53}))
    assert rejection(build, "weeth_oracle", config=config).code == "DATA-013"


def test_a_pegs_first_day_is_the_oracles_and_says_so(
    put: Put, build: Callable[..., Dataset]
) -> None:
    """Before the first market rate stands the redemption rate; 49 hours of it are too many."""
    hours = [
        f"{at:%Y-%m-%d %H}:00:00+00:00" for at in parse_window("2024-06-01", "2024-06-28").hours
    ]
    oracle = [f"{at},{1.04 + i / 1e6!r},weETH" for i, at in enumerate(hours)]
    market = [f"{at},1.03,weETH" for at in hours]
    put(
        "protocol_data/aave/oracle/weETH_ETH_oracle_a.csv",
        ["timestamp,oracle_price_eth,asset", *oracle],
    )
    path = "protocol_data/staking/peg_analysis/weETH_peg_analysis_a.csv"
    window = parse_window("2024-06-01", "2024-06-28")
    put(path, ["timestamp,market_rate,asset", *market[28:]])
    frame = build("weeth_peg", window).frame
    assert frame["repair"].tolist() == ["oracle"] * 28 + [""] * (len(hours) - 28)
    assert frame["market_rate"].iloc[27] == pytest.approx(1.04 + 27e-6)
    assert frame["source"].iloc[0] == "weeth_oracle"
    put(path, ["timestamp,market_rate,asset", *market[49:]])
    assert rejection(build, "weeth_peg", window).code in {"DATA-010", "DATA-012"}


def test_a_token_that_began_late_has_no_price_before(
    put: Put, build: Callable[..., Dataset]
) -> None:
    """Nothing is invented before the listing, an hour without a trade keeps the last price."""
    header = "timestamp,open,high,low,close,volume,base_token,quote_token"
    first = pd.Timestamp("2024-06-03", tz="UTC").value // 10**9
    rows = [f"{first + 3600 * i},0.0010,0.0012,0.0009,0.0011,5,EIGEN,WETH" for i in range(120)]
    folder = "market_data/spot_prices/protocol_tokens"
    path = put(
        f"{folder}/uniswapv3_EIGENWETH_1h_2024-06-03_2024-06-07.csv",
        [header, *rows[:60], *rows[62:]],
    )
    dataset = build("uniswapv3_eigenweth_spot")
    assert dataset.frame["timestamp"].iloc[0] == pd.Timestamp("2024-06-03", tz="UTC")
    carried = dataset.frame[dataset.frame["repair"] == "carried"]
    assert (
        carried[["open", "high", "low", "close", "volume"]].to_numpy().tolist()
        == [[0.0011, 0.0011, 0.0011, 0.0011, 0.0]] * 2
    )
    # A file that lost its head still says in its name when it began.
    path.write_text("\n".join([header, *rows[80:]]) + "\n")
    assert rejection(build, "uniswapv3_eigenweth_spot").code == "DATA-010"


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hours=st.sets(st.integers(1, 166), max_size=20),
    long_gap=st.integers(0, 40),
)
def test_no_row_is_ever_filled_silently(
    hours: set[int],
    long_gap: int,
    put: Put,
    bars: Lines,
    catalogue: Catalogue,
    tmp_path: Path,
) -> None:
    """Whatever is missing: a row is the feed's own, or marked, or the dataset is rejected."""
    config = catalogue["binance_ethusdt_perp"]
    lenient = config.coverage.model_copy(update={"min_share": 0.5})
    config = config.model_copy(update={"coverage": lenient})
    missing = hours | set(range(60, 60 + long_gap))
    put(perp("binance"), without([x.replace("10.5,", "77.0,") for x in bars(168)], missing))
    put(perp("bybit"), bars(168))
    feeds = read_feeds(tmp_path, [config, catalogue["bybit_ethusdt_perp"]])
    runs = np.diff(np.flatnonzero([i not in missing for i in range(168)])) - 1
    built = build_datasets([config], feeds, WEEK)[config.name]
    assert isinstance(built, Dataset) == bool(runs.max() <= 24)
    if isinstance(built, Dataset):
        own = (built.frame["repair"] == "").to_numpy()
        assert set(np.flatnonzero(~own)) == missing
        assert (built.frame["volume"] == np.where(own, 77.0, 10.5)).all()
        assert built.own_share == pytest.approx(1 - len(missing) / 168)


def test_a_carried_value_knows_nothing_of_later_rows(
    put: Put, bars: Lines, build: Callable[..., Dataset], catalogue: Catalogue
) -> None:
    """No value after a gap changes what fills it."""
    policy = RepairPolicy(drop_exact_duplicates=True, carry_last=CarryLast(max_hours=3))
    lenient = catalogue["bybit_ethusdt_perp"].coverage.model_copy(update={"min_share": 0.9})
    config = catalogue["bybit_ethusdt_perp"].model_copy(
        update={"repair": policy, "coverage": lenient}
    )
    lines = without(bars(168), {80, 81})
    put(perp("bybit"), lines)
    before = build("bybit_ethusdt_perp", config=config).frame.iloc[:82]
    put(
        perp("bybit"),
        [*lines[:81], *(x.replace(",30", ",40").replace(",31", ",41") for x in lines[81:])],
    )
    after = build("bybit_ethusdt_perp", config=config).frame.iloc[:82]
    pd.testing.assert_frame_equal(before, after)
