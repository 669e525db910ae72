"""Pages in one browser, each opened once for all tests that read it."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.browser import opened


@dataclass
class Shown:
    """Pages that tests read: each is opened once, and closed by a test that changes it."""

    browser: Browser
    directory: Path
    pages: dict[str, tuple[ExitStack, Page]] = field(default_factory=dict)

    def __call__(self, name: str) -> Page:
        """The page, wide."""
        if name not in self.pages:
            stack = ExitStack()
            page = stack.enter_context(opened(self.browser, self.directory / f"{name}.html"))
            self.pages[name] = stack, page
        return self.pages[name][1]

    def close(self, name: str) -> None:
        """Close a page; a request or a console error of it fails the test."""
        self.pages.pop(name)[0].close()
