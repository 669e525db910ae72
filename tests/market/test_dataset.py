"""Datasets: aligned, repaired only as declared, every repaired row marked, or refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from basis_pipeline.config.dataset import CarryLast, DatasetConfig, RepairPolicy
from basis_pipeline.market.dataset import Dataset, build_dataset, build_datasets
from basis_pipeline.market.raw import RawFeed, read_feed, read_feeds
from basis_pipeline.market.rejection import RejectedDataError
from basis_pipeline.market.window import Window, parse_window

Catalogue = dict[str, DatasetConfig]
Lines = Callable[..., list[str]]
Put = Callable[[str, list[str]], Path]

PERPS = "market_data/derivatives/futures_ohlcv"
FUNDING = "market_data/derivatives/funding_rates"
WEEK = parse_window("2024-06-01", "2024-06-07T23:00")
UTC_NS = pd.DatetimeTZDtype("ns", "UTC")


def perp(venue: str) -> str:
    """Path of a venue's ETH perpetual."""
    return f"{PERPS}/{venue}_ETHUSDT_perp_1h_2024-06-01_2024-06-07.csv"


def without(lines: list[str], hours: set[int]) -> list[str]:
    """The lines less the rows of those hours; the header stays."""
    return [line for i, line in enumerate(lines) if i - 1 not in hours]


@pytest.fixture
def build(tmp_path: Path, catalogue: Catalogue) -> Callable[..., Dataset]:
    """Build one dataset of the test's data directory; its sources are read along."""

    def built(name: str, window: Window = WEEK, config: DatasetConfig | None = None) -> Dataset:
        config = config or catalogue[name]
        raw = read_feed(tmp_path, config)
        sources = read_feeds(tmp_path, [catalogue[source] for source in config.sources])
        return build_dataset(config, raw, window, sources)

    return built


def refusal(build: Callable[..., Dataset], *given: object, **named: object) -> RejectedDataError:
    """The error a dataset is refused with."""
    with pytest.raises(RejectedDataError) as caught:
        build(*given, **named)
    return caught.value


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
    assert (dataset.repairs, dataset.duplicates_dropped, dataset.own_share) == ({}, 1, 1.0)


def test_a_hole_is_filled_from_the_declared_venue_and_marked(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """All five values come from the peer; both contents are named; nothing else is touched."""
    hole = set(range(30, 36))
    put(perp("binance"), [line.replace("10.5,", "77.0,") for line in without(bars(168), hole)])
    put(perp("bybit"), bars(168))
    dataset = build("binance_ethusdt_perp")
    repaired = dataset.frame["repair"] == "substituted"
    assert set(np.flatnonzero(repaired)) == hole
    assert set(dataset.frame.loc[repaired, "source"]) == {"bybit_ethusdt_perp"}
    assert set(dataset.frame.loc[repaired, "volume"]) == {10.5}
    assert set(dataset.frame.loc[~repaired, "volume"]) == {77.0}
    assert set(dataset.frame.loc[~repaired, "repair"]) == {""}
    assert dataset.repairs == {"substituted": 6}
    assert set(dataset.content_hashes) == {"binance_ethusdt_perp", "bybit_ethusdt_perp"}


def test_a_substitute_is_not_read_where_there_is_no_hole(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """Only what is needed must exist."""
    put(perp("binance"), bars(168))
    assert list(build("binance_ethusdt_perp").content_hashes) == ["binance_ethusdt_perp"]


@pytest.mark.parametrize("stands_in", ["absent", "broken", "holed"])
def test_a_hole_without_a_usable_substitute_is_refused(
    stands_in: str, put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """DATA-013 says that the hole's own repair failed, and why."""
    put(perp("binance"), without(bars(168), {30, 31}))
    if stands_in == "broken":
        put(perp("bybit"), bars(168, symbol="BTCUSDT"))
    if stands_in == "holed":
        put(perp("bybit"), without(bars(168), {31}))
    error = refusal(build, "binance_ethusdt_perp")
    reasons = {"absent": "DATA-001", "broken": "DATA-011", "holed": "itself lacks 1"}
    assert error.code == "DATA-013"
    assert reasons[stands_in] in error.what
    assert "2024-06-02 06:00 … 2024-06-02 07:00 (2 hours)" in error.what


def test_a_hole_longer_than_its_policy_is_refused_with_its_hours(
    put: Put, bars: Lines, build: Callable[..., Dataset], catalogue: Catalogue
) -> None:
    """24 hours may be substituted, 25 may not; a complete venue may have no hole at all."""
    lenient = catalogue["binance_ethusdt_perp"].coverage.model_copy(update={"min_share": 0.5})
    config = catalogue["binance_ethusdt_perp"].model_copy(update={"coverage": lenient})
    put(perp("bybit"), bars(168))
    put(perp("binance"), without(bars(168), set(range(30, 54))))
    assert build("binance_ethusdt_perp", config=config).repairs == {"substituted": 24}
    put(perp("binance"), without(bars(168), set(range(30, 55))))
    error = refusal(build, "binance_ethusdt_perp", config=config)
    assert error.code == "DATA-013"
    assert "2024-06-02 06:00 … 2024-06-03 06:00 (25 hours)" in error.what
    assert "over at most 24 hours" in error.what
    assert perp("binance") in error.where


def test_a_hole_over_the_windows_edge_counts_whole(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """A window that begins inside a hole does not make it shorter."""
    put(perp("bybit"), bars(168))
    put(perp("binance"), without(bars(168), set(range(30, 55))))
    window = parse_window("2024-06-03T05:00", "2024-06-07")
    error = refusal(build, "binance_ethusdt_perp", window)
    assert error.code == "DATA-013"
    assert "(25 hours)" in error.what


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
def test_a_window_outside_the_data_and_a_sliver_are_told_apart(
    start: str, end: str, code: str, put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """Rows for most of the window: the window is wrong. For a fraction: the files are short."""
    put(perp("bybit"), bars(168))
    error = refusal(build, "bybit_ethusdt_perp", parse_window(start, end))
    assert error.code == code
    assert "2024-06-01 00:00 … 2024-06-07 23:00" in error.what


def test_a_short_file_is_not_stretched_by_its_substitute(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """An unlimited repair before the first row is still bounded by the family's own coverage."""
    put(perp("bybit"), bars(168))
    put(perp("okx"), without(bars(168), set(range(100))))
    dataset = build("okx_ethusdt_perp")
    assert dataset.repairs == {"substituted": 100}
    put(perp("okx"), without(bars(168), set(range(150))))
    error = refusal(build, "okx_ethusdt_perp")
    assert error.code == "DATA-010"
    assert "10.7%" in error.what


def test_rows_beside_the_hour_are_refused_not_dropped(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """A half-hour bar in an hourly family is a fault somebody must see."""
    lines = bars(168)
    put(perp("bybit"), [*lines, lines[-1].replace("23:00:00", "23:30:00")])
    error = refusal(build, "bybit_ethusdt_perp")
    assert error.code == "DATA-014"
    assert len(error.offending) == 1


def test_bars_that_contradict_themselves_are_refused_with_their_rows(
    put: Put, bars: Lines, build: Callable[..., Dataset]
) -> None:
    """High below low, or an open outside them: DATA-014 with the rows to look at."""
    lines = bars(168)
    lines[5] = lines[5].replace("3005.0", "2000.0").replace("3002.0", "3009.0")
    put(perp("bybit"), lines)
    error = refusal(build, "bybit_ethusdt_perp")
    assert error.code == "DATA-014"
    assert error.offending["timestamp"].tolist() == [WEEK.hours[4]]


def test_a_policy_without_duplicates_refuses_them(
    put: Put, bars: Lines, build: Callable[..., Dataset], catalogue: Catalogue
) -> None:
    """Dropping exact duplicates is a declared repair like any other."""
    lines = bars(168)
    put(perp("bybit"), [*lines, lines[3]])
    strict = RepairPolicy(drop_exact_duplicates=False)
    config = catalogue["bybit_ethusdt_perp"].model_copy(update={"repair": strict})
    assert refusal(build, "bybit_ethusdt_perp", config=config).code == "DATA-006"


def funding(venue: str) -> str:
    """Path of a venue's ETH funding."""
    return f"{FUNDING}/{venue}_ETHUSDT_funding_rates_2024-06-01_2024-06-07.csv"


def test_a_missing_settlement_is_a_gap_never_a_zero(
    put: Put, settlements: Lines, build: Callable[..., Dataset]
) -> None:
    """OKX takes the mean of the other venues, marked; Binance has no repair and is refused."""
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
    assert refusal(build, "binance_ethusdt_funding", window).code == "DATA-010"
    lost_peer = refusal(build, "okx_ethusdt_funding", window)
    assert (lost_peer.code, "itself lacks 1" in lost_peer.what) == ("DATA-013", True)


@pytest.mark.parametrize("every", [1, 4, 8])
def test_funding_of_any_interval_is_kept_and_its_gaps_are_found(
    every: int, put: Put, settlements: Lines, build: Callable[..., Dataset], catalogue: Catalogue
) -> None:
    """An hourly or 4-hourly venue keeps all its stamps, and one missing there is a gap too."""
    window = parse_window("2024-06-01", "2024-06-02T23:00")
    count = 48 // every
    put(funding("bybit"), settlements(count, every))
    dataset = build("bybit_ethusdt_funding", window)
    assert (len(dataset.frame), dataset.own_share) == (count, 1.0)
    put(funding("bybit"), without(settlements(count, every), {2}))
    lenient = catalogue["bybit_ethusdt_funding"].coverage.model_copy(update={"min_share": 0.5})
    config = catalogue["bybit_ethusdt_funding"].model_copy(update={"coverage": lenient})
    error = refusal(build, "bybit_ethusdt_funding", window, config)
    assert (error.code, f"2024-06-01 {2 * every:02d}:00" in error.what) == ("DATA-013", True)


def test_a_venue_may_change_its_interval(
    put: Put, settlements: Lines, build: Callable[..., Dataset]
) -> None:
    """From 8 to 4 hours and back is no gap."""
    lines = settlements(24, 4)
    put(funding("bybit"), without(lines, {1, 3, 5, 19, 21, 23}))
    dataset = build("bybit_ethusdt_funding", parse_window("2024-06-01", "2024-06-04T23:00"))
    assert (len(dataset.frame), dataset.repairs) == (18, {})


def test_late_settlements_are_snapped_to_their_hour(
    put: Put, settlements: Lines, build: Callable[..., Dataset]
) -> None:
    """Two downloads of one settlement, one of them late, are one settlement."""
    lines = settlements(6)
    late = [line.replace(":00Z", ":00.412Z") for line in lines]
    put(funding("bybit"), [*late, *lines[3:5]])
    dataset = build("bybit_ethusdt_funding", parse_window("2024-06-01", "2024-06-02T23:00"))
    assert dataset.frame["timestamp"].dt.hour.tolist() == [0, 8, 16, 0, 8, 16]
    assert dataset.duplicates_dropped == 2


def test_an_oracle_grows_through_a_short_hole_and_no_further(
    put: Put, build: Callable[..., Dataset], catalogue: Catalogue
) -> None:
    """Three hours are interpolated geometrically and marked, four are refused."""
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
    assert refusal(build, "weeth_oracle", config=config).code == "DATA-013"


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
    assert refusal(build, "weeth_peg", window).code in {"DATA-010", "DATA-012"}


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
    assert refusal(build, "uniswapv3_eigenweth_spot").code == "DATA-010"


def test_daily_snapshots_enclose_the_window(put: Put, build: Callable[..., Dataset]) -> None:
    """From the last one at or before the start to the first at or after the end."""
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
    outside = parse_window("2024-06-02", "2024-06-10T01:00")
    assert refusal(build, "aave_usdt_rates", outside).code == "DATA-012"


def test_eigen_is_a_weekly_rate_over_its_period(put: Put, build: Callable[..., Dataset]) -> None:
    """The first row covers 51 days; a week from Sunday to Saturday counts once, not 6/7."""
    put(
        "manual_sources/etherfi_distributions/eigen_distributions_raw.csv",
        [
            "staking_period_start,staking_period_end,eigen_per_eeth_weekly",
            "2024-08-15,2024-10-05,0.205",
            "2024-10-06,2024-10-12,0.179",
            "2024-10-13,2024-10-19,0.178",
        ],
    )
    frame = build("eigen_rewards", parse_window("2024-09-01", "2024-10-14")).frame
    assert frame["tokens_per_eeth"].tolist() == pytest.approx([0.205 * 51 / 7, 0.179])
    assert frame["timestamp"].dt.day.tolist() == [5, 12]
    assert frame["period_start"].dt.day.tolist() == [15, 6]
    error = refusal(build, "eigen_rewards", parse_window("2024-09-01", "2025-03-01"))
    assert error.code == "DATA-010"


def test_a_missing_week_of_a_running_programme_is_a_hole(
    put: Put, build: Callable[..., Dataset]
) -> None:
    """What is paid at a rate is paid every day, so a lost row cannot pass for a pause."""
    put(
        "manual_sources/etherfi_distributions/eigen_distributions_raw.csv",
        [
            "staking_period_start,staking_period_end,eigen_per_eeth_weekly",
            "2024-08-15,2024-10-05,0.205",
            "2024-10-13,2024-10-19,0.178",
            "2024-10-20,2024-10-26,0.167",
        ],
    )
    error = refusal(build, "eigen_rewards", parse_window("2024-09-01", "2024-10-26"))
    assert error.code == "DATA-013"
    assert "2024-10-06 00:00 … 2024-10-12 00:00" in error.what


def test_too_few_rewards_are_a_sliver(put: Put, build: Callable[..., Dataset]) -> None:
    """Where events are irregular, a minimum of rows is asked for."""
    put(
        "manual_sources/etherfi_distributions/ethfi_topups_raw.csv",
        [
            "top_up_date,staking_period_start,staking_period_end,ethfi_per_eeth_distributed",
            "2024-10-18,2024-08-15,2024-10-05,0.248",
        ],
    )
    error = refusal(build, "ethfi_rewards", parse_window("2024-09-01", "2024-12-01"))
    assert error.code == "DATA-010"


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hours=st.sets(st.integers(1, 166), max_size=20),
    long_hole=st.integers(0, 40),
)
def test_no_row_is_ever_filled_silently(
    hours: set[int],
    long_hole: int,
    put: Put,
    bars: Lines,
    catalogue: Catalogue,
    tmp_path: Path,
) -> None:
    """Whatever is missing: a row is the family's own, or marked, or the dataset is refused."""
    config = catalogue["binance_ethusdt_perp"]
    lenient = config.coverage.model_copy(update={"min_share": 0.5})
    config = config.model_copy(update={"coverage": lenient})
    missing = hours | set(range(60, 60 + long_hole))
    put(perp("binance"), without([x.replace("10.5,", "77.0,") for x in bars(168)], missing))
    put(perp("bybit"), bars(168))
    families = read_feeds(tmp_path, [config, catalogue["bybit_ethusdt_perp"]])
    runs = np.diff(np.flatnonzero([i not in missing for i in range(168)])) - 1
    built = build_datasets([config], families, WEEK)[config.name]
    assert isinstance(built, Dataset) == bool(runs.max() <= 24)
    if isinstance(built, Dataset):
        own = (built.frame["repair"] == "").to_numpy()
        assert set(np.flatnonzero(~own)) == missing
        assert (built.frame["volume"] == np.where(own, 77.0, 10.5)).all()
        assert built.own_share == pytest.approx(1 - len(missing) / 168)


def test_a_refused_family_refuses_only_its_dataset(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Building many: an absent family is its error, the others are built."""
    put(perp("bybit"), bars(168))
    wanted = [catalogue["bybit_ethusdt_perp"], catalogue["okx_ethusdt_perp"]]
    built = build_datasets(wanted, read_feeds(tmp_path, wanted), WEEK)
    assert isinstance(built["bybit_ethusdt_perp"], Dataset)
    refused = built["okx_ethusdt_perp"]
    assert isinstance(refused, RejectedDataError)
    assert refused.code == "DATA-001"


def test_a_carried_value_knows_nothing_of_later_rows(
    put: Put, bars: Lines, build: Callable[..., Dataset], catalogue: Catalogue
) -> None:
    """No value after a hole changes what fills it."""
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


def test_a_raw_family_is_read_once_and_not_changed(
    put: Put, bars: Lines, catalogue: Catalogue, tmp_path: Path
) -> None:
    """Building datasets leaves the raw frame as it landed."""
    put(perp("bybit"), [*bars(168)[::-1][:-1], bars(168)[0]][::-1])
    raw: RawFeed = read_feed(tmp_path, catalogue["bybit_ethusdt_perp"])
    before = raw.frame.copy()
    build_dataset(raw.config, raw, WEEK, {})
    pd.testing.assert_frame_equal(raw.frame, before)


@pytest.mark.parametrize(
    ("start", "end", "code"),
    [
        ("2024-06-02T05:00", "2024-06-04T01:00", ""),
        ("2024-06-10", "2024-06-25", "DATA-012"),
        ("2024-06-19", "2024-09-01", "DATA-010"),
        ("2023-06-01", "2023-06-10", "DATA-012"),
        ("2024-06-04", "2024-06-06", "DATA-010"),
        ("2024-06-01", "2024-06-20", "DATA-013"),
    ],
)
def test_the_cost_table_covers_every_day_the_window_touches(
    start: str,
    end: str,
    code: str,
    tmp_path: Path,
    build: Callable[..., Dataset],
    catalogue: Catalogue,
) -> None:
    """One pair lacks one day; only a window with that day, or outside the table, is refused."""
    pairs = catalogue["execution_costs"].required_keys
    days = {f"2024-06-{day:02d}": 5 for day in range(1, 21)}
    short = {day: bps for day, bps in days.items() if day != "2024-06-05"}
    table = {pair: {"10k": days, "100k": days, "1m": days} for pair in pairs}
    table["BTCUSDT-PERP"] = {"10k": days, "100k": days, "1m": short}
    path = tmp_path / "execution_costs/lookup_tables/execution_costs_lookup.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(table))
    window = parse_window(start, end)
    if code:
        assert refusal(build, "execution_costs", window).code == code
        return
    frame = build("execution_costs", window).frame
    assert sorted(frame["timestamp"].dt.day.unique()) == [2, 3, 4]
    assert len(frame) == 3 * 3 * len(pairs)
