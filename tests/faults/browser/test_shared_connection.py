"""All tabs of a browser share one connection without affecting each other."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error

from tests.support.chromium import CHROMIUM_FLAGS, executable
from tests.support.server import Served, serving, wait_until
from tests.support.tab import WITHOUT_WORKER, Tab, goes_on


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A kitchen of its own, so that every stream it marks belongs to these tests."""
    with serving("tests.apps.kitchen:server", tmp_path_factory.mktemp("tabs")) as served:
        yield served


@pytest.fixture
def own_context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser of its own, so that its tabs share a worker with no other test's."""
    context = browser.new_context()
    context.set_default_timeout(20_000)
    yield context
    context.close()


class Streaming:
    """A tab with two endless streams; the text of the first starts with the tab's name."""

    def __init__(self, context: BrowserContext, served: Served, name: str) -> None:
        self.name = name
        self.tab = Tab(context.new_page(), served).open()
        self.begin()

    def begin(self) -> None:
        self.tab.page.fill("#ticker", self.name)
        self.tab.click("start")
        self.tab.click("endless0")
        self.ticks()

    def ticks(self) -> None:
        """Waits until both streams have advanced."""
        goes_on(self.tab, "out", self.name)
        goes_on(self.tab, "endless-out0")


def open_streams(served: Served) -> int:
    return len(served.marks("stream opened")) - len(served.marks("stream closed"))


def ended(served: Served) -> set[str]:
    return {mark["ticker"] for mark in served.marks("ticks finally")}


def stops_within(seconds: float, served: Served, name: str, act: Callable[[], object]) -> None:
    asked = time.time()
    act()
    assert end_of(served, name) - asked < seconds


def stops_at_a_click(tab: Tab, name: str) -> None:
    tab.click("stop")
    assert end_of(tab.served, name) - tab.clicked_at() < 1


def end_of(served: Served, name: str) -> float:
    """Returns the time of the run's end, as seconds since the epoch."""
    wait_until(lambda: name in ended(served), 10, f"the end of {name!r}")
    return float(served.marks("ticks finally")[-1]["time"])


def crash(tab: Tab) -> None:
    """Kills the tab's process, so that the page can send nothing."""
    with suppress(Error):  # CDP's Page.crash would never be answered
        tab.page.goto("chrome://crash", timeout=5_000)


def test_ten_tabs_tick_over_one_stream_and_ordinary_callbacks_answer(
    own_context: BrowserContext, app: Served
) -> None:
    tabs = [Tab(own_context.new_page(), app).open() for _ in range(10)]
    streams = ("endless0", "endless1")  # no ordinary callback listens to these
    for tab in tabs:
        for stream in streams:
            tab.click(stream)
    for tab in tabs:
        for n in range(len(streams)):
            goes_on(tab, f"endless-out{n}")
        tab.click("ordinary")
        tab.wait_for("answer", "answer 1")
    assert open_streams(app) == 1
    assert not any(tab.errors or tab.warnings for tab in tabs)


@pytest.mark.deadline
def test_a_closed_tab_ends_its_runs_and_no_others(own_context: BrowserContext, app: Served) -> None:
    first, second, third = (Streaming(own_context, app, f"close{n}-") for n in range(3))
    stops_within(1, app, "close0-", first.tab.page.close)  # the one that started the worker
    second.ticks()
    stops_within(1, app, "close1-", second.tab.page.close)
    third.ticks()
    assert "close2-" not in ended(app)
    assert not third.tab.warnings


@pytest.mark.deadline
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_a_crashed_tab_ends_its_runs_and_no_others(
    own_context: BrowserContext, app: Served, victim: int
) -> None:
    """The worker may be in the process that crashes; then another replaces it."""
    tabs = [Streaming(own_context, app, f"crash{victim}{n}-") for n in range(3)]
    gone = tabs.pop(victim)
    stops_within(1, app, gone.name, lambda: crash(gone.tab))
    for one in tabs:
        one.ticks()
        assert one.name not in ended(app)
        assert not one.tab.warnings


@pytest.mark.deadline
def test_a_reloaded_tab_ends_its_runs_and_no_others(
    own_context: BrowserContext, app: Served
) -> None:
    first, second = (Streaming(own_context, app, f"reload{n}-") for n in range(2))
    stops_within(1, app, "reload0-", lambda: first.tab.page.reload())
    first.tab.page.wait_for_selector("button")
    second.ticks()
    first.name = "again-"
    first.begin()
    second.ticks()
    assert "reload1-" not in ended(app)
    assert open_streams(app) == 1


@pytest.mark.deadline
def test_a_page_that_returns_from_the_cache_has_missed_nothing(
    browser: Browser, app: Served
) -> None:
    """Playwright disables the back/forward cache, so this uses a browser of its own."""
    kind = browser.browser_type
    with kind.launch(
        executable_path=executable(),
        args=CHROMIUM_FLAGS,
        ignore_default_args=["--disable-back-forward-cache"],
    ) as caching:
        one = Streaming(caching.new_context(), app, "cached-")
        one.tab.page.evaluate(
            "addEventListener('pageshow', event => { globalThis.isCached = event.persisted; })"
        )
        page = one.tab.page
        page.goto(f"{app.url}_dash-layout")
        with page.expect_event("framenavigated"):  # there is no load
            page.evaluate("void setTimeout(() => history.back(), 50)")
        one.tab.wait_until("globalThis.isCached")
        one.ticks()
        assert not one.tab.warnings
        stops_at_a_click(one.tab, "cached-")


@pytest.mark.deadline
def test_without_a_shared_worker_each_tab_has_its_own_stream(
    own_context: BrowserContext, app: Served
) -> None:
    own_context.add_init_script(WITHOUT_WORKER)
    first, second = (Streaming(own_context, app, f"alone{n}-") for n in range(2))
    assert open_streams(app) == 2
    stops_within(1, app, "alone0-", first.tab.page.close)
    second.ticks()
    stops_at_a_click(second.tab, "alone1-")
    second.tab.wait_for("out", "reset")


@pytest.mark.deadline
def test_a_page_whose_worker_does_not_load_uses_its_own_connection(
    own_context: BrowserContext, app: Served
) -> None:
    own_context.add_init_script(
        """globalThis.SharedWorker = class extends SharedWorker {
            constructor(url, options) { super(url.replace(/v=.*/, "v=other"), options); }
        }"""
    )
    one = Streaming(own_context, app, "other-")
    assert open_streams(app) == 1
    stops_at_a_click(one.tab, "other-")


def test_a_strict_policy_allows_the_worker(own_context: BrowserContext, tmp_path: Path) -> None:
    with serving("tests.apps.embedded:server", tmp_path, path="/one/") as served:
        tabs = [Tab(own_context.new_page(), served).open() for _ in range(2)]
        for tab in tabs:
            tab.click("start")
            tab.wait_for("out", "one 3")
        assert not [error for tab in tabs for error in tab.errors if "worker" in error.lower()]
        tabs[0].page.close()
        goes_on(tabs[1], "out", "one ")
        tabs[1].click("stop")
        tabs[1].wait_for("out", "one was reset")
