"""What a change reaches is what uses it, and nothing else."""

from dataclasses import replace

import pytest

from basis_pipeline.backtests.impact import changed, fingerprints, reach_of
from basis_pipeline.config import slice_mode
from basis_pipeline.config.current import current_configs

CONFIGS = current_configs()


@pytest.mark.parametrize(
    ("family", "modes"),
    [
        ("hyperliquid_solusdc_funding", {"sol_basis", "funding_arbitrage"}),
        # Its bars stand in for missing ones of Binance, which more modes read.
        ("bybit_btcusdt_perp", {"btc_basis"}),
        ("aave_weth_rates", None),
        ("susde_benchmark", None),
        ("ethereum_gas", set(CONFIGS.modes) - {"sol_basis", "funding_arbitrage"}),
        ("wsteth_peg", set()),
    ],
)
def test_modes_are_those_that_read_it(family: str, modes: set[str] | None) -> None:
    """Through a dataset of the slice, a substitute of its repairs, or a benchmark."""
    found = set(reach_of(CONFIGS, [family]).modes)
    assert (found == modes) if modes is not None else found
    for name in CONFIGS.modes:
        read = slice_mode(CONFIGS, name).datasets
        made_of = {source for config in read.values() for source in (config.name, *config.sources)}
        if family in made_of:
            assert name in found


def test_a_substitute_reaches_the_datasets_it_repairs() -> None:
    """Binance's bars are repaired from Bybit's: both are rebuilt."""
    datasets = reach_of(CONFIGS, ["bybit_ethusdt_perp"]).datasets
    assert {"bybit_ethusdt_perp", "binance_ethusdt_perp"} <= set(datasets)


def test_a_peer_is_checked_again_and_reaches_no_mode() -> None:
    """A dataset that is only compared with a changed one keeps its values."""
    reach = reach_of(CONFIGS, ["okx_ethusdt_perp"])
    assert "binance_ethusdt_perp" in reach.datasets  # their agreement is checked again
    unread = [m for m in CONFIGS.modes if "okx_ethusdt_perp" not in slice_mode(CONFIGS, m).datasets]
    assert not set(unread) & set(reach.modes)


def test_fingerprints_change_with_what_they_stand_for() -> None:
    """A venue touches the modes that use it; a catalogue entry its dataset alone."""
    before = fingerprints(CONFIGS)
    venue = CONFIGS.venues["okx"]
    margin = venue.perp_margin.model_copy(update={"maintenance": 0.017})
    touched = replace(
        CONFIGS,
        venues={**CONFIGS.venues, "okx": venue.model_copy(update={"perp_margin": margin})},
    )
    expected = [m for m in CONFIGS.modes if "okx" in slice_mode(CONFIGS, m).venues]
    assert changed(before["modes"], fingerprints(touched)["modes"]) == sorted(expected)
    entry = CONFIGS.datasets["ethereum_gas"].model_copy(update={"owner": "someone-else"})
    entered = replace(CONFIGS, datasets={**CONFIGS.datasets, "ethereum_gas": entry})
    now = fingerprints(entered)
    assert changed(before["datasets"], now["datasets"]) == ["ethereum_gas"]
    assert changed(before["modes"], now["modes"]) == []


def test_a_mode_that_breaks_a_rule_has_a_fingerprint_of_its_fault() -> None:
    """It is run again, so that its broken rule is recorded; changed data no longer reach it."""
    mode = CONFIGS.modes["btc_basis"]
    hedge = mode.hedge.model_copy(update={"venues": {"bybit": 0.5}})
    broken = replace(
        CONFIGS, modes={**CONFIGS.modes, "btc_basis": mode.model_copy(update={"hedge": hedge})}
    )
    found = changed(fingerprints(CONFIGS)["modes"], fingerprints(broken)["modes"])
    assert found == ["btc_basis"]
    assert reach_of(broken, ["bybit_btcusdt_funding"]).modes == ()
