"""Risk at every hour, after its trades (SEMANTICS 10). A measure that does not apply is NaN."""

import numpy as np

from basis_pipeline.engine.compiled import compiled
from basis_pipeline.engine.hours import HourCoefficients, hour_coefficients
from basis_pipeline.engine.model import (
    Hourly,
    MarketArrays,
    Parameters,
    Record,
    Records,
    parameter_record,
    record_type,
)
from basis_pipeline.engine.simulation import Simulation

RISK = record_type(
    (
        "ltv",  # debt over collateral, at the redemption rate
        "health_factor",  # liquidation threshold x collateral over debt
        "liquidation_distance",  # share by which the redemption rate may fall before liquidation
        "min_margin_ratio",  # lowest over the venues
        "net_delta",  # units of the asset; none where the asset is the numeraire
        "net_delta_ratio",  # of equity
        "gross_exposure",  # all legs in the asset, long and short, in the numeraire
        "net_exposure",  # long less short, in the numeraire
        "peg_deviation",  # market over redemption rate, less one
    )
)
VENUE_RISK = record_type(("margin_ratio", "basis_bp"))


@compiled
def measure_hours(
    hours: HourCoefficients, parameters: Record, hourly: Hourly, risk: Records, by_venue: Records
) -> None:
    """Fill `risk` (n,) and `by_venue` (n, K) from the market and the hourly table.

    Its time is that of its divisions: what is divided by twice is divided by once.
    """
    per_threshold = 1.0 / parameters.liquidation_threshold
    for t in range(len(risk)):
        row, hour, out = hourly.rows[t], hours.asset[t], risk[t]
        price = hour.spot
        bp_per_price = 1e4 / price
        collateral, debt = row.staked * hour.lst_redemption, row.debt * hour.borrow_index
        short, lowest = 0.0, np.inf
        for v in range(by_venue.shape[1]):
            perp, mark, venue = hourly.perps[t, v], hours.quotes[t, v].mark, by_venue[t, v]
            quantity = perp.quantity
            margin = perp.balance + quantity * (mark - perp.entry)
            ratio = margin / (abs(quantity) * mark) if quantity != 0.0 else np.nan
            if quantity != 0.0:
                lowest = min(lowest, ratio)
            short -= quantity
            venue.margin_ratio = ratio
            venue.basis_bp = (mark - price) * bp_per_price
        long = row.spot + collateral
        net = (long - debt - short) if parameters.buys_asset else 0.0
        ltv = np.nan
        if debt > 0.0:  # a debt whose collateral is gone has a health factor of zero, not none
            ltv = debt / collateral if collateral > 0.0 else np.inf
        peg = hour.market_rate / hour.oracle_rate - 1.0
        out.ltv = ltv
        out.health_factor = parameters.liquidation_threshold / ltv
        out.liquidation_distance = 1.0 - ltv * per_threshold
        out.min_margin_ratio = lowest if short != 0.0 else np.nan
        out.net_delta = net
        out.net_delta_ratio = net * price / row.equity
        out.gross_exposure = (long + debt + short) * price
        out.net_exposure = net * price
        out.peg_deviation = peg if row.staked != 0.0 else np.nan


def measure(
    market: MarketArrays, parameters: Parameters, simulation: Simulation
) -> tuple[Records, Records]:
    """Risk measures by hour, (n,) RISK, and by hour and venue, (n, K) VENUE_RISK."""
    hours, venues = market.perp_mark.shape
    risk, by_venue = np.empty(hours, RISK), np.empty((hours, venues), VENUE_RISK)
    coefficients, rules = hour_coefficients(market), parameter_record(parameters)
    measure_hours(coefficients, rules, simulation.hourly, risk, by_venue)
    return risk, by_venue
