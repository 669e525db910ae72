"""Files of Aave and the staking protocols: rates, oracle, peg, risk, rewards, benchmark."""

import json

import numpy as np

from basis_pipeline.market.sample import crises
from basis_pipeline.market.sample.market_paths import MarketPaths
from basis_pipeline.market.sample.random_walks import Floats, compound
from basis_pipeline.market.sample.text import Column, SampleFile, numbers, rows

DISTRIBUTIONS = "manual_sources/etherfi_distributions"
RESERVES = {
    "USDT": "0xdAC17F958D2ee523a2206206994597C13D831ec7",
    "WETH": "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2",
    "weETH": "0xCd5fE23C85820F7B72D0926FC9b05b43E359b7ee",
    "wstETH": "0x7f39C581F595B53c5cb19bD0b3f8dA6c935E2Ca0",
}
FIRST_INDICES = {
    "USDT": (1.0361969326346498, 1.0494393004973817),
    "WETH": (1.0180859234631308, 1.0328689505465785),
    "weETH": (1.0000404383063015, 1.0007883389674932),
    "wstETH": (1.0005409591782448, 1.0049308031549067),
}
SUPPLIED = {"USDT": 9.0e8, "WETH": 8.0e5, "weETH": 4.0e5, "wstETH": 1.0e6}
DEX = {"weETH": ("curve", 20.0, "direct_etherfi"), "wstETH": ("uniswap", 15.0, "direct_lido")}
PEG_STARTS_AFTER_HOURS = {"weETH": 28, "wstETH": 23}
PROCESSED = "2025-09-29T11:44:24.552826"


def protocol_files(market: MarketPaths) -> list[SampleFile]:
    """Return the files of Aave, ether.fi, Lido and Ethena."""
    files = [_rates(market, token) for token in RESERVES]
    files += [_oracle(market, lst) for lst in market.oracle]
    files += [_peg(market, lst) for lst in market.premium]
    return [*files, _aave_risk_parameters(), _eigen(market), _ethfi(market), _susde(market)]


def _yearly_rates(market: MarketPaths, token: str) -> tuple[Floats, Floats]:
    """Supply and borrow rate at every daily snapshot, the closing midnight included."""
    noise = market.streams.mean_reverting(f"aave {token}", market.calendar.days + 1, 6.0)
    if token == "USDT":
        supply = np.maximum(0.03 + 0.2 * market.carry["ETH"][::24] + 0.008 * noise, 0.015)
        return supply, supply / 0.80
    if token == "WETH":
        supply = 0.0185 + 0.0012 * noise
        return supply, 0.0252 + 0.0011 * noise
    if token == "weETH":
        return 1e-4 + 2e-5 * noise, 0.0115 + 0.0008 * noise
    return 3e-4 + 5e-5 * noise, 0.0048 + 0.0004 * noise


def _rates(market: MarketPaths, token: str) -> SampleFile:
    calendar = market.calendar
    days = np.arange(calendar.days + 1)
    supply, borrow = _yearly_rates(market, token)
    first_liquidity, first_borrow = FIRST_INDICES[token]
    daily = borrow[:-1] / 365.0
    liquidity_index = compound(first_liquidity, supply[:-1] / 365.0)
    borrow_index = compound(first_borrow, daily + daily * daily / 2.0)
    noise = 1.0 + 0.01 * market.streams.normal(f"supplied {token}", len(days))
    supplied = SUPPLIED[token] * (1.0 + 0.003 * days) * noise
    owed = supplied * {"USDT": 0.88, "WETH": 0.82, "weETH": 0.01, "wstETH": 0.05}[token]
    seconds = calendar.unix_seconds[0] + 86400 * days
    columns: list[Column] = [
        [f"{day}T00:00:00Z" for day in calendar.dates],
        [str(s) for s in seconds.tolist()],
        [str(b) for b in (18908894 + 7149 * days).tolist()],
        RESERVES[token],
        token,
        *(numbers(v) for v in (liquidity_index, supply, borrow_index, borrow)),
        "0.0",
        numbers(supplied, 9),
        "0.0",
        numbers(owed, 9),
        numbers(_usd_price(market, token), 8),
        calendar.dates,
    ]
    header = (
        "targetDate,timestamp,blockNumber,reserve,symbol,liquidityIndex,currentLiquidityRate,"
        "variableBorrowIndex,currentVariableBorrowRate,currentStableBorrowRate,totalAToken,"
        "totalStableDebt,totalVariableDebt,price,date"
    )
    span = f"{calendar.start}_{calendar.dates[-1]}"
    path = f"protocol_data/aave/rates/aave_v3_aave-v3-ethereum_{token}_rates_{span}.csv"
    return SampleFile(path, header, rows(columns))


def _usd_price(market: MarketPaths, token: str) -> Floats:
    """Price in USD of the Aave oracle at every snapshot."""
    if token == "USDT":
        return 1.0 + 4e-4 * market.streams.mean_reverting("USDT peg", market.calendar.days + 1, 3.0)
    ether = market.price["ETH"][::24]
    return ether if token == "WETH" else ether * market.oracle[token][::24]


def _oracle(market: MarketPaths, lst: str) -> SampleFile:
    calendar = market.calendar
    timestamps = [timestamp.replace("T", " ") + "+00:00" for timestamp in calendar.hour_texts]
    rate = numbers(market.oracle[lst][:-1])
    comments = [
        "# Source: aave_oracle_derived",
        f"# Asset_pair: {lst}_ETH",
        "# Quote_currency: ETH",
        "# Methodology: asset_usd / eth_usd",
        f"# Processed: {PROCESSED}",
        f"# Records: {len(rate)}",
    ]
    path = f"protocol_data/aave/oracle/{lst}_ETH_oracle_{calendar.span()}.csv"
    text = rows([timestamps, rate, lst, "aave_oracle_derived", "ETH"])
    header = "timestamp,oracle_price_eth,asset,source,quote_currency"
    return SampleFile(path, header, text, comments)


def _peg(market: MarketPaths, lst: str) -> SampleFile:
    """DEX rate and redemption rate; its first row is about a day later than the oracle's."""
    calendar, first = market.calendar, PEG_STARTS_AFTER_HOURS[lst]
    oracle = market.oracle[lst][first:-1]
    sold_at = (oracle * (1.0 + market.premium[lst][first:-1])).round(14)
    premium = (sold_at / oracle - 1.0) * 100.0
    dex, fee, direct = DEX[lst]
    benefit = -100.0 * premium - fee
    timestamps, days = calendar.hour_texts[first:], [s[:10] for s in calendar.hour_texts[first:]]
    route = ["dex_swap" if gain > 0 else direct for gain in benefit.tolist()]
    status = ["discount" if p < -0.5 else "at_peg" for p in premium.tolist()]
    columns: list[Column] = [
        [timestamp.replace("T", " ") + "+00:00" for timestamp in timestamps],
        numbers(oracle), lst, "aave_oracle_derived", "ETH", days, days,
        numbers(sold_at), dex, numbers(sold_at), numbers(premium), "ETH", PROCESSED,
        *[repr(fee)] * 5, repr(2.0 * fee), repr(fee), "direct_staking",
        numbers(benefit), route, status,
    ]  # fmt: skip
    header = (
        "timestamp,protocol_rate,asset,source,quote_currency,date_oracle,date_market,market_rate,dex,"
        "market_rate_median_24h,peg_premium_percent,base_asset,processed_date,direct_gas_cost_usd,"
        "dex_gas_cost_usd,dex_execution_cost_bps,dex_execution_cost_usd,total_direct_cost_usd,"
        "total_dex_cost_usd,cost_difference_usd,optimal_route_by_cost,net_dex_benefit_usd,"
        "optimal_route_with_costs,peg_status"
    )
    path = f"protocol_data/staking/peg_analysis/{lst}_peg_analysis_{calendar.span()}.csv"
    return SampleFile(path, header, rows(columns))


def _aave_risk_parameters() -> SampleFile:
    def block(ltv: float, threshold: float, bonus: float) -> dict[str, dict[str, float]]:
        pairs = ("weETH_WETH", "wstETH_WETH", "ETH_WETH")
        return {
            "ltv_limits": dict.fromkeys(pairs, ltv),
            "liquidation_thresholds": dict.fromkeys(pairs, threshold),
            "liquidation_bonus": dict.fromkeys(pairs, bonus),
        }

    document = {
        "emode": block(0.93, 0.95, 0.01),
        "standard": block(0.80, 0.85, 0.05),
        "reserve_factors": dict.fromkeys(("weETH", "wstETH", "WETH", "USDT"), 0.10),
    }
    path = "protocol_data/aave/risk_params/aave_v3_risk_parameters.json"
    return SampleFile(path, "", json.dumps(document, indent=2).split("\n"))


def _periods(market: MarketPaths) -> list[tuple[int, int]]:
    """First and last day of every restaking period: one long period, then weeks."""
    calendar = market.calendar
    first, opening = calendar.day(crises.RESTAKING_DAY), calendar.day(crises.EIGEN_FIRST_DAY)
    starts = range(opening + 1, calendar.days - 6, 7)
    return [(first, opening), *((start, start + 6) for start in starts)]


def _eigen(market: MarketPaths) -> SampleFile:
    periods = _periods(market)
    weekly = (0.185 + 0.008 * market.streams.normal("eigen rewards", len(periods))).round(3)
    weeks = [(end - start + 1) / 7.0 for start, end in periods]
    restaked = (1.5e6 + 30_000.0 * np.arange(len(periods))).round()
    earned = weekly * np.array(weeks) * (restaked + (0.2 * restaked).astype(int))
    dates = market.calendar.dates
    text = rows([
        [dates[start] for start, _ in periods],
        [dates[end] for _, end in periods],
        [str(int(v)) for v in earned.tolist()],
        [str(int(v)) for v in restaked.tolist()],
        [str(int(v)) for v in (0.2 * restaked).tolist()],
        [f"{v:.3f}" for v in weekly.tolist()],
    ])  # fmt: skip
    header = (
        "staking_period_start,staking_period_end,eigen_earned,"
        "eth_restaked,eth_not_restaked,eigen_per_eeth_weekly"
    )
    return SampleFile(f"{DISTRIBUTIONS}/eigen_distributions_raw.csv", header, text)


def _ethfi(market: MarketPaths) -> SampleFile:
    """Top-ups of the first ten periods, paid twelve days after their end (less in short spans)."""
    lag = max(market.calendar.days // 33, 1)
    paid = [(s, e, e + lag) for s, e in _periods(market)[:10] if e + lag < market.calendar.days]
    tokens = (0.15 + 0.03 * market.streams.normal("ethfi rewards", len(paid))).clip(0.01).round(3)
    dates = market.calendar.dates
    text = rows([
        [dates[payout] for _, _, payout in paid],
        [dates[start] for start, _, _ in paid],
        [dates[end] for _, end, _ in paid],
        [str(int(v)) for v in (2.0e6 * tokens).tolist()],
        [f"{v:.3f}" for v in tokens.tolist()],
    ])  # fmt: skip
    header = (
        "top_up_date,staking_period_start,staking_period_end,"
        "ethfi_amount,ethfi_per_eeth_distributed"
    )
    return SampleFile(f"{DISTRIBUTIONS}/ethfi_topups_raw.csv", header, text)


def _susde(market: MarketPaths) -> SampleFile:
    """Daily yield of sUSDe: a share of the ETH carry."""
    apr = np.maximum(0.03 + 0.75 * market.carry["ETH"][:-1:24], 0.02).round(6)
    growth = np.ones(len(apr))
    for _ in range(365):
        growth = growth * (1.0 + apr / 365.0)
    apy = growth - 1.0
    columns: list[Column] = [
        market.calendar.dates[:-1], "ethena", "sUSDE",
        numbers(100.0 * apy, 4), numbers(100.0 * apr, 4), numbers(apy, 6), numbers(apr),
        numbers(100.0 * apy, 4), "0.0", "defillama_manual_csv", PROCESSED,
        "apy_converted_to_apr_for_consistency",
    ]  # fmt: skip
    header = (
        "date,protocol,symbol,apy_percent,apr_percent,apy_decimal,apr_decimal,base_apy_percent,"
        "reward_apy_percent,source,processed_date,methodology"
    )
    name = f"ethena_susde_apr_benchmark_{market.calendar.span()}.csv"
    return SampleFile(f"protocol_data/staking/benchmark_yields/{name}", header, rows(columns))
