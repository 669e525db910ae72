"""A comparison ranks, says what differs and what that did, and never hides a failed gate."""

from dataclasses import replace

import pytest

from basis_pipeline.reports.comparison import RANKS, Entry, comparison_html, ranking
from basis_pipeline.reports.differences import differences
from basis_pipeline.results.definitions import FIGURES, amount, percent
from basis_pipeline.results.tables import COMPONENTS
from tests.backtests.trees import MODES
from tests.reports.conftest import FAILED, PASSED, WRITTEN, Named
from tests.reports.test_tear_sheet import Read
from tests.results.made_run import make_run


@pytest.mark.parametrize("figure", RANKS)
def test_the_best_comes_first(sample_runs: Named, figure: str) -> None:
    """Highest or lowest first, as is better for the figure; runs without the figure come last."""
    entries = [Entry(*sample_runs[mode]) for mode in MODES]
    values = [entries[place].result.summary[figure] for place in ranking(entries, figure)]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=FIGURES[figure].better > 0)
    assert values[len(known) :] == [None] * (len(values) - len(known))


def test_a_failed_gate_is_shown_wherever_the_run_ranks() -> None:
    """Its name is in a banner, and its row is marked."""
    entries = [
        Entry(make_run("eth_basis", seed), gates) for seed, gates in ((1, PASSED), (2, FAILED))
    ]
    for figure in RANKS:
        html = comparison_html(entries, WRITTEN, rank_by=figure)
        text = Read(html).all
        assert "1 of 2 failed a gate" in text
        assert text.count("drawdown_limit") == 2
        assert html.count('<tr class="failed"') == 2  # the made runs are liquidated, too


def test_components_equal_the_tables(sample_runs: Named) -> None:
    """Both as amounts and as shares of the capital."""
    entries = [Entry(*sample_runs[mode]) for mode in MODES]
    text = Read(comparison_html(entries, WRITTEN)).text
    for entry in entries:
        for part in COMPONENTS:
            value = float(entry.result.frames["attribution"][part].sum())
            assert amount(value, entry.run.digits) in text
            assert percent(value / entry.result.identity.capital, 3) in text


def test_what_differs_is_shown_and_nothing_else(sample_runs: Named) -> None:
    """A changed setting, other data, other code, another window and capital, each on its own."""
    first = sample_runs["eth_basis"][0]
    changed = {**first.config, "mode": {**first.config["mode"]}}
    changed["mode"]["hedge"] = {**changed["mode"]["hedge"], "ratio": 0.9}
    hashes = {**first.identity.data_hashes, "ethereum_gas": "f" * 64}
    other = replace(first, config=changed)
    assert differences([first, other])["configuration"] == {"mode.hedge.ratio": ("1", "0.9")}
    assert differences([first, first]) == {"configuration": {}, "data": {}, "run": {}}
    other = replace(first, identity=replace(first.identity, data_hashes=hashes))
    assert [*differences([first, other])["data"]] == ["ethereum_gas"]
    other = replace(first, identity=replace(first.identity, engine_version="2", capital=5.0))
    assert [*differences([first, other])["run"]] == ["engine", "capital"]


def test_the_others_are_compared_with_the_first(sample_runs: Named) -> None:
    """Each component's difference as a share of the capital, the sum included."""
    held, other = (sample_runs[name][0] for name in ("eth_basis", "liquidated"))
    entries = [Entry(held, PASSED), Entry(other, PASSED)]
    text = Read(comparison_html(entries, WRITTEN, reference=True)).text
    for part in ("funding", "liquidation"):
        gap = (other.summary["attribution"][part] - held.summary["attribution"][part]) / 1e5
        assert f"{'+' if gap > 0 else ''}{percent(gap, 3)}" in text
    assert any(line.startswith("mode.allocation.spot") for line in text)
    assert "Effect of the differences" in text


def test_the_page_first_says_which_modes_trail_plain_lending(sample_runs: Named) -> None:
    """They are named above every other sentence; plain lending itself is not among them."""
    entries = [Entry(*sample_runs[mode]) for mode in MODES]
    over = {
        e.result.mode: e.result.summary["benchmarks"]["lending"]["excess_return"] for e in entries
    }
    trailing = [m for m in MODES if over[m] < 0.0 and not m.startswith("pure_lending")]
    page = Read(comparison_html([*entries, Entry(*sample_runs["failed"])], WRITTEN))
    first = page.all.index("earned less than plain lending in")
    assert first < page.all.index("failed a gate") < page.all.index("Leaderboard")
    page = Read(comparison_html(entries, WRITTEN))
    if trailing:
        assert f"{len(trailing)} of {len(MODES)} modes earned less than plain lending" in page.all
    for mode in MODES:
        assert (f"{mode} (by" in page.all) == (mode in trailing)
        assert percent(over[mode]) in page.text
        closed = sample_runs[mode][0].summary["closed_equity"]
        assert amount(closed, Entry(*sample_runs[mode]).run.digits) in page.text


def test_links_and_benchmarks(sample_runs: Named) -> None:
    """Each run links to its tear sheet and is compared with each of its benchmarks."""
    entries = [Entry(*sample_runs[mode], link=f"{mode}.html") for mode in MODES]
    html = comparison_html(entries, WRITTEN)
    text = Read(html).text
    for entry in entries:
        assert f'href="{entry.result.mode}.html"' in html
        for row in entry.result.summary["benchmarks"].values():
            assert percent(row["excess_apy"]) in text
