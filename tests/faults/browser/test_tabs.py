"""Row 20: tabs that are hidden, suspended or duplicated, and one more than six connections."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser

from tests.support.chromium import CHROMIUM_FLAGS, executable
from tests.support.server import Served, wait_until
from tests.support.tab import Tab

STEP = "Number(document.getElementById('out').textContent.split(' ').at(-1))"


def goes_on(tab: Tab) -> None:
    """Waits until the counting run has advanced."""
    step = int(tab.text("out").split()[-1])
    tab.wait_until(f"{STEP} > {step + 5}")


@pytest.fixture
def new_tab(browser: Browser, faulty: Served) -> Iterator[Callable[[], Tab]]:
    """Opens tabs in a browser context of their own; closing them ends their runs."""
    context = browser.new_context()
    yield lambda: Tab(context.new_page(), faulty).open()
    for page in context.pages:
        page.close()
    faulty.wait_for_mark("endless finally", len(faulty.marks("endless began")))
    context.close()


HIDE = """isHidden => {
    Object.defineProperty(document, 'hidden', {get: () => isHidden, configurable: true});
    window.paint ??= window.requestAnimationFrame;
    window.requestAnimationFrame = isHidden ? () => 0 : window.paint;
    document.dispatchEvent(new Event('visibilitychange'));
}"""
"""Playwright keeps every page visible, so this imitates Chromium's treatment of hidden pages."""


def test_fault_20_a_hidden_tab_continues_and_starts_nothing_twice(
    new_tab: Callable[[], Tab], faulty: Served
) -> None:
    began = len(faulty.marks("endless began"))
    tab = new_tab()
    tab.click("endless")
    tab.wait_for("out", "endless")
    for is_hidden in (True, False, True):
        tab.page.evaluate(HIDE, is_hidden)
        goes_on(tab)
    assert len(faulty.marks("endless began")) == began + 1


@pytest.mark.deadline  # a busy Chromium keeps no pages
def test_fault_20_a_tab_that_returns_from_the_back_forward_cache_continues(
    browser: Browser, faulty: Served
) -> None:
    began = len(faulty.marks("endless began"))
    caching = browser.browser_type.launch(
        executable_path=executable(),
        args=CHROMIUM_FLAGS,
        ignore_default_args=["--disable-back-forward-cache"],
    )
    tab = Tab(caching.new_page(), faulty).open()
    tab.page.evaluate(
        "addEventListener('pageshow', ({persisted}) => { window.persisted = persisted; })"
    )
    tab.click("endless")
    tab.wait_for("out", "endless")
    tab.page.goto(f"{faulty.url}ping")
    tab.page.evaluate("history.back()")
    devtools = tab.page.context.new_cdp_session(tab.page)  # Playwright itself loses such a page

    def step() -> int:
        answer = devtools.send("Runtime.evaluate", {"expression": f"window.persisted && {STEP}"})
        return int(answer["result"].get("value") or 0)

    wait_until(lambda: step() > 0, 10, "the page as it was")
    before = step()
    wait_until(lambda: step() > before + 5, 10, "further steps")
    assert len(faulty.marks("endless began")) == began + 1
    devtools.send("Runtime.evaluate", {"expression": "document.getElementById('halt').click()"})
    faulty.wait_for_mark("endless finally", began + 1, seconds=2)
    caching.close()


def test_fault_20_a_second_tab_and_a_duplicated_one_share_nothing_with_the_first(
    new_tab: Callable[[], Tab], faulty: Served
) -> None:
    began = len(faulty.marks("endless began"))
    finished = len(faulty.marks("endless finally"))
    first = new_tab()
    first.click("endless")
    first.wait_for("out", "endless")
    second = new_tab()
    with first.page.context.expect_page() as opened:  # with a copy of the sessionStorage
        first.page.evaluate("void window.open(location.href)")
    doubled = Tab(opened.value, faulty)
    doubled.page.wait_for_selector("button")
    for tab in (second, doubled):
        assert tab.text("out") == ""
        tab.click("endless")
        tab.wait_for("out", "endless")
    goes_on(first)
    assert len(faulty.marks("endless began")) == began + 3
    doubled.page.close()
    faulty.wait_for_mark("endless finally", finished + 1, seconds=1)
    goes_on(first)
    second.click("halt")
    second.wait_for("message", "reset")
    goes_on(first)
    assert len(faulty.marks("endless finally")) == finished + 2


def test_fault_20_the_seventh_tab_works_over_http_1(
    new_tab: Callable[[], Tab], faulty: Served
) -> None:
    began = len(faulty.marks("endless began"))
    tabs = []
    for n in range(1, 8):
        tab = new_tab()
        tab.click("endless")
        tab.wait_for("out", "endless")
        tab.click("ordinary")
        tab.wait_for("answer", "answer 1")
        tabs.append(tab)
        assert len(faulty.marks("endless began")) == began + n
    for tab in tabs:
        goes_on(tab)
