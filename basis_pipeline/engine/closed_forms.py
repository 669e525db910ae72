"""The equity of a run without rebalancing, costs and rewards, in closed form (SEMANTICS 12).

Written from the formulas, independent of the hour loop: plain numpy, no state. Each sleeve is worth
its share of the capital times its own growth, so the forms of all modes are one sum.
"""

import numpy as np

from basis_pipeline.engine.model import Floats, MarketArrays, Parameters


def closed_form_equity(market: MarketArrays, parameters: Parameters, capital: float) -> Floats:
    """Return the equity at every hour, (n,), for entry at the first hour and no later trade.

    Valid with rebalancing, costs, rewards and flows off and LSTs marked at the redemption rate.
    """
    lending, spot_share = parameters.lending_weight, parameters.spot_weight
    staking, leverage = parameters.staking_weight, 1.0 / (1.0 - parameters.target_ltv)
    price, first = market.spot, market.spot[0]
    lent = lending * capital * market.lending_index / market.lending_index[0]
    held = spot_share * capital * price / first
    staked = (
        (market.collateral_index / market.collateral_index[0])
        * (market.oracle_rate / market.oracle_rate[0])
    ) * leverage
    owed = (leverage - 1.0) * market.borrow_index / market.borrow_index[0]
    sleeve = staking * capital * price / first * (staked - owed)
    short = parameters.hedge_ratio * (spot_share + staking) * capital / first
    # (K,) signed; of the hedge and the carry one is zero.
    quantity = parameters.carry * capital / first - short * parameters.hedge_weights
    price_gain = (market.perp_mark - market.perp_mark[0]) @ quantity
    payments = market.funding_rate * market.perp_mark
    payments[0] = 0.0  # nothing is held before the first trades
    funding: Floats = np.cumsum(-payments, axis=0) @ quantity
    cash = (1.0 - lending - spot_share - staking) * capital
    return cash + lent + held + sleeve + price_gain + funding
