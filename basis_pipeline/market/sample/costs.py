"""Files of trading costs: gas prices and the execution-cost table."""

import json

import numpy as np

from basis_pipeline.market.sample import crises
from basis_pipeline.market.sample.market_paths import MarketPaths
from basis_pipeline.market.sample.text import Column, SampleFile, numbers, rows

SIZE_BUCKETS = ("10k", "100k", "1m")
EXECUTION_BPS = {
    "ETH_USDT": (5, 7, 13),
    "ETH_wstETH": (15, 18, 27),
    "ETH_weETH": (20, 24, 35),
    "ETH_stETH": (10, 12, 18),
    "ETH_eETH": (25, 30, 45),
    "EIGEN_USDT": (8, 13, 28),
    "ETHFI_USDT": (12, 20, 42),
    "EIGEN_ETH": (10, 16, 35),
    "ETHFI_ETH": (15, 25, 50),
    "ETHUSDT-PERP": (3, 4, 8),
    "BTCUSDT-PERP": (3, 4, 8),
}


def cost_files(market: MarketPaths) -> list[SampleFile]:
    """Return the files of gas prices and execution costs."""
    return [_gas_prices(market), _execution_costs(market)]


def _gas_prices(market: MarketPaths) -> SampleFile:
    calendar = market.calendar
    base = np.maximum(market.gas, 0.5).round(2)
    urgency = np.abs(market.streams.normal("priority fee", calendar.hours))
    tip = (0.1 + 0.35 * urgency + 0.02 * base).round(2)
    price = base + tip
    columns: list[Column] = [
        [f"{timestamp}Z" for timestamp in calendar.hour_texts],
        "ethereum",
        [str(b) for b in (18908889 + 298 * np.arange(calendar.hours)).tolist()],
        [str(s) for s in (calendar.unix_seconds + 11).tolist()],
        *[numbers(price, 2)] * 3,
        numbers(base),
        numbers(0.5 * tip, 2),
        numbers(tip),
        numbers(2.0 * tip, 2),
        "alchemy_rpc_fast",
        "generated sample",
    ]
    header = (
        "timestamp,chain,block_number,block_timestamp,gas_price_gwei,gas_price_avg_gwei,"
        "gas_price_median_gwei,base_fee_gwei,priority_fee_p25_gwei,priority_fee_p50_gwei,"
        "priority_fee_p75_gwei,source,note"
    )
    path = f"blockchain_data/gas_prices/ethereum_gas_prices_{calendar.span()}.csv"
    return SampleFile(path, header, rows(columns))


def _execution_costs(market: MarketPaths) -> SampleFile:
    """Constant costs, doubled on the two days of the crash."""
    calendar = market.calendar
    expensive = {calendar.day(crises.CRASH_DAY), calendar.day(crises.CRASH_DAY) + 1}
    table = {
        pair: {
            bucket: {
                d: bps * (2 if day in expensive else 1) for day, d in enumerate(calendar.dates)
            }
            for bucket, bps in zip(SIZE_BUCKETS, levels, strict=True)
        }
        for pair, levels in EXECUTION_BPS.items()
    }
    path = "execution_costs/lookup_tables/execution_costs_lookup.json"
    return SampleFile(path, "", json.dumps(table, indent=2).split("\n"))
