"""The gate report and the data audit, read in a browser by eye-sight, keyboard and rule."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from basis_pipeline.config import load_configs
from basis_pipeline.market.audit import FeedAudit, audit
from basis_pipeline.market.sample import write_sample
from basis_pipeline.operations.data_report import audit_html, feeds_table
from basis_pipeline.operations.gate_reports import gates_html
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Status, Verdict, counts, judge
from tests.browser import NARROW, WIDE, chromium, visit

AT = datetime(2024, 6, 1, tzinfo=UTC)
LONG = "a message that goes on about a file_with_a_very_long_name_that_nothing_breaks " * 3
MODES = ("btc_basis", "usdt_market_neutral_no_leverage")
GATES = [
    judge("outliers", "WARN", False, LONG, asset="dataset/gas", phase=2).at(evaluated_at=AT),
    judge("gaps", "ERROR", False, "a <hole>", evidence={"n": 3}, asset="dataset/perp", phase=2).at(
        evaluated_at=AT
    ),
    Verdict(
        check="disk",
        severity="ERROR",
        status=Status.NOT_RUN,
        message="never evaluated",
        asset="health",
        phase=4,
    ),
    *(
        judge("rules", "ERROR", True, "fine", asset="backtest/run", phase=3).at(mode=mode)
        for mode in MODES
    ),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the pages of this module."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> list[FeedAudit]:
    """The audit of a sample with an absent family, a refused one and a hole nothing fills."""
    data = tmp_path_factory.mktemp("audit") / "data"
    write_sample(data, days=60)
    shutil.rmtree(data / "blockchain_data")
    (oracle,) = data.glob("protocol_data/aave/oracle/wstETH*")
    lines = oracle.read_text().splitlines(keepends=True)
    oracle.write_text("".join(lines[:500] + lines[540:]))
    (spot,) = data.glob("market_data/spot_prices/*/bybit_BTCUSDT*")
    spot.write_text(spot.read_text().replace("BTCUSDT", "OTHER", 1))
    configs = load_configs(project_root() / "configs")
    return audit(data, configs.datasets.values(), configs.venues)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, evidence: list[FeedAudit]) -> dict[str, Path]:
    """Both pages as files."""
    directory = tmp_path_factory.mktemp("pages")
    written = {"gates": gates_html(GATES), "audit": audit_html(evidence, "made data, 60 days")}
    for name, html in written.items():
        (directory / f"{name}.html").write_text(html, encoding="utf-8")
    return {name: directory / f"{name}.html" for name in written}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", ["gates", "audit"])
def test_a_page_is_usable_at_every_width_and_scheme(
    name: str, width: int, dark: bool, pages: dict[str, Path], browser: Browser
) -> None:
    """No complaint on the console, nothing fetched, nothing cut off, nothing against the rules."""
    seen = visit(browser, pages[name], width, dark=dark)
    seen.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert seen.complaints == []
    assert seen.requests == [pages[name].resolve().as_uri()]
    assert seen.overflow() == 0
    assert seen.violations() == []
    seen.page.close()


def test_what_stops_the_line_comes_first(pages: dict[str, Path], browser: Browser) -> None:
    """A reader who stops after one screen has seen every failure, with its evidence."""
    page = visit(browser, pages["gates"], WIDE).page
    assert page.locator(".stamp").inner_text() == "FAIL"
    told = page.locator("#stopping + ul").inner_text()
    assert "dataset/perp gaps" in told
    assert "a <hole>" in told
    assert "n\n3\n" in told
    body = page.locator("main").inner_text()
    assert body.index("dataset/perp gaps") < body.index("dataset/gas outliers")
    page.close()


def test_the_gate_page_counts_what_there_is(pages: dict[str, Path], browser: Browser) -> None:
    """Its counts are those of the gates, in the headline and by phase."""
    page = visit(browser, pages["gates"], WIDE).page
    shown = [text.split(maxsplit=1) for text in page.locator(".counts li").all_inner_texts()]
    found = {verdict.value: str(count) for verdict, count in counts(GATES).items()}
    assert {word.lstrip("✕○!✓ "): count for count, word in shown} == found
    rows = page.locator("[aria-label=Phases] tbody tr").all_inner_texts()
    assert [row.split("\t")[-4:] for row in rows] == [
        ["1", "0", "1", "0"],
        ["0", "0", "0", "2"],
        ["0", "1", "0", "0"],
    ]
    page.close()


def test_a_verdict_is_told_by_word_and_sign(pages: dict[str, Path], browser: Browser) -> None:
    """Whoever sees no colours reads the same page."""
    page = visit(browser, pages["gates"], WIDE).page
    for word, sign in {"PASS": "✓", "WARN": "!", "FAIL": "✕", "NOT_RUN": "○"}.items():
        text = page.locator(f".verdict.{word}").first.inner_text()
        assert text == f"{sign} {word.replace('_', ' ')}"
    page.close()


def test_assets_open_by_keyboard(pages: dict[str, Path], browser: Browser) -> None:
    """Tab reaches the asset that is closed, and return opens its gates."""
    seen = visit(browser, pages["gates"], WIDE)
    page = seen.page
    page.locator("summary", has_text="backtest/run").focus()
    page.keyboard.press("Enter")
    assert page.locator("[aria-label='Gates of backtest/run']").is_visible()
    seen.page.close()
    again = visit(browser, pages["gates"], WIDE)
    reached = again.tabbed(40)
    assert any("SUMMARY" in name and "backtest/run" in name for name in reached)
    assert "DIV Phases" in reached
    again.page.close()


def test_links_lead_to_the_ui_that_is_named() -> None:
    """With an address every gate links to its history there; without one nothing is linked."""
    assert f'href="http://ui:3000{GATES[1].link.replace("&", "&amp;")}"' in gates_html(
        GATES, ui="http://ui:3000/"
    )
    assert "http://" not in gates_html(GATES)


def test_the_audit_shows_what_its_tables_say(
    evidence: list[FeedAudit], pages: dict[str, Path], browser: Browser
) -> None:
    """Every row of the families is on the page, word for word."""
    page = visit(browser, pages["audit"], WIDE).page
    rows = page.locator("[aria-label=Families] tbody tr").all()
    expected = feeds_table(evidence).rows
    assert len(rows) == len(expected) == len(evidence)
    for row, cells in zip(rows, expected, strict=True):
        texts = [" ".join(text.split()) for text in row.locator("th, td").all_text_contents()]
        texts[1] = texts[1].lstrip("✕○!✓ ")
        assert texts == [" ".join(cell.split()) for cell in cells]
    page.close()


def test_the_calendar_draws_own_repaired_and_missing_days(
    evidence: list[FeedAudit], pages: dict[str, Path], browser: Browser
) -> None:
    """As many days of each state are drawn as there are, and the picture says it in words."""
    page = visit(browser, pages["audit"], WIDE).page
    by_family = {found.feed: found for found in evidence}
    widths = "rects => rects.reduce((sum, r) => sum + Number(r.getAttribute('width')), 0)"
    for family, found in by_family.items():
        strip = page.locator(f"svg.strip[aria-label^='{family}:']")
        if not len(found.findings.days):
            assert strip.count() == 0
            continue
        whole = int((found.findings.days["own"] >= found.findings.days["expected"]).sum())
        assert strip.locator("rect.own").evaluate_all(widths) == whole
        assert f"{whole} days whole" in str(strip.get_attribute("aria-label"))
    assert page.locator("svg.strip[aria-label^='wsteth_oracle:'] rect.missing").count() == 1
    repaired = page.locator("svg.strip[aria-label^='binance_btcusdt_perp:'] rect.repaired")
    days = by_family["binance_btcusdt_perp"].findings.days
    assert repaired.evaluate_all(widths) == int((days["repaired"] > 0).sum()) == 1
    assert page.locator("tr", has_text="ethereum_gas").first.inner_text().endswith("no file")
    page.close()


def test_spreads_are_drawn_with_their_limits(pages: dict[str, Path], browser: Browser) -> None:
    """Each pair once, with a line for the median, one for the largest gap, and both limits."""
    page = visit(browser, pages["audit"], WIDE).page
    names = page.locator("#spreads ~ .charts figcaption").all_inner_texts()
    pairs = [frozenset(name.split(" against ")) for name in names]
    assert len(pairs) == len(set(pairs)) > 8
    chart = page.locator("figure", has_text="binance_ethusdt_perp against").first
    assert chart.locator("polyline.median").count() >= 1
    assert chart.locator("polyline.worst").count() >= 1
    assert chart.locator("line.limit").count() == 2
    page.close()
