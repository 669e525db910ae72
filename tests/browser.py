"""Pages as a person meets them: headless Chromium, and what it complains about."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from basis_pipeline.reports.print_pdf import BROWSERS, FLAGS

WIDE, NARROW = 1280, 390
SLOW = 180_000  # milliseconds: on a busy machine charts take their time
OF_COLOURS = ("color-contrast", "link-in-text-block")  # what another colour scheme can break
DRAWN = "html[data-drawn], html:not(:has(#charts))"
# Of rows that differ in their words alone, two are as accessible as hundreds; of the insides of
# plots Axe reads every node, and judges none.
THIN = """() => {
    document.querySelectorAll('.plot').forEach(plot => plot.replaceChildren());
    const seen = {};
    for (const row of document.querySelectorAll('tbody tr')) {
        const markup = row.outerHTML.replace(/>[^<]*</g, '><').replace(/[0-9]+/g, '');
        seen[markup] = (seen[markup] || 0) + 1;
        if (seen[markup] > 2) row.remove();
    }
}"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser with a new profile; skipped where none is installed, but not where it must be.

    Use it in fixtures of a module at most: while it is there, no event loop can be started.
    """
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        missing = "no Chromium on this machine"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        options = [flag for flag in FLAGS if "time-budget" not in flag]
        browser = playwright.chromium.launch(executable_path=found, args=options)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Browser, file: Path) -> Iterator[Page]:
    """The page, drawn, its details open; what it asks for or complains of fails the test."""
    context = browser.new_context(viewport={"width": WIDE, "height": 900}, color_scheme="light")
    page, troubles = context.new_page(), list[str]()
    page.on("console", lambda m: troubles.append(f"console {m.type}: {m.text}"))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda r: troubles.append(f"request {r.url[:80]}"))
    page.goto(file.resolve().as_uri())
    page.wait_for_selector(DRAWN, state="attached", timeout=SLOW)
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    yield page
    context.close()
    assert troubles == [f"request {file.resolve().as_uri()[:80]}"]


def require_whole(page: Page, width: int) -> None:
    """Every chart drawn inside its place, nothing to scroll sideways."""
    plots = page.locator(".plot")
    drawn = plots.locator(".main-svg").evaluate_all(
        "all => all.map(svg => svg.getBoundingClientRect().width)"
    )
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert len(drawn) >= plots.count()
    assert all(0 < measured <= width for measured in drawn)


def require_accessible(page: Page, rules: Sequence[str] = ()) -> None:
    """Axe finds nothing outside of the plots: contrast (AA), names, roles, order, focus.

    rules: Axe's names of the only ones to ask; all of them when empty.
    """
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    found = Axe().run(page, context={"exclude": [[".plot"]]}, options=options)
    assert found.violations_count == 0, found.generate_report()
