"""Scenario sets that fit each mode, and studies of them over a data tree."""

from typing import Any

from pydantic import TypeAdapter

from basis_pipeline.backtests.scenarios import Study
from basis_pipeline.config.loading import validate
from basis_pipeline.config.scenario import ScenarioSet
from basis_pipeline.market.window import Window
from tests.backtests.trees import CONFIGS, Tree, carries, is_hedged, is_leveraged, stakes

RANDOM = {"method": "random", "points": 40, "seed": 5}


def made_set(**parts: Any) -> ScenarioSet:
    """Return a set as read from its file; by default a grid without keys."""
    plain = {"name": "made", "description": "made up", "sampling": {"method": "grid"}}
    return validate(TypeAdapter(ScenarioSet), {**plain, **parts}, "made up")


def span(low: float, high: float, **more: Any) -> dict[str, Any]:
    """Return a range."""
    return {"low": low, "high": high, **more}


def keys_of(mode: str) -> dict[str, Any]:
    """Return axes of every kind for a mode; its rules hold everywhere between their ends."""
    capital = CONFIGS.share_classes[CONFIGS.mode(mode).share_class].initial_capital
    keys: dict[str, Any] = {
        "capital": span(0.5 * capital, 3.0 * capital, scale="log"),
        "costs.gas_multiplier": span(0.0, 2.0),
        "rebalance.drift_band": span(0.002, 0.1, scale="log"),
        "rebalance.enabled": {"values": [True, False]},
    }
    if stakes(mode):
        keys["staking.lst"] = {"values": ["weETH", "wstETH"]}
        keys["pricing.mark_lst"] = {"values": ["oracle", "market"]}
    if is_leveraged(mode):
        keys["staking.target_ltv"] = {"values": [0.0, 0.4, 0.7]}
        keys["staking.flash_fee_bps"] = span(0.0, 9.0)
        keys["rebalance.ltv_band"] = span(0.005, 0.05)
    if is_hedged(mode):
        sleeve = "staking" if stakes(mode) else "spot"
        keys[f"allocation.{sleeve}"] = span(0.45, 0.6)
        keys["hedge.ratio"] = span(0.8, 1.0)
        keys["rebalance.margin_ratio.min"] = span(0.1, 0.4)
        keys["rebalance.delta_band"] = span(0.005, 0.05)
    if carries(mode):
        legs = [{"binance": size, "bybit": -size} for size in (-0.8, -0.4, 0.6)]
        keys["hedge.carry"] = {"values": legs}
        keys["rebalance.margin_ratio.min"] = span(0.1, 0.4)
    return keys


def study_over(
    tree: Tree, mode: str, scenarios: ScenarioSet, *, window: Window | None = None, **overrides: Any
) -> Study:
    """Return a study over a tree's middle window."""
    asked = window or tree.windows["middle"]
    share_class = CONFIGS.share_classes[CONFIGS.mode(mode).share_class]
    return Study(
        configs=tree.configs,
        mode=mode,
        scenarios=scenarios,
        window=asked,
        capital=share_class.initial_capital,
        overrides=overrides,
        datasets=tree.datasets(tree.windows["whole"]),
    )
