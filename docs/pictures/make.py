"""Make the pictures of the reports: `python docs/pictures/make.py RESULTS_DIR`, with Chromium.

RESULTS_DIR is one that `basis run` wrote; each picture shows a part of one of its pages, with its
own width and colour scheme.
"""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]


@dataclass(frozen=True)
class Picture:
    """The part of a page to show: `height` pixels from the element `top` on."""

    name: str
    page: str
    height: int
    top: str = "body"
    width: int = 1280
    dark: bool = False


PICTURES = (
    Picture("report-tear-sheet", "usdt_market_neutral", 1060),
    Picture("report-attribution", "usdt_market_neutral", 980, "#attribution", dark=True),
    Picture("report-risk", "usdt_market_neutral", 1180, "#risk"),
    Picture("report-comparison", "comparison", 1060),
    Picture("report-gates", "gates", 1060),
    Picture("report-data-audit", "data_audit", 1060),
    Picture("report-narrow", "btc_basis", 900, width=390, dark=True),
)


def make(picture: Picture, browser: Browser, reports: Path) -> Path:
    """Draw one picture beside this file."""
    context = browser.new_context(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme="dark" if picture.dark else "light",
    )
    page = context.new_page()
    page.goto((reports / f"{picture.page}.html").resolve().as_uri())
    page.wait_for_selector("html[data-drawn], html:not(:has(#charts))", state="attached")
    top = page.locator(picture.top).bounding_box()
    clip = {"x": 0, "y": top["y"] if top else 0, "width": picture.width, "height": picture.height}
    file = HERE / f"{picture.name}.png"
    page.screenshot(path=file, full_page=True, clip=clip)
    context.close()
    return file


def main(results: Path) -> None:
    """Draw all pictures."""
    chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        for picture in PICTURES:
            sys.stdout.write(f"{make(picture, browser, results / 'reports')}\n")
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
