"""Print a page as PDF with Chromium."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from basis_pipeline.errors import CommandError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 120.0
FLAGS = (
    "--headless",
    # As root, and in most containers, Chromium does not start with its sandbox. The page is ours.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-pdf-header-footer",
    # The charts are drawn after the page has loaded.
    "--virtual-time-budget=20000",
)


def page_pdf(html: str) -> bytes:
    """Return a page as printed by Chromium: A4, in light colours, with its charts.

    Raises
    ------
    CommandError: API-003 when no Chromium is installed, or when it prints nothing.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise _failure("no Chromium is on the PATH to print the page")
    with tempfile.TemporaryDirectory() as place:
        page, printed = Path(place, "page.html"), Path(place, "page.pdf")
        page.write_text(html, encoding="utf-8")
        own = (f"--user-data-dir={place}/profile", f"--print-to-pdf={printed}", page.as_uri())
        try:
            done = subprocess.run(
                [browser, *FLAGS, *own], capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise _failure(f"{browser} did not print within {SECONDS:.0f} seconds") from error
        if done.returncode != 0 or not printed.is_file():
            reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise _failure(f"{browser} printed nothing: {' '.join(reason)}")
        return printed.read_bytes()


def _failure(what: str) -> CommandError:
    return CommandError("API-003", what, where=" or ".join(BROWSERS), available="html, png")
