"""Values: one answer for a look-up, a vector and a panel; indices that grow; nothing made up."""

from collections.abc import Callable
from math import exp, log

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.errors import DataError
from basis_pipeline.market.values import MarketValues
from tests.market.made_datasets import (
    DAYS,
    EIGEN_LISTED,
    HOURS,
    WINDOW,
    make_dataset,
    make_datasets,
)

DATASETS = make_datasets()
VALUES = MarketValues(DATASETS, spot_venue="bybit")
NOON = pd.Timestamp("2024-10-06T12:00", tz="UTC")

LOOKUPS: dict[str, Callable[[object], object]] = {
    "ETH in USDT": lambda at: VALUES.price("ETH", "USDT", at),
    "BTC in ETH": lambda at: VALUES.price("BTC", "ETH", at, "bybit"),
    "weETH in USDT": lambda at: VALUES.price("weETH", "USDT", at),
    "EIGEN in USDT": lambda at: VALUES.price("EIGEN", "USDT", at),
    "ETH at Aave": lambda at: VALUES.price("ETH", "USDT", at, "aave_v3"),
    "perp": lambda at: VALUES.perp_price("okx", "ETH", at),
    "funding": lambda at: VALUES.funding_rate("binance", "BTC", at),
    "liquidity index": lambda at: VALUES.liquidity_index("weETH", at),
    "borrow index": lambda at: VALUES.variable_borrow_index("WETH", at),
    "oracle": lambda at: VALUES.oracle_rate("wstETH", at),
    "market": lambda at: VALUES.market_rate("wstETH", at),
    "aUSDT to debtWETH": lambda at: VALUES.convert(7.0, "aUSDT", "debtWETH", at),
    "gas": lambda at: VALUES.gas_price("USDT", at),
    "cost": lambda at: VALUES.execution_cost("ETH_weETH", 5e4, at),
    "rewards": lambda at: VALUES.reward_tokens("EIGEN", at, WINDOW.start),
    "repaired": lambda at: VALUES.repaired("okx_ethusdt_perp", at),
}


def refusal(code: str, call: Callable[[], object]) -> str:
    """The message of the refusal with that code."""
    with pytest.raises(DataError) as caught:
        call()
    assert caught.value.code == code
    return str(caught.value)


def column(name: str, values: str, stamp: str | pd.Timestamp) -> float:
    """The value in the row of a dataset with exactly this stamp."""
    frame = DATASETS[name].frame.set_index("timestamp")
    return float(frame.loc[pd.Timestamp(stamp).tz_localize(None).tz_localize("UTC"), values])


@pytest.mark.parametrize("name", LOOKUPS)
def test_a_look_up_and_a_vector_agree_to_the_bit(name: str) -> None:
    """There is one implementation: n times at once give what n look-ups give, in the same shape."""
    hours = HOURS[HOURS >= EIGEN_LISTED]
    together = np.asarray(LOOKUPS[name](hours))
    alone = [np.asarray(LOOKUPS[name](hour)) for hour in hours]
    assert together.shape == hours.shape
    assert {single.shape for single in alone} == {()}
    assert together.tobytes() == np.array(alone).tobytes()


def test_a_time_may_be_given_in_every_usual_form() -> None:
    """Text, naive and zoned stamps, other zones and other units mean the same instant."""
    expected = VALUES.price("ETH", "USDT", NOON)
    forms = [
        "2024-10-06T12:00",
        "2024-10-06 14:00+02:00",
        pd.Timestamp("2024-10-06T12:00"),
        NOON.tz_convert("Asia/Tokyo"),
        NOON.as_unit("s"),
        NOON.to_pydatetime(),
    ]
    assert [VALUES.price("ETH", "USDT", form) for form in forms] == [expected] * len(forms)
    index = pd.DatetimeIndex(["2024-10-06T12:00"]).as_unit("s")
    assert VALUES.price("ETH", "USDT", index) == expected


def test_an_index_equals_its_snapshot_at_the_snapshot() -> None:
    """At every snapshot, the last included, the index is the snapshot to the last bit."""
    frame = DATASETS["aave_usdt_rates"].frame
    index = VALUES.liquidity_index("USDT", pd.DatetimeIndex(frame["timestamp"]))
    assert index.tobytes() == frame["liquidity_index"].to_numpy().tobytes()


def test_an_index_grows_geometrically_between_snapshots() -> None:
    """Noon lies at the geometric mean; every hour of a day grows by the same factor."""
    today = column("aave_weth_rates", "variable_borrow_index", "2024-10-06")
    tomorrow = column("aave_weth_rates", "variable_borrow_index", "2024-10-07")
    noon = float(VALUES.variable_borrow_index("WETH", NOON))
    assert noon == pytest.approx((today * tomorrow) ** 0.5, rel=1e-15)
    hours = pd.date_range("2024-10-06", "2024-10-07", freq="h", tz="UTC")
    steps = np.diff(np.log(VALUES.variable_borrow_index("WETH", hours)))
    assert steps == pytest.approx(log(tomorrow / today) / 24, rel=1e-9)


@given(st.integers(0, 5 * 86_400 - 1))
def test_an_index_never_leaves_its_bracket(second: int) -> None:
    """At any second the index lies between the snapshots around it and never falls."""
    at = DAYS[0] + pd.Timedelta(seconds=second)
    frame = DATASETS["aave_weeth_rates"].frame
    day = second // 86_400
    low, high = frame["liquidity_index"].iloc[[day, day + 1]]
    index = float(VALUES.liquidity_index("weETH", at))
    share = second % 86_400 / 86_400
    assert low <= index <= high
    assert index == pytest.approx(exp(log(low) * (1 - share) + log(high) * share), rel=1e-14)
    assert index <= float(VALUES.liquidity_index("weETH", at + pd.Timedelta(seconds=1)))


def test_a_quote_holds_until_the_next_one() -> None:
    """Between marks the last quote holds; the next bar is not known yet."""
    before_one = NOON + pd.Timedelta(minutes=59, seconds=59)
    assert VALUES.price("ETH", "USDT", before_one) == VALUES.price("ETH", "USDT", NOON)
    assert VALUES.price("ETH", "USDT", before_one) == column("bybit_ethusdt_spot", "open", NOON)


def test_the_price_of_a_bar_is_its_open_unless_the_close_is_asked_for() -> None:
    """The field applies to spot, perpetuals and pools alike; the high is always the bar's high."""
    closes = MarketValues(DATASETS, "bybit", "close")
    assert VALUES.perp_price("okx", "ETH", NOON) == column("okx_ethusdt_perp", "open", NOON)
    assert closes.perp_price("okx", "ETH", NOON) == column("okx_ethusdt_perp", "close", NOON)
    assert closes.price("ETH", "USDT", NOON) == column("bybit_ethusdt_spot", "close", NOON)
    pool = column("uniswapv3_eigenweth_spot", "close", NOON)
    assert closes.price("EIGEN", "ETH", NOON) == pool
    high = column("okx_ethusdt_perp", "high", NOON)
    assert closes.perp_price("okx", "ETH", NOON, "high") == high


def test_prices_go_through_eth_or_usdt() -> None:
    """LSTs are worth their redemption rate, reward tokens their pool's, each times ETH's price."""
    spot = column("bybit_ethusdt_spot", "open", NOON)
    oracle = column("weeth_oracle", "oracle_rate", NOON)
    eigen = column("uniswapv3_eigenweth_spot", "open", NOON)
    btc = column("binance_btcusdt_spot", "open", NOON)
    assert VALUES.price("weETH", "ETH", NOON) == oracle
    assert VALUES.price("weETH", "USDT", NOON) == oracle * spot
    assert VALUES.price("EIGEN", "WETH", NOON) == eigen
    assert VALUES.price("EIGEN", "USDT", NOON) == eigen * spot
    assert VALUES.price("BTC", "USDT", NOON, "binance") == btc
    assert VALUES.price("USDT", "ETH", NOON) == 1.0 / spot
    assert VALUES.price("weETH", "EIGEN", NOON) == oracle / eigen
    assert VALUES.price("WETH", "ETH", NOON) == VALUES.price("USDT", "USDT", NOON) == 1.0


def test_without_a_spot_venue_eth_costs_what_aave_says() -> None:
    """Aave's oracle price is the last snapshot's, never a later one's and never interpolated."""
    aave = MarketValues(DATASETS)
    late = "2024-10-06T23:59"
    expected = column("aave_weth_rates", "price_usd", "2024-10-06")
    assert aave.price("ETH", "USDT", late) == expected
    assert VALUES.price("ETH", "USDT", late, "aave_v3") == expected
    assert aave.price("ETH", "USDT", late, "uniswapv3") == VALUES.price(
        "ETH", "USDT", late, "uniswapv3"
    )


def test_funding_settles_at_its_own_stamps_only() -> None:
    """The rate stands at its settlement; an hour and a second later nothing settles."""
    eight = "2024-10-06T08:00"
    rate = column("okx_ethusdt_funding", "funding_rate", eight)
    assert rate != 0.0
    assert VALUES.funding_rate("okx", "ETH", eight) == rate
    assert VALUES.funding_rate("okx", "ETH", "2024-10-06T09:00") == 0.0
    assert VALUES.funding_rate("okx", "ETH", "2024-10-06T08:00:01") == 0.0


def test_each_side_of_a_conversion_has_its_own_index() -> None:
    """Scaled balances become amounts by their own token's index, debt by its borrow index."""
    spot = VALUES.price("ETH", "USDT", NOON)
    lent = VALUES.liquidity_index("weETH", NOON) * VALUES.oracle_rate("weETH", NOON)
    owed = VALUES.variable_borrow_index("WETH", NOON)
    assert VALUES.convert(3.0, "aweETH", "ETH", NOON) == pytest.approx(3.0 * lent, rel=1e-15)
    assert VALUES.convert(3.0, "debtWETH", "USDT", NOON) == pytest.approx(
        3 * owed * spot, rel=1e-15
    )
    scaled = VALUES.convert(100.0, "USDT", "aUSDT", NOON)
    assert scaled == pytest.approx(100.0 / VALUES.liquidity_index("USDT", NOON), rel=1e-15)
    assert VALUES.convert(scaled, "aUSDT", "USDT", NOON) == pytest.approx(100.0, rel=1e-15)
    amounts = np.linspace(1.0, 2.0, len(HOURS))
    assert VALUES.convert(amounts, "ETH", "USDT", HOURS) == pytest.approx(
        amounts * VALUES.price("ETH", "USDT", HOURS), rel=1e-15
    )


@pytest.mark.parametrize(
    ("notional", "bucket"),
    [(0, 0), (1e4, 0), (1e4 + 1, 1), (-1e5, 1), (1e5 + 1, 2), (1e6, 2), (1e8, 2)],
)
def test_costs_come_from_the_bucket_that_holds_the_trade(notional: float, bucket: int) -> None:
    """A bucket holds trades up to its size, the last one all above it; sales count like buys."""
    table = VALUES.cost_buckets("ETH_USDT", NOON)
    assert table.shape == (3,)
    assert len(set(table)) == 3
    assert VALUES.execution_cost("ETH_USDT", notional, NOON) == table[bucket]


def test_costs_are_those_of_the_day() -> None:
    """A day's rate holds from its 00:00 to its last hour."""
    frame = DATASETS["execution_costs"].frame
    first = frame[(frame["pair"] == "ETHUSDT-PERP") & (frame["size_bucket_usd"] == 1e5)]
    daily = dict(zip(first["timestamp"], first["cost_bps"], strict=True))
    costs = VALUES.execution_cost("ETHUSDT-PERP", 5e4, HOURS)
    assert costs.tolist() == [daily[hour.normalize()] for hour in HOURS]
    sizes = np.where(HOURS.hour < 12, 1.0, 5e5)
    mixed = VALUES.execution_cost("ETHUSDT-PERP", sizes, HOURS)
    table = VALUES.cost_buckets("ETHUSDT-PERP", HOURS)
    assert mixed.tolist() == np.where(sizes == 1.0, table[:, 0], table[:, 2]).tolist()


def test_gas_is_paid_in_eth() -> None:
    """Base fee plus median tip, a billionth of an ETH a gwei, at ETH's price in the currency."""
    fee = column("ethereum_gas", "base_fee_gwei", NOON) + 0.5
    assert VALUES.gas_price("ETH", NOON) == fee * 1e-9
    assert VALUES.gas_price("USDT", NOON) == fee * 1e-9 * VALUES.price("ETH", "USDT", NOON)


def test_rewards_count_from_when_one_was_in() -> None:
    """A period is paid by its share after `since`; one that ended before it pays nothing."""
    payout = "2024-10-06"  # for 2 to 6 October
    shares = {"2024-10-01": 1.0, "2024-10-02": 1.0, "2024-10-03": 0.75, "2024-10-05": 0.25}
    shares |= {"2024-10-06": 0.0, "2024-10-07": 0.0}
    for since, share in shares.items():
        tokens = VALUES.reward_tokens("EIGEN", payout, pd.Timestamp(since, tz="UTC"))
        assert tokens == pytest.approx(0.2 * share, rel=1e-15), since
    assert VALUES.reward_tokens("EIGEN", "2024-10-06T01:00", WINDOW.start) == 0.0


HOUR = pd.Timedelta(hours=1)


@pytest.mark.parametrize("name", [n for n in LOOKUPS if n not in ("repaired", "EIGEN in USDT")])
def test_no_value_outside_the_data(name: str) -> None:
    """Before the first and after the last row there is no value, neither alone nor in a vector."""
    for outside in (DAYS[0] - HOUR, DAYS[-1] + 24 * HOUR):
        assert "available: 2024-10-0" in refusal("DATA-012", lambda o=outside: LOOKUPS[name](o))
        with_it = pd.DatetimeIndex([outside, NOON]).sort_values()
        refusal("DATA-012", lambda w=with_it: LOOKUPS[name](w))


def test_a_token_has_no_price_before_its_first_quote() -> None:
    """A token listed inside the data is not priced before."""
    before = EIGEN_LISTED - HOUR
    assert "2024-10-04 23:00" in refusal("DATA-012", lambda: VALUES.price("EIGEN", "ETH", before))
    assert VALUES.first_quote("EIGEN") == EIGEN_LISTED.value


def test_a_hole_in_a_dataset_is_not_bridged() -> None:
    """Where a row is missing there is no value, even between two that exist."""
    dataset = DATASETS["bybit_ethusdt_spot"]
    holed = make_dataset(dataset.config, dataset.frame[dataset.frame["timestamp"] != NOON])
    values = MarketValues({"bybit_ethusdt_spot": holed}, "bybit")
    refusal("DATA-012", lambda: values.price("ETH", "USDT", NOON))
    assert values.price("ETH", "USDT", NOON + HOUR) > 0


def test_an_empty_dataset_has_no_values() -> None:
    """A token not listed yet, a programme not begun: no price, and no payout either."""
    empty = {
        name: make_dataset(DATASETS[name].config, DATASETS[name].frame.iloc[:0])
        for name in ("uniswapv3_eigenweth_spot", "eigen_rewards", "okx_ethusdt_funding")
    }
    values = MarketValues(empty)
    assert "no rows" in refusal("DATA-012", lambda: values.price("EIGEN", "ETH", NOON))
    assert values.first_quote("EIGEN") is None
    assert values.reward_tokens("EIGEN", NOON, WINDOW.start) == 0.0
    assert not values.funding_rate("okx", "ETH", HOURS).any()
    assert not values.repaired("okx_ethusdt_funding", HOURS).any()


UNKNOWN: dict[str, tuple[Callable[[], object], str]] = {
    "asset": (lambda: VALUES.price("DOGE", "USDT", NOON), "bybit_ethusdt_spot"),
    "currency": (lambda: VALUES.price("ETH", "EUR", NOON), "bybit_ethusdt_spot"),
    "itself": (lambda: VALUES.price("DOGE", "DOGE", NOON), "bybit_ethusdt_spot"),
    "venue": (lambda: VALUES.price("ETH", "USDT", NOON, "kraken"), "uniswapv3_ethusdt_spot"),
    "no venue": (lambda: MarketValues(DATASETS).price("BTC", "USDT", NOON), "bybit_btcusdt_spot"),
    "perp": (lambda: VALUES.perp_price("okx", "BTC", NOON), "okx_ethusdt_perp"),
    "reserve": (lambda: VALUES.liquidity_index("DAI", NOON), "aave_usdt_rates"),
    "aToken": (lambda: VALUES.convert(1.0, "aDAI", "USDT", NOON), "aave_usdt_rates"),
    "lst": (lambda: VALUES.oracle_rate("rETH", NOON), "weeth_oracle"),
    "pair": (lambda: VALUES.cost_buckets("ETH_rETH", NOON), "ETH_weETH"),
}


@pytest.mark.parametrize("thing", UNKNOWN)
def test_what_is_unknown_is_refused_with_what_is_known(thing: str) -> None:
    """A thing no dataset knows is no 1.0 and no KeyError: the message lists what there is."""
    call, known = UNKNOWN[thing]
    message = refusal("DATA-001", call)
    assert known in message.split("available:")[1]


def test_a_refused_dataset_raises_its_own_error() -> None:
    """The refusal recorded when the dataset was built comes up again where it is used."""
    broken = DataError("DATA-013", "a hole of 30 hours", where="weeth.csv")
    values = MarketValues({**DATASETS, "weeth_oracle": broken}, "bybit")
    assert "weeth.csv" in refusal("DATA-013", lambda: values.price("weETH", "USDT", NOON))
    assert values.price("ETH", "USDT", NOON) == VALUES.price("ETH", "USDT", NOON)
