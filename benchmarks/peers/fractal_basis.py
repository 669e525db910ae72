"""The basis in fractal-defi's terms; runs where fractal-defi is installed, on nothing of ours.

`python fractal_basis.py given.npz found.npz`. The strategy, its rebalance rule and its accounting
are the package's own `HyperliquidBasis`; a subclass counts the rebalances.
"""

import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from fractal.core.base import ActionToTake, Observation
from fractal.core.entities import HyperliquidGlobalState, UniswapV3SpotGlobalState
from fractal.strategies.hyperliquid_basis import HyperliquidBasis, HyperliquidBasisParams

START = datetime(2024, 1, 1, tzinfo=UTC)


class CountedBasis(HyperliquidBasis):
    """The package's strategy, counting how often it restores its leverage."""

    rebalances = 0

    def _rebalance(self) -> list[ActionToTake]:
        self.rebalances += 1
        return super()._rebalance()


def strategy_of(given: dict[str, np.ndarray], i: int) -> CountedBasis:
    """Point i as a strategy; its execution cost is that of both legs together."""
    return CountedBasis(
        params=HyperliquidBasisParams(
            MIN_LEVERAGE=float(given["min_leverage"][i]),
            TARGET_LEVERAGE=float(given["leverage"][i]),
            MAX_LEVERAGE=float(given["max_leverage"][i]),
            INITIAL_BALANCE=float(given["capital"][i]),
            EXECUTION_COST=2.0 * float(given["fee"][i]),
        )
    )


def main() -> None:
    """Step through every point; run some with the package's own hourly record."""
    given = dict(np.load(sys.argv[1]))
    CountedBasis.MAX_LEVERAGE = 0.5 / float(given["maintenance"])
    market = zip(*(given[name].tolist() for name in ("spot", "mark", "funding")), strict=True)
    observations = [
        Observation(
            timestamp=START + timedelta(hours=hour),
            states={
                "SPOT": UniswapV3SpotGlobalState(price=spot),
                "HEDGE": HyperliquidGlobalState(mark_price=mark, funding_rate=funding),
            },
        )
        for hour, (spot, mark, funding) in enumerate(market)
    ]
    found: dict[str, Any] = {"equity": [], "rebalances": []}
    wall, processor = time.perf_counter(), time.process_time()
    for i in range(len(given["leverage"])):
        strategy = strategy_of(given, i)
        for observation in observations:
            strategy.step(observation)
        found["equity"].append(strategy.total_balance)
        found["rebalances"].append(strategy.rebalances)
    found["seconds"] = time.perf_counter() - wall, time.process_time() - processor
    wall, processor = time.perf_counter(), time.process_time()
    recorded = [strategy_of(given, i).run(observations) for i in range(int(given["recorded"]))]
    found["recorded_seconds"] = time.perf_counter() - wall, time.process_time() - processor
    found["hourly"] = [[sum(held.values()) for held in run.balances] for run in recorded]
    np.savez(sys.argv[2], **found)


main()
