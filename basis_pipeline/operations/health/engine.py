"""The engine: a tiny run against its closed form."""

from basis_pipeline.errors import BacktestError, BasisError
from basis_pipeline.operations.health.model import Found, Status, faulty

MARKS = 48
CAPITAL = 100_000.0
TOLERANCE = 1e-12  # relative to equity


def engine() -> Found:
    """Two days of a hedged, leveraged staking position on the compiled machine.

    Not compiled yet is not ready: compiling takes longer than anybody waits for a report.
    """
    try:
        from basis_pipeline.runs.compilation import is_compiled

        if not is_compiled():
            return Found(Status.NOT_READY, "not compiled yet: the first run does")
        return _judged(departure())
    except BasisError as error:
        return faulty(error)


def _judged(off: float) -> Found:
    if not off <= TOLERANCE:
        what = f"a tiny run departs from its closed form by {off:.3g} of equity"
        return faulty(BacktestError("BT-002", what, where="engine"))
    return Found(Status.HEALTHY, f"{MARKS} marks within {TOLERANCE:g} of the closed form")


def departure(*, rebalanced: bool = False) -> float:
    """Largest relative distance of a tiny run from its closed form.

    rebalanced: trade in between, which the form does not hold for.
    """
    import numpy as np

    from basis_pipeline.engine import MarketArrays, Parameters, simulate
    from basis_pipeline.engine.closed_forms import closed_form_equity

    hours = np.arange(MARKS, dtype=np.float64)
    price = 3000.0 * np.exp(0.02 * np.sin(hours / 7.0))
    marks = price[:, None] * np.array([1.0, 1.0003])
    funding = np.zeros((MARKS, 2))
    funding[::8] = (1e-4, -5e-5)
    oracle = 1.04 * np.exp(3.4e-6 * hours)
    market = MarketArrays(
        spot=price,
        perp_mark=marks,
        perp_extreme=marks,
        funding_rate=funding,
        lending_index=1.05 * np.exp(5e-6 * hours),
        collateral_index=1.0004 * np.exp(1e-7 * hours),
        borrow_index=1.04 * np.exp(2.8e-6 * hours),
        oracle_rate=oracle,
        market_rate=oracle,
        lst_mark=oracle,
        gas_price=np.zeros(MARKS),
        numeraire_usd=np.ones(MARKS),
        cost_bps=np.zeros((MARKS, 4, 3)),
        reward_tokens_per_unit=np.zeros((MARKS, 0)),
        reward_price=np.ones((MARKS, 0)),
        flow=np.zeros(MARKS),
    )
    parameters = Parameters(
        lending_weight=0.2,
        spot_weight=0.1,
        staking_weight=0.3,
        target_ltv=0.6,
        flash_fee=0.0,
        hedge_ratio=1.0,
        hedge_weights=np.array([0.6, 0.4]),
        maintenance_margin=np.full(2, 0.01),
        liquidation_fee=np.full(2, 0.01),
        liquidation_threshold=0.95,
        liquidation_bonus=0.01,
        rebalance_enabled=rebalanced,
        margin_ratio_min=0.9,
        margin_ratio_max=1.1,
        delta_band=1e-6,
        ltv_band=1e-6,
        health_factor_floor=1.02,
        deviation_band=1e-6,
        gas_multiplier=1.0,
        buys_asset=True,
        swaps_on_chain=False,
        margin_at_spot_venue=-1,
    )
    equity = simulate(market, parameters, CAPITAL).equity
    return float(np.abs(equity / closed_form_equity(market, parameters, CAPITAL) - 1.0).max())
