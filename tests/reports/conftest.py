"""Runs of every mode on sample data, and pages on disk."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from basis_pipeline.backtests.backtest import capital_of, run_backtest
from basis_pipeline.backtests.benchmarks import benchmark_names, benchmark_table
from basis_pipeline.config import slice_mode
from basis_pipeline.market.audit import FeedAudit, audit
from basis_pipeline.market.fetch.store import REVISION
from basis_pipeline.market.panel import build_panel
from basis_pipeline.market.sample import write_sample
from basis_pipeline.market.window import Window, parse_window
from basis_pipeline.reports.account import AccountView, account_html
from basis_pipeline.reports.comparison import Entry, comparison_html
from basis_pipeline.reports.data_audit import data_audit_html
from basis_pipeline.reports.gates import gates_html
from basis_pipeline.reports.page import Provenance
from basis_pipeline.reports.tear_sheet import tear_sheet_html
from basis_pipeline.results.store import RunResult
from basis_pipeline.verdict import Verdict, judge
from tests.backtests.trees import CONFIGS, MODES, Overrides, Tree, windows
from tests.reports.made_account import made_account
from tests.reports.made_studies import (
    folds_of,
    growth,
    rows_of,
    shocked_rows,
    stress_page,
    sweep_page,
    walk_page,
)
from tests.reports.test_gates import ALL as GATES

WRITTEN = Provenance(datetime(2024, 7, 1, 6, 30, tzinfo=UTC), "9f2c1ab4", "test")
PASSED = (
    judge(
        "reconciliation", "ERROR", True, "the parts explain the whole", measured=1e-16, limit=1e-9
    ),
)
DEEP = {"measured": 0.2, "limit": 0.1, "unit": "share"}
LITTLE = {"measured": 0.02, "limit": 0.031, "unit": "share"}
WARNED = judge(
    "beats_lending", "WARN", False, "too little", phase=3, asset="backtest/run", **LITTLE
)
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
def audits(tmp_path_factory: pytest.TempPathFactory) -> list[FeedAudit]:
    """The audit of a sample: absent and rejected feeds, a gap that nothing fills, a revision."""
    data = tmp_path_factory.mktemp("audit") / "data"
    write_sample(data, days=60)
    shutil.rmtree(data / "blockchain_data")
    (oracle,) = data.glob("protocol_data/aave/oracle/wstETH*")
    lines = oracle.read_text().splitlines(keepends=True)
    oracle.write_text("".join(lines[:500] + lines[540:]))
    (spot,) = data.glob("market_data/spot_prices/*/bybit_BTCUSDT*")
    spot.write_text(spot.read_text().replace("BTCUSDT", "OTHER", 1))
    revised = data / "fetched" / "wsteth_peg" / "revisions"
    revised.mkdir(parents=True)
    (revised.parent / "manifest.json").write_text('{"revisions": {"a/wsteth.csv": 1}}')
    lines = ("2024-01-02T05:00:00Z", "market_rate", "1.16", "1.17", "2024-05-01T00:00:00+00:00")
    table = [",".join(REVISION), ",".join((*lines, "open")), ",".join((*lines, "accepted"))]
    (revised / "wsteth.csv").write_text("\n".join(table))
    return audit(data, CONFIGS.datasets.values(), CONFIGS.venues)


@pytest.fixture(scope="session")
def example(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> AccountView:
    """An account with something in every section of its page."""
    return made_account(sample, tmp_path_factory.mktemp("account"))


@pytest.fixture(scope="session")
def pages(
    sample_runs: Named,
    audits: list[FeedAudit],
    example: AccountView,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A directory with a page of every kind."""
    modes = [Entry(*sample_runs[mode], link=f"{mode}.html") for mode in MODES]
    modes[0] = Entry(*sample_runs["failed"], link="failed.html")
    written = {
        "comparison": comparison_html(modes, WRITTEN, reference=True),
        "gates": gates_html([*GATES, WARNED], WRITTEN),
        "account": account_html(example, WRITTEN),
        "data_audit": data_audit_html(audits, "made data, 60 days", WRITTEN),
    }
    written["sweep"] = sweep_page(rows_of(), WRITTEN)
    written["stress"] = stress_page(shocked_rows(), WRITTEN)
    written["walk_forward"] = walk_page(folds_of(), growth(), WRITTEN)
    written["usdt_market_neutral"] = tear_sheet_html(*sample_runs["usdt_market_neutral"], WRITTEN)
    directory = tmp_path_factory.mktemp("reports")
    for name, html in written.items():
        (directory / f"{name}.html").write_text(html, encoding="utf-8")
    return directory
