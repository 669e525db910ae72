"""A tear sheet says what the tables say, to the last digit, and hides nothing."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.tear_sheet import tear_sheet_html, write_tear_sheet
from basis_pipeline.results.definitions import amount, percent
from basis_pipeline.results.store import write_run, write_verdicts
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import blocked, judge
from tests.backtests.trees import MODES
from tests.reports.conftest import FAILED, PASSED, SPECIAL, WRITTEN, Named
from tests.results.made_run import make_run

VOID = {"meta", "img", "br", "link", "input", "wbr"}


class Read(HTMLParser):
    """Text of a page and of its tables; fails on tags that are not closed in order.

    tables: caption → first cell of a row → its other cells.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.tables: dict[str, dict[str, list[str]]] = {}
        self.row: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what is open; a definition is no part of its cell."""
        if tag not in VOID:
            self.open.append("tip" if ("class", "tip") in attrs else tag)
        if tag in ("th", "td"):
            self.row.append("")

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost tag."""
        assert self.open.pop() in (tag, "tip")
        if tag == "tr":
            self.tables[next(reversed(self.tables))][self.row[0]] = self.row[1:]
            self.row = []

    def handle_data(self, data: str) -> None:
        """Collect the text, and that of captions and cells."""
        if self.open and self.open[-1] in ("script", "style"):
            return
        self.text.append(data.strip())
        if "caption" in self.open:
            self.tables[data] = {}
        elif self.row and "tip" not in self.open:
            self.row[-1] += data

    @property
    def all(self) -> str:
        """All of the text."""
        return " ".join(self.text)


@pytest.mark.parametrize("name", [*MODES, *SPECIAL])
def test_components_equal_the_tables_to_the_last_digit(sample_runs: Named, name: str) -> None:
    """Each is the exact sum of its column, rounded once; so is their sum; costs and funding too."""
    result, gates = sample_runs[name]
    run, page = RunView(result), Read(tear_sheet_html(result, gates, WRITTEN))
    (shown,) = (rows for caption, rows in page.tables.items() if caption.startswith("Components"))
    exact = {part: math.fsum(result.frames["attribution"][part]) for part in COMPONENTS}
    for part, value in exact.items():
        assert shown[part][0] == amount(value, run.digits)
    assert shown["profit and loss"][0] == amount(math.fsum(exact.values()), run.digits)
    if len(run.costs_by_kind):
        *_, execution, gas, _ = page.tables[f"Costs by kind, {run.currency}"]["total"]
        assert execution == amount(-exact["execution_cost"], run.digits)
        assert gas == amount(-exact["gas"], run.digits)


@pytest.mark.parametrize("name", [*MODES, *SPECIAL])
def test_parts_by_kind_and_venue_add_up_to_their_component(sample_runs: Named, name: str) -> None:
    """Costs by kind are execution and gas, funding by venue is funding."""
    run = RunView(sample_runs[name][0])
    parts = run.summary["attribution"]
    tolerance = 1e-9 * run.result.identity.capital
    execution, gas = run.costs_by_kind["execution"].sum(), run.costs_by_kind["gas"].sum()
    received = run.funding_by_venue["received"].sum()
    assert execution == pytest.approx(-parts["execution_cost"], abs=tolerance)
    assert gas == pytest.approx(-parts["gas"], abs=tolerance)
    assert received == pytest.approx(parts["funding"], abs=tolerance)


def test_headline_figures_stand_beside_their_benchmarks(sample_runs: Named) -> None:
    """The summary's own figures, and the benchmark's over the same window."""
    result, gates = sample_runs["btc_basis"]
    page = Read(tear_sheet_html(result, gates, WRITTEN))
    lending = result.summary["benchmarks"]["lending"]
    rows = page.tables["Against its benchmarks"]
    for name, label in (("total_return", "Return"), ("apy", "APY")):
        assert rows[label][:2] == [percent(result.summary[name]), percent(lending[name])]
        assert f"lending {percent(lending[name])}" in page.all


def test_a_benchmark_gets_the_same_flows(sample_runs: Named) -> None:
    """The benchmark has the same deposits at the same marks, and grows on all of them."""
    run = RunView(sample_runs["repaired"][0])
    growth = run.benchmarks["lending"]
    account, flow = run.benchmark_equity(growth), run.column("equity", "flow")
    assert flow.sum() == 40_000.0
    steps = account[:-1] * growth[1:] / growth[:-1] + flow[1:]
    assert account[0] == run.result.identity.capital
    assert account[1:] == pytest.approx(steps, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("failed", "GATE FAILED", "1 failed gate"),
        ("liquidated", "LIQUIDATED", "liquidations at"),
        ("repaired", "REPAIRED DATA", "of the hours rest on repaired data"),
        ("not_judged", "NOT JUDGED", "its figures are not verified"),
    ],
)
def test_what_must_not_be_overlooked_is_on_top(
    sample_runs: Named, name: str, word: str, message: str
) -> None:
    """It is in the title, in the stamp and in a banner before any figure."""
    result, gates = sample_runs[name]
    if name == "repaired":
        hours = [f"{hour:%Y-%m-%dT%H:%MZ}" for hour in result.frames["equity"]["timestamp"]]
        spans = {"okx_ethusdt_perp": [[hours[0], hours[len(hours) // 2]]]}
        result = replace(result, summary={**result.summary, "repaired_spans": spans})
    html = tear_sheet_html(result, gates, WRITTEN)
    page = Read(html)
    title = html[html.index("<title>") : html.index("</title>")]
    assert word in title
    assert page.all.index(word) < page.all.index(message) < page.all.index("Final equity")


def test_a_short_window_says_why_nothing_is_annualised() -> None:
    """A banner gives the reason, and every annual figure is replaced by "not annualised"."""
    page = Read(tear_sheet_html(make_run(hours=24 * 20), PASSED, WRITTEN))
    assert "A window of 20 days; figures of a year need 30." in page.text
    rows = page.tables["Against its benchmarks"]
    for label in ("APY", "Sharpe", "Volatility"):
        assert set(rows[label]) == {"not annualised"}
    assert page.text.count("not annualised") > 6


def test_a_clean_run_has_no_banner(sample_runs: Named) -> None:
    """All gates pass, no repair, no liquidation: no false alarm."""
    html = tear_sheet_html(*sample_runs["pure_lending"], WRITTEN)
    assert 'class="banner' not in html
    assert "ALL GATES PASS" in html


def test_gates_come_worst_first_with_what_they_say() -> None:
    """Text of a gate is text, never markup."""
    skipped = blocked("determinism", "ERROR", "its run failed")
    html = tear_sheet_html(make_run(), (*FAILED, skipped), WRITTEN)
    page = Read(html)
    assert "<the> drawdown & more" in page.text
    assert "<the>" not in html
    table = html[html.index('<h2 id="gates">') :]
    places = [table.index(f'class="verdict {word}"') for word in ("FAIL", "BLOCKED", "PASS")]
    assert places == sorted(places)


def test_gates_that_one_fault_stops_are_one_sentence() -> None:
    """The reason is given once, then the gates, without an earlier verdict for each."""
    gates = [blocked(name, "ERROR", "DATA-004 at a.csv") for name in ("one", "two", "three")]
    page = Read(tear_sheet_html(make_run(), gates, WRITTEN))
    assert "DATA-004 at a.csv: one, two, three" in page.text


def test_a_failed_gate_states_the_fact_its_limit_and_the_margin() -> None:
    """The message of the verdict, never the rule that would have been true."""
    message = "APY −10.9 % is below the target of at least 5 %"
    figures = {"measured": -0.108776, "limit": 0.05, "unit": "share"}
    page = Read(
        tear_sheet_html(make_run(), [judge("apy", "ERROR", False, message, **figures)], WRITTEN)
    )
    assert f"apy: {message}" in page.text
    assert page.text.count(message) == 1  # in the table; the banner has the check's name before it
    for cell in ("-10.88 %", "≥ 5 %", "−15.88 %"):
        assert cell in page.text
    assert "reaches" not in page.all


def test_the_verdicts_stored_with_a_run_are_shown(tmp_path: Path) -> None:
    """A run that passed its gates is not called "not judged", whoever made it."""
    directory = write_run(make_run(), tmp_path / "run")
    page = tmp_path / "page.html"
    write_tear_sheet(page, directory, WRITTEN)
    assert "Not judged" in page.read_text("utf-8")
    write_verdicts(directory, [verdict.at(mode="eth_basis") for verdict in PASSED])
    write_tear_sheet(page, directory, WRITTEN)
    text = page.read_text("utf-8")
    assert "Not judged" not in text
    assert "the parts explain the whole" in text
    write_tear_sheet(page, directory, WRITTEN, FAILED)
    assert "drawdown_limit" in page.read_text("utf-8")


def test_a_page_says_when_it_was_written_by_which_run_and_where() -> None:
    """A reader can tell an old page from a new one, and test from production."""
    text = " ".join(Read(tear_sheet_html(make_run(), PASSED, WRITTEN)).all.split())
    assert "Written 2024-07-01 06:30:00 UTC by run 9f2c1ab4 · environment test" in text


def test_a_run_shows_what_it_rests_on(sample_runs: Named) -> None:
    """Identity, every data hash, repaired hours and the configuration."""
    result, gates = sample_runs["usdt_market_neutral"]
    text = Read(tear_sheet_html(result, gates, WRITTEN)).all
    for shown in (result.run_id, result.identity.config_hash, result.identity.engine_version):
        assert shown in text
    for name, digest in result.identity.data_hashes.items():
        assert name in text
        assert digest in text
    assert "staking.target_ltv 0.65" in re.sub(r"\s+", " ", text)
    hours = result.summary["repaired_hours"]
    assert hours > 0
    assert f"{hours:,} of {result.summary['hours']:,} hours" in text


def test_a_page_needs_nothing_beside_itself_and_repeats() -> None:
    """No address to fetch from, and equal runs give equal pages."""
    html = tear_sheet_html(make_run(), PASSED, WRITTEN)
    assert html == tear_sheet_html(make_run(), PASSED, WRITTEN)
    assert not re.search(r"<link|<img|src=|@import|url\(", html)
