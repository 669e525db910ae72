"""What trading costs in a panel: by leg, day and size bucket."""

import numpy as np

from basis_pipeline.market.panel import build_panel
from tests.market.made_datasets import (
    HOURS,
    PAIRS,
    WINDOW,
    make_dataset,
)
from tests.market.test_panel import DATASETS, GASLESS, MODES, made, sliced


def bps(pair: str) -> np.ndarray:
    """Return the generated rates of a pair by hour: the sum of parts of day, pair and bucket."""
    day = (HOURS.normalize() - HOURS[0].normalize()).days.to_numpy()
    return (1.0 + day + 10.0 * sorted(PAIRS).index(pair))[:, None] + [0.0, 100.0, 200.0]


LEGS = {
    "pure_lending": [0.0, 0.0],
    "btc_basis": [10.0, 0.0, "BTCUSDT-PERP", "BTCUSDT-PERP"],
    "eth_basis": [10.0, 0.0, *["ETHUSDT-PERP"] * 3],
    "eth_staking_only": [0.0, "ETH_weETH", "EIGEN_ETH", "ETHFI_ETH"],
    "usdt_market_neutral": [10.0, "ETH_weETH", "EIGEN_USDT", "ETHFI_USDT", *["ETHUSDT-PERP"] * 3],
}


def test_each_leg_costs_its_pair_by_day_and_bucket() -> None:
    """Exchanges charge their taker fee, the rest is the table's; reward tokens by share class."""
    for mode, legs in LEGS.items():
        panel = made(mode)
        for leg, source in enumerate(legs):
            expected = bps(source) if isinstance(source, str) else np.full((len(HOURS), 3), source)
            assert panel.cost_bps[:, leg].tolist() == expected.tolist(), panel.legs[leg]
        assert len(panel.legs) == len(legs), mode


def test_with_the_fee_model_every_leg_pays_its_venue() -> None:
    """No table is read: the LST pays the fee of the pool it is sold in, rewards those of theirs."""
    fees = sliced("usdt_market_neutral", costs__model="fees")
    assert "execution_costs" not in fees.datasets
    panel = build_panel(fees, {name: DATASETS[name] for name in fees.datasets}, WINDOW)
    assert np.unique(panel.cost_bps, axis=0).tolist() == [
        [[bps] * 3 for bps in (10.0, 4.0, 30.0, 30.0, 5.0, 5.5, 5.0)]
    ]


def test_a_pool_costs_what_the_table_says() -> None:
    """On a decentralised exchange the spot leg is the table's pair, not a taker fee."""
    panel = made("eth_basis", spot__venue="uniswapv3")
    assert panel.cost_bps[:, 0].tolist() == bps("ETH_USDT").tolist()
    assert panel.spot.tolist() == DATASETS["uniswapv3_ethusdt_spot"].frame["open"].tolist()


def test_a_perpetual_outside_the_table_pays_the_taker_fee() -> None:
    """Venues without a pair in the table charge their own fee, each its own."""
    costs = DATASETS["execution_costs"]
    frame = costs.frame[costs.frame["pair"] != "ETHUSDT-PERP"]
    datasets = {**DATASETS, "execution_costs": make_dataset(costs.config, frame)}
    panel = build_panel(sliced("eth_basis"), datasets, WINDOW)
    assert panel.cost_bps[:, 2:].tolist() == [[[5.0] * 3, [5.5] * 3, [5.0] * 3]] * len(HOURS)


def test_flat_costs_are_flat() -> None:
    """The flat model charges every leg and bucket alike and reads no table."""
    for mode in MODES:
        without = {name: d for name, d in DATASETS.items() if name != "execution_costs"}
        flat = sliced(mode, costs__model="flat", costs__flat_bps=12.5)
        panel = build_panel(flat, without, WINDOW)
        assert np.unique(panel.cost_bps).tolist() == [12.5], mode
        assert (panel.gas_price > 0).all() == (mode not in GASLESS), mode


def test_without_costs_neither_gas_nor_table_is_needed() -> None:
    """Costs off: free trades, free gas, and a directory without those feeds is enough."""
    for mode in MODES:
        free = sliced(mode, costs__enabled=False)
        assert not {"ethereum_gas", "execution_costs"} & set(free.datasets), mode
        panel = build_panel(free, {name: DATASETS[name] for name in free.datasets}, WINDOW)
        assert not panel.gas_price.any(), mode
        assert not panel.cost_bps.any(), mode
        priced = mode in ("pure_lending_eth", "eth_leveraged")  # they read WETH's snapshots anyway
        assert (panel.numeraire_usd != 1.0).all() == priced, mode
