"""Every page as a reader opens it: from disk, in Chromium, wide and narrow, light and dark."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import Page

from basis_pipeline.market.audit import FeedAudit
from basis_pipeline.reports.account import AccountView
from basis_pipeline.reports.audit_tables import audit_tables, check_table, reasons
from basis_pipeline.reports.comparison import RESULT, RISK
from basis_pipeline.reports.gate_tables import OPEN
from basis_pipeline.reports.run_view import RunView
from basis_pipeline.reports.tear_sheet import HEADLINE, LISTS
from basis_pipeline.results import returns
from basis_pipeline.results.definitions import FIGURES, amount, percent
from basis_pipeline.results.tables import COMPONENTS
from basis_pipeline.verdict import Status
from tests.backtests.trees import MODES
from tests.browser import (
    NARROW,
    OF_COLOURS,
    SLOW,
    THIN,
    WIDE,
    chromium,
    require_accessible,
    require_whole,
)
from tests.reports.conftest import WARNED, Named
from tests.reports.made_studies import folds_of, rows_of
from tests.reports.shown import Shown
from tests.reports.test_gates import ALL as GATES

STUDIES = ["sweep", "stress", "walk_forward"]
KINDS = ["usdt_market_neutral", "comparison", "gates", "data_audit", "account", *STUDIES]
TEXTS = ("equity", "events", "risk", "benchmark")

# Tables with something to scroll sideways, and those whose button lies on a title.
WIDER = """[...document.querySelectorAll('.scroll:not(.found)')]
    .filter(part => part.scrollWidth > part.clientWidth)
    .map(part => `${part.ariaLabel}: ${part.scrollWidth}`)"""
OVERLAPPED = """[...document.querySelectorAll('button.save:has(+ .scroll)')]
    .filter(button => button.getBoundingClientRect().bottom >
        button.nextElementSibling.querySelector('thead').getBoundingClientRect().top + 1)
    .map(button => button.ariaLabel)"""
PAPER = 695  # pixels between the margins of A4
WIDTHS = """[...document.querySelectorAll('.plot .main-svg')]
    .map(svg => svg.getBoundingClientRect().width)"""
ENDS = """[...document.querySelectorAll('main table')]
    .map(table => table.getBoundingClientRect().right)"""
# A redraw for the window that still waits, 80 ms after the frame, would undo that for paper.
SETTLED = """new Promise(done => requestAnimationFrame(() => requestAnimationFrame(
    () => setTimeout(done, 200))))"""
# Whether the charts have been drawn anew for a window of this width: their places fill it.
DRAWN_FOR = """width => [...document.querySelectorAll('.plot')].every(place => {
    const svg = place.querySelector('.main-svg');
    return !svg || Math.abs(svg.getBoundingClientRect().width - place.clientWidth) < 2;
})"""


@pytest.fixture(scope="module")
def shown(pages: Path) -> Iterator[Shown]:
    """For the tests of one module: while a browser is open, no event loop can run beside it."""
    with chromium() as browser:
        made = Shown(browser, pages)
        yield made
        for name in list(made.pages):
            made.close(name)


def test_the_page_is_under_three_megabytes(pages: Path) -> None:
    """Chart library included."""
    sizes = {file.name: file.stat().st_size for file in pages.iterdir()}
    assert max(sizes.values()) < 3e6, sizes


def test_a_definition_shows_on_focus_and_on_hover(shown: Shown) -> None:
    """Every headline figure says what it is, its unit and its sampling, inside the window."""
    page = shown("usdt_market_neutral")
    page.set_viewport_size({"width": NARROW, "height": 900})
    terms = page.locator(".headline .term")
    for place in range(terms.count()):
        tip = terms.nth(place).locator(".tip")
        assert not tip.is_visible()
        terms.nth(place).focus()
        assert tip.is_visible()
        assert re.search(r"Unit: .*Sampling: ", tip.inner_text(), re.DOTALL)
        box = tip.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= NARROW
    terms.first.hover()
    assert terms.first.locator(".tip").is_visible()
    page.set_viewport_size({"width": WIDE, "height": 900})


def test_the_gates_page_names_what_stops_the_pipeline_first(shown: Shown) -> None:
    """One entry per cause; words and signs give the same information without colours."""
    page = shown("gates")
    assert page.locator("#stopping + ul > li").count() == 3
    assert page.locator(".stamp").inner_text() == "FAIL"
    for word, sign in {"PASS": "✓", "FAIL": "✕", "BLOCKED": "⊘"}.items():
        assert page.locator(f".verdict.{word}").first.inner_text() == f"{sign} {word}"


def test_the_audit_shows_what_its_tables_say(audits: list[FeedAudit], shown: Shown) -> None:
    """Every row of every table word for word: verdicts, repairs, spreads, revisions."""
    tables = [*audit_tables(audits).values(), check_table(audits)]
    page = shown("data_audit")
    for table in tables:
        found = page.locator(f"[aria-label='{table.caption}'] tbody tr").evaluate_all(
            "all => all.map(row => [...row.cells].map(cell => cell.textContent))"
        )
        texts = [[" ".join(text.split()).lstrip("✕○!✓⊘ ") for text in row] for row in found]
        expected = [[" ".join(str(cell).split()) for cell in row] for row in table.rows]
        assert len(texts) > 0
        assert texts == expected
    answer = page.locator(".answer").inner_text()
    assert "Rejected: " in answer
    assert "Without a file: ethereum_gas" in answer
    assert "Revisions not accepted: 1 stored value of 1 fetched feed" in answer
    (known,) = [audit for audit in audits if audit.feed == "wsteth_peg"]
    assert known.verdict is Status.WARN
    assert "1 stored value revised since by the source" in reasons(known)


def test_every_table_is_saved_from_the_page(
    shown: Shown, sample_runs: Named, tmp_path: Path
) -> None:
    """They are saved as Parquet or CSV, value for value: complete, or the rows at 00:00 UTC."""
    frames = sample_runs["usdt_market_neutral"][0].frames
    page = shown("usdt_market_neutral")

    def saved(name: str, form: str) -> Path:
        with page.expect_download() as started:
            page.locator(f"button[data-table={name}][data-form={form}]").click()
        started.value.save_as(tmp_path / f"{name}.{form}")
        return tmp_path / f"{name}.{form}"

    assert len(frames) + len(TEXTS) <= 10  # before an eleventh file a browser asks its user
    for name, frame in frames.items():
        found = pd.read_parquet(saved(name, "parquet"))
        daily = frame[frame["timestamp"].dt.hour == 0].reset_index(drop=True)
        expected = frame if len(found) == len(frame) else daily
        pd.testing.assert_frame_equal(found, expected)
        if name in TEXTS:
            texts = pd.read_csv(saved(name, "csv"))
            stamps = pd.to_datetime(texts["timestamp"]).astype("datetime64[ns, UTC]")
            texts = texts.assign(timestamp=stamps)
            pd.testing.assert_frame_equal(texts, expected, check_dtype=False, rtol=1e-15)


def test_events_are_searched(shown: Shown, sample_runs: Named) -> None:
    """Every word must occur in a row; rows found are shown in the ledger's columns."""
    events = sample_runs["usdt_market_neutral"][0].frames["events"]
    sought = events[(events["kind"] == "trade") & (events["venue"] == "bybit")]
    page = shown("usdt_market_neutral")
    page.get_by_label("Search the events").fill("trade BYBIT")
    rows = page.locator("#found-events tbody tr")
    page.wait_for_function("document.getElementById('count-events').textContent.includes(' of ')")
    assert rows.count() == min(len(sought), 100) > 0
    assert page.locator("#count-events").inner_text().startswith(f"{len(sought):,} of ")
    first = rows.first.locator("td").all_inner_texts()
    at, reason = sought["timestamp"].iloc[0], sought["reason"].iloc[0]
    assert (first[0], first[-1]) == (f"{at:%Y-%m-%d %H:%M}", reason)


def test_the_worst_of_the_run_and_its_drawdowns_are_those_of_the_tables(
    shown: Shown, sample_runs: Named
) -> None:
    """Read back from the page: margins by venue and time, the deepest drawdown, the best day."""
    result = sample_runs["usdt_market_neutral"][0]
    run, risk = RunView(result), result.frames["risk"]
    deepest = returns.drawdowns(run.stamps, run.growth)[0]
    days = returns.distribution(returns.daily(run.stamps, run.growth))
    page = shown("usdt_market_neutral")
    worst, falls, daily = (
        _cells(page, label)
        for label in ("Worst of the run, against its limits", "Drawdowns", "Daily returns")
    )
    for venue in ("binance", "bybit", "okx"):
        names = (f"margin_ratio{time}:{venue}" for time in ("_before", "", "_extreme"))
        least = [amount(float(risk[name].min()), 3) for name in names]
        assert worst[f"Margin ratio, {venue}"][:3] == least
    assert falls["1"][0] == percent(deepest.depth, 3) == percent(result.summary["max_drawdown"], 3)
    assert falls["1"][1] == f"{pd.Timestamp(deepest.start):%Y-%m-%d %H:%M}"
    assert daily["Best day"][0] == percent(days["best"], 3)
    assert daily["CVaR 95 %"][0] == percent(days["cvar"], 3)


def test_the_points_of_a_sweep_are_its_rows(shown: Shown) -> None:
    """Best, worst, frontier, spread and rejected points, cell by cell; keys explained on hover."""
    rows = rows_of()
    sound = rows[rows["status"] == ""].set_index("index")
    page = shown("sweep")
    best, worst, line, spread, rejected = (
        _cells(page, label)
        for label in ("Best points", "Worst points", "Frontier", "Spread", "Rejected points")
    )
    assert page.locator(".headline, .facts").inner_text().count("0f517a643b79") == 1
    term = page.locator("[aria-label^='Best points'] thead .term").last
    term.focus()
    assert "Unit: token." in term.locator(".tip").inner_text()
    by_return = sound.sort_values("total_return")
    assert list(worst) == [str(i) for i in by_return.index[:10]]
    assert list(best) == [str(i) for i in by_return.index[::-1][:10]]
    assert list(line)[-1] == next(iter(best))
    for point, cells in {**best, **worst, **line}.items():
        row = sound.loc[int(point)]
        assert cells == [
            percent(row["total_return"]),
            percent(row["max_drawdown"]),
            amount(row["min_health_factor"], 3),
            amount(row["min_margin_ratio"], 3),
            "0",
            f"{row['staking.target_ltv']:.4g}",
            f"{row['hedge.ratio']:.4g}",
            row["staking.lst"].strip('"'),
        ]
    ends = sound["total_return"].quantile([0.0, 0.05, 0.5, 0.95, 1.0])
    assert spread["Return"] == [percent(value) for value in ends]
    assert rejected["BT-004"][:2] == ["4", "1.0 %"]
    assert rejected["BT-004"][3] == "7"


def test_the_effects_of_shocks_are_those_of_their_rows(shown: Shown) -> None:
    """Size, hour and length; the change against calm; what has no effect; room to the limits."""
    page = shown("stress")
    shocks, did, room = (_cells(page, label) for label in ("Shocks", "Effect of each", "Distance"))
    term = page.locator("[aria-label=Shocks] tbody .term").first
    term.focus()
    assert "recovers in a straight line" in term.locator(".tip").inner_text()
    unreached = "does not affect this mode: marked by the oracle"
    at = "2024-01-11 00:00, h 240"
    assert shocks["depeg"] == [
        *("lst_depeg", "price −8 % to redemption", at, "336 h, fading", "no: marked by the oracle"),
    ]
    assert shocks["ruin"][1:] == ["price −90 %", "2024-03-01T05:00", "to the end", "yes"]
    assert did["calm"][:3] == ["✓ PASS", "8.00 %", "–"]
    assert did["depeg"][1:3] + did["depeg"][-1:] == ["8.00 %", "0.00 points", unreached]
    assert did["crash"] == [
        *("✕ FAIL", "5.00 %", "−3.00 points", "6.00 %", "1.500", "0.250", "0"),
        "funding −3.00 %, gas −0.10 %",
    ]
    assert did["ruin"][-1] == "rejected with BT-004"
    assert room["crash"] == [
        *("✕ FAIL", "0", "0", "6.00 %", "−1.00 %", "0.250", "−0.050"),
    ]


def test_the_folds_of_a_walk_forward_are_its_table(shown: Shown) -> None:
    """Dates, verdict, objective on both, figures of the test, the choice; and the headline."""
    page = shown("walk_forward")
    found = _cells(page, "Folds")
    heads = page.locator(".headline dd > span:first-child").all_inner_texts()
    assert heads == ["8.12 %", "60.0 %", "81.0 %", "66.7 %"]
    for number, fold in enumerate(folds_of().to_dict("records"), start=1):
        start, split, end = (
            f"{fold[at]:%Y-%m-%d}" for at in ("train_start", "test_start", "test_end")
        )
        expected = [f"{start} to {split}", f"{split} to {end}", "○ N/A", *["–"] * 7]
        if fold["chosen"] >= 0:
            figures = [amount(fold[f"{part}_value"]) for part in ("train", "test")]
            names = ("total_return", "apy", "max_drawdown")
            figures += [percent(fold[f"test_{name}"]) for name in names]
            kept = "✓ PASS" if fold["test_kept"] else "✕ FAIL"
            expected[2:] = [kept, *figures, "0.6", "0.95"]
        assert found[str(number)] == expected


def test_every_figure_of_a_tear_sheet_is_that_of_its_tables(
    shown: Shown, sample_runs: Named
) -> None:
    """Headline, lists and components, read back from the page."""
    result = sample_runs["usdt_market_neutral"][0]
    run, summary, frames = RunView(result), result.summary, result.frames
    page = shown("usdt_market_neutral")
    headline = {name: _figure(page, name) for name in HEADLINE}
    lists = {caption: _cells(page, caption) for caption in LISTS}
    components = _cells(page, "Components and their sums")
    assert headline == {name: run.written(name, summary[name]) for name in HEADLINE}
    assert headline["final_equity"] == run.money(float(frames["equity"]["equity"].iloc[-1]))
    for caption, names in LISTS.items():
        known = [name for name in names if summary[name] is not None]
        written = {FIGURES[name].label: [run.written(name, summary[name])] for name in known}
        assert lists[caption] == written
    for name in COMPONENTS:
        assert components[name][0] == run.money(float(frames["attribution"][name].sum()))


def test_every_figure_of_the_comparison_is_that_of_its_runs(
    shown: Shown, sample_runs: Named
) -> None:
    """Result, risk and components of every mode."""
    page = shown("comparison")
    ranked = {own[0]: own for own in _cells(page, "Leaderboard").values()}
    risks, parts = _cells(page, "Carry, cost"), _cells(page, "Profit and loss by component, %")
    for mode in MODES:
        run = RunView(sample_runs[mode][0])
        written = {name: run.written(name, run.summary[name]) for name in (*RESULT, *RISK)}
        assert ranked[mode][-len(RESULT) :] == [written[name] for name in RESULT]
        assert risks[mode][: len(RISK)] == [written[name] for name in RISK]
        shares = run.result.frames["attribution"][list(COMPONENTS)].sum() / run.summary["capital"]
        assert parts[mode][:-1] == [percent(float(share), 3) for share in shares]


def test_every_figure_of_the_gates_is_that_of_its_verdict(shown: Shown) -> None:
    """Figure, limit, headroom and status of every open gate."""
    page = shown("gates")
    shown = _cells(page, "Open gates")
    open_ = {verdict.name: verdict for verdict in (*GATES, WARNED) if verdict.status in OPEN}
    assert shown.keys() == open_.keys()
    for name, verdict in open_.items():
        assert shown[name][0].endswith(verdict.status.value)
        assert shown[name][1] == verdict.measured_text
        assert shown[name][2].lstrip("≥≤ ") == verdict.limit_text
    assert shown[WARNED.name][1:4] == ["2 %", "≥ 3.1 %", "−1.1 %"]


def test_every_figure_of_an_account_is_that_of_its_run(shown: Shown, example: AccountView) -> None:
    """Equity, the day by component, and its legs."""
    page = shown("account")
    today, legs = _cells(page, "Today by component"), _cells(page, "Legs")
    last = example.run.result.frames["equity"]["equity"].iloc[-1]
    assert _figure(page, "equity") == legs["2"][3] == example.money(last)
    assert today == {name: [example.money(value)] for name, value in example.today.items()}


@pytest.mark.parametrize("name", KINDS)
def test_a_page_is_whole_and_accessible(shown: Shown, name: str) -> None:
    """Nothing to scroll sideways, nothing clipped on paper; Axe finds nothing, light or dark."""
    page = shown(name)
    require_whole(page, WIDE)
    assert name in ("data_audit", *STUDIES) or page.evaluate(WIDER) == []
    assert page.evaluate(OVERLAPPED) == []
    page.emulate_media(color_scheme="dark")
    for width in (NARROW, PAPER):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(DRAWN_FOR, arg=width, timeout=SLOW)
        require_whole(page, width)
    page.evaluate(SETTLED)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(255, 255, 255)"
    assert set(page.evaluate(WIDTHS)) <= {690}
    assert max(page.evaluate(ENDS), default=0.0) <= PAPER + 1
    assert not any(button.is_visible() for button in page.locator(".save").all())
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    page.evaluate(THIN)
    require_accessible(page)
    page.emulate_media(color_scheme="light")
    require_accessible(page, OF_COLOURS)
    shown.close(name)


def _figure(page: Page, name: str) -> str:
    return page.locator(f"[data-figure={name}] > span").first.inner_text()


def _cells(page: Page, label: str) -> dict[str, list[str]]:
    """Cells of a table of the page by the first of each row, without definitions."""
    rows = page.locator(f"[aria-label^='{label}'] tbody tr")
    read = rows.evaluate_all(
        """all => all.map(row => [...row.cells].map(cell => {
            const own = cell.cloneNode(true);
            own.querySelectorAll('.tip').forEach(tip => tip.remove());
            return own.textContent.trim();
        }))"""
    )
    return {first: others for first, *others in read}
