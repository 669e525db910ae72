"""The page of many scenarios: what it shows are the rows it was given."""

import base64
import json
import re
from typing import Any

import numpy as np
import pandas as pd

from basis_pipeline.reports.scenarios import scenarios_html
from basis_pipeline.verdict import judge
from tests.reports.conftest import WRITTEN

KEYS = ["staking.target_ltv", "hedge.ratio", "staking.lst"]


def rows_of(count: int = 400) -> pd.DataFrame:
    """Scenarios whose return falls with the first key and knows nothing of the second."""
    random = np.random.default_rng(1)
    ltv = random.uniform(0.3, 0.9, count)
    return pd.DataFrame(
        {
            "index": np.arange(count),
            "window": "",
            "market": "",
            "path": -1,
            "status": "",
            "staking.target_ltv": ltv,
            "hedge.ratio": random.uniform(0.9, 1.0, count),
            "staking.lst": np.where(ltv > 0.6, "weETH", "wstETH"),
            "total_return": 0.1 - 0.2 * ltv,
            "max_drawdown": 0.1 * ltv,
            "liquidations": 0,
        }
    )


def page(rows: pd.DataFrame, **more: Any) -> tuple[str, dict[str, Any]]:
    """A page, and its charts by key."""
    options: dict[str, Any] = {
        "title": "a mode",
        "what": "made up.",
        "keys": KEYS,
        "worst": rows.sort_values("total_return").head(3),
        "verdicts": [
            judge("worst_case", "ERROR", False, "outside 3"),
            judge("other", "ERROR", True, ""),
        ],
        "inputs": [],
        "links": {},
    }
    html = scenarios_html(rows, WRITTEN, **{**options, **more})
    data = re.search(r'id="charts">(.*?)</script>', html, re.DOTALL)
    assert data
    charts = {chart["key"]: chart["figure"]["data"] for chart in json.loads(data[1])}
    return html, charts


def numbers(packed: dict[str, str]) -> np.ndarray:
    """An array as the page holds it."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), dtype="<f8")


def test_every_scenario_is_counted_in_the_distribution() -> None:
    """The bars add up to the rows, over return and over drawdown."""
    _, charts = page(rows_of())
    for name in ("total_return", "max_drawdown"):
        assert numbers(charts[f"spread-{name}"][0]["y"]).sum() == 400


def test_sensitivity_shows_what_moves_the_return_and_what_does_not() -> None:
    """Only numbers have a chart; the median falls with the one that matters."""
    _, charts = page(rows_of(4000))
    ltv, ratio = (
        numbers(charts[f"sensitivity-{key.replace('.', '-')}"][2]["y"]) for key in KEYS[:2]
    )
    assert (np.diff(ltv) < 0.0).all()
    assert np.ptp(ratio) < 0.25 * np.ptp(ltv)


def test_the_worst_are_linked_and_failed_gates_cannot_be_overlooked() -> None:
    """A sheet's address where there is one; a failing gate as a banner on top."""
    rows = rows_of()
    first = int(rows.sort_values("total_return")["index"].iloc[0])
    html, _ = page(rows, links={first: f"sheet-{first}.html"})
    assert f'<a href="sheet-{first}.html">{first}</a>' in html
    assert html.count('href="sheet-') == 1
    assert html.index('role="alert"') < html.index("<h2")


def test_warnings_of_the_inputs_are_on_the_page() -> None:
    """A reader of the page learns what the figures rest on without looking at the data audit."""
    warning = judge("outliers", "WARN", False, "3 steps", asset="dataset/binance_funding")
    html, _ = page(rows_of(), inputs=[warning])
    assert "Inputs with warnings: binance_funding (outliers)." in html
    assert "Inputs with warnings" not in page(rows_of())[0]


def test_a_set_without_numbers_has_a_page_too() -> None:
    """Shocks alone: the distribution alone."""
    _, charts = page(rows_of(8), keys=[])
    assert charts.keys() == {"spread-total_return", "spread-max_drawdown"}


def test_folds_stand_side_by_side() -> None:
    """Train beside test; a fold without a choice leaves a gap."""
    stamps = pd.date_range("2024-05-01", periods=2, freq="30D", tz="UTC")
    folds = pd.DataFrame(
        {"test_start": stamps, "train_value": [2.0, None], "test_value": [1.0, None]}
    )
    _, charts = page(rows_of(), folds=folds)
    train, test = (numbers(bars["y"]) for bars in charts["folds"])
    np.testing.assert_array_equal([train, test], [[2.0, np.nan], [1.0, np.nan]])
