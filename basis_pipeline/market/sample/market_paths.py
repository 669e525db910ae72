"""The market of a sample: correlated hourly processes from which the venues' quotes are made."""

from dataclasses import dataclass
from math import sqrt

import numpy as np

from basis_pipeline.market.sample import crises
from basis_pipeline.market.sample.calendar import Calendar
from basis_pipeline.market.sample.random_walks import Floats, RandomStreams, anchored_path, compound

ETH_ON_BTC, ETH_ALONE = 0.8, 0.6
"""Weights of BTC's draw and ETH's own draw in ETH's return: a correlation of 0.8."""
SOL_ON_BTC, SOL_ALONE = 0.6, 0.8

FLIPPED_CARRY = -0.35
ORACLE_YIELD = {"weETH": 0.031, "wstETH": 0.030}
ORACLE_START = {"weETH": 1.0381626525752412, "wstETH": 1.1497254861187342}


@dataclass(frozen=True)
class MarketPaths:
    """Hourly values at the open of hours 0 … `hours`, one more than the bars unless noted.

    price: USDT per coin · token_price: WETH per reward token · volatility: level, about 1.0 (per
    bar) · carry: yearly rate that longs pay, per coin · oracle: LST/ETH redemption rate · premium:
    LST market rate over oracle, less one · gas: base fee in gwei (per bar)
    """

    calendar: Calendar
    streams: RandomStreams
    price: dict[str, Floats]
    token_price: dict[str, Floats]
    volatility: Floats
    carry: dict[str, Floats]
    oracle: dict[str, Floats]
    premium: dict[str, Floats]
    gas: Floats


def make_market_paths(calendar: Calendar, seed: int) -> MarketPaths:
    """Draw the market paths of one seed."""
    streams = RandomStreams(seed)
    swing = 1.0 + 0.35 * streams.mean_reverting("volatility", calendar.hours, 240.0)
    volatility = np.maximum(swing * swing, 0.15)
    return MarketPaths(
        calendar=calendar,
        streams=streams,
        price=_prices(calendar, streams, volatility),
        token_price=_token_prices(calendar, streams),
        volatility=volatility,
        carry=_carry(calendar, streams),
        oracle={lst: _oracle(calendar, streams, lst) for lst in ORACLE_YIELD},
        premium={"weETH": _premium(calendar, streams, "weETH", 1.0),
                 "wstETH": _premium(calendar, streams, "wstETH", 0.4)},
        gas=_gas(calendar, streams),
    )  # fmt: skip


def _prices(calendar: Calendar, streams: RandomStreams, volatility: Floats) -> dict[str, Floats]:
    btc = streams.normal("btc", calendar.hours)
    own = streams.normal("eth", calendar.hours)
    eth = ETH_ON_BTC * btc + ETH_ALONE * own
    sol = SOL_ON_BTC * btc + SOL_ALONE * streams.normal("sol", calendar.hours)
    crash, ordinary = crises.crash_returns(calendar)
    hourly = ordinary * np.sqrt(volatility) / sqrt(8760.0)
    return {
        "BTC": anchored_path(42283.0, 0.75, 0.45 * hourly * btc + crash, 1.5),
        "ETH": anchored_path(2282.0, 0.45, 0.60 * hourly * eth + crash, 1.5),
        "SOL": anchored_path(101.0, 0.55, 0.80 * hourly * sol + crash, 1.5),
    }


def _token_prices(calendar: Calendar, streams: RandomStreams) -> dict[str, Floats]:
    def path(token: str, start: float, drift: float) -> Floats:
        returns = (0.9 / sqrt(8760.0)) * streams.normal(token, calendar.hours)
        return anchored_path(start, drift, returns, 2.0)

    return {"EIGEN": path("EIGEN", 0.00165, -0.35), "ETHFI": path("ETHFI", 0.00185, -0.75)}


def _carry(calendar: Calendar, streams: RandomStreams) -> dict[str, Floats]:
    count = calendar.hours + 1
    common = streams.mean_reverting("carry", count, 140.0)
    flip, crash = crises.flip_weight(calendar), crises.crash_weight(calendar)
    carry = {}
    for coin in ("BTC", "ETH", "SOL"):
        own = streams.mean_reverting(f"carry {coin}", count, 60.0)
        noise = 0.9 * common + 0.436 * own
        usual = 0.105 + 0.075 * noise + 0.02 * (noise * noise - 1.0) - 0.25 * crash
        carry[coin] = (1.0 - flip) * usual + flip * (FLIPPED_CARRY + 0.04 * own)
    return carry


def _oracle(calendar: Calendar, streams: RandomStreams, lst: str) -> Floats:
    pace = 1.0 + 0.1 * streams.mean_reverting(f"oracle {lst}", calendar.hours, 200.0)
    return compound(ORACLE_START[lst], ORACLE_YIELD[lst] / 8760.0 * np.maximum(pace, 0.0))


def _premium(calendar: Calendar, streams: RandomStreams, lst: str, depeg_share: float) -> Floats:
    noise = streams.mean_reverting(f"peg {lst}", calendar.hours + 1, 30.0)
    usual = -0.0005 + 0.0003 * noise - 0.002 * crises.crash_weight(calendar)
    return np.asarray(usual + depeg_share * crises.depeg(calendar), dtype=np.float64)


# Multiple of the daily mean by UTC hour: lowest in the European morning, highest as New York opens.
_GAS_BY_HOUR = np.array(
    [1.00, 0.97, 0.93, 0.90, 0.86, 0.83, 0.80, 0.79, 0.80, 0.83, 0.87, 0.92,
     1.00, 1.12, 1.26, 1.33, 1.34, 1.29, 1.22, 1.15, 1.10, 1.06, 1.04, 1.02]
)  # fmt: skip


def _gas(calendar: Calendar, streams: RandomStreams) -> Floats:
    level = 1.0 + 0.45 * streams.mean_reverting("gas level", calendar.hours, 300.0)
    noise = 1.0 + 0.15 * streams.normal("gas flutter", calendar.hours)
    usual = (0.6 + 11.0 * level * level) * np.tile(_GAS_BY_HOUR, calendar.days) * noise * noise
    crash = 120.0 * crises.crash_weight(calendar)[:-1]
    return np.asarray(usual + crash + crises.gas_spike(calendar), dtype=np.float64)
