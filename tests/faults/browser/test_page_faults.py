"""Rows 9, 14, 16, 19, 21 and 22, as the page shows them."""

import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.apps.faults import FAILURES, SECRET
from tests.support import nginx
from tests.support.proxy import proxied
from tests.support.server import Served, serving, wait_until
from tests.support.socket_client import behind
from tests.support.tab import Tab


@pytest.mark.parametrize("where", FAILURES)
def test_fault_09_on_error_and_reset_props_are_applied_once_each(tab: Tab, where: str) -> None:
    tab.page.evaluate(
        """() => {
            window.said = [];
            new MutationObserver(() => window.said.push(document.body.innerText)).observe(
                document.body, {subtree: true, childList: true, characterData: true});
        }"""
    )
    tab.click(f"fails-{where}")
    tab.wait_for("answer", f"{where} failed")
    assert tab.text("message") == "reset"
    [warning] = tab.warnings
    assert "callback_error" in warning
    assert SECRET not in warning
    assert SECRET not in "".join(tab.page.evaluate("window.said"))


class Stillness:
    """Condition: a number has not changed for half a second."""

    def __init__(self, number: Callable[[], int]) -> None:
        self._number = number
        self._last = (0, time.monotonic())

    def __call__(self) -> bool:
        number, now = self._number(), time.monotonic()
        if number != self._last[0]:
            self._last = (number, now)
        return now - self._last[1] > 0.5


def test_fault_14_the_page_reports_a_gap_and_is_reset(
    context: BrowserContext, tmp_path: Path
) -> None:
    with (
        serving("tests.apps.faults:server", tmp_path, FLASH_EVENTS_REPLAY_BYTES="10000") as served,
        proxied(served.url) as proxy,
    ):
        tab = Tab(context.new_page(), behind(served, proxy.url)).open()
        tab.click("flood")
        tab.wait_for("out", "x")
        proxy.stall()
        wait_until(Stillness(lambda: len(served.marks("flood at"))), 10, "a full socket")
        proxy.cut()
        proxy.flow()
        tab.wait_for("message", "reset")
        assert ["lost" in warning for warning in tab.warnings] == [True]
        tab.page.close()


def test_fault_16_a_click_whose_response_is_lost_is_one_run(
    context: BrowserContext, faulty: Served
) -> None:
    began = len(faulty.marks("count began"))
    with proxied(faulty.url) as proxy:
        tab = Tab(context.new_page(), behind(faulty, proxy.url)).open()
        tab.click("ordinary")
        tab.wait_for("answer", "answer 1")  # the page is at rest
        proxy.cut_after(0)
        tab.click("count")
        wait_until(lambda: proxy.cuts == 1, 10, "a lost answer")
        tab.wait_for("out", "1")
        tab.page.close()
    assert len(faulty.marks("count began")) == began + 1


def test_fault_19_a_page_behind_the_documented_nginx_streams_and_stops(
    browser: Browser, faulty: Served, tmp_path: Path
) -> None:
    server = urlsplit(faulty.url).netloc
    configuration, url = nginx.documented(tmp_path, (server, server))
    with nginx.running(configuration, tmp_path, f"{url}ping"):
        context = browser.new_context(ignore_https_errors=True)
        tabs = [Tab(context.new_page(), behind(faulty, url)).open() for _ in range(7)]
        for tab in tabs:  # HTTP/2 has no limit of six
            tab.click("endless")
        for tab in tabs:
            tab.wait_for("out", "endless")
        finished = len(faulty.marks("endless finally"))
        for tab in tabs:
            tab.click("halt")
            tab.wait_for("message", "reset")
        faulty.wait_for_mark("endless finally", finished + 7)
        assert not [tab.errors for tab in tabs if tab.errors]
        context.close()


def test_fault_21_late_updates_of_a_replaced_run_are_dropped(tab: Tab, faulty: Served) -> None:
    tab.page.evaluate(
        """() => {
            window.said = [];
            const out = document.getElementById('out');
            new MutationObserver(() => window.said.push(out.textContent)).observe(
                out, {subtree: true, childList: true, characterData: true});
        }"""
    )
    finished = len(faulty.marks("late finally"))
    tab.click("late")
    tab.wait_for("out", "run 1")
    tab.click("late")
    tab.wait_for("out", "run 2")
    done = faulty.wait_for_mark("late finally", finished + 1)
    assert done["n"] == 1  # it wrote after the other had started
    step = int(tab.text("out").split()[-1])
    tab.wait_until(
        f"Number(document.getElementById('out').textContent.split(' ').at(-1)) > {step + 5}"
    )
    said = tab.page.evaluate("window.said")
    first = next(n for n, text in enumerate(said) if text.startswith("run 2"))
    assert {text[:5] for text in said[first:]} == {"run 2"}
    assert tab.text("message") == ""
    tab.click("halt")


def test_fault_22_a_missing_target_causes_one_warning_and_the_others_are_applied(
    tab: Tab,
) -> None:
    tab.click("missing")
    tab.wait_for("out", "beside missing 2")
    assert ["nowhere" in warning for warning in tab.warnings] == [True]
