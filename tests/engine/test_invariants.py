"""What holds for every market: linearity, no look-ahead, determinism, compiled equals plain."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_pipeline.engine import MarketArrays, simulate
from tests.engine.markets import MODES, mode_case


@pytest.mark.parametrize("mode", MODES)
@given(scale=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_twice_the_capital_is_twice_the_equity(mode: str, scale: float, seed: int) -> None:
    """Protects linearity: without gas and size buckets nothing depends on the amount."""
    market, parameters, capital = mode_case(mode, seed, 200)
    market = market._replace(
        gas_price=np.zeros_like(market.gas_price), cost_bps=np.full_like(market.cost_bps, 5.0)
    )
    once = simulate(market, parameters, capital)
    scaled = simulate(market, parameters, scale * capital)
    assert np.allclose(scaled.equity, scale * once.equity, rtol=1e-9, atol=0)
    assert np.allclose(
        scaled.components, scale * once.components, rtol=1e-7, atol=1e-9 * scale * capital
    )


def _changed_after(market: MarketArrays, t: int, seed: int) -> MarketArrays:
    rng = np.random.default_rng(seed)
    changed = {}
    for name, values in market._asdict().items():
        copy = values.copy()
        if copy.dtype == np.float64:  # slots of rewards are numbers of places
            copy[t + 1 :] *= rng.uniform(0.5, 1.5, copy[t + 1 :].shape)
        changed[name] = copy
    return MarketArrays(**changed)


@pytest.mark.parametrize("mode", MODES)
@given(t=st.integers(0, 298), seed=st.integers(0, 1000))
@settings(max_examples=25)
def test_no_value_after_t_changes_anything_up_to_t(mode: str, t: int, seed: int) -> None:
    """Protects against look-ahead: no later value changes a bit."""
    market, parameters, capital = mode_case(mode, seed, 300)
    before = simulate(market, parameters, capital)
    after = simulate(_changed_after(market, t, seed), parameters, capital)
    for table, other in zip(before.hourly, after.hourly, strict=True):
        assert table[: t + 1].tobytes() == other[: t + 1].tobytes()
    past = before.events[before.events["hour"] <= t]
    assert past.tobytes() == after.events[after.events["hour"] <= t].tobytes()


def test_the_same_run_gives_the_same_bytes() -> None:
    """Protects determinism (SEMANTICS 13)."""
    for mode in MODES:
        market, parameters, capital = mode_case(mode)
        first, second = (simulate(market, parameters, capital) for _ in range(2))
        for table, other in zip(first.hourly, second.hourly, strict=True):
            assert table.tobytes() == other.tobytes(), mode
        assert first.events.tobytes() == second.events.tobytes(), mode


_DIGEST = """
import hashlib
from basis_pipeline.engine import simulate
from basis_pipeline.engine.risk import measure
from tests.engine.markets import MODES, mode_case
import numpy as np
digest = hashlib.sha256()
cases = [mode_case(mode, seed=3, hours=200, volatility=0.02) for mode in MODES]
# Then what a quiet market does not bring: liquidations, flows, rewards sold, trades of any size.
for mode, capital in (("btc_basis", 1e5), ("eth_leveraged", 3e3), ("usdt_market_neutral", 5e6)):
    market, parameters, _ = mode_case(mode, 5, 300, 0.05, swaps_on_chain=True)
    parameters = parameters._replace(delta_band=0.004, ltv_band=0.002)
    for name, at, factor in (("oracle_rate", 120, 0.7), ("market_rate", 60, 0.99)):
        getattr(market, name)[at:] *= factor
    market.reward_price[:] *= 400.0
    market.perp_extreme[150] *= 2.5
    market.flow[80], market.flow[200] = 0.4 * capital, -0.001 * capital
    market.flow[230] = -0.2 * capital
    cases.append((market, parameters, capital))
    cases.append((market, parameters._replace(rebalance_enabled=False), capital))
for market, parameters, capital in cases:
    simulation = simulate(market, parameters, capital)
    risk = measure(market, parameters, simulation)
    for table in (*simulation.hourly, simulation.events, simulation.figures, *risk):
        digest.update(table.tobytes())
print(digest.hexdigest())
"""


def test_uncompiled_equals_compiled_to_the_bit() -> None:
    """Protects readability: the compiled functions equal the same functions as plain Python."""
    root = Path(__file__).parents[2]
    digests = []
    for disabled in ("0", "1"):
        environment = {**os.environ, "NUMBA_DISABLE_JIT": disabled, "PYTHONPATH": str(root)}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _DIGEST],
            env=environment,
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        digests.append(done.stdout.strip())
    assert digests[0] == digests[1]
