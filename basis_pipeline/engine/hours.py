"""The market as the hour loop reads it: by hour, all that does not depend on what is held."""

from typing import NamedTuple

import numpy as np

from basis_pipeline.engine.model import Floats, MarketArrays, Records, record_type

HOUR = record_type(
    (
        "spot",
        "spot_change",
        "lending_index",
        "borrow_index",
        "lst_value",  # ETH a scaled LST unit is worth at the rate that values holdings
        "lst_redemption",  # and at the redemption rate
        "lending_gain",  # numeraire earned by a scaled unit of the lent token
        "supply_gain",  # by a scaled LST unit, from its collateral index
        "staking_gain",  # and from its own rate
        "borrow_cost",  # owed by a scaled unit of debt
        "gas_price",
        "flow",
        "collateral_index",
        "oracle_rate",
        "market_rate",
        "lst_mark",
        "numeraire_usd",
    ),
    settles_funding=np.bool_,
    has_external_event=np.bool_,  # a flow or a payment of rewards
    earns_rewards=np.bool_,
)
QUOTE = record_type(("mark", "mark_change", "extreme", "funding_rate"))
TOKEN = record_type(("price", "price_change", "earned_per_unit"), slot=np.int64, paid_slot=np.int64)


class HourCoefficients(NamedTuple):
    """Prices, rates and coefficients by hour; changes are those since the hour before."""

    asset: Records  # (n,) HOUR
    quotes: Records  # (n, K) QUOTE
    tokens: Records  # (n, R) TOKEN
    cost_bps: Floats  # (n, L, 3)


def _before(values: Floats) -> Floats:
    """Return the values of the hour before; the first hour has none and keeps its own."""
    return np.concatenate([values[:1], values[:-1]])


def hour_coefficients(market: MarketArrays) -> HourCoefficients:
    """Prepare a market for the hour loop, once however many scenarios run over it.

    A holding is a product scaled x index x rate x price. Its change is taken factor by factor, the
    later factors at their old value and the earlier ones at their new, so that the parts telescope
    (SEMANTICS 9).
    """
    hours, venues = market.perp_mark.shape
    asset = np.zeros(hours, HOUR)
    quotes = np.zeros((hours, venues), QUOTE)
    tokens = np.zeros((hours, market.reward_price.shape[1]), TOKEN)
    copied = set(HOUR.names or ()) & set(MarketArrays._fields)
    for name in copied:
        asset[name] = getattr(market, name)
    index, rate = market.collateral_index, market.lst_mark
    spot_before, rate_before = _before(market.spot), _before(rate)
    with np.errstate(
        all="ignore"
    ):  # values that are not finite are reported at the hour that uses them
        asset["spot_change"] = market.spot - spot_before
        asset["lst_value"] = index * rate
        asset["lst_redemption"] = index * market.oracle_rate
        asset["lending_gain"] = market.lending_index - _before(market.lending_index)
        asset["supply_gain"] = (index - _before(index)) * rate_before * spot_before
        asset["staking_gain"] = index * (rate - rate_before) * spot_before
        asset["borrow_cost"] = (market.borrow_index - _before(market.borrow_index)) * spot_before
        quotes["mark_change"] = market.perp_mark - _before(market.perp_mark)
        tokens["price_change"] = market.reward_price - _before(market.reward_price)
    asset["has_external_event"] = (market.flow != 0.0) | (market.reward_payout >= 0).any(axis=1)
    asset["earns_rewards"] = (market.reward_tokens_per_unit != 0.0).any(axis=1)
    asset["settles_funding"] = (market.funding_rate != 0.0).any(axis=1)
    quotes["mark"] = market.perp_mark
    quotes["extreme"] = market.perp_extreme
    quotes["funding_rate"] = market.funding_rate
    tokens["price"] = market.reward_price
    tokens["earned_per_unit"] = market.reward_tokens_per_unit
    tokens["slot"] = market.reward_slot
    tokens["paid_slot"] = market.reward_payout
    return HourCoefficients(asset, quotes, tokens, market.cost_bps)
