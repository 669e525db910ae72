"""Every page as a reader opens it: from disk, in Chromium, wide and narrow, light and dark."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from basis_pipeline.reports.print_pdf import page_pdf
from basis_pipeline.reports.tear_sheet import tear_sheet_html
from basis_pipeline.results.store import write_run
from tests import shell
from tests.reports.conftest import SPECIAL, WRITTEN, Named
from tests.runs.trees import MODES

SHEETS = [*MODES, *SPECIAL]
COMPARISONS = ["comparison", "runs"]
KINDS = ["usdt_market_neutral", *SPECIAL, *COMPARISONS]
SLOW = 180_000  # milliseconds: on a busy machine charts take their time
DRAWN = "html[data-drawn]"


@contextmanager
def opened(
    browser: Browser, file: Path, width: int = 1280, scheme: str = "light"
) -> Iterator[Page]:
    """The page, drawn; whatever it asks for or complains of fails the test."""
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda m: troubles.append(f"console {m.type}: {m.text}"))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda r: troubles.append(f"request {r.url[:80]}"))
    page.goto(file.as_uri())
    page.wait_for_selector(DRAWN, state="attached", timeout=SLOW)
    yield page
    context.close()
    assert [trouble for trouble in troubles if trouble != f"request {file.as_uri()[:80]}"] == []


def require_whole(page: Page, width: int) -> None:
    """Every chart drawn inside its place, nothing to scroll sideways."""
    beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    plots = page.locator(".plot")
    drawn = plots.locator(".main-svg").evaluate_all(
        "all => all.map(svg => svg.getBoundingClientRect().width)"
    )
    assert beyond <= 0
    assert len(drawn) >= plots.count() >= 2
    assert all(0 < measured <= width for measured in drawn)


def require_accessible(page: Page) -> None:
    """Axe finds nothing: contrast (AA), names, roles, order, focus."""
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def require_true_waterfall(page: Page, pnl: float) -> None:
    """In both views the last bar has the length of the sum of the others, and of the summary."""
    for view in (0, 1):
        page.locator(f'button[data-chart="waterfall"][data-view="{view}"]').click()
        bars = page.evaluate("document.getElementById('chart-waterfall').data[0]")
        *parts, last = bars["x"]
        assert last == pnl
        assert sum(parts) == pytest.approx(pnl, abs=1e-9 * max(1.0, *map(abs, parts)))
        assert bars["base"][-1] == 0.0


@pytest.mark.parametrize("name", [*SHEETS, *COMPARISONS])
def test_a_page_is_whole_true_and_accessible(
    browser: Browser, pages: Path, sample_runs: Named, name: str
) -> None:
    """No request, no complaint; every kind of page also by Axe, in light and when dusk falls."""
    with opened(browser, pages / f"{name}.html") as page:
        require_whole(page, 1280)
        if name in MODES:
            require_true_waterfall(page, sample_runs[name][0].summary["pnl"])
        if name in KINDS:
            require_accessible(page)
            page.emulate_media(color_scheme="dark")
            require_accessible(page)


@pytest.mark.parametrize("name", KINDS)
def test_a_page_is_whole_when_narrow(browser: Browser, pages: Path, name: str) -> None:
    """On a telephone."""
    with opened(browser, pages / f"{name}.html", 390) as page:
        require_whole(page, 390)


@pytest.mark.parametrize("name", ["usdt_market_neutral", "comparison"])
def test_a_page_opened_in_the_dark_is_accessible(browser: Browser, pages: Path, name: str) -> None:
    """Charts drawn in dark colours from the start."""
    with opened(browser, pages / f"{name}.html", scheme="dark") as page:
        require_accessible(page)


def test_the_page_is_under_three_megabytes(pages: Path) -> None:
    """Chart library included."""
    sizes = {file.name: file.stat().st_size for file in pages.iterdir()}
    assert max(sizes.values()) < 3e6, sizes


def test_a_definition_shows_on_hover_and_on_focus(browser: Browser, pages: Path) -> None:
    """Every headline figure says what it is, its unit and its sampling, inside the window."""
    with opened(browser, pages / "btc_basis.html", 390) as page:
        terms = page.locator(".headline .term")
        for place in range(terms.count()):
            label, tip = terms.nth(place).locator(".label"), terms.nth(place).locator(".tip")
            assert not tip.is_visible()
            label.focus()
            assert tip.is_visible()
            assert re.search(r"Unit: .*Sampling: ", tip.inner_text(), re.DOTALL)
            box = tip.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 390
        terms.first.hover()
        assert terms.first.locator(".tip").is_visible()


def test_the_keyboard_reaches_and_reads_a_chart(browser: Browser, pages: Path) -> None:
    """Tab gets from the address bar to a chart; arrow keys move a reading with unit and time."""
    with opened(browser, pages / "eth_basis.html") as page:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "chart-equity":
                break
        assert page.evaluate("document.activeElement.id") == "chart-equity"
        page.keyboard.press("ArrowLeft")
        page.wait_for_selector("#chart-equity .hoverlayer text")
        told = page.locator("#chart-equity .hoverlayer").text_content() or ""
        assert "USDT" in told
        assert "UTC" in told


def test_views_are_switched_by_keyboard(browser: Browser, pages: Path) -> None:
    """The price legs come apart on Enter, in the chart and in its legend."""
    with opened(browser, pages / "eth_basis.html") as page:
        legend = page.locator("#figure-attribution .legend:not([hidden])")
        assert "spot_price" not in legend.inner_text()
        page.locator('button[data-chart="attribution"][data-view="1"]').focus()
        page.keyboard.press("Enter")
        assert "spot_price" in legend.inner_text()
        names = page.evaluate("document.getElementById('chart-attribution').data.map(t => t.name)")
        assert {"spot_price", "perp_price"} <= set(names)
        assert "basis" not in names


def test_the_leaderboard_is_ranked_by_what_is_chosen(
    browser: Browser, pages: Path, sample_runs: Named
) -> None:
    """Best first, whatever is chosen; the run that failed a gate is there and marked every time."""
    with opened(browser, pages / "comparison.html") as page:
        for figure, sign in (("apy", 1), ("max_drawdown", -1), ("sharpe", 1)):
            page.locator("#rank-by").select_option(figure)
            shown = page.locator("#leaderboard tbody tr").evaluate_all(
                "rows => rows.map(row => [row.cells[0].textContent, row.dataset.run])"
            )
            values = {mode: sample_runs[mode][0].summary[figure] for mode in MODES}
            expected = sorted(MODES, key=lambda mode: -sign * values[mode])
            assert [name for _, name in shown] == expected
            assert [int(rank) for rank, _ in shown] == [*range(1, len(MODES) + 1)]
            failed = page.locator("#leaderboard tr.failed")
            assert failed.count() == 1
            assert "drawdown_limit" in failed.inner_text()


def test_a_page_is_printed_by_chromium_on_light_paper(browser: Browser, pages: Path) -> None:
    """From a dark screen too: charts as wide as the page, light colours."""
    with opened(browser, pages / "usdt_market_neutral.html", scheme="dark") as page:
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        widths = page.locator(".plot .main-svg").evaluate_all(
            "all => all.map(svg => svg.getBoundingClientRect().width)"
        )
        assert background == "rgb(255, 255, 255)"
        assert set(widths) == {690}


def test_the_command_prints_a_page_with_its_charts(sample_runs: Named, tmp_path: Path) -> None:
    """Several A4 pages; the charts are far more than the text alone."""
    result, _ = sample_runs["usdt_market_neutral"]
    directory, out = write_run(result, tmp_path / "run"), tmp_path / "sheet.pdf"
    arguments = ("tear-sheet", str(directory), "--out", str(out), "--format", "pdf")
    done = shell.run("basis_pipeline", "report", *arguments, "--results-dir", str(tmp_path / "r"))
    assert done.returncode == 0, done.stderr
    printed = out.read_bytes()
    assert printed.startswith(b"%PDF")
    assert 4 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 16
    text = tear_sheet_html(result, (), WRITTEN).partition("<script")[0]
    assert len(printed) > len(page_pdf(text)) + 50_000
