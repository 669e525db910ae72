"""Rules between fields: one change of a valid mode breaks each, with one message."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import yaml

from basis_pipeline.config import Configs, slice_mode
from basis_pipeline.config.overrides import apply_overrides
from basis_pipeline.config.rules import RULES, broken_rules
from basis_pipeline.errors import ConfigError


class Case(NamedTuple):
    """A valid mode (with overrides), the change that breaks a rule, and the start of the message.

    As two lines of `TABLE`, with the overrides in YAML.
    """

    mode: str
    sound: Mapping[str, Any]
    change: Mapping[str, Any]
    message: str


TABLE = """
pure_lending |  | lending.token: WETH
    lending.token WETH counts as ETH, which is not at par with USDT
pure_lending_eth |  | lending.token: USDT
    lending.token USDT counts as USDT, which is not at par with ETH
pure_lending_eth | allocation.lending: 0.5 | allocation.spot: 0.5
    allocation.spot buys the asset with the share class's currency, but ETH is at par with ETH
btc_basis | allocation.spot: 0.25, rebalance.margin_ratio.max: 5.0 | allocation.staking: 0.25
    staking.lst weETH stakes ETH, asset says BTC
pure_lending | allocation.lending: 0.5 | allocation.spot: 0.5
    allocation.spot buys the asset with the share class's currency, but USDT is at par with USDT
btc_basis |  | spot.venue: aave_v3
    spot.venue 'aave_v3' is not an exchange
eth_basis |  | spot.venue: lido
    spot.venue 'lido' is not an exchange
eth_basis |  | hedge.venues.okx: 0.2
    hedge.venues weights sum to 0.9, not 1
eth_basis |  | hedge.venues: {}
    hedge.venues weights sum to 0, not 1
eth_staking_only | allocation.staking: 0.5 | hedge: {ratio: 1.0, venues: {bybit: 1.0}, carry: {}}
    hedge.ratio > 0 in the ETH class: ETH needs no hedge there
pure_lending | allocation.lending: 0.5 | hedge: {ratio: 1.0, venues: {bybit: 1.0}, carry: {}}
    hedge.ratio > 0 with neither spot nor staking: there is nothing to hedge
eth_basis | hedge.venues: {bybit: 1.0}, rebalance.enabled: false | allocation.lending: 0.5
    a hedged mode needs allocation.lending + spot + staking < 1: the rest is margin; margin of 0 of
eth_basis |  | hedge.venues: {uniswapv3: 1.0}
    hedge.venues: 'uniswapv3' has no perpetuals
eth_basis | hedge.venues: {bybit: 1.0}, rebalance.enabled: false | allocation.spot: 0.95
    margin of 0.0526 of notional is below bybit's initial margin
eth_basis |  | allocation.spot: 0.15
    the allocation's margin ratio 5.67 lies outside rebalance.margin_ratio [0.3, 4]
eth_basis |  | rebalance.margin_ratio.min: 1.0
    the allocation's margin ratio 1 lies outside rebalance.margin_ratio [1, 4]: every hour would
funding_arbitrage |  | hedge.carry.binance: 0.7
    hedge.carry sums to -0.1, not 0
funding_arbitrage |  | hedge.carry: {bybit: 0.5}
    hedge.carry sums to 0.5, not 0; hedge.carry needs two venues: one that is long, one that
funding_arbitrage |  | hedge.carry: {binance: -0.5, bybit: 0.5, okx: 0.0}
    hedge.carry: okx has a leg of 0; leave it out
funding_arbitrage |  | hedge.carry: {binance: -0.5, uniswapv3: 0.5}
    hedge.carry: 'uniswapv3' has no perpetuals
funding_arbitrage | allocation.lending: 0.1 | hedge.ratio: 1.0
    hedge.venues weights sum to 0, not 1; hedge.ratio > 0 with neither spot nor staking: there is
btc_basis |  | hedge.carry: {binance: -0.5, bybit: 0.5}
    hedge.carry and hedge.ratio > 0 exclude each other
funding_arbitrage | allocation.lending: 0.4 | allocation.spot: 0.1
    hedge.carry leaves allocation.spot and allocation.staking unhedged: they must be 0
funding_arbitrage | rebalance.enabled: false | allocation.lending: 1.0
    hedge.carry needs allocation.lending < 1: the rest is margin; margin of 0 of notional is below
pure_lending_eth | allocation.lending: 0.4 | hedge.carry: {binance: -0.3, bybit: 0.3}
    hedge.carry in the ETH class: ETH has no price there
pure_lending | allocation.lending: 0.4 | hedge.carry: {binance: -0.3, bybit: 0.3}
    hedge.carry in the USDT class: USDT has no price there
funding_arbitrage | rebalance.margin_ratio.min: 0.05 | hedge.carry: {binance: -6.0, bybit: 6.0}
    margin of 0.0833 of notional is below binance's initial margin
funding_arbitrage |  | hedge.carry: {binance: -2.0, bybit: 2.0}
    the allocation's margin ratio 0.25 lies outside rebalance.margin_ratio [0.3, 4]
eth_staking_only |  | staking.lst: rETH
    no venue in configs/venues/ issues staking.lst 'rETH'
eth_leveraged |  | lending.protocol: bybit
    'bybit' does not take weETH as e-mode collateral
eth_leveraged |  | staking.max_ltv: 0.5
    staking.target_ltv 0.65 exceeds max_ltv 0.5
eth_leveraged |  | staking.max_ltv: 0.94
    staking.max_ltv 0.94 exceeds the e-mode maximum 0.93
usdt_market_neutral |  | staking.target_ltv: 0.92
    leverage 12.5 exceeds the USDT class's 10
eth_leveraged |  | rebalance.health_factor_floor: 1.5
    the target's health factor 1.462 is not above rebalance.health_factor_floor 1.5
pure_lending |  | lending.protocol: bybit
    lending.protocol 'bybit' does not lend USDT
sol_basis | allocation: {lending: 0.2, spot: 0.4, staking: 0.0} | spot.venue: orca
    the venues of a mode are on one chain, not aave_v3 on ethereum, orca on solana
eth_basis | rebalance.enabled: false | flows: [{date: '2024-07-01', amount: -10.0}]
    withdrawals need rebalance.enabled: nothing else frees the cash
"""


def cases() -> Iterator[Case]:
    """The cases of the table."""
    lines = TABLE.strip().splitlines()
    for line, message in zip(lines[::2], lines[1::2], strict=True):
        mode, *overrides = line.split(" | ")
        yield Case(mode, *(yaml.safe_load(f"{{{text}}}") for text in overrides), message.strip())


CASES = list(cases())


def rejection(configs: Configs, case: Case) -> str:
    """Code, place and message of the rejection of a changed mode; empty where it is accepted."""
    slice_mode(configs, case.mode, case.sound)
    try:
        slice_mode(configs, case.mode, {**case.sound, **case.change})
    except ConfigError as error:
        return f"{error.code} {error.where} {error.what}"
    return ""


def test_one_change_breaks_one_rule(configs: Configs) -> None:
    """The mode is valid before the change; after it the message names the problem."""
    found = [(case, rejection(configs, case)) for case in CASES]
    begins = "CONFIG-006 mode {0.mode} {0.message}"
    assert [(c, text) for c, text in found if not text.startswith(begins.format(c))] == []


def test_the_cases_break_every_rule(configs: Configs) -> None:
    """A new rule without a case fails here."""
    broken = set()
    for case in CASES:
        mode = apply_overrides(configs.mode(case.mode), {**case.sound, **case.change})
        broken |= {rule for rule in RULES if list(rule(mode, configs))}
    assert broken == set(RULES)


def test_every_committed_mode_is_sound(configs: Configs) -> None:
    """Every mode in the repository keeps the rules."""
    assert {name: broken_rules(mode, configs) for name, mode in configs.modes.items()} == {
        name: [] for name in configs.modes
    }


@pytest.mark.parametrize(
    ("mode", "overrides", "name"),
    [
        ("eth_basis", {"spot.venue": "kraken"}, "kraken"),
        ("eth_basis", {"hedge.venues": {"kraken": 1.0}}, "kraken"),
        ("pure_lending", {"lending.protocol": "compound"}, "compound"),
        ("eth_leveraged", {"lending.protocol": "compound"}, "compound"),
        ("pure_lending", {"spot.venue": "kraken"}, "kraken"),
        ("funding_arbitrage", {"hedge.carry": {"bybit": -0.5, "kraken": 0.5}}, "kraken"),
        (
            "pure_lending",
            {"hedge": {"ratio": 0.0, "venues": {"kraken": 1.0}, "carry": {}}},
            "kraken",
        ),
    ],
)
def test_a_venue_that_does_not_exist_is_named_with_those_that_do(
    configs: Configs, mode: str, overrides: dict[str, Any], name: str
) -> None:
    """CONFIG-008, also where the mode's weights make no use of the venue: it is a misspelling."""
    with pytest.raises(ConfigError, match=f"venues/{name}.yaml does not exist") as raised:
        slice_mode(configs, mode, overrides)
    assert raised.value.code == "CONFIG-008"
    assert raised.value.available == ", ".join(configs.venues)


def test_a_share_class_without_a_file_is_named(configs: Configs) -> None:
    """CONFIG-008 lists the existing share classes."""
    lacking = replace(configs, share_classes={"USDT": configs.share_classes["USDT"]})
    with pytest.raises(ConfigError, match=r"share_classes/ETH\.yaml does not exist") as raised:
        slice_mode(lacking, "eth_leveraged")
    assert (raised.value.code, raised.value.available) == ("CONFIG-008", "USDT")


def test_leverage_is_held_to_the_share_classs_limit(configs: Configs) -> None:
    """At exactly 1 / (1 - ltv) the mode is valid, just below it is not."""

    def limited(leverage: float) -> Configs:
        eth = configs.share_classes["ETH"].model_copy(update={"max_leverage": leverage})
        return replace(configs, share_classes={**configs.share_classes, "ETH": eth})

    slice_mode(limited(1.0 / 0.35), "eth_leveraged")
    with pytest.raises(ConfigError, match=r"leverage 2\.857 exceeds the ETH class's"):
        slice_mode(limited(1.0 / 0.35 - 1e-6), "eth_leveraged")


def test_all_broken_rules_are_named_at_once(configs: Configs) -> None:
    """A person fixes a mode in one go."""
    with pytest.raises(ConfigError) as raised:
        slice_mode(configs, "eth_basis", {"hedge.venues": {"lido": 0.5}, "spot.venue": "etherfi"})
    assert raised.value.what == (
        "spot.venue 'etherfi' is not an exchange; hedge.venues weights sum to 0.5, not 1; "
        "hedge.venues: 'lido' has no perpetuals"
    )
