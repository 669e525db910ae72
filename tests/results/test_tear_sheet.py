"""Reports: self-contained pages that say what the summary says."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from basis_pipeline.results.comparison import comparison_html
from basis_pipeline.results.tear_sheet import GateVerdict, amount, percent, tear_sheet_html
from tests.results.made_run import make_run

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Text, links and images of a page; fails on tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.images: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember what is open, and where links and images point."""
        if tag not in VOID:
            self.open.append(tag)
        named = dict(attrs)
        self.links += [named["href"] or ""] if tag == "a" else []
        self.images += [named["src"] or ""] if tag == "img" else []

    def handle_endtag(self, tag: str) -> None:
        """Close the innermost tag."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect the text."""
        self.text.append(data.strip())


def test_a_tear_sheet_needs_nothing_beside_itself() -> None:
    """Both plots are inside, and nothing is fetched from anywhere."""
    html = tear_sheet_html(make_run())
    page = Page(html)
    assert len(page.images) == 2
    assert all(image.startswith("data:image/png;base64,iVBOR") for image in page.images)
    assert not re.search(r"https?://|<script|<link", html)


def test_a_tear_sheet_says_what_the_summary_says() -> None:
    """Headline figures, months, identity and verdicts appear as they are."""
    made = make_run()
    run = replace(made, summary={**made.summary, "share_class": "USDT"})
    verdict = GateVerdict("min_margin_ratio", "FAIL", "0.400", "0.500", "<below> the floor")
    text = Page(tear_sheet_html(run, [verdict])).text
    for shown in (
        percent(run.summary["apy"]),
        amount(run.summary["final_equity"]),
        percent(run.summary["months"][1]["return"]),
        run.run_id,
        run.identity.data_hashes["bybit_ethusdt_perp"],
        "aave_usdt",
        "FAIL",
        "<below> the floor",
    ):
        assert shown in text
    assert text[text.index("Min health factor") + 1 :][0] == "–"


def test_sections_without_content_are_left_out() -> None:
    """No gates and no benchmark means no empty tables."""
    run = make_run()
    bare = replace(run, summary={**run.summary, "benchmarks": {}})
    text = Page(tear_sheet_html(bare)).text
    assert "Gates" not in text
    assert "Benchmarks" not in text


def test_equal_runs_give_equal_pages() -> None:
    """A report is as reproducible as its run."""
    assert tear_sheet_html(make_run()) == tear_sheet_html(make_run())


def test_comparison_lists_every_mode_with_its_link_and_verdict() -> None:
    """Modes keep their order; a mode without a tear sheet has no link."""
    runs = [make_run(mode=mode, seed=i) for i, mode in enumerate(("eth_basis", "btc_basis"))]
    html = comparison_html(
        runs, links={"eth_basis": "sheets/eth_basis.html"}, verdicts={"btc_basis": "FAIL"}
    )
    page = Page(html)
    assert page.links == ["sheets/eth_basis.html"]
    assert page.text.index("eth_basis") < page.text.index("btc_basis") < page.text.index("FAIL")
    assert percent(runs[1].summary["apy"]) in page.text
    assert len(page.images) == 1


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.12345), "12.35 %"),
        (percent(-0.5, 0), "-50 %"),
        (percent(None), "–"),
        (amount(1234567.891), "1,234,567.89"),
        (amount(3, 0), "3"),
        (amount(None), "–"),
    ],
)
def test_numbers_are_written_for_people(shown: str, expected: str) -> None:
    """Shares as percent, thousands apart, a dash for what is not defined."""
    assert shown == expected
