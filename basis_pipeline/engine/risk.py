"""Risk at every mark, after its trades (SEMANTICS 10). A measure that does not apply is NaN."""

import numpy as np

from basis_pipeline.engine.compiled import compiled
from basis_pipeline.engine.model import (
    BALANCE,
    DEBT,
    ENTRY,
    EQUITY,
    FIRST_PERP,
    FIRST_STATE,
    QUANTITY,
    SPOT,
    STAKED,
    Floats,
    MarketArrays,
    Parameters,
)
from basis_pipeline.engine.simulation import Simulation

LTV = 0  # debt over collateral, at the redemption rate
HEALTH_FACTOR = 1  # liquidation threshold x collateral over debt
LIQUIDATION_DISTANCE = 2  # share by which the redemption rate may fall before liquidation
MIN_MARGIN_RATIO = 3  # lowest over the venues
NET_DELTA = 4  # units of the asset; none where the asset is the numeraire
NET_DELTA_RATIO = 5  # of equity
GROSS_EXPOSURE = 6  # all legs in the asset, long and short, in the numeraire
NET_EXPOSURE = 7  # long less short, in the numeraire
PEG_DEVIATION = 8  # market over redemption rate, less one
FIRST_VENUE = 9  # then margin ratio and basis by venue, interleaved

RISK_COLUMNS: tuple[str, ...] = (
    "ltv",
    "health_factor",
    "liquidation_distance",
    "min_margin_ratio",
    "net_delta",
    "net_delta_ratio",
    "gross_exposure",
    "net_exposure",
    "peg_deviation",
)


@compiled
def measure_marks(
    market: MarketArrays, parameters: Parameters, hourly: Floats, risk: Floats
) -> None:
    """Fill `risk` (n, FIRST_VENUE + 2 K) from the market and the hourly table.

    Its time is that of its divisions: what is divided by twice is divided by once.
    """
    venues = market.perp_mark.shape[1]
    per_threshold = 1.0 / parameters.liquidation_threshold
    for t in range(hourly.shape[0]):
        row, out = hourly[t], risk[t]
        price = market.spot[t]
        bp_per_price = 1e4 / price
        scaled = row[FIRST_STATE + STAKED]
        collateral = scaled * (market.collateral_index[t] * market.oracle_rate[t])
        debt = row[FIRST_STATE + DEBT] * market.borrow_index[t]
        short, lowest = 0.0, np.inf
        for v in range(venues):
            p = FIRST_PERP + 3 * v
            quantity, mark = row[p + QUANTITY], market.perp_mark[t, v]
            margin = row[p + BALANCE] + quantity * (mark - row[p + ENTRY])
            ratio = margin / (abs(quantity) * mark) if quantity != 0.0 else np.nan
            if quantity != 0.0:
                lowest = min(lowest, ratio)
            short -= quantity
            out[FIRST_VENUE + 2 * v] = ratio
            out[FIRST_VENUE + 2 * v + 1] = (mark - price) * bp_per_price
        long = row[FIRST_STATE + SPOT] + collateral
        net = (long - debt - short) if parameters.buys_asset else 0.0
        ltv = np.nan
        if debt > 0.0:  # a debt whose collateral is gone has a health factor of zero, not none
            ltv = debt / collateral if collateral > 0.0 else np.inf
        out[LTV] = ltv
        out[HEALTH_FACTOR] = parameters.liquidation_threshold / ltv
        out[LIQUIDATION_DISTANCE] = 1.0 - ltv * per_threshold
        out[MIN_MARGIN_RATIO] = lowest if short != 0.0 else np.nan
        out[NET_DELTA] = net
        out[NET_DELTA_RATIO] = net * price / row[EQUITY]
        out[GROSS_EXPOSURE] = (long + debt + short) * price
        out[NET_EXPOSURE] = net * price
        out[PEG_DEVIATION] = (
            market.market_rate[t] / market.oracle_rate[t] - 1.0 if scaled != 0.0 else np.nan
        )


def measure(market: MarketArrays, parameters: Parameters, simulation: Simulation) -> Floats:
    """Risk measures by mark: columns `RISK_COLUMNS`, then margin ratio and basis (bp) by venue.

    Shape (n, 9 + 2 K).
    """
    risk = np.empty((len(simulation.hourly), FIRST_VENUE + 2 * simulation.venues))
    measure_marks(market, parameters, simulation.hourly, risk)
    return risk
