"""The page of many scenarios: what it shows are the rows it was given."""

import base64

import numpy as np
import pandas as pd
import pytest

from basis_pipeline.config.scenario import load_scenario_set, sets_in
from basis_pipeline.reports.points import RISKS, explained, frontier, pair_medians
from basis_pipeline.reports.study import KEYS as EXPLAINED
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import judge
from tests.backtests.studies import made_set
from tests.reports.conftest import WRITTEN
from tests.reports.made_studies import (
    KEYS,
    charts_of,
    rows_of,
    shocked_rows,
    stress_of,
    stress_page,
    sweep_page,
)


def numbers(packed: dict[str, str]) -> np.ndarray:
    """The values of an array in the page."""
    return np.frombuffer(base64.b64decode(packed["bdata"]), dtype="<f8")


def test_every_sound_point_is_counted_in_the_distribution() -> None:
    """The bars add up to the points that were not rejected, over return and over drawdown."""
    charts = charts_of(sweep_page(rows_of(), WRITTEN))
    for name in ("total_return", "max_drawdown"):
        assert numbers(charts[f"spread-{name}"][0]["y"]).sum() == 396


def test_sensitivity_shows_what_moves_the_return_and_what_does_not() -> None:
    """Only numeric keys have a chart; the median falls with the key that matters, the first."""
    rows = rows_of(4000)
    charts = charts_of(sweep_page(rows, WRITTEN))
    ltv, ratio = (
        numbers(charts[f"sensitivity-{key.replace('.', '-')}"][2]["y"]) for key in KEYS[:2]
    )
    assert (np.diff(ltv) < 0.0).all()
    assert np.ptp(ratio) < 0.25 * np.ptp(ltv)
    shares = explained(rows, KEYS)
    assert list(shares) == [KEYS[0], KEYS[2], KEYS[1]]
    assert shares[KEYS[0]] > 0.98
    assert shares[KEYS[1]] < 0.01


def test_a_cell_of_two_keys_is_the_median_of_its_points() -> None:
    """The medians of a grid with known points, one cell of it empty."""
    rows = pd.DataFrame(
        {"a": [1.0, 1.0, 2.0, 2.0], "b": ["x", "x", "x", "y"], "r": [0.1, 0.3, 0.5, 0.7]}
    )
    found = pair_medians(rows, "a", "b", "r")
    assert (list(found.columns), list(found.index)) == (["1", "2"], ["x", "y"])
    np.testing.assert_allclose(found.to_numpy(), [[0.2, 0.5], [np.nan, 0.7]])
    charts = charts_of(sweep_page(rows_of(), WRITTEN))
    assert sum(key.startswith("pair-") for key in charts) == 3


@pytest.mark.parametrize("risk", RISKS)
def test_no_point_beats_one_of_the_frontier(risk: str) -> None:
    """No point beats the frontier in both return and risk; it beats or equals every other point."""
    rows = rows_of()
    sign = 1.0 if RISKS[risk][0] else -1.0
    safety, gain = sign * rows[risk].to_numpy(), rows["total_return"].to_numpy()
    beaten = [
        bool(((safety >= s) & (gain >= g) & ((safety > s) | (gain > g))).any())
        for s, g in zip(safety, gain, strict=True)
    ]
    assert sorted(frontier(rows, risk)["index"]) == rows.index[~np.array(beaten)].tolist()


def test_links_failed_gates_and_warnings_of_the_inputs_are_on_the_page() -> None:
    """Points with a sheet are linked; banners come before the rest."""
    rows = rows_of()
    first = int(rows[rows["status"] == ""].sort_values("total_return")["index"].iloc[0])
    warning = judge("outliers", "WARN", False, "3 steps", asset="dataset/binance_funding")
    html = sweep_page(rows, WRITTEN, links={first: f"sheet-{first}.html"}, inputs=[warning])
    assert f'<a href="sheet-{first}.html">{first}</a>' in html
    assert html.count('href="sheet-') == 1
    assert html.index('role="alert"') < html.index("<h2")
    assert "Inputs with warnings: binance_funding (outliers)." in html


def test_a_sweep_of_which_every_point_was_rejected_says_so_and_why() -> None:
    """No chart and no best point, but the code, its meaning and the ranges of the keys."""
    rows = rows_of(8).assign(status="BT-004", total_return=np.nan)
    html = sweep_page(rows, WRITTEN)
    assert "Every point was rejected" in html
    assert "8 points rejected: 8 with BT-004" in html
    assert "Best points" not in html
    assert 'id="charts"' not in html


def test_a_set_without_keys_and_with_few_points_has_a_page_too() -> None:
    """No distribution of eight points, and nothing over keys."""
    charts = charts_of(sweep_page(rows_of(7), WRITTEN, scenarios=made_set()))
    assert charts.keys() == {"frontier"}


def test_the_page_of_a_stress_says_what_was_worst_and_what_is_nearest() -> None:
    """The effects are in sentences; the chart's sum is the change of all components."""
    html = stress_page(shocked_rows(), WRITTEN)
    assert "Worst: crash returned 5.00 %, 3.00 points less than calm." in html
    assert "Without effect on this mode: depeg (marked by the oracle)." in html
    assert "Nearest to its limit: max drawdown 6.00 % in crash (at most 5.00 %)." in html
    assert "Nothing was stressed" not in html
    sums = charts_of(html)["effects"][-1]
    np.testing.assert_allclose(sums["x"], [0.0, -3.1], atol=1e-12)


def test_a_set_that_reaches_nothing_must_not_pass_for_a_stress() -> None:
    """A banner on top, however well its gates passed."""
    html = stress_page(shocked_rows().iloc[:2], WRITTEN)
    assert html.index("Nothing was stressed") < html.index("<h2")
    assert "No shock of the set affects a_mode" in html
    assert "NOTHING STRESSED" in html


def test_a_set_without_a_calm_market_shows_no_change() -> None:
    """Without a calm market nothing is compared and nothing is claimed."""
    stress = stress_of(shocked_rows().iloc[2:3])
    assert stress.calm is None
    assert not stress.drawn
    assert not stress.reaches_nothing
    assert [str(title) for title in stress.effect_table().titles][3] == ">Max drawdown"


def test_every_key_that_a_set_of_the_project_sweeps_is_explained() -> None:
    """Its unit and what it sets, on hover."""
    directory = project_root() / "configs" / "scenarios"
    for name in sets_in(directory):
        assert load_scenario_set(directory / f"{name}.yaml").keys.keys() <= EXPLAINED.keys()
