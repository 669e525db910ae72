"""Risk at every hour, before its trades, after them and at the bar's extreme (SEMANTICS 10).

A measure that does not apply is NaN.
"""

import numpy as np

from basis_pipeline.engine.accounting import perp_is_due
from basis_pipeline.engine.compiled import entry, hot
from basis_pipeline.engine.hours import HourCoefficients, hour_coefficients
from basis_pipeline.engine.model import (
    Hourly,
    MarketArrays,
    Parameters,
    Record,
    Records,
    parameter_record,
    record_type,
    venue_terms,
)
from basis_pipeline.engine.simulation import Simulation

RISK = record_type(
    (
        "ltv",  # debt over collateral, at the redemption rate
        "ltv_before",
        "health_factor",  # liquidation threshold x collateral over debt
        "health_factor_before",
        "liquidation_distance",  # share by which the redemption rate may fall before liquidation
        "min_margin_ratio",  # lowest over the venues
        "min_margin_ratio_before",
        "margin_ratio_extreme",  # lowest over the venues, at the extreme of the bar that ended
        "net_delta",  # units of the asset; none where the asset is the numeraire
        "net_delta_before",
        "net_delta_ratio",  # of equity
        "net_delta_ratio_before",
        "gross_exposure",  # all legs in the asset, long and short, in the numeraire
        "net_exposure",  # long less short, in the numeraire
        "peg_deviation",  # market over redemption rate, less one
    )
)
VENUE_RISK = record_type(
    ("margin_ratio", "margin_ratio_before", "margin_ratio_extreme", "basis_bp")
)


@hot
def loan_to_value(collateral: float, debt: float) -> float:
    """Return debt over collateral; infinite without collateral, where the health factor is 0."""
    return debt / collateral if collateral > 0.0 else np.inf


@hot
def margin_ratio(perp: Record, price: float) -> float:
    """Return a position's venue equity over its notional at a price."""
    quantity = perp.quantity
    return (perp.balance + quantity * (price - perp.entry)) / (abs(quantity) * price)


@hot
def measure_before(
    hours: HourCoefficients,
    parameters: Record,
    venues: Records,
    hourly: Hourly,
    t: int,
    out: Record,
    by_venue: Records,
) -> None:
    """Measure the holdings of the hour before at the prices of hour t, after funding."""
    row, hour = hourly.rows[t - 1], hours.asset[t]
    collateral, debt = row.staked * hour.lst_redemption, row.debt * hour.borrow_index
    short, lowest, lowest_extreme = 0.0, np.inf, np.inf
    for v in range(len(venues)):
        perp, quote, venue = hourly.perps[t - 1, v], hours.quotes[t, v], by_venue[t, v]
        quantity = perp.quantity
        if quantity == 0.0:
            continue
        if parameters.liquidates_at_extreme:
            venue.margin_ratio_extreme = margin_ratio(perp, quote.extreme)
            lowest_extreme = min(lowest_extreme, venue.margin_ratio_extreme)
            if perp_is_due(perp, venues[v], quote.extreme):
                continue
        # Funding is a share of the notional, so that the ratio rises by the rate for a short.
        rate = quote.funding_rate if quantity < 0.0 else -quote.funding_rate
        ratio = margin_ratio(perp, quote.mark) + rate
        venue.margin_ratio_before = ratio
        lowest = min(lowest, ratio)
        short -= quantity
    long = row.spot + collateral
    if debt > 0.0:
        out.ltv_before = loan_to_value(collateral, debt)
        out.health_factor_before = parameters.liquidation_threshold / out.ltv_before
    out.min_margin_ratio_before = lowest if lowest < np.inf else np.nan
    out.margin_ratio_extreme = lowest_extreme if lowest_extreme < np.inf else np.nan
    out.net_delta_before = (long - debt - short) if parameters.trades_asset else 0.0
    out.net_delta_ratio_before = out.net_delta_before * hour.spot / hourly.rows[t].equity_before


@entry
def measure_hours(
    hours: HourCoefficients,
    parameters: Record,
    venues: Records,
    hourly: Hourly,
    risk: Records,
    by_venue: Records,
) -> None:
    """Fill `risk` (n,) and `by_venue` (n, K), all NaN, from the market and the hourly table."""
    per_threshold = 1.0 / parameters.liquidation_threshold
    for t in range(len(risk)):
        row, hour, out = hourly.rows[t], hours.asset[t], risk[t]
        if t > 0:
            measure_before(hours, parameters, venues, hourly, t, out, by_venue)
        price = hour.spot
        bp_per_price = 1e4 / price
        collateral, debt = row.staked * hour.lst_redemption, row.debt * hour.borrow_index
        short, gross, lowest = 0.0, 0.0, np.inf
        for v in range(len(venues)):
            perp, mark, venue = hourly.perps[t, v], hours.quotes[t, v].mark, by_venue[t, v]
            if perp.quantity != 0.0:
                venue.margin_ratio = margin_ratio(perp, mark)
                lowest = min(lowest, venue.margin_ratio)
                short -= perp.quantity
                gross += abs(perp.quantity)
            venue.basis_bp = (mark - price) * bp_per_price
        long = row.spot + collateral
        net = (long - debt - short) if parameters.trades_asset else 0.0
        if debt > 0.0:
            ltv = loan_to_value(collateral, debt)
            out.ltv = ltv
            out.health_factor = parameters.liquidation_threshold / ltv
            out.liquidation_distance = 1.0 - ltv * per_threshold
        out.min_margin_ratio = lowest if gross != 0.0 else np.nan
        out.net_delta = net
        out.net_delta_ratio = net * price / row.equity
        out.gross_exposure = (long + debt + gross) * price
        out.net_exposure = net * price
        if row.staked != 0.0:
            out.peg_deviation = hour.market_rate / hour.oracle_rate - 1.0


def measure(
    market: MarketArrays, parameters: Parameters, simulation: Simulation
) -> tuple[Records, Records]:
    """Compute risk measures by hour, (n,) RISK, and by hour and venue, (n, K) VENUE_RISK."""
    hours, venues = market.perp_mark.shape
    risk, by_venue = np.empty(hours, RISK), np.empty((hours, venues), VENUE_RISK)
    for table in (risk, by_venue):
        for name in table.dtype.names or ():
            table[name] = np.nan
    coefficients, rules = hour_coefficients(market), parameter_record(parameters)
    terms = venue_terms(parameters)
    measure_hours(coefficients, rules, terms, simulation.hourly, risk, by_venue)
    return risk, by_venue
