"""Charts draw what the tables hold, in the colours of the theme."""

import base64
import json
import re
from typing import Any

import numpy as np
import pytest

from basis_pipeline.reports import performance_charts
from basis_pipeline.reports.chart import Chart
from basis_pipeline.reports.plot_theme import COLOURS, DARK, LIGHT
from basis_pipeline.reports.risk_charts import risk_charts
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.tear_sheet import _charts
from tests.reports.conftest import SPECIAL, Named
from tests.runs.trees import MODES


def shown(chart: Chart) -> list[list[dict[str, Any]]]:
    """The traces of each view as the page has them."""
    return [view["data"] for view in json.loads(chart.to_json())["views"]]


def values(packed: dict[str, str]) -> np.ndarray:
    """What a packed array holds."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), dtype="<f8")


@pytest.mark.parametrize("name", [*MODES, *SPECIAL])
def test_every_chart_has_words_and_colours_of_the_theme(sample_runs: Named, name: str) -> None:
    """A description for who cannot see it, and colours that light and dark both have."""
    for chart in _charts(RunView(sample_runs[name][0])).values():
        assert chart.description
        used = set(re.findall(r"var\(--([\w-]+)\)", chart.to_json()))
        assert used <= COLOURS.keys()
        assert not re.search("#[0-9a-f]{6}", chart.to_json())


def test_a_legend_names_everything_once(sample_runs: Named) -> None:
    """Series, limits and marks, each with the look it is drawn in; by view where they differ."""
    run = RunView(sample_runs["liquidated"][0])
    charts = _charts(run)
    names = [entry.label for entry in charts["margin"].legends[0]]
    assert len(names) == len(set(names))
    assert "liquidation" in names
    netted, apart = ({e.label: e.kind for e in own} for own in charts["attribution"].legends)
    assert netted["basis"] == "area"
    assert netted["total"] == "line"
    assert {"spot_price", "perp_price"} <= apart.keys() - netted.keys()


@pytest.mark.parametrize("name", MODES)
def test_stacked_components_add_up_to_the_total(sample_runs: Named, name: str) -> None:
    """In both views, at every day: what is stacked above and below zero is equity less capital."""
    run = RunView(sample_runs[name][0])
    for data in shown(performance_charts.attribution_chart(run)):
        stacked = np.sum([values(t["y"]) for t in data if "stackgroup" in t], axis=0)
        total = values(data[-1]["y"])
        gained = run.column("equity", "equity")[-1] - run.result.identity.capital
        np.testing.assert_allclose(stacked, total, atol=1e-6)
        assert total[-1] == pytest.approx(gained - run.summary["net_flows"], abs=1e-6)


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
    levels = {t["y"][0] for t in shown(margin)[0] if isinstance(t["y"], list)}
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
    aside = {"paper", "card", "line", "alarm", "good-wash", "warn-wash", "bad-wash"}
    for name in COLOURS.keys() - aside:
        assert contrast(name, "paper") >= 3.0, name
