"""A small run with every kind of row, whose figures can be checked by hand."""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.results.metrics import drawdown
from basis_pipeline.results.store import RunIdentity, RunResult
from basis_pipeline.results.summary import summarise
from basis_pipeline.results.tables import _COLUMNS, COMPONENTS
from tests.engine.counting import count_marks

CAPITAL = 100_000.0


def frames_of(hours: int = 24 * 70, seed: int = 1) -> dict[str, pd.DataFrame]:
    """Tables of a wandering, reconciling run with two trades, a rebalance and a liquidation."""
    random = np.random.default_rng(seed)
    stamps = pd.date_range("2024-06-01", periods=hours + 1, freq="h", tz="UTC", unit="ns")
    parts = {name: np.zeros(hours + 1) for name in COMPONENTS}
    parts["funding"][1:] = 2.0 + random.normal(0.0, 5.0, hours)
    parts["spot_price"][1:] = random.normal(0.0, 80.0, hours)
    parts["perp_price"][1:] = -parts["spot_price"][1:] + random.normal(0.0, 8.0, hours)
    parts["execution_cost"][[0, hours // 2]] = -50.0, -10.0
    parts["gas"][0] = -5.0
    attribution = pd.DataFrame({"timestamp": stamps, **parts, "residual": np.zeros(hours + 1)})
    equity = CAPITAL + attribution[list(COMPONENTS)].sum(axis=1).to_numpy().cumsum()
    perp = np.full(hours + 1, -12.5)
    happened = [
        (0, "trade", 37_500.0, "entry"),
        (hours // 2, "rebalance", 0.0, "delta"),
        (hours // 2, "trade", -2_500.0, "delta"),
        (hours - 1, "liquidation", 1_000.0, "liquidation"),
    ]
    events = pd.DataFrame(
        [
            (stamps[at], i, kind, "bybit", "ETHUSDT", -12.5, 3_000.0, notional, 20.0, 0.0, 0.0, why)
            for i, (at, kind, notional, why) in enumerate(happened)
        ],
        columns=["timestamp", *_COLUMNS["events"]],
    )
    risk = {
        "ltv": np.zeros(hours + 1),
        "health_factor": np.full(hours + 1, np.inf),
        "ltv_before": np.zeros(hours + 1),
        "health_factor_before": np.full(hours + 1, np.inf),
        "min_margin_ratio_before": np.linspace(1.0, 0.4, hours + 1),
        "margin_ratio_extreme": np.linspace(0.99, 0.4, hours + 1),
        "net_delta_before": np.zeros(hours + 1),
        "net_delta_ratio_before": np.linspace(0.0, -0.01, hours + 1),
        "liquidation_distance": np.full(hours + 1, np.nan),
        "min_margin_ratio": np.linspace(1.0, 0.4, hours + 1),
        "margin_ratio:bybit": np.linspace(1.0, 0.4, hours + 1),
        "net_delta": np.zeros(hours + 1),
        "net_delta_ratio": np.linspace(0.0, -0.01, hours + 1),
        "gross_exposure": np.full(hours + 1, 75_000.0),
        "net_exposure": np.zeros(hours + 1),
        "basis_bp:bybit": np.full(hours + 1, 3.0),
        "peg_deviation": np.zeros(hours + 1),
        "drawdown": drawdown(equity / CAPITAL),
    }
    return {
        "equity": pd.DataFrame(
            {"timestamp": stamps, "equity": equity, "flow": 0.0, "drawdown": risk["drawdown"]}
        ),
        "attribution": attribution,
        "positions": pd.DataFrame(
            {"timestamp": stamps, "wallet:BaseToken:USDT": equity, "bybit:Perp:ETHUSDT": perp}
        ),
        "risk": pd.DataFrame({"timestamp": stamps, **risk}),
        "events": events,
        "benchmark": pd.DataFrame(
            {"timestamp": stamps, "aave_usdt": 1.05 ** (np.arange(hours + 1) / 8760)}
        ),
    }


def summary_of(frames: dict[str, pd.DataFrame], risk_free: float = 0.0) -> dict[str, Any]:
    """Summary of such tables."""
    equity, risk, events = frames["equity"], frames["risk"], frames["events"]
    figures = count_marks(
        equity["equity"].to_numpy(),
        equity["flow"].to_numpy(),
        frames["attribution"][list(COMPONENTS)].to_numpy(),
        CAPITAL,
        delta=risk["net_delta_ratio"].to_numpy(),
        margin_ratio=risk["min_margin_ratio"].to_numpy(),
        events=events,
        marks=np.searchsorted(equity["timestamp"], events["timestamp"]).astype(float),
        risk_free=risk_free,
    )
    figures |= {"exit_cost": 10.0, "closed_equity": figures["final_equity"] - 10.0}
    return summarise(figures, frames, CAPITAL, risk_free=risk_free)


def make_run(
    mode: str = "eth_basis", seed: int = 1, hours: int = 24 * 70, **identity: Any
) -> RunResult:
    """Build a run; another `seed` gives other figures, `identity` another name."""
    frames = frames_of(hours, seed)
    stamps = frames["equity"]["timestamp"]
    bounds: dict[str, datetime] = {
        "start": stamps.iloc[0].to_pydatetime(),
        "end": stamps.iloc[-1].to_pydatetime(),
    }
    facts = {
        "config_hash": "c" * 64,
        "data_hashes": {"bybit_ethusdt_perp": "d" * 64, "bybit_ethusdt_spot": "e" * 64},
        **bounds,
        "capital": CAPITAL,
        "engine_version": "0.1.0",
    }
    return RunResult(
        identity=RunIdentity(**{**facts, **identity}),
        mode=mode,
        config={"mode": mode, "hedge": {"ratio": 1.0}},
        summary=summary_of(frames),
        frames=frames,
    )
