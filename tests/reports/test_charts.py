"""Charts draw what the tables hold, in the colours of the theme."""

import base64
import json
import re
from typing import Any

import numpy as np
import pytest

from basis_pipeline.reports.chart import Chart
from basis_pipeline.reports.plot_theme import COLOURS, DARK, LIGHT
from basis_pipeline.reports.risk_charts import risk_charts
from basis_pipeline.reports.run_charts import run_charts
from basis_pipeline.reports.run_view import RunView
from tests.backtests.trees import MODES
from tests.reports.conftest import SPECIAL, Named


def shown(chart: Chart) -> list[dict[str, Any]]:
    """The traces of a chart in the page."""
    traces: list[dict[str, Any]] = json.loads(chart.to_json())["figure"]["data"]
    return traces


def values(packed: dict[str, str]) -> np.ndarray:
    """The values of a packed array."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), dtype="<f8")


@pytest.mark.parametrize("name", ["usdt_market_neutral", "pure_lending", *SPECIAL])
def test_every_chart_has_colours_of_the_theme_and_a_legend(sample_runs: Named, name: str) -> None:
    """Colours that light and dark both have; each series, limit and mark is named once."""
    run = RunView(sample_runs[name][0])
    for chart in (*run_charts(run).values(), *risk_charts(run)):
        used = set(re.findall(r"var\(--([\w-]+)\)", chart.to_json()))
        assert used <= COLOURS.keys()
        assert not re.search("#[0-9a-f]{6}", chart.to_json())
        drawn = [*chart.figure.data, *chart.figure.layout.shapes]
        names = [item.name for item in drawn if item.showlegend]
        assert len(names) == len(set(names))
        assert (name != "liquidated") or chart.key != "equity" or "liquidation" in names


@pytest.mark.parametrize("name", MODES)
def test_components_add_up_to_the_total(sample_runs: Named, name: str) -> None:
    """At every day: what is stacked above and below zero is equity less capital."""
    run = RunView(sample_runs[name][0])
    charts = run_charts(run)
    *parts, total = (values(trace["y"]) for trace in shown(charts["attribution"]))
    np.testing.assert_allclose(np.sum(parts, axis=0), total, atol=1e-6)
    gained = run.column("equity", "equity")[-1] - run.result.identity.capital
    assert total[-1] == pytest.approx(gained - run.summary["net_flows"], abs=1e-6)
    (steps,) = charts["waterfall"].figure.data
    assert sum(steps.x[:-1]) == pytest.approx(steps.x[-1], abs=1e-6)
    assert steps.x[-1] == run.summary["pnl"]


def test_only_measures_that_apply_are_drawn(sample_runs: Named) -> None:
    """A lender has no margin; a leveraged, hedged book has everything."""
    drawn = {n: {c.key for c in risk_charts(RunView(r))} for n, (r, _) in sample_runs.items()}
    assert drawn["pure_lending"] == set()
    assert drawn["btc_basis"] == {"exposure", "margin", "basis"}
    assert drawn["usdt_market_neutral"] == {"exposure", "loan", "margin", "basis"}


def test_limits_of_the_configuration_are_drawn(sample_runs: Named) -> None:
    """Bands, gates and maintenance margin at the values of the run's own configuration."""
    run = RunView(sample_runs["usdt_market_neutral"][0])
    config = run.mode_config
    margin = next(chart for chart in risk_charts(run) if chart.key == "margin")
    levels = {t["y"][0] for t in shown(margin) if isinstance(t["y"], list)}
    band = config["rebalance"]["margin_ratio"]
    assert {band["min"], band["max"], config["gates"]["min_margin_ratio"], 0.05} == levels


@pytest.mark.parametrize("scheme", [LIGHT, DARK])
def test_text_colours_have_contrast(scheme: int) -> None:
    """Text 4.5 to 1 (AA) against paper and card; lines and areas 3 to 1 against paper."""

    def luminance(name: str) -> float:
        parts = [int(COLOURS[name][scheme][i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    def contrast(one: str, other: str) -> float:
        low, high = sorted((luminance(one), luminance(other)))
        return (high + 0.05) / (low + 0.05)

    for name in ("ink", "soft", "accent", "good", "warn", "bad"):
        assert min(contrast(name, "paper"), contrast(name, "card")) >= 4.5, name
    assert contrast("bad", "bad-wash") >= 4.5
    assert contrast("warn", "warn-wash") >= 4.5
    aside = {"paper", "card", "line", "alarm", "warn-wash", "bad-wash"}
    for name in COLOURS.keys() - aside:
        assert contrast(name, "paper") >= 3.0, name
