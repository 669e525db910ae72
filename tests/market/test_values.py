"""Values: indices grow, quotes hold, events count at their own time; nothing is invented."""

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.config.universe import Kind
from basis_pipeline.errors import DataError
from basis_pipeline.market.dataset import Dataset
from basis_pipeline.market.timestamps import Int64
from basis_pipeline.market.values import MarketValues
from basis_pipeline.times import HOUR_NS
from tests.market.made_datasets import (
    DAYS,
    EIGEN_LISTED,
    HOURS,
    make_dataset,
    make_datasets,
)


def ns(*times: str) -> Int64:
    """Return the times in nanoseconds, (n,)."""
    return pd.DatetimeIndex(times).tz_localize("UTC").as_unit("ns").asi8


# One series of ETH: a slice has the one of its spot venue.
DATASETS = {n: d for n, d in make_datasets().items() if n != "uniswapv3_ethusdt_spot"}
COUNTS_AS = {"USD": "USDT", "USDC": "USDT", "WETH": "ETH"}
UNDERLYING = {"weETH": "ETH", "wstETH": "ETH"}


def values_of(
    datasets: Mapping[str, Dataset], field: Literal["open", "close"] = "open"
) -> MarketValues:
    """Return the values of some datasets."""
    return MarketValues(datasets, COUNTS_AS, UNDERLYING, field)


VALUES = values_of(DATASETS)
BY_LENDER = values_of(
    {name: d for name, d in DATASETS.items() if d.config.kind is not Kind.SPOT_BARS}
)
NOON = ns("2024-10-06T12:00")
LOOKUPS: dict[str, Callable[[Int64], object]] = {
    "price": lambda at: VALUES.price("weETH", "USDT", at),
    "ETH by the lender": lambda at: BY_LENDER.price("ETH", "USDT", at),
    "perp": lambda at: VALUES.perp_price("okx", "ETH", at),
    "funding": lambda at: VALUES.funding_rate("binance", "BTC", at),
    "index": lambda at: VALUES.liquidity_index("weETH", at),
    "market": lambda at: VALUES.market_rate("wstETH", at),
    "gas": lambda at: VALUES.gas_price("USDT", at),
    "cost": lambda at: VALUES.cost_buckets("ETH_weETH", at),
}


def rejection(code: str, call: Callable[[], object]) -> str:
    """Return the message of the error with that code."""
    with pytest.raises(DataError) as caught:
        call()
    assert caught.value.code == code
    return str(caught.value)


def column(name: str, values: str, at: Int64 = NOON) -> float:
    """Return the value in the row of a dataset at exactly this time."""
    frame = DATASETS[name].frame
    return float(frame.loc[pd.DatetimeIndex(frame["timestamp"]).asi8 == at, values].iloc[0])


def test_an_index_equals_its_snapshots_and_grows_geometrically_between_them() -> None:
    """At every snapshot, the last included, to the last bit; every hour by the same factor."""
    frame = DATASETS["aave_usdt_rates"].frame
    index = VALUES.liquidity_index("USDT", pd.DatetimeIndex(frame["timestamp"]).asi8)
    assert index.tobytes() == frame["liquidity_index"].to_numpy().tobytes()
    today, tomorrow = (
        column("aave_weth_rates", "variable_borrow_index", ns(f"2024-10-0{d}")) for d in (6, 7)
    )
    hours = ns("2024-10-06") + HOUR_NS * np.arange(25)
    index = VALUES.variable_borrow_index("WETH", hours)
    assert index[12] == pytest.approx((today * tomorrow) ** 0.5, rel=1e-15)
    assert np.diff(np.log(index)) == pytest.approx(np.log(tomorrow / today) / 24, rel=1e-9)


def test_a_quote_holds_until_the_next_one() -> None:
    """Between the hours the last quote holds; the next bar is not known yet."""
    before_one = NOON + HOUR_NS - 1
    assert VALUES.price("ETH", "USDT", before_one) == column("bybit_ethusdt_spot", "open")


def test_the_price_of_a_bar_is_its_open_unless_the_close_is_configured() -> None:
    """The field applies to spot, perpetuals and pools alike; the high is always the bar's high."""
    closes = values_of(DATASETS, "close")
    assert VALUES.perp_price("okx", "ETH", NOON) == column("okx_ethusdt_perp", "open")
    assert closes.perp_price("okx", "ETH", NOON) == column("okx_ethusdt_perp", "close")
    assert closes.price("ETH", "USDT", NOON) == column("bybit_ethusdt_spot", "close")
    assert closes.price("EIGEN", "ETH", NOON) == column("uniswapv3_eigenweth_spot", "close")
    assert closes.perp_price("okx", "ETH", NOON, "high") == column("okx_ethusdt_perp", "high")


def test_prices_go_through_eth_or_usdt() -> None:
    """LSTs are worth their redemption rate, reward tokens their pool's, each times ETH's price."""
    spot = column("bybit_ethusdt_spot", "open")
    oracle = column("weeth_oracle", "oracle_rate")
    eigen = column("uniswapv3_eigenweth_spot", "open")
    btc = column("binance_btcusdt_spot", "open")
    assert VALUES.price("weETH", "ETH", NOON) == oracle
    assert VALUES.price("weETH", "USDT", NOON) == oracle * spot
    assert VALUES.price("EIGEN", "WETH", NOON) == eigen
    assert VALUES.price("EIGEN", "USDT", NOON) == eigen * spot
    assert VALUES.price("BTC", "USDC", NOON) == btc
    assert VALUES.price("USDT", "ETH", NOON) == 1.0 / spot
    assert VALUES.price("weETH", "EIGEN", NOON) == oracle / eigen
    assert VALUES.price("WETH", "ETH", NOON) == VALUES.price("USDT", "USDT", NOON) == 1.0


def test_without_a_spot_series_a_coin_is_priced_by_its_lender() -> None:
    """The lender's price is the last snapshot's, never a later one's and never interpolated."""
    late = ns("2024-10-06T23:59")
    expected = column("aave_weth_rates", "price_usd", ns("2024-10-06"))
    assert BY_LENDER.price("ETH", "USDT", late) == expected
    assert BY_LENDER.price("WETH", "USD", late) == expected
    assert VALUES.price("ETH", "USDT", late) != expected


def test_funding_settles_at_its_own_times_only() -> None:
    """The rate stands at its settlement; an hour and a second later nothing settles."""
    eight = ns("2024-10-06T08:00")
    rate = column("okx_ethusdt_funding", "funding_rate", eight)
    rates = VALUES.funding_rate("okx", "ETH", eight + np.array([0, HOUR_NS, 10**9]))
    assert rates.tolist() == [rate, 0.0, 0.0]
    assert rate != 0.0


def test_costs_are_those_of_the_day() -> None:
    """A day's rates, one a size bucket, hold from its 00:00 to its last hour."""
    frame = DATASETS["execution_costs"].frame
    rows = frame[frame["pair"] == "ETHUSDT-PERP"].pivot(
        index="timestamp", columns="size_bucket_usd", values="cost_bps"
    )
    costs = VALUES.cost_buckets("ETHUSDT-PERP", HOURS.asi8)
    np.testing.assert_array_equal(costs, rows.loc[HOURS.normalize()].to_numpy())


def test_gas_is_paid_in_eth() -> None:
    """Base fee plus median tip, a billionth of an ETH a gwei, at ETH's price in the currency."""
    fee = column("ethereum_gas", "base_fee_gwei") + 0.5
    assert VALUES.gas_price("ETH", NOON) == fee * 1e-9
    assert VALUES.gas_price("USDT", NOON) == fee * 1e-9 * VALUES.price("ETH", "USDT", NOON)


@pytest.mark.parametrize("name", LOOKUPS)
def test_no_value_outside_the_data(name: str) -> None:
    """Before the first and after the last row there is no value, also not beside known ones."""
    for outside in (DAYS[0].value - HOUR_NS, DAYS[-1].value + 24 * HOUR_NS):
        at = np.sort(np.append(NOON, outside))
        assert "available: 2024-10-0" in rejection("DATA-012", lambda a=at: LOOKUPS[name](a))


def test_a_token_has_no_price_before_its_first_quote() -> None:
    """A token listed inside the data is not priced before."""
    before = np.array([EIGEN_LISTED.value - HOUR_NS])
    assert "2024-10-04 23:00" in rejection("DATA-012", lambda: VALUES.price("EIGEN", "ETH", before))
    assert VALUES.first_quote("EIGEN") == EIGEN_LISTED.value


def test_a_gap_in_a_dataset_is_not_bridged() -> None:
    """Where a row is missing there is no value, even between two that exist."""
    dataset = DATASETS["bybit_ethusdt_spot"]
    noon = pd.Timestamp("2024-10-06T12:00", tz="UTC")
    gappy = make_dataset(dataset.config, dataset.frame[dataset.frame["timestamp"] != noon])
    values = values_of({"bybit_ethusdt_spot": gappy})
    rejection("DATA-012", lambda: values.price("ETH", "USDT", NOON))
    assert values.price("ETH", "USDT", NOON + HOUR_NS) > 0


def test_an_empty_dataset_has_no_values() -> None:
    """A token not listed yet, a programme not begun: no price, and no payout either."""
    empty = {
        name: make_dataset(DATASETS[name].config, DATASETS[name].frame.iloc[:0])
        for name in ("uniswapv3_eigenweth_spot", "eigen_rewards", "okx_ethusdt_funding")
    }
    values = values_of(empty)
    assert "no rows" in rejection("DATA-012", lambda: values.price("EIGEN", "ETH", NOON))
    assert values.first_quote("EIGEN") is None
    assert values.reward_periods("EIGEN").empty
    assert not values.funding_rate("okx", "ETH", HOURS.asi8).any()
    assert not values.repaired("okx_ethusdt_funding", HOURS.asi8).any()


UNKNOWN: dict[str, tuple[Callable[[], object], str]] = {
    "asset": (lambda: VALUES.price("DOGE", "USDT", NOON), "bybit_ethusdt_spot"),
    "currency": (lambda: VALUES.price("ETH", "EUR", NOON), "bybit_ethusdt_spot"),
    "perp": (lambda: VALUES.perp_price("okx", "BTC", NOON), "okx_ethusdt_perp"),
    "reserve": (lambda: VALUES.liquidity_index("DAI", NOON), "aave_usdt_rates"),
    "lst": (lambda: VALUES.oracle_rate("rETH", NOON), "weeth_oracle"),
    "pair": (lambda: VALUES.cost_buckets("ETH_rETH", NOON), "ETH_weETH"),
}


@pytest.mark.parametrize("thing", UNKNOWN)
def test_what_is_unknown_is_rejected_with_what_is_known(thing: str) -> None:
    """The message lists what is known; there is no default of 1.0 and no KeyError."""
    call, known = UNKNOWN[thing]
    assert known in rejection("DATA-001", call).split("available:")[1]
