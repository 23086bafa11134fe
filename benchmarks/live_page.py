"""An app in a real browser: opened, clicked, and timed from within the page."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from tests.chromium import CHROMIUM_FLAGS, executable
from tests.conftest import Served, serving

SHOW_SECONDS = 240.0
"""For so long Dash may take to show a page; one with thousands of components takes minutes."""

PRESS = """([button, id, last, giveUpMs]) => new Promise((resolve) => {
    const element = document.getElementById(id);
    const begun = performance.now();
    const observer = new MutationObserver(() => {
        if (element.textContent === last) end(performance.now() - begun);
    });
    const end = (ms) => { clearTimeout(timer); observer.disconnect(); resolve(ms); };
    const timer = setTimeout(() => end(null), giveUpMs);
    observer.observe(element, {childList: true, characterData: true, subtree: true});
    document.getElementById(button).click();
})"""


@dataclass
class LivePage:
    """An app's page.

    Attributes:
        served: the app's server.
        page: in the browser.
        clicks: on each of its buttons so far; an app says the number in its last text.
    """

    served: Served
    page: Page
    clicks: dict[str, int]

    @property
    def devtools(self) -> CDPSession:
        """A session of its own."""
        return self.page.context.new_cdp_session(self.page)

    def press(self, button: str, give_up_seconds: float) -> float | None:
        """Clicks; milliseconds until `end N` is in the DOM, None where that does not come."""
        self.clicks[button] = self.clicks.get(button, 0) + 1
        last = f"end {self.clicks[button]}"
        arguments = [button, "end", last, 1000 * give_up_seconds]
        milliseconds: float | None = self.page.evaluate(PRESS, arguments)
        return milliseconds


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser for all pages of a work."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=CHROMIUM_FLAGS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def live_page(browser: Browser, app: str, ready: str, **environment: Any) -> Iterator[LivePage]:
    """Serves an app and opens it, until the component `ready` is there."""
    with (
        tempfile.TemporaryDirectory() as home,
        serving(app, Path(home), **environment) as served,
        browser.new_context() as context,
    ):
        page = context.new_page()
        page.goto(served.url)
        page.wait_for_selector(f"#{ready}", state="attached", timeout=1000 * SHOW_SECONDS)
        yield LivePage(served, page, {})
