"""The gate report and the data audit, read in a browser by eye, keyboard and rule."""

import shutil
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from basis_pipeline.config import load_configs
from basis_pipeline.market.audit import FeedAudit, audit
from basis_pipeline.market.sample import write_sample
from basis_pipeline.reports.audit_tables import feeds_table
from basis_pipeline.reports.data_audit import STATES, calendar_chart, data_audit_html, day_states
from basis_pipeline.reports.gates import check_link, gates_html
from basis_pipeline.settings import project_root
from basis_pipeline.verdict import Status, Verdict, counts, judge
from tests.browser import NARROW, WIDE, chromium, visit
from tests.reports.conftest import WRITTEN
from tests.reports.test_gates import ALL as BLOCKED

AT = datetime(2024, 6, 1, tzinfo=UTC)
LONG = "a message that goes on about a file_with_a_very_long_name_that_nothing_breaks " * 3
SLOW = 180_000  # milliseconds: on a busy machine charts take their time
DRAWN = "html[data-drawn], html:not(:has(#charts))"
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
    """The pages as files."""
    directory = tmp_path_factory.mktemp("pages")
    written = {
        "gates": gates_html(GATES, WRITTEN),
        "blocked": gates_html(BLOCKED, WRITTEN),
        "audit": data_audit_html(evidence, "made data, 60 days", WRITTEN),
    }
    for name, html in written.items():
        (directory / f"{name}.html").write_text(html, encoding="utf-8")
    return {name: directory / f"{name}.html" for name in written}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("name", ["gates", "blocked", "audit"])
def test_a_page_is_usable_at_every_width_and_scheme(
    name: str, width: int, dark: bool, pages: dict[str, Path], browser: Browser
) -> None:
    """No complaint on the console, nothing fetched, nothing cut off, nothing against the rules."""
    seen = visit(browser, pages[name], width, dark=dark)
    seen.page.wait_for_selector(DRAWN, state="attached", timeout=SLOW)
    seen.page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    assert seen.complaints == []
    assert seen.requests == [pages[name].resolve().as_uri()]
    assert seen.overflow() == 0
    assert seen.violations() == []
    seen.page.close()


def test_what_stops_the_pipeline_comes_first(pages: dict[str, Path], browser: Browser) -> None:
    """A reader who stops after one screen has seen every failure, with its evidence."""
    page = visit(browser, pages["gates"], WIDE).page
    assert page.locator(".stamp").inner_text() == "FAIL"
    first = page.locator("#stopping + ul").inner_text()
    assert "dataset/perp gaps" in first
    assert "a <hole>" in first
    assert "n\n3\n" in first
    body = page.locator("main").inner_text()
    assert body.index("dataset/perp gaps") < body.index("dataset/gas outliers")
    page.close()


def test_two_causes_that_block_forty_gates_fit_on_a_few_screens(
    pages: dict[str, Path], browser: Browser
) -> None:
    """An entry a cause, not an entry a gate."""
    page = visit(browser, pages["blocked"], WIDE).page
    assert page.locator("#stopping + ul > li").count() == 3
    assert page.evaluate("document.documentElement.scrollHeight") < 3 * 900
    page.close()


def test_the_gate_page_counts_what_there_is(pages: dict[str, Path], browser: Browser) -> None:
    """Its counts are those of the gates, in the headline and by phase."""
    page = visit(browser, pages["gates"], WIDE).page
    shown = [text.split(maxsplit=1) for text in page.locator(".counts li").all_inner_texts()]
    found = {verdict.value: str(count) for verdict, count in counts(GATES).items()}
    assert {word.lstrip("✕○⊘!✓ "): count for count, word in shown} == found
    rows = page.locator("[aria-label=Phases] tbody tr").all_inner_texts()
    assert [row.split("\t")[-6:] for row in rows] == [
        ["1", "0", "0", "1", "0", "0"],
        ["0", "0", "0", "0", "2", "0"],
        ["0", "0", "1", "0", "0", "0"],
    ]
    page.close()


def test_a_verdict_is_shown_by_word_and_sign(pages: dict[str, Path], browser: Browser) -> None:
    """Whoever sees no colours reads the same page."""
    signs = {"PASS": "✓", "WARN": "!", "FAIL": "✕", "NOT_RUN": "○"}
    page = visit(browser, pages["gates"], WIDE).page
    for word, sign in signs.items():
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
    address = f"http://ui:3000{check_link(GATES[1])}".replace("&", "&amp;")
    assert f'href="{address}"' in gates_html(GATES, WRITTEN, ui="http://ui:3000/")
    assert "http://" not in gates_html(GATES, WRITTEN)


def test_the_audit_shows_what_its_tables_say(
    evidence: list[FeedAudit], pages: dict[str, Path], browser: Browser
) -> None:
    """Every row of the feeds is on the page, word for word."""
    page = visit(browser, pages["audit"], WIDE).page
    rows = page.locator("[aria-label=Feeds] tbody tr").all()
    expected = feeds_table(evidence).rows
    assert len(rows) == len(expected) == len(evidence)
    for row, cells in zip(rows, expected, strict=True):
        texts = [" ".join(text.split()) for text in row.locator("th, td").all_text_contents()]
        texts[1] = texts[1].lstrip("✕○!✓ ")
        assert texts == [" ".join(cell.split()) for cell in cells]
    page.close()


def test_the_calendar_draws_own_repaired_and_missing_days(evidence: list[FeedAudit]) -> None:
    """As many days of each state are drawn as there are; a feed without a file has no lane."""
    chart = calendar_chart(evidence)
    assert chart is not None
    drawn: Counter[tuple[str, str]] = Counter()
    for state, bars in zip(STATES, chart.views[""].data, strict=True):
        for feed, days in zip(bars.y, bars.customdata, strict=True):
            drawn[feed, state] += days
    expected: Counter[tuple[str, str]] = Counter()
    for found in evidence:
        if len(found.findings.days):
            expected.update((found.feed, str(state)) for state in day_states(found.findings.days))
    assert drawn == expected
    assert drawn["wsteth_oracle", "missing"] == 3
    assert drawn["binance_btcusdt_perp", "repaired"] == 1
    assert not any(feed == "ethereum_gas" for feed, _ in drawn)


def test_spreads_are_drawn_with_their_limits(pages: dict[str, Path], browser: Browser) -> None:
    """Each pair once, with a line for the median, one for the largest, and both limits."""
    page = visit(browser, pages["audit"], WIDE).page
    names = page.locator("#spreads ~ .charts h3 .label").all_inner_texts()
    pairs = [frozenset(name.split(" against ")) for name in names]
    assert len(pairs) == len(set(pairs)) > 8
    page.wait_for_selector(DRAWN, state="attached", timeout=SLOW)
    plot = page.locator("[id^=chart-spread-binance_ethusdt_perp]").first
    assert plot.locator(".scatterlayer .trace .js-line").count() == 4
    page.close()
