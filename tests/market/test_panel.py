"""Panels: what a mode needs and no more, known at its hour, fit for the engine or rejected."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_pipeline.config.slicing import ModeSlice, slice_mode
from basis_pipeline.config.universe import BARS, Kind
from basis_pipeline.errors import BacktestError, DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.panel import ARRAYS, Panel, build_panel, require_fit
from basis_pipeline.market.rewards import reward_arrays
from basis_pipeline.market.values import MarketValues
from basis_pipeline.market.window import Window, parse_window
from tests.market.made_datasets import (
    EIGEN_LISTED,
    HOURS,
    WINDOW,
    changed,
    configs,
    make_dataset,
    make_datasets,
)

DATASETS = make_datasets()
MODES = tuple(configs().modes)
LEVERAGED = ("eth_leveraged", "usdt_market_neutral")
HEDGED = tuple(name for name, mode in configs().modes.items() if mode.is_hedged)
GASLESS = ("funding_arbitrage", "sol_basis")
STAKED = ("eth_staking_only", *LEVERAGED, "usdt_market_neutral_no_leverage")
ETH_CLASS = ("pure_lending_eth", "eth_staking_only", "eth_leveraged")


def sliced(mode: str, **overrides: Any) -> ModeSlice:
    """Return a mode's slice; double underscores in the overrides stand for dots."""
    return slice_mode(configs(), mode, {k.replace("__", "."): v for k, v in overrides.items()})


def made(mode: str, window: Window = WINDOW, **overrides: Any) -> Panel:
    """Return the panel of a mode over the made datasets."""
    return build_panel(sliced(mode, **overrides), DATASETS, window)


def rejection(code: str, build: Callable[[], object]) -> str:
    """Return the message of the rejection with that code."""
    with pytest.raises((DataError, BacktestError)) as caught:
        build()
    assert caught.value.code == code
    return str(caught.value)


def same(one: Panel, other: Panel, rows: slice = slice(None)) -> list[str]:
    """Return the names of arrays that differ in a bit in those rows."""
    pairs = {name: (getattr(one, name)[rows], getattr(other, name)[rows]) for name in ARRAYS}
    return [name for name, (a, b) in pairs.items() if a.tobytes() != b.tobytes()]


def gas_price(mode: str, values: MarketValues) -> np.ndarray:
    """Return the gas price of a mode, (n,); zeros where it needs none."""
    if mode in GASLESS:
        return np.zeros(len(HOURS))
    return values.gas_price(configs().modes[mode].share_class, HOURS.asi8)


@pytest.mark.parametrize("mode", MODES)
def test_the_panel_holds_the_values_of_its_hours(mode: str) -> None:
    """Every array is to the bit what the values answer; what the mode does not need is 1.0."""
    panel, config = made(mode), configs().modes[mode]
    sliced, hours = slice_mode(configs(), mode), HOURS.asi8
    mine = {name: DATASETS[name] for name in sliced.datasets}
    values = MarketValues(mine, sliced.counts_as, {"weETH": "ETH"})
    lst, currency = config.staking.lst, config.share_class
    expected = {"gas_price": gas_price(mode, values)}
    if config.buys_asset:
        expected["spot"] = values.price(config.asset, currency, hours)
    if config.hedge.carry:
        sizes = np.abs([config.hedge.carry[venue] for venue in panel.venues])
        expected["spot"] = np.average(panel.perp_mark, axis=1, weights=sizes)
    if config.allocation.lending:
        expected["lending_index"] = values.liquidity_index(config.lending.token, hours)
        supplied = values.pool_total(config.lending.token, "total_a_token", hours)
        expected["pool_supplied"] = supplied
    if mode in STAKED:
        expected["oracle_rate"] = values.oracle_rate(lst, hours)
        expected["market_rate"] = values.market_rate(lst, hours)
    if mode in LEVERAGED:
        expected["collateral_index"] = values.liquidity_index(lst, hours)
        expected["borrow_index"] = values.variable_borrow_index("WETH", hours)
        expected["pool_collateral"] = values.pool_total(lst, "total_a_token", hours)
        expected["pool_borrowed"] = values.pool_total("WETH", "total_variable_debt", hours)
    if currency == "ETH":
        expected["numeraire_usd"] = values.price("ETH", "USD", hours)
    for name in (name for name in ARRAYS if getattr(panel, name).ndim == 1):
        wanted = expected.get(name, np.ones(len(hours)))
        np.testing.assert_array_equal(getattr(panel, name), wanted, err_msg=name)
    for column, venue in enumerate(panel.venues):
        for name, value in (
            ("perp_mark", values.perp_price),
            ("funding_rate", values.funding_rate),
        ):
            wanted = value(venue, config.asset, hours)
            np.testing.assert_array_equal(getattr(panel, name)[:, column], wanted, err_msg=name)
    for column, token in enumerate(panel.reward_tokens):
        earned = reward_arrays([values.reward_periods(token)], hours)
        for name, wanted in earned.items():
            np.testing.assert_array_equal(getattr(panel, name)[:, [column]], wanted, err_msg=name)
        quoted = slice(None) if token != "EIGEN" else hours >= EIGEN_LISTED.value
        price = values.price(token, currency, hours[quoted])
        np.testing.assert_array_equal(panel.reward_price[quoted, column], price)


def test_arrays_are_what_the_engine_reads() -> None:
    """Contiguous float64, every hour both ends included, nothing shared between two arrays."""
    for mode in MODES:
        panel = made(mode)
        n, k, r = len(HOURS), len(panel.venues), len(panel.reward_tokens)
        assert panel.timestamps.tolist() == HOURS.asi8.tolist(), mode
        assert panel.hours.equals(HOURS), mode
        assert panel.venues == configs().modes[mode].hedge_venues, mode
        assert panel.reward_tokens == (("EIGEN", "ETHFI") if mode in STAKED else ()), mode
        assert panel.cost_bps.shape == (n, 2 + r + k, 3), mode
        assert panel.perp_mark.shape == panel.funding_rate.shape == (n, k), mode
        arrays = [getattr(panel, name) for name in ARRAYS]
        assert all(
            a.dtype == np.float64 and a.flags.c_contiguous and a.flags.writeable for a in arrays
        ), mode
        shared = [np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i]]
        assert not any(shared), mode


def known_at(dataset: Dataset, at: pd.Timestamp, factor: float) -> Dataset:
    """Return the dataset with everything changed that is not known at `at`.

    An index may be read up to the snapshot that ends the running day: accrual, not a signal. So
    are rewards: what an hour earns is set aside, and nobody has it before its payout.
    """
    frame, kind = dataset.frame.copy(), dataset.config.kind
    if kind is Kind.REWARDS:
        return dataset
    if kind in BARS:  # of the running bar only the open is known
        frame.loc[frame["timestamp"] >= at, ["high", "low", "close", "volume"]] *= factor
        frame.loc[frame["timestamp"] > at, "open"] *= factor
        return replace(dataset, frame=frame)
    later = frame["timestamp"] > at
    if kind is Kind.LENDING_RATES:
        frame.loc[later, "price_usd"] *= factor
        later = frame["timestamp"] > at.ceil("D")
    numbers = [
        c for c in frame.select_dtypes("float64") if c not in ("price_usd", "size_bucket_usd")
    ]
    frame.loc[later, numbers] *= factor
    return replace(dataset, frame=frame)


@settings(max_examples=16)
@given(
    mode=st.sampled_from(MODES),
    row=st.integers(0, len(HOURS) - 2),
    factor=st.floats(0.5, 2.0).filter(lambda f: abs(f - 1.0) > 1e-3),
)
def test_no_look_ahead(mode: str, row: int, factor: float) -> None:
    """Nothing that becomes known after t changes a bit of the panel up to t, and it does after."""
    mine = sliced(mode)
    cut = {name: known_at(DATASETS[name], HOURS[row], factor) for name in mine.datasets}
    before, after = (build_panel(mine, datasets, WINDOW) for datasets in (DATASETS, cut))
    assert same(before, after, slice(None, row + 1)) == []
    assert same(before, after, slice(row + 1, None)) != []


@pytest.mark.parametrize("mode", HEDGED)
def test_the_extreme_is_that_of_the_bar_known_at_its_hour(mode: str) -> None:
    """On opens that of the bar before, on closes of the bar itself; entry has the mark.

    It is the high for a short and the low for a long.
    """
    opens, closes = made(mode), made(mode, pricing__price_field="close")
    asset = configs().modes[mode].asset
    for column, venue in enumerate(opens.venues):
        of = {"venue": venue, "base": asset}
        bars = DATASETS[configs().find(Kind.PERP_BARS, **of).name].frame
        is_long = configs().modes[mode].is_long_at(venue)
        adverse, extreme = bars["low" if is_long else "high"], opens.perp_extreme[:, column]
        assert extreme[0] == opens.perp_mark[0, column] == bars["open"].iloc[0]
        assert extreme[1:].tolist() == adverse[:-1].tolist()
        assert closes.perp_extreme[:, column].tolist() == adverse.tolist()
        assert closes.perp_mark[:, column].tolist() == bars["close"].tolist()


def test_the_first_extreme_does_not_depend_on_what_was_loaded() -> None:
    """A panel over a part of the data is the panel of data for that part."""
    part = parse_window("2024-10-05T07:00", "2024-10-07")
    panel = made("eth_basis", part)
    assert panel.perp_extreme[0].tolist() == panel.perp_mark[0].tolist()
    whole = made("eth_basis")
    rows = slice(25, 25 + len(panel.timestamps))
    assert whole.timestamps[rows].tolist() == panel.timestamps.tolist()
    assert same(replace(panel, perp_extreme=whole.perp_extreme[rows]), slice_of(whole, rows)) == []


def slice_of(panel: Panel, rows: slice) -> Panel:
    """Return those rows of a panel."""
    return replace(panel, **{name: getattr(panel, name)[rows] for name in ARRAYS})


def test_the_numeraire_is_the_share_class() -> None:
    """In ETH everything is counted in ETH, and a unit is worth its USD for the cost buckets."""
    for mode in MODES:
        panel = made(mode)
        gas = DATASETS["ethereum_gas"].frame
        gwei = (gas["base_fee_gwei"] + gas["priority_fee_p50_gwei"]).to_numpy()
        if mode in ETH_CLASS:
            aave = DATASETS["aave_weth_rates"].frame.set_index("timestamp")["price_usd"]
            assert panel.numeraire_usd.tolist() == aave[HOURS.normalize()].tolist(), mode
            assert panel.gas_price.tolist() == (gwei * 1e-9).tolist(), mode
            assert set(panel.spot) == {1.0}, mode
        else:
            assert set(panel.numeraire_usd) == {1.0}, mode
            in_usdt = panel.gas_price / (gwei * 1e-9)
            assert (in_usdt == 0.0 if mode in GASLESS else in_usdt > 2_000).all(), mode
        if mode in STAKED:
            eigen = DATASETS["uniswapv3_eigenweth_spot"].frame["open"].to_numpy()
            rate = panel.reward_price[HOURS >= EIGEN_LISTED, 0] / eigen
            assert rate == pytest.approx(panel.spot[HOURS >= EIGEN_LISTED], rel=1e-15), mode


def test_rewards_off_need_no_rewards() -> None:
    """Without rewards there are no tokens, no legs for them and no data for them."""
    off = sliced("usdt_market_neutral", rewards__enabled=False)
    panel = build_panel(off, {name: DATASETS[name] for name in off.datasets}, WINDOW)
    assert panel.reward_tokens == ()
    assert panel.reward_price.shape == (len(HOURS), 0)
    assert panel.legs == ("spot", "lst", "binance_perp", "bybit_perp", "okx_perp")


def test_a_token_has_no_price_before_its_first_quote_and_needs_one_once_paid() -> None:
    """NaN before the listing is fit; an unpriced token that has been paid out is not."""
    panel = made("eth_leveraged")
    listed = HOURS >= EIGEN_LISTED
    assert np.isnan(panel.reward_price[:, 0]).tolist() == (~listed).tolist()
    late = DATASETS["uniswapv3_eigenweth_spot"]
    late = make_dataset(late.config, late.frame.iloc[30:])
    datasets = {**DATASETS, late.name: late}
    message = rejection("BT-003", lambda: build_panel(sliced("eth_leveraged"), datasets, WINDOW))
    assert "reward_price.EIGEN of eth_leveraged is nan at 2024-10-06 00:00" in message


def test_a_repair_is_flagged_at_every_hour_it_reaches() -> None:
    """A bar's repair touches its hour and the next one's known extreme; a settlement its own."""
    repaired = HOURS[10]
    settled = HOURS[HOURS.hour % 8 == 0][2]
    datasets = dict(DATASETS)
    for name, timestamp in (
        ("okx_ethusdt_perp", repaired),
        ("bybit_ethusdt_spot", HOURS[20]),
        ("okx_ethusdt_funding", settled),
    ):
        rows = DATASETS[name].frame["timestamp"] == timestamp
        datasets[name] = changed(DATASETS[name], rows, "repair", "substituted")
    panel = build_panel(sliced("eth_basis"), datasets, WINDOW)
    flagged = {name: np.flatnonzero(flags).tolist() for name, flags in panel.repairs.items()}
    settlement = HOURS.get_loc(settled)
    assert flagged["okx_ethusdt_perp"] == [10, 11]
    assert flagged["bybit_ethusdt_spot"] == [20]
    assert flagged["okx_ethusdt_funding"] == [settlement]
    assert np.flatnonzero(panel.repaired).tolist() == sorted([10, 11, 20, settlement])
    assert set(panel.repairs) == set(sliced("eth_basis").datasets)
    closes = build_panel(sliced("eth_basis", pricing__price_field="close"), datasets, WINDOW)
    assert np.flatnonzero(closes.repairs["okx_ethusdt_perp"]).tolist() == [10]
    assert not made("eth_basis").repaired.any()


def test_a_repaired_snapshot_is_flagged_on_both_its_days() -> None:
    """An index read between two snapshots rests on both."""
    rates = changed(DATASETS["aave_usdt_rates"], 2, "repair", "interpolated")  # 6 October
    panel = build_panel(sliced("pure_lending"), {**DATASETS, rates.name: rates}, WINDOW)
    flagged = HOURS[panel.repaired]
    assert flagged[[0, -1]].tolist() == [
        pd.Timestamp("2024-10-05T01:00", tz="UTC"),
        pd.Timestamp("2024-10-06T23:00", tz="UTC"),
    ]
    assert len(flagged) == 47


def test_the_panel_names_the_content_of_all_it_was_made_from() -> None:
    """Hashes of the datasets read and of what repaired them, and of nothing else."""
    name = "okx_ethusdt_perp"
    both = {**DATASETS[name].content_hashes, "bybit_ethusdt_perp": "b" * 64, "elsewhere": "e" * 64}
    datasets = {**DATASETS, name: replace(DATASETS[name], content_hashes=both)}
    panel = build_panel(sliced("eth_basis", hedge__venues={"okx": 1.0}), datasets, WINDOW)
    assert panel.data_hashes["bybit_ethusdt_perp"] == "b" * 64
    expected = {*sliced("eth_basis", hedge__venues={"okx": 1.0}).datasets, *both}
    assert list(panel.data_hashes) == sorted(expected)


@pytest.mark.parametrize("mode", MODES)
def test_only_what_a_mode_needs_must_exist(mode: str) -> None:
    """A panel needs exactly its slice's datasets: each one's absence or rejection stops it."""
    mine = sliced(mode)
    needed = {name: DATASETS[name] for name in mine.datasets}
    assert same(build_panel(mine, needed, WINDOW), build_panel(mine, DATASETS, WINDOW)) == []
    for name in needed:
        less = {other: dataset for other, dataset in DATASETS.items() if other != name}
        message = rejection("DATA-001", lambda d=less: build_panel(mine, d, WINDOW))
        assert f"mode {mode} needs the dataset {name}" in message
        broken = DataError("DATA-009", "an index falls", where=f"{name}.csv")
        rejected = {**DATASETS, name: broken}
        message = rejection("DATA-009", lambda d=rejected: build_panel(mine, d, WINDOW))
        assert f"{name}.csv" in message


def test_a_window_beyond_the_datasets_is_rejected() -> None:
    """A panel never stretches its data: an hour too many at either end is rejected."""
    for start, end in (("2024-10-04T05:00", "2024-10-07"), ("2024-10-05", "2024-10-08T19:00")):
        window = parse_window(start, end)
        for mode in MODES:
            rejection("DATA-012", lambda m=mode, w=window: made(m, w))


BROKEN: dict[str, tuple[str, tuple[int, ...], float]] = {
    "a price that is missing": ("spot", (3,), np.nan),
    "a price of zero": ("perp_mark", (3, 1), 0.0),
    "an endless price": ("perp_extreme", (3, 0), np.inf),
    "a negative index": ("collateral_index", (3,), -1.0),
    "a rate that is missing": ("funding_rate", (3, 2), np.nan),
    "negative gas": ("gas_price", (3,), -1e-9),
    "a negative cost": ("cost_bps", (3, 2, 1), -1.0),
    "a worthless numeraire": ("numeraire_usd", (3,), 0.0),
    "a reward price that is missing": ("reward_price", (100, 0), np.nan),
    "a reward price below zero": ("reward_price", (100, 1), -1.0),
}


@pytest.mark.parametrize("defect", BROKEN)
def test_an_unfit_value_is_named(defect: str) -> None:
    """One bad value in any array is rejected with its array, column and hour."""
    name, place, value = BROKEN[defect]
    panel = made("usdt_market_neutral")
    require_fit(panel)
    getattr(panel, name)[place] = value
    message = rejection("BT-003", lambda: require_fit(panel))
    assert name in message
    assert f"{HOURS[place[0]]:%Y-%m-%d %H:%M}" in message


def test_timestamps_and_shapes_are_checked() -> None:
    """A missing hour, a wrong shape, a wrong type or layout is rejected."""
    panel = made("eth_basis")
    gap = panel.timestamps.copy()
    gap[5:] += 3_600_000_000_000
    broken = {
        "timestamps": replace(panel, timestamps=gap),
        "half": replace(panel, timestamps=panel.timestamps + 1_800_000_000_000),
        "spot": replace(panel, spot=panel.spot[:-1]),
        "perp_mark": replace(panel, perp_mark=np.asfortranarray(panel.perp_mark)),
        "oracle_rate": replace(panel, oracle_rate=panel.oracle_rate.astype(np.float32)),
        "repaired": replace(panel, repaired=panel.repaired[:-1]),
    }
    for name, unfit in broken.items():
        message = rejection("BT-003", lambda p=unfit: require_fit(p))
        assert ("timestamps" if name == "half" else name) in message
