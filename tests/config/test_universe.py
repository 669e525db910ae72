"""The key `of`: the keys of each kind, and finding datasets by them."""

from typing import Any

import pytest
from pydantic import ValidationError

from basis_pipeline.config.universe import KEYS, Kind, Of, find, matching
from basis_pipeline.errors import ConfigError

CATALOGUE = {
    name: Of(kind=Kind.PERP_BARS, venue=venue, base=base, quote=quote)
    for name, venue, base, quote in (
        ("a", "binance", "SOL", "USDT"),
        ("b", "binance", "SOL", "USDC"),
        ("c", "hyperliquid", "SOL", "USDC"),
        ("d", "hyperliquid", "DOGE", "USDC"),
    )
}
QUOTES = ("USDT", "USDC")


def test_every_kind_has_its_keys() -> None:
    """A kind without an entry could not be used."""
    assert set(KEYS) == set(Kind)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"kind": "funding", "venue": "okx", "base": "BTC"}, "needs venue, base, quote; given"),
        ({"kind": "oracle", "lst": "jitoSOL", "venue": "jito"}, "oracle needs lst; given"),
        ({"kind": "execution_costs", "venue": "okx"}, "no further keys"),
        ({"kind": "oracle", "lst": "jito SOL"}, "lst"),
        ({"kind": "candles"}, "kind"),
        ({"kind": "gas", "chain": "solana", "token": "SOL", "coin": "SOL"}, "coin"),
    ],
)
def test_a_dataset_has_exactly_the_keys_of_its_kind(keys: dict[str, Any], message: str) -> None:
    """A missing key would match everything, a further one nothing."""
    with pytest.raises(ValidationError, match=message):
        Of.model_validate(keys)


def test_the_preferred_quote_is_found_first() -> None:
    """Of several accepted quotes the first that exists is used; the others may exist too."""
    sol = {"base": "SOL", "quote": QUOTES}
    assert find(CATALOGUE, Kind.PERP_BARS, {"venue": "binance", **sol}) == "a"
    assert find(CATALOGUE, Kind.PERP_BARS, {"venue": "hyperliquid", **sol}) == "c"
    backwards = {"base": "SOL", "quote": QUOTES[::-1], "venue": "binance"}
    assert find(CATALOGUE, Kind.PERP_BARS, backwards) == "b"
    assert matching(CATALOGUE, Kind.PERP_BARS, {"base": "SOL"}) == ["a", "b", "c"]
    assert matching(CATALOGUE, Kind.FUNDING, {"base": "SOL"}) == []


def test_what_is_missing_is_described() -> None:
    """The message has the keys, the three nearest files, and what to write."""
    with pytest.raises(ConfigError) as caught:
        find(CATALOGUE, Kind.PERP_BARS, {"venue": "hyperliquid", "base": "BTC", "quote": QUOTES})
    error = caught.value
    assert error.code == "CONFIG-009"
    assert error.what.endswith(
        "{kind: perp_bars, venue: hyperliquid, base: BTC, quote: USDT or USDC}"
    )
    assert error.available.startswith("nearest are c: {kind: perp_bars, venue: hyperliquid")
    assert "{kind: perp_bars, venue: hyperliquid, base: BTC, quote: USDT}" in error.action
    with pytest.raises(ConfigError, match="no dataset of kind gas"):
        find(CATALOGUE, Kind.GAS, {"chain": "solana"})
