"""The market, the points, and our kernel's run of them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from basis_pipeline.backtests.fan_out import PIECE
from basis_pipeline.backtests.ingest import Feeds
from basis_pipeline.backtests.inputs import market_arrays, parameters_of
from basis_pipeline.config import load_configs, slice_mode
from basis_pipeline.engine import FIGURES, MarketArrays, Parameters, simulate
from basis_pipeline.engine.hours import hour_coefficients
from basis_pipeline.engine.model import Floats, parameter_record, venue_terms
from basis_pipeline.engine.sweep import simulate_scenarios
from basis_pipeline.market.panel import build_panel
from basis_pipeline.market.window import Window
from basis_pipeline.settings import project_root
from benchmarks.made_market import made_market

MODE, VENUE = "btc_basis", "bybit"
MAINTENANCE = 0.05  # of the notional, here and there
FEES = (0.0, 2e-4, 5e-4, 1e-3)  # of what a leg trades
# What there is in both: one venue, closes, a fee a leg, and nothing else that costs or decides.
OVERRIDES = {
    "spot.venue": VENUE,
    "hedge.venues": {VENUE: 1.0},
    "pricing.price_field": "close",
    "pricing.liquidation_price": "open",
    "costs.model": "flat",
    "costs.gas_multiplier": 0.0,
}


@dataclass(frozen=True, slots=True)
class Points:
    """Parameter points, each array (points,). Leverage is the short's notional over its margin."""

    leverage: Floats  # to restore
    min_leverage: Floats  # of the band
    max_leverage: Floats
    fee: Floats  # share of the notional, a leg
    capital: Floats  # USDT


def draw_points(count: int, seed: int = 1) -> Points:
    """Points that differ in leverage, its band, the fee and the capital; the first are the same."""
    at = np.random.default_rng(seed).uniform(size=(count, 5)).T
    leverage = 1.0 + 2.0 * at[0]
    return Points(
        leverage=leverage,
        min_leverage=leverage * (0.5 + 0.4 * at[1]),
        max_leverage=leverage * (1.1 + 0.6 * at[2]),
        fee=np.array(FEES)[(at[3] * len(FEES)).astype(int)],
        capital=10.0 ** (4.0 + 3.0 * at[4]),
    )


class Case:
    """A market and its points, ready to run."""

    def __init__(self, market: MarketArrays, parameters: Parameters, points: Points) -> None:
        self.points, self.parameters = points, parameters
        bps = {fee: np.full_like(market.cost_bps, fee * 1e4) for fee in FEES}
        self.markets = {fee: market._replace(cost_bps=bps[fee]) for fee in FEES}
        self.market = market
        self.hours = {fee: hour_coefficients(self.markets[fee]) for fee in FEES}
        self.rows = np.repeat(parameter_record(parameters), len(points.capital))
        self.venues = venue_terms(parameters)
        columns = {
            "spot_weight": points.leverage / (1.0 + points.leverage),
            "margin_ratio_min": 1.0 / points.max_leverage,
            "margin_ratio_max": 1.0 / points.min_leverage,
        }
        for name, values in columns.items():
            self.rows[name] = values

    def run(self, threads: int) -> Floats:
        """All figures of all points, (points, len(FIGURES))."""
        made = np.empty((len(self.rows), len(FIGURES)))

        def piece(fee: float, mine: np.ndarray) -> None:
            rows, capitals = self.rows[mine], self.points.capital[mine]
            hours = self.hours[fee]
            made[mine], _ = simulate_scenarios(hours, rows, self.venues, capitals, first_midnight=0)

        with ThreadPoolExecutor(threads) as pool:
            pieces = [
                pool.submit(piece, fee, mine[first : first + PIECE])
                for fee in FEES
                for mine in [np.flatnonzero(self.points.fee == fee)]
                for first in range(0, len(mine), PIECE)
            ]
            for done in pieces:
                done.result()
        return made

    def hourly(self, i: int) -> Floats:
        """Equity of point i at every hour, after its trades, (hours,)."""
        points, leverage = self.points, self.points.leverage[i]
        chosen = self.parameters._replace(
            spot_weight=leverage / (1.0 + leverage),
            margin_ratio_min=1.0 / points.max_leverage[i],
            margin_ratio_max=1.0 / points.min_leverage[i],
        )
        return simulate(self.markets[points.fee[i]], chosen, points.capital[i]).equity

    def write(self, path: Path, count: int, recorded: int) -> None:
        """Write what a peer is given: the market and the first points, as plain arrays."""
        np.savez(
            path,
            spot=self.market.spot,
            mark=self.market.perp_mark[:, 0],
            funding=self.market.funding_rate[:, 0],
            maintenance=MAINTENANCE,
            recorded=recorded,
            **{name: getattr(self.points, name)[:count] for name in Points.__slots__},
        )


def make_case(points: Points, data_dir: Path | None, window: Window) -> Case:
    """The case on the made-up market, or on the closes of a data directory."""
    configs = load_configs(project_root() / "configs")
    mode_slice = slice_mode(configs, MODE, OVERRIDES)
    if data_dir is None:
        market = made_market(mode_slice)
        market = market._replace(perp_extreme=market.perp_mark)
    else:
        datasets = Feeds(configs, data_dir).datasets(set(mode_slice.datasets), window)
        market = market_arrays(build_panel(mode_slice, datasets, window), mode_slice)
    parameters = parameters_of(mode_slice)._replace(
        maintenance_margin=np.array([MAINTENANCE]),
        delta_band=np.inf,
        idle_band=np.inf,
        drift_band=np.inf,
        liquidates_at_extreme=False,
    )
    return Case(market, parameters, points)
