"""Pages in Chromium that report their errors."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, ConsoleMessage, Page

from tests.support.server import Served, serving, wait_until

WITHOUT_WORKER = "delete globalThis.SharedWorker"
"""Init script: the page uses its own connection, as in browsers without SharedWorker."""


HAS_LOADED = """(({appLifecycle, isLoading}) => appLifecycle === "HYDRATED" && !isLoading)(
    globalThis.store.getState()
)"""
"""Dash's own condition for it, which its testing tools use too."""

NOTE_CLICKS = """addEventListener("click", ({timeStamp}) => {
    globalThis.clickedAt = (performance.timeOrigin + timeStamp) / 1000;
}, true)"""
"""Init script: a driver may delay clicks in a background page for long."""


@dataclass
class Tab:
    """A page of the app, with its console messages."""

    page: Page
    served: Served
    warnings: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.add_init_script(NOTE_CLICKS)

    def _heard(self, message: ConsoleMessage) -> None:
        if message.text.startswith("flash_events"):
            self.warnings.append(message.text)
        elif message.type == "error":
            self.errors.append(message.text)

    def open(self, path: str = "") -> "Tab":
        """Loads the app and waits until Dash has made its first callbacks."""
        self.page.goto(self.served.url + path)
        self.page.wait_for_selector("button:visible")
        self.wait_until(HAS_LOADED)
        return self

    def click(self, component_id: str) -> None:
        self.page.click(f"[id='{component_id}']")

    def clicked_at(self) -> float:
        """Returns the time of the last click in the page, as seconds since the epoch."""
        return float(self.page.evaluate("clickedAt"))

    def text(self, component_id: str) -> str:
        text = "id => document.getElementById(id)?.textContent ?? ''"
        return str(self.page.evaluate(text, component_id))

    def wait_for(self, component_id: str, starts_with: str) -> str:
        """Waits until a component's text starts with a prefix; returns the text."""
        seen = ""

        def begins() -> bool:
            nonlocal seen
            seen = self.text(component_id)
            return seen.startswith(starts_with)

        wait_until(begins, 10, f"{starts_with!r} in {component_id!r}")
        return seen

    def wait_until(self, expression: str, seconds: float = 10) -> None:
        """Waits until a JavaScript condition is true."""
        wait_until(lambda: self.page.evaluate(f"Boolean({expression})"), seconds, expression)


def wait_for_runs(served: Served, count: int) -> None:
    """Waits until so many runs live on the server, which must serve metrics."""
    wait_until(lambda: served.metric("runs") == count, 20, f"{count} runs")


def goes_on(tab: Tab, component_id: str, prefix: str = "") -> None:
    tab.wait_for(component_id, prefix)
    text = f"document.getElementById('{component_id}').textContent"
    before = int(tab.text(component_id).removeprefix(prefix) or 0)
    tab.wait_until(f"Number({text}.slice({len(prefix)})) > {before + 2}", seconds=20)


@contextmanager
def sound_tab(context: BrowserContext, served: Served) -> Iterator[Tab]:
    """Opens a page of an app; fails on errors in the page at the end of the block."""
    tab = Tab(context.new_page(), served).open()
    yield tab
    tab.page.close()
    assert not tab.errors, tab.errors


def app_fixture(program: str) -> Any:
    """Returns a fixture that serves an app: `app = app_fixture("tests.apps.states:server")`."""

    @pytest.fixture(scope="module")
    def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
        with serving(program, tmp_path_factory.mktemp("app")) as served:
            yield served

    return app
