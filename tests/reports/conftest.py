"""Runs of every mode on sample data, their pages on disk, and a browser that reads them."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from basis_pipeline.config import slice_mode
from basis_pipeline.market.panel import build_panel
from basis_pipeline.market.sample import write_sample
from basis_pipeline.market.window import Window, parse_window
from basis_pipeline.reports.comparison import Entry, comparison_html
from basis_pipeline.reports.page import Provenance
from basis_pipeline.reports.tear_sheet import tear_sheet_html
from basis_pipeline.results.store import RunResult
from basis_pipeline.runs.backtest import capital_of, run_backtest
from basis_pipeline.runs.benchmarks import benchmark_names, benchmark_table
from basis_pipeline.verdict import Verdict, judge
from tests.browser import chromium
from tests.runs.trees import MODES, Overrides, Tree, windows

WRITTEN = Provenance(datetime(2024, 7, 1, 6, 30, tzinfo=UTC), "9f2c1ab4", "test")
PASSED = (
    judge(
        "reconciliation", "ERROR", True, "the parts explain the whole", measured=1e-16, limit=1e-9
    ),
)
DEEP = {"measured": 0.2, "limit": 0.1, "unit": "share"}
FAILED = (*PASSED, judge("drawdown_limit", "ERROR", False, "<the> drawdown & more", **DEEP))
HELD = {"allocation.spot": 0.9, "rebalance.enabled": False}
SPECIAL = ("liquidated", "failed", "repaired", "not_judged")
Named = dict[str, tuple[RunResult, tuple[Verdict, ...]]]


def made(tree: Tree, mode: str, window: Window, overrides: Overrides | None = None) -> RunResult:
    """A backtest beside its benchmarks."""
    sliced, datasets = slice_mode(tree.configs, mode, overrides), tree.datasets(window)
    beside = benchmark_table(benchmark_names(sliced, tree.configs), datasets, window)
    panel = build_panel(sliced, datasets, window)
    return run_backtest(sliced, panel, window, capital_of(sliced, None), beside)


@pytest.fixture(scope="session")
def sample_runs(tmp_path_factory: pytest.TempPathFactory) -> Named:
    """A run of every mode, and four that a reader must be warned of, with their gates, by name."""
    root = tmp_path_factory.mktemp("pages") / "data"
    write_sample(root, days=120)
    whole, middle = ("2024-01-02", "2024-04-29"), ("2024-02-10", "2024-03-20")
    tree = Tree(root, windows(whole, middle, middle))
    runs: Named = {mode: (made(tree, mode, tree.windows["whole"]), PASSED) for mode in MODES}
    rising = parse_window("2024-03-08T05:00", "2024-04-29")  # from the lowest price to the end
    runs["liquidated"] = made(tree, "eth_basis", rising, HELD), PASSED
    runs["failed"] = runs["btc_basis"][0], FAILED
    deposit = {"flows": [{"date": "2024-02-20", "amount": 40_000.0}]}
    runs["repaired"] = made(tree, "usdt_market_neutral", tree.windows["middle"], deposit), PASSED
    runs["not_judged"] = runs["pure_lending"][0], ()
    return runs


@pytest.fixture(scope="session")
def pages(sample_runs: Named, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the tear sheet of every run by its name, and two comparisons."""
    directory = tmp_path_factory.mktemp("reports")
    for name, (result, verdicts) in sample_runs.items():
        (directory / f"{name}.html").write_text(
            tear_sheet_html(result, verdicts, WRITTEN), encoding="utf-8"
        )
    modes = [Entry(*sample_runs[mode], link=f"{mode}.html") for mode in MODES]
    modes[0] = Entry(*sample_runs["failed"], link="failed.html")
    (directory / "comparison.html").write_text(comparison_html(modes, WRITTEN), encoding="utf-8")
    runs = [Entry(*sample_runs[name]) for name in ("eth_basis", "liquidated")]
    (directory / "runs.html").write_text(
        comparison_html(runs, WRITTEN, reference=True), encoding="utf-8"
    )
    return directory


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser for the tests of one module: while it is open, no event loop can run beside it."""
    with chromium() as found:
        yield found
