"""The dashboard as an operator meets it, in a browser, while things happen."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from basis_pipeline.config.current import current_configs
from basis_pipeline.operations.audit_log import EventType, emit
from basis_pipeline.operations.control import read_state
from basis_pipeline.operations.requests.queue import waiting
from basis_pipeline.operations.requests.serving import serve
from basis_pipeline.settings import Settings, load_settings
from tests.browser import NARROW, THIN, WIDE, chromium, require_accessible
from tests.service.conftest import environment
from tests.service.server import Server, serving

PATIENT = 30_000.0  # milliseconds


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, sample: Path) -> Iterator[Settings]:
    """Return data that a test may break, without results."""
    root = tmp_path_factory.mktemp("dashboard")
    shutil.copytree(sample, root / "data")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME", raising=False)
        for name, value in environment(root / "results", root / "data").items():
            patch.setenv(name, value)
        yield load_settings()


@pytest.fixture(scope="module")
def server(place: Settings) -> Iterator[Server]:
    """Yield the service of the place."""
    with serving(environment(place.results_dir, place.data_dir)) as started:
        httpx.get(f"{started.url}/health/services", timeout=60)
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Yield a browser."""
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Page:
    """Yield a tab whose cache the tests share."""
    return browser.new_page()


@pytest.fixture
def page(tab: Page, server: Server) -> Iterator[Page]:
    """Yield the dashboard, reloaded and live; any error in the browser fails the test."""
    troubles = list[str]()
    listeners = {
        "console": lambda message: troubles.append(message.text),
        "pageerror": lambda error: troubles.append(str(error)),
    }
    for event, listener in listeners.items():
        tab.on(event, listener)  # type: ignore[call-overload]
    tab.set_viewport_size({"width": WIDE, "height": 900})
    tab.goto(server.url)
    expect(tab.locator("#live")).to_have_text("live", timeout=PATIENT)
    yield tab
    for event, listener in listeners.items():
        tab.remove_listener(event, listener)
    assert [text for text in troubles if "409" not in text] == []


def control(page: Page, button: str, *, confirm: bool) -> None:
    """Press a button of emergency control by the keyboard alone, and answer the question."""
    page.get_by_label("Your name").fill("ann")
    page.get_by_label("Reason").fill("okx looks wrong")
    page.get_by_role("button", name=button, exact=True).press("Enter")
    page.get_by_role("button", name="Confirm" if confirm else "Cancel").press("Enter")


def test_a_broken_feed_turns_unhealthy_with_what_depends_on_it(
    page: Page, server: Server, place: Settings
) -> None:
    """By itself, as soon as it was looked at; its modes wait for it."""
    services = page.locator("[data-live=services]")
    row = services.locator("tr", has=page.get_by_role("rowheader", name="feed/aave_usdt_rates"))
    for file in place.data_dir.rglob("*USDT_rates*"):
        file.unlink()
    asked = {"service": "feed/aave_usdt_rates"}
    httpx.post(f"{server.url}/health/services", json=asked, timeout=60).raise_for_status()
    expect(row).to_contain_text("unhealthy", timeout=PATIENT)
    expect(row).to_contain_text("mode/pure_lending")
    mode = services.locator("tr", has=page.get_by_role("rowheader", name="mode/pure_lending"))
    expect(mode.first).to_contain_text("waits for feed/aave_usdt_rates")


def test_work_is_halted_and_resumed_with_a_question_before(page: Page, place: Settings) -> None:
    """A question that is not confirmed changes nothing; the log shows what did."""
    state = page.locator("#control-state")
    expect(state).to_have_text("NORMAL")
    control(page, "Halt", confirm=False)
    assert read_state(place).name == "NORMAL"
    control(page, "Halt", confirm=True)
    expect(state).to_have_text("HALT", timeout=PATIENT)
    expect(page.locator("[data-live=control]")).to_contain_text("by ann: okx looks wrong")
    expect(page.locator("[data-live=events]")).to_contain_text("halted", timeout=PATIENT)
    control(page, "Resume", confirm=True)
    expect(state).to_have_text("NORMAL", timeout=PATIENT)


def test_a_requested_backtest_is_seen_to_finish(
    page: Page, server: Server, place: Settings
) -> None:
    """Queued, then done with its result, without loading the page again."""
    queue = page.locator("[data-live=backtests]")
    asked = {"json": {"mode": "btc_basis"}, "headers": {"Idempotency-Key": "walk"}}
    httpx.post(f"{server.url}/backtests", **asked).raise_for_status()
    row = queue.locator("tr", has_text="walk")
    expect(row).to_contain_text("queued", timeout=PATIENT)
    (served,) = serve(place, current_configs(), waiting(place, 10))
    expect(row).to_contain_text("done", timeout=PATIENT)
    expect(row.get_by_role("link", name=served.run_id)).to_be_visible()


def test_the_log_is_filtered(page: Page, place: Settings) -> None:
    """By the form; a filter that nothing matches shows that."""
    emit(place, EventType.MESSAGE, "desk", text="the only message")
    events = page.locator("[data-live=events]")
    page.get_by_label("Type").select_option("message")
    page.get_by_role("button", name="Filter").press("Enter")
    expect(events.locator("tbody tr")).to_have_count(1, timeout=PATIENT)
    expect(events).to_contain_text("the only message")
    page.get_by_label("Mode").fill("no_such_mode")
    page.get_by_role("button", name="Filter").press("Enter")
    expect(events).to_contain_text("none", timeout=PATIENT)


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_pages_are_accessible_wide_and_narrow_light_and_dark(
    page: Page, server: Server, path: str
) -> None:
    """Axe finds nothing, and nothing has to be scrolled sideways."""
    page.goto(server.url + path)
    page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
    for width in (NARROW, WIDE):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.evaluate(THIN)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        require_accessible(page)
