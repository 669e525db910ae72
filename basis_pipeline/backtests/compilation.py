"""Compiling the engine ahead of its first use: some seconds, once per machine and version.

`python -m basis_pipeline.backtests.compilation` fills numba's cache on disk and exits, so that a
pipeline can meanwhile read its files on another core.
"""

from pathlib import Path

import numba
import numpy as np

from basis_pipeline.backtests.inputs import parameters_of
from basis_pipeline.config import ModeSlice, load_configs, slice_mode
from basis_pipeline.engine import MarketArrays, simulate
from basis_pipeline.engine.hours import hour_coefficients
from basis_pipeline.engine.model import parameter_record, venue_terms
from basis_pipeline.engine.risk import measure
from basis_pipeline.engine.sweep import simulate_scenarios
from basis_pipeline.settings import config_directory

HOURS = 2


def is_compiled() -> bool:
    """Say whether numba's cache holds the hour loop; True also where nothing is compiled."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return True
    cache = Path(numba.config.CACHE_DIR)  # type: ignore[attr-defined]
    return any(cache.rglob("sweep.run_scenarios*.nbi"))


def compile_engine(mode_slice: ModeSlice) -> None:
    """Run the engine over two hours of a constant market, so that every function compiles."""
    parameters = parameters_of(mode_slice)
    venues, tokens = len(parameters.hedge_weights), len(mode_slice.reward_tokens)
    still, none = np.ones(HOURS), np.zeros(HOURS)
    perps = np.ones((HOURS, venues))
    market = MarketArrays(
        spot=still,
        perp_mark=perps,
        perp_extreme=perps,
        funding_rate=np.zeros((HOURS, venues)),
        lending_index=still,
        collateral_index=still,
        borrow_index=still,
        oracle_rate=still,
        market_rate=still,
        lst_mark=still,
        gas_price=none,
        numeraire_usd=still,
        cost_bps=np.zeros((HOURS, 2 + tokens + venues, 3)),
        reward_tokens_per_unit=np.zeros((HOURS, tokens)),
        reward_slot=np.zeros((HOURS, tokens), dtype=np.int64),
        reward_payout=np.full((HOURS, tokens), -1),
        reward_price=np.ones((HOURS, tokens)),
        flow=none,
    )
    measure(market, parameters, simulate(market, parameters, 1.0))
    hours, rules = hour_coefficients(market), np.repeat(parameter_record(parameters), 1)
    simulate_scenarios(hours, rules, venue_terms(parameters), np.ones(1), first_midnight=0)


if __name__ == "__main__":
    configs = load_configs(config_directory())
    compile_engine(slice_mode(configs, next(iter(configs.modes))))
