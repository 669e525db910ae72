"""Studies that are made up: their rows, and the pages over them."""

import json
import re
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from basis_pipeline.config.loading import validate
from basis_pipeline.config.walk_forward import WalkForward
from basis_pipeline.market.window import Window, parse_window
from basis_pipeline.reports.page import Provenance
from basis_pipeline.reports.scenarios import scenarios_html
from basis_pipeline.reports.stress import Stress
from basis_pipeline.reports.walk_forward import walk_forward_html
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import judge
from tests.backtests.studies import made_set, span

KEYS = ("staking.target_ltv", "hedge.ratio", "staking.lst")
FACTS = (("data", "made up"), ("from", "2024-01-01 00:00 UTC"), ("run", "0f517a643b79"))
VERDICTS = (
    judge("worst_case", "ERROR", False, "outside 3", measured=3.0, limit=0.0, unit="scenarios"),
    judge("other", "ERROR", True, ""),
)
SET = made_set(
    sampling={"method": "sobol", "points": 400, "seed": 1},
    keys={
        "staking.target_ltv": span(0.3, 0.9),
        "hedge.ratio": span(0.9, 1.0),
        "staking.lst": {"values": ["weETH", "wstETH"]},
    },
    limits={
        "max_liquidations": 0,
        "max_drawdown": 0.05,
        "min_health_factor": None,
        "min_margin_ratio": 0.3,
    },
)
FOLDS = 3


def rows_of(count: int = 400) -> pd.DataFrame:
    """Points whose return falls with the first key and does not depend on the second."""
    random = np.random.default_rng(1)
    ltv = random.uniform(0.3, 0.9, count)
    rows = pd.DataFrame(
        {
            "index": np.arange(count),
            "window": "",
            "market": "",
            "path": -1,
            "status": "",
            "staking.target_ltv": ltv,
            "hedge.ratio": random.uniform(0.9, 1.0, count),
            "staking.lst": np.where(ltv > 0.6, '"weETH"', '"wstETH"'),
            "total_return": 0.1 - 0.2 * ltv,
            "max_drawdown": 0.1 * ltv,
            "min_health_factor": 0.95 / ltv,
            "min_margin_ratio": random.uniform(0.2, 1.0, count),
            "liquidations": 0,
        }
    )
    rows.loc[rows["index"] % 100 == 7, "status"] = "BT-004"
    return rows


def sweep_page(rows: pd.DataFrame, written: Provenance, **more: Any) -> str:
    """The page of a sweep."""
    options: dict[str, Any] = {
        "mode": "a_mode",
        "scenarios": SET,
        "facts": FACTS,
        "verdicts": VERDICTS,
        "inputs": (),
        "links": {},
    }
    return scenarios_html(rows, written, **{**options, **more})


def shocked_rows() -> pd.DataFrame:
    """A calm market, a depeg that changes nothing, a crash in funding and one that is rejected."""
    rows = rows_of(4).assign(market=["calm", "depeg", "crash", "ruin"], capital=1000.0)
    rows[["total_return", "max_drawdown"]] = [0.08, 0.01]
    rows[["min_health_factor", "min_margin_ratio"]] = [1.5, 0.5]
    for name in (*COMPONENTS, "closed_equity"):
        rows[name] = 10.0
    rows.loc[2, ["total_return", "max_drawdown", "min_margin_ratio"]] = [0.05, 0.06, 0.25]
    rows.loc[2, ["funding", "gas"]] = [-20.0, 9.0]
    return rows.assign(status=["", "", "", "BT-004"], broken=["", "", "max_drawdown", "status"])


def stress_of(rows: pd.DataFrame) -> Stress:
    """The shocks of those rows, of which the first is calm."""
    depeg = {"shock": "lst_depeg", "at": 240, "size": 0.08, "recovery_hours": 336}
    flip = {"shock": "funding", "at": 240, "hours": 720, "factor": -1.0, "shift": -0.0005}
    gap = {"shock": "price_gap", "at": "2024-03-01T05:00", "size": -0.9}
    shocks = {"calm": [], "depeg": [depeg], "crash": [flip, depeg], "ruin": [gap]}
    markets = {name: shocks[name] for name in rows["market"]}
    scenarios = made_set(markets=markets, limits=SET.limits and SET.limits.model_dump())
    spans: dict[str | None, Window] = {None: parse_window("2024-01-01", "2024-06-01")}
    known = {"lst_depeg": "marked by the oracle"}
    reasons = {
        name: [known.get(str(shock["shock"]), "") for shock in listed]
        for name, listed in markets.items()
    }
    return Stress(rows, scenarios, spans, reasons, pd.DataFrame())


def stress_page(rows: pd.DataFrame, written: Provenance) -> str:
    """The page of a stress."""
    stress = stress_of(rows)
    return sweep_page(rows, written, scenarios=stress.scenarios, stress=stress)


def charts_of(html: str) -> dict[str, Any]:
    """The traces of the charts of a page by key."""
    data = re.search(r'id="charts">(.*?)</script>', html, re.DOTALL)
    assert data
    return {chart["key"]: chart["figure"]["data"] for chart in json.loads(data[1])}


def plan() -> WalkForward:
    """A plan over two of the keys."""
    values = {
        "mode": "a_mode",
        "description": "made up",
        "keys": {
            "staking.target_ltv": span(0.3, 0.9, steps=3),
            "hedge.ratio": span(0.9, 1.0, steps=3),
        },
        "train_days": 40,
        "test_days": 30,
        "step_days": 30,
        "blocks": 4,
        "objective": "sharpe",
        "constraints": SET.limits and SET.limits.model_dump(),
        "limits": {"max_degradation": 0.5, "min_deflated_sharpe": 0.9, "max_overfitting": 0.5},
    }
    return validate(TypeAdapter(WalkForward), values, "made up")


def folds_of(count: int = FOLDS) -> pd.DataFrame:
    """Folds of which the last, of several, has no choice."""
    starts = pd.date_range("2024-02-10", periods=count, freq="30D", tz="UTC")
    folds = pd.DataFrame(
        {
            "train_start": starts - pd.Timedelta(days=40),
            "test_start": starts,
            "test_end": starts + pd.Timedelta(days=30),
            "chosen": 4,
            "train_value": np.linspace(2.0, 3.0, count),
            "test_value": np.linspace(1.0, -0.5, count),
            "test_total_return": np.linspace(0.01, -0.004, count),
            "test_apy": np.linspace(0.13, -0.05, count),
            "test_max_drawdown": np.linspace(0.01, 0.06, count),
            "test_kept": np.arange(count) == 0,
            "staking.target_ltv": 0.6,
            "hedge.ratio": 0.95,
        }
    )
    if count > 1:
        folds.loc[count - 1, ["chosen", "train_value", "test_value"]] = [-1, np.nan, np.nan]
    return folds


def growth() -> pd.DataFrame:
    """Growth since the first test."""
    days = pd.date_range("2024-02-10", periods=61, tz="UTC")
    return pd.DataFrame(
        {"out_of_sample": np.linspace(1.0, 1.02, 61), "whole_window": np.linspace(1.0, 1.05, 61)},
        days,
    )


def walk_page(folds: pd.DataFrame, grown: pd.DataFrame, written: Provenance, **more: Any) -> str:
    """The page of a walk-forward."""
    points = rows_of(9).assign(window="whole", kept=True, sharpe=np.arange(9.0))
    figures = {
        "points": 9,
        "degradation": 0.6,
        "out_of_sample_apy": 0.0812,
        "train_objective": 2.25,
        "test_objective": 0.9,
        "chosen_apy": 0.12,
        "deflated_sharpe": 0.81,
        "overfitting_probability": 0.667,
    }
    options: dict[str, Any] = {
        "plan": plan(),
        "figures": {**figures, **more.pop("figures", {})},
        "facts": FACTS,
        "verdicts": VERDICTS,
        "inputs": (),
        "links": {8: "sheet-8.html"},
    }
    points = points.assign(value=points["sharpe"])
    return walk_forward_html(points, folds, grown, written, **{**options, **more})
