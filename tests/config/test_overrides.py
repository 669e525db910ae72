"""Dotted overrides: what they replace, what they reject, and that they touch nothing else."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_pipeline.config import Configs, load_configs, parse_assignments, slice_mode
from basis_pipeline.config.overrides import apply_overrides
from basis_pipeline.errors import ConfigError
from tests.config.trees import COMMITTED, leaves

LOADED = load_configs(COMMITTED)
HASHES = {name: slice_mode(LOADED, name).config_hash for name in LOADED.modes}


def test_an_assignment_has_a_yaml_value() -> None:
    """Numbers, texts, mappings and null are written as in a file."""
    for text, key, value in [
        ("capital=5", "capital", 5),
        ("rebalance.enabled=false", "rebalance.enabled", False),
        ("rebalance.delta_band=1e-3", "rebalance.delta_band", 1e-3),
        ("hedge.venues={bybit: 1.0}", "hedge.venues", {"bybit": 1.0}),
        ("gates.target_apy=", "gates.target_apy", None),
        ("description=a=b", "description", "a=b"),
        (" spot.venue = okx ", "spot.venue", "okx"),
    ]:
        parsed = parse_assignments([text])
        assert parsed == {key: value}, text
        assert type(parsed[key]) is type(value), text


@pytest.mark.parametrize(
    ("texts", "code", "message"),
    [
        (["rebalance.enabled"], "CONFIG-MGR-001", "not of the form key=value"),
        (["=1"], "CONFIG-MGR-001", "not of the form key=value"),
        (["costs.model=flat", "costs.model=table"], "CONFIG-MGR-002", "overridden twice"),
        (["hedge.venues={bybit: 1.0"], "CONFIG-MGR-004", "override hedge.venues"),
        (["hedge.venues={bybit: 0.5, bybit: 0.5}"], "CONFIG-MGR-004", "'bybit' is given twice"),
    ],
)
def test_a_malformed_assignment_is_rejected(texts: list[str], code: str, message: str) -> None:
    """Nothing is guessed from a half-written `--set`."""
    with pytest.raises(ConfigError, match=message) as raised:
        parse_assignments(texts)
    assert raised.value.code == code


def test_a_mapping_is_replaced_as_a_whole(configs: Configs) -> None:
    """`hedge.venues={bybit: 1.0}` leaves no other venue's weight behind."""
    mode = apply_overrides(configs.mode("eth_basis"), {"hedge.venues": {"bybit": 1.0}})
    assert mode.hedge.venues == {"bybit": 1.0}
    with pytest.raises(ConfigError, match=r"hedge\.ratio: Field required"):
        apply_overrides(configs.mode("eth_basis"), {"hedge": {"venues": {"bybit": 1.0}}})


def test_later_keys_reach_into_earlier_ones_in_order(configs: Configs) -> None:
    """Overrides are applied as given; the caller's own mapping is not written into."""
    given_mapping = {"lending": 0.0, "spot": 0.5, "staking": 0.0}
    overrides = {"allocation": given_mapping, "allocation.spot": 0.4}
    assert apply_overrides(configs.mode("eth_basis"), overrides).allocation.spot == 0.4
    assert given_mapping["spot"] == 0.5
    reordered = dict(reversed(overrides.items()))
    assert apply_overrides(configs.mode("eth_basis"), reordered).allocation.spot == 0.5


@pytest.mark.parametrize(
    ("key", "where", "available"),
    [
        ("leverage", "the mode", "allocation, asset, costs"),
        ("rebalance.margin_ratio.low", "rebalance.margin_ratio", "max, min"),
        ("hedge.venues.kraken", "hedge.venues", "binance, bybit, okx"),
        ("costs.model.name", "costs.model", "nothing below it"),
        ("", "the mode", "allocation, asset"),
    ],
)
def test_a_key_that_does_not_exist_lists_those_that_do(
    configs: Configs, key: str, where: str, available: str
) -> None:
    """A misspelt override cannot pass for one that had no effect."""
    with pytest.raises(ConfigError, match="there is no key") as raised:
        slice_mode(configs, "eth_basis", {key: 1.0})
    assert (raised.value.code, raised.value.where) == ("CONFIG-010", where)
    assert raised.value.available.startswith(available)


def test_an_override_cannot_become_another_mode(configs: Configs) -> None:
    """A mode is chosen by its name, so that a run recorded as one mode is that mode."""
    for key, code in (("mode", "CONFIG-MGR-003"), ("mode.mode", "CONFIG-010")):
        with pytest.raises(ConfigError) as raised:
            slice_mode(configs, "eth_basis", {key: "btc_basis"})
        assert raised.value.code == code


@pytest.mark.parametrize("value", ["0.5", True, None, float("nan"), -0.1, [0.5]])
def test_values_are_validated_like_the_file(configs: Configs, value: Any) -> None:
    """Overrides are as strict as files, and the message names the override."""
    with pytest.raises(ConfigError, match=r"allocation\.spot: ") as raised:
        slice_mode(configs, "eth_basis", {"allocation.spot": value})
    assert raised.value.code == "CONFIG-005"
    assert raised.value.where == "mode eth_basis with overrides of allocation.spot"


NUMBERS = st.one_of(st.floats(0.0, 2.0), st.integers(0, 2), st.booleans(), st.none(), st.just("x"))


@given(data=st.data())
def test_any_override_stays_in_its_own_slice(data: st.DataObject) -> None:
    """No override, valid or not, changes the configuration or another slice."""
    name = data.draw(st.sampled_from(sorted(LOADED.modes)))
    tree = LOADED.mode(name).model_dump(mode="json")
    keys = [".".join(map(str, path)) for path, _ in leaves(tree)] + list(tree)
    overrides = data.draw(
        st.dictionaries(st.sampled_from(keys), NUMBERS, min_size=1, max_size=3), label="overrides"
    )
    before = dict(overrides)
    with suppress(ConfigError):
        slice_mode(LOADED, name, overrides)
    assert overrides == before
    assert LOADED.mode(name).model_dump(mode="json") == tree
    assert {mode: slice_mode(LOADED, mode).config_hash for mode in HASHES} == HASHES
