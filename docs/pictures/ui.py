"""Make the pictures of the UI: `python docs/pictures/ui.py`, with Chromium.

It makes sample data, runs the pipeline on them a few times, as several nights would, breaks a feed
for the last one, and photographs the Dagster UI.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
START = "2024-01-03"
NIGHTS = ("2024-05-01", "2024-06-01", "2024-07-01")
WIDTH, HEIGHT = 1500, 950
WAIT = 60_000  # milliseconds


def basis(*arguments: str | Path, good: bool = True) -> None:
    """Run a command of the project, which must succeed if `good`."""
    command = [sys.executable, "-m", "basis_pipeline", *map(str, arguments)]
    subprocess.run(command, check=good, cwd=ROOT, stdout=subprocess.DEVNULL)


def spoil(data: Path) -> None:
    """Give one hour of a perpetual two different prices, like two downloads that disagree."""
    (file,) = data.glob("market_data/derivatives/futures_ohlcv/bybit_BTCUSDT_perp_1h_*.csv")
    lines = file.read_text(encoding="utf-8").splitlines()
    stamp, price, rest = lines[700].split(",", 2)
    lines.insert(701, f"{stamp},{float(price) * 1.01},{rest}")
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def webserver(home: Path) -> Iterator[str]:
    """Serve the UI on the recorded runs; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port)]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [*command, "-w", "workspace.yaml"],
        cwd=ROOT,
        env={**os.environ, "DAGSTER_HOME": str(home), "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            while not answers(address):
                if server.poll() is not None:
                    sys.exit(f"dagster-webserver ended with {server.returncode}")
                time.sleep(0.5)
            yield address
        finally:
            server.terminate()


def answers(address: str) -> bool:
    """Return whether the server answers yet."""
    try:
        urllib.request.urlopen(f"{address}/server_info", timeout=10).close()
    except OSError:
        return False
    return True


def take(
    browser: Browser, address: str, name: str, ready: Callable[[Page], object], height: int = HEIGHT
) -> None:
    """Take a screenshot of a page once `ready` has found its content."""
    page = browser.new_page(viewport={"width": WIDTH, "height": height})
    page.set_default_timeout(WAIT)
    page.goto(address)
    ready(page)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=HERE / f"{name}.png")
    page.close()


def seen(*texts: str) -> Callable[[Page], object]:
    """Return a function that waits until every text is visible."""

    def ready(page: Page) -> None:
        for text in texts:
            page.get_by_text(text).first.wait_for()

    return ready


def plot_in_place(page: Page) -> None:
    """Show the picture in the metadata of a materialisation."""
    page.get_by_text("[Show Markdown]").first.click()
    page.locator("img[alt=equity]").wait_for()


def plots_over_time(page: Page) -> None:
    """Show Dagster's plots of the numbers in the metadata of materialisations."""
    page.get_by_text("Metadata", exact=True).first.wait_for()
    page.get_by_role("button", name="Plots").click()
    page.locator("canvas").nth(3).wait_for()
    page.locator("canvas").nth(3).scroll_into_view_if_needed()
    page.wait_for_timeout(2000)  # they are drawn by an animation


def main() -> None:
    """Run everything in a temporary directory and keep only the pictures."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        data, results = Path(place) / "data", Path(place) / "results"
        home = results / "dagster_home"
        where = ("--data-dir", data, "--results-dir", results, "--start", START)
        basis("data", "sample", "--out", data, "--days", "200")
        for night in NIGHTS:
            basis("run", *where, "--end", night)
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        with webserver(home) as ui:
            run = f"{ui}/assets/backtest/simulation?partition=btc_basis"
            take(browser, f"{ui}/asset-groups", "ui-graph", seen("Materialize all", "report"))
            take(browser, f"{run}&view=overview", "ui-asset", seen("What is at stake:"))
            take(browser, f"{run}&view=events", "ui-backtest-plot", plot_in_place)
            take(browser, f"{ui}/assets/report/data_audit", "ui-plots", plots_over_time)
            spoil(data)
            basis("run", *where, "--end", NIGHTS[-1], "--mode", "btc_basis", good=False)
            check = "assets/raw/bybit_btcusdt_perp?view=checks&checkDetail=readable"
            take(browser, f"{ui}/{check}", "ui-check", seen("offending_rows"))
        browser.close()


if __name__ == "__main__":
    main()
