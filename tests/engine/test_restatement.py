"""The engine against SEMANTICS restated apart from it, over markets drawn at random."""

import numpy as np
import pytest

from basis_pipeline.engine import FIGURES, simulate
from tests.engine.drawn_markets import draw
from tests.engine.restatement import restate

SEEDS = 200
PARTS = 4


@pytest.mark.parametrize("part", range(PARTS))
def test_every_hour_is_the_contract_s(part: int) -> None:
    """Equity at every hour and the figures of the run are those of the restatement, to 1e-9."""
    for seed in range(part, SEEDS, PARTS):
        market, parameters, capital, description = draw(seed)
        expected, run = restate(market, parameters, capital), simulate(market, parameters, capital)
        equity = np.array(expected.equity)
        # Of a book that has lost nearly everything the rounding of its entry decides what trades.
        lost = np.flatnonzero(~(equity > 1e-3 * capital))
        sound = slice(0, lost[0] if len(lost) else len(equity))
        where = f"seed {seed}: {description}"
        np.testing.assert_allclose(run.equity[sound], equity[sound], rtol=1e-9, err_msg=where)
        residual = np.abs(run.residual[sound] / run.equity[sound])
        assert residual.max(initial=0.0) <= 1e-12, where
        # A loan that was halved so often is nothing but rounding.
        if len(lost) or expected.liquidations > 20:
            continue
        found = dict(zip(FIGURES, run.figures.tolist(), strict=True))
        lowest = expected.min_margin_ratio
        figures = {
            "min_margin_ratio": lowest if np.isfinite(lowest) else np.nan,
            "min_health_factor": expected.min_health_factor,
            "max_abs_delta": expected.max_abs_delta,
            "liquidations": expected.liquidations,
            "rebalances": sum(expected.rebalances.values()),
            "exit_cost": expected.exit_cost,
            "closed_equity": expected.closed_equity,
            "turnover": expected.turnover / np.mean([capital, *expected.equity][1:-1]),
        }
        for name, value in figures.items():
            assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9, nan_ok=True), where
