"""Everything on: the parts explain the whole, at every hour of every mode and scenario."""

import numpy as np
import pytest

from basis_pipeline.backtests.checks import Finished
from basis_pipeline.results.tables import COMPONENTS
from tests.backtests.trees import MODES, Tree


def reconciles(run: Finished) -> bool:
    """Say whether the components explain equity and the table's residual is what they leave."""
    equity, flow = run.column("equity", "equity"), run.column("equity", "flow")
    parts = np.stack([run.column("attribution", component) for component in COMPONENTS], axis=1)
    change = np.diff(equity, prepend=run.result.identity.capital)
    left = change - flow - parts.sum(axis=1)
    is_sound = np.isfinite(equity) & (equity > 0.0) & (np.abs(left / equity) <= 1e-9)
    residual = run.column("attribution", "residual")
    return bool(is_sound.all() and np.allclose(residual, left, rtol=0, atol=1e-12))


@pytest.mark.parametrize("mode", MODES)
def test_the_ten_components_explain_every_change_of_equity(tree: Tree, mode: str) -> None:
    """SEMANTICS 9: what no component explains stays within 1e-9 of equity, at every mark."""
    runs = [(w, name, run) for w in ("whole", "odd") for name, run in tree.scenarios(mode, w)]
    assert [(window, name) for window, name, run in runs if not reconciles(run)] == []


def test_components_are_those_of_the_mode(tree: Tree) -> None:
    """A mode earns and pays only through what it holds."""
    for mode in MODES:
        run = tree.run(mode)
        moved = {name for name in COMPONENTS if np.any(run.column("attribution", name) != 0.0)}
        config = run.mode_slice.mode
        weights, leveraged = config.allocation, config.is_leveraged
        expected = {"gas"}
        expected |= {"lending"} if weights.lending or leveraged else set()
        expected |= {"borrowing"} if leveraged else set()
        expected |= {"staking"} if weights.staking else set()
        expected |= {"rewards"} if run.mode_slice.reward_tokens else set()
        expected |= {"funding", "perp_price"} if config.is_hedged else set()
        expected |= {"spot_price"} if config.buys_asset else set()
        # A mode that swaps nothing pays no execution cost until something is sold.
        assert moved - {"execution_cost", "liquidation"} == expected, mode
        assert ("execution_cost" in moved) >= config.trades_asset, mode


def test_the_scenarios_are_different_runs(sample: Tree) -> None:
    """Each override does something, so that each scenario protects something of its own."""
    for mode in MODES:
        finals = {name: run.column("equity", "equity") for name, run in sample.scenarios(mode)}
        alike = [
            (a, b) for a in finals for b in finals if a < b and np.array_equal(finals[a], finals[b])
        ]
        assert alike == [], mode
