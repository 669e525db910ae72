"""Implausible inputs through the composition of `basis backtest`: rejected or warned of, by name.

Every case is a sound sample in which one thing is wrong, as deliveries were wrong before.
"""

from pathlib import Path

import pytest

from basis_pipeline.backtests.judged import JudgedRun, judged_backtest
from basis_pipeline.config.loading import load_configs
from basis_pipeline.errors import BasisError
from basis_pipeline.market.sample import write_sample
from basis_pipeline.market.window import parse_window
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Status
from tests.backtests.spoiled import (
    FROM_MIDDLE,
    FUNDING,
    GAS,
    PERP,
    RATES,
    SPOT,
    Spoil,
    all_of,
    moved,
    of_another,
    scaled,
    spoiled,
    stated,
    swapped,
    valued,
)

CONFIGS = load_configs(project_root() / "configs")
WINDOW = parse_window("2024-01-08", "2024-02-28")
PRICES = "open high low close"


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixty days of sound data, with every crisis of a sample."""
    data = tmp_path_factory.mktemp("sound")
    write_sample(data, days=60)
    return data


def backtest(data: Path, mode: str) -> JudgedRun:
    """Backtest a mode as `basis backtest` does."""
    return judged_backtest(CONFIGS, mode, data, WINDOW)


REJECTED: dict[str, tuple[str, Spoil, str, str]] = {
    "funding in percent": (
        "eth_basis",
        scaled(FUNDING.format("*", "ETH"), "funding_rate", 100.0),
        "they look like percent",
        "funding_rate",
    ),
    "funding in basis points": (
        "usdt_market_neutral",
        scaled(FUNDING.format("bybit", "ETH"), "funding_rate", 1e4),
        "they look like basis points",
        "bybit_ETHUSDT_funding",
    ),
    "one funding rate of 9": (
        "btc_basis",
        valued(FUNDING.format("binance", "BTC"), "funding_rate", "9.0", "2024-02-01T08"),
        "line 96: funding_rate is 9, outside of -0.03 … 0.03; 1 such row",
        "binance_BTCUSDT_funding",
    ),
    "indices that switch to ray": (
        "pure_lending",
        scaled(RATES.format("USDT"), "liquidityIndex variableBorrowIndex", 1e27, FROM_MIDDLE),
        "they look like ray",
        "line 42: liquidityIndex is",
    ),
    "indices times 1.05 from a day on": (
        "pure_lending",
        scaled(RATES.format("USDT"), "liquidityIndex variableBorrowIndex", 1.05, FROM_MIDDLE),
        "a factor or another reserve from there on",
        "2024-02-10: its growth and the rate in its own row differ by +17",
    ),
    "index columns swapped": (
        "eth_leveraged",
        swapped(RATES.format("WETH"), "liquidityIndex", "variableBorrowIndex"),
        "the columns of the two indices are swapped",
        "aave_weth_rates: liquidity_index 1.03",
    ),
    "rates in percent": (
        "pure_lending",
        scaled(RATES.format("USDT"), "currentLiquidityRate currentVariableBorrowRate", 100.0),
        "they look like percent",
        "currentVariableBorrowRate is 10.",
    ),
    "bars of ETH as BTC": (
        "btc_basis",
        of_another(PERP.format("bybit", "BTC"), PERP.format("bybit", "ETH"), PRICES),
        "another symbol",
        "bybit_btcusdt_perp contradicts binance_btcusdt_perp",
    ),
    "bars of ETH as BTC from a day on": (
        "btc_basis",
        scaled(PERP.format("bybit", "BTC"), PRICES, 1 / 18, FROM_MIDDLE),
        "another unit or another symbol from there on",
        "2024-02-10 00:00",
    ),
    "bars in UTC+8": (
        "btc_basis",
        moved(PERP.format("binance", "BTC"), 8),
        "its hours are shifted",
        "binance_btcusdt_perp contradicts bybit_btcusdt_perp",
    ),
    "spot in UTC+8": (
        "eth_basis",
        moved(SPOT.format("eth", "bybit"), 8),
        "its hours are shifted",
        "bybit_ethusdt_spot contradicts",
    ),
    "bars labelled by their close": (
        "eth_basis",
        moved(PERP.format("okx", "ETH"), 1),
        "its bars are labelled by their close",
        "okx_ethusdt_perp contradicts binance_ethusdt_perp",
    ),
    "a premium index as price": (
        "btc_basis",
        scaled(PERP.format("bybit", "BTC"), PRICES, 0.0, offset=0.0005),
        "they look like a premium index or a rate, not like a price",
        "bybit_BTCUSDT_perp",
    ),
    "gas in wei": (
        "eth_leveraged",
        scaled(GAS, "base_fee_gwei priority_fee_p50_gwei", 1e9),
        "they look like wei",
        "ethereum_gas_prices",
    ),
    "prices a thousandfold without a gap": (
        "btc_basis",
        scaled(PERP.format("*", "BTC"), PRICES, 1000.0),
        "they look like thousandths",
        "BTCUSDT_perp",
    ),
    "prices a thousandfold from a day on": (
        "eth_basis",
        scaled(PERP.format("bybit", "ETH"), PRICES, 10.0, FROM_MIDDLE),
        "another unit or another symbol from there on",
        "bybit_ethusdt_perp: open goes from",
    ),
    "a price of another unit within the limits": (
        "eth_basis",
        scaled(PERP.format("bybit", "ETH"), PRICES, 3.0),
        "one market in another unit",
        "bybit_ethusdt_perp contradicts binance_ethusdt_perp",
    ),
    "a funding sign that is reversed": (
        "eth_basis",
        scaled(FUNDING.format("okx", "ETH"), "funding_rate", -1.0),
        "its sign is the reverse of that of binance_ethusdt_funding",
        "okx_ethusdt_funding contradicts",
    ),
    "high below open": (
        "eth_basis",
        swapped(PERP.format("bybit", "ETH"), "high", "low"),
        "columns that are swapped",
        "bybit_ethusdt_perp: the bar at 2024-01-01 00:00 has low",
    ),
    "Aave's threshold below the configuration": (
        "eth_leveraged",
        stated("liquidation_thresholds", 0.80),
        "the configuration is more lenient than the file",
        "liquidation_threshold of weETH is 0.8 in the file, 0.95 in the configuration",
    ),
    "Aave's threshold in basis points": (
        "eth_leveraged",
        stated("liquidation_thresholds", 9500.0),
        "DATA-016",
        "aave_risk_params",
    ),
}


@pytest.mark.parametrize("name", REJECTED)
def test_an_impossible_input_is_rejected_with_its_cause(
    name: str, sound: Path, tmp_path: Path
) -> None:
    """The message names the feed, the value and what explains it; also what it should repair."""
    mode, spoil, cause, place = REJECTED[name]
    with pytest.raises(BasisError) as caught:
        backtest(spoiled(sound, tmp_path, spoil), mode)
    message = str(caught.value)
    assert "DATA-016" in message or caught.value.code == "BT-001", message
    assert cause in message, message
    assert place in message, message


WARNED: dict[str, tuple[str, Spoil, str]] = {
    "settlements shifted by one": (
        "eth_basis",
        moved(FUNDING.format("okx", "ETH"), 8),
        "its settlements are shifted",
    ),
    "a wick that no venue shares": (
        "eth_basis",
        valued(PERP.format("bybit", "ETH"), "high", "4500.0", "2024-02-01T08"),
        "high 4500 at 2024-02-01 08:00 (wicks of at most 0.2 that no peer shares)",
    ),
    "a day of identical bars without volume": (
        "eth_basis",
        all_of(
            *(
                valued(PERP.format("bybit", "ETH"), column, value, "2024-02-01")
                for column, value in (*((c, "2300.0") for c in PRICES.split()), ("volume", "0.0"))
            )
        ),
        "fewer than 24 identical bars without volume",
    ),
    "an index beside its rate": (
        "pure_lending",
        scaled(RATES.format("USDT"), "currentLiquidityRate", 1.0, offset=0.3),
        "growth within 0.15 a year of its rate",
    ),
    "Aave's threshold above the configuration": (
        "eth_leveraged",
        stated("liquidation_thresholds", 0.96),
        "liquidation_threshold of weETH is 0.96 in the file, 0.95 in the configuration",
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_an_unusual_input_is_a_warning_with_its_cause(
    name: str, sound: Path, tmp_path: Path
) -> None:
    """The run goes on, and its verdicts say what is unusual."""
    mode, spoil, message = WARNED[name]
    run = backtest(spoiled(sound, tmp_path, spoil), mode)
    warned = [v.message for v in run.verdicts if v.status is Status.WARN]
    assert any(message in text for text in warned), warned


ACCEPTED: dict[str, tuple[str, Spoil]] = {
    "a sample as it is": ("usdt_market_neutral", lambda _: None),
    "a loss of 30 % within an hour, at every venue": (
        "eth_basis",
        all_of(
            scaled(PERP.format("*", "ETH"), PRICES, 0.7, FROM_MIDDLE),
            scaled(SPOT.format("eth", "bybit"), PRICES, 0.7, FROM_MIDDLE),
        ),
    ),
    "a day of funding at half a percent": (
        "btc_basis",
        all_of(
            valued(FUNDING.format("*", "BTC"), "funding_rate", "0.005", "2024-02-10"),
            valued(FUNDING.format("*", "BTC"), "funding_rate", "-0.005", "2024-02-11"),
        ),
    ),
    "gas of 2,000 gwei for a day": (
        "eth_leveraged",
        valued(GAS, "base_fee_gwei", "2000.0", "2024-02-10"),
    ),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_a_crisis_is_accepted(name: str, sound: Path, tmp_path: Path) -> None:
    """What markets have done is at most a warning."""
    mode, spoil = ACCEPTED[name]
    run = backtest(spoiled(sound, tmp_path, spoil), mode)
    of_data = [v for v in run.verdicts if v.asset.startswith("dataset/")]
    assert {v.status for v in of_data} <= {Status.PASS, Status.WARN, Status.NOT_APPLICABLE}
