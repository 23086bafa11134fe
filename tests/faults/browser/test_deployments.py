"""It works in real deployments: prefixes, several apps, a strict policy, debug, several workers."""

import time
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.support.proxy import proxied
from tests.support.server import Served, serving
from tests.support.tab import WITHOUT_WORKER, Tab, goes_on


def new_tab(context: BrowserContext, served: Served) -> Tab:
    return Tab(context.new_page(), served)


def test_two_apps_on_one_server_under_prefixes_and_a_strict_policy(
    context: BrowserContext, tmp_path: Path
) -> None:
    with serving("tests.apps.embedded:server", tmp_path, path="/one/") as served:
        tabs = {name: new_tab(context, served) for name in ("one", "two")}
        for name, tab in tabs.items():
            tab.open(f"../{name}/")
            tab.click("start")
            tab.wait_for("out", f"{name} 3")
        tabs["one"].click("stop")
        tabs["one"].wait_for("out", "one was reset")
        goes_on(tabs["two"], "out", "two ")
        tabs["two"].click("stop")
        tabs["two"].wait_for("out", "two was reset")
        # `connect-src` refuses what Dash itself tries (a WebSocket); nothing of ours is refused.
        assert not [error for tab in tabs.values() for error in tab.errors if "script" in error]


def test_debug_shows_the_error_in_dashs_dev_tools(context: BrowserContext, tmp_path: Path) -> None:
    with serving("tests.apps.debug", tmp_path) as served:
        tab = new_tab(context, served).open()
        tab.click("start")
        tab.wait_for("out", "clicked 1")
        tab.click("fail")
        tab.page.wait_for_selector("text=Error in __main__.fail")
        tab.page.click("text=Error in __main__.fail")
        frame_or_text = "text=ValueError: shown to the developer"
        tab.page.wait_for_selector(frame_or_text)


@pytest.mark.deadline
def test_four_workers_without_a_broker_run_every_stream_and_stop_each(
    context: BrowserContext, tmp_path: Path
) -> None:
    with serving("tests.apps.kitchen:server", tmp_path, workers=4) as served:
        tab = new_tab(context, served).open()
        for n in range(8):
            tab.click(f"endless{n}")
        for n in range(8):
            tab.wait_for(f"endless-out{n}", "3")
        tab.click("start")
        tab.wait_for("out", "A")
        tab.click("stop")
        tab.wait_for("out", "reset")
        done = served.wait_for_mark("ticks finally")
        assert done["time"] - tab.clicked_at() < 1
        tab.click("ordinary")
        tab.wait_for("answer", "answer 1")


@pytest.mark.deadline
def test_closing_the_page_stops_its_runs_on_all_of_four_workers(
    context: BrowserContext, tmp_path: Path
) -> None:
    with serving("tests.apps.kitchen:server", tmp_path, workers=4) as served:
        for n in range(1, 4):
            tab = new_tab(context, served).open()
            tab.click("start")
            tab.wait_for("out", "A")
            asked = time.time()
            tab.page.close()
            done = served.wait_for_mark("ticks finally", n)
            assert done["time"] - asked < 1


def test_a_lost_run_is_reported_and_reset(context: BrowserContext, kitchen: Served) -> None:
    with proxied(kitchen.url) as proxy:
        tab = new_tab(context, kitchen)
        tab.page.add_init_script(WITHOUT_WORKER)  # `route` does not see a worker's requests
        tab.page.goto(proxy.url)
        tab.page.wait_for_selector("button")
        tab.page.route("**/resume", lambda route: route.fulfill(status=404, json={}))
        tab.click("start")
        tab.wait_for("out", "A")
        before = len(kitchen.marks("ticks finally"))
        proxy.cut()
        tab.wait_for("out", "reset")
        assert not tab.page.is_visible("#spinner")
        assert ["lost" in warning for warning in tab.warnings] == [True]
        kitchen.wait_for_mark("ticks finally", before + 1)
        tab.page.close()


def test_a_connection_that_is_cut_five_times_loses_nothing(
    context: BrowserContext, commands: Served
) -> None:
    with proxied(commands.url) as proxy:
        tab = new_tab(context, commands)
        tab.page.goto(proxy.url)
        tab.page.wait_for_selector("#graph .js-plotly-plot")
        plot = "document.querySelector('#graph .js-plotly-plot').data[0].x"
        tab.page.fill("#seconds", "12")
        tab.click("numbers")
        for n in range(5):
            tab.wait_until(f"{plot}.length > {(n + 1) * 100}", seconds=40)
            assert proxy.cut() > 0
        tab.wait_until("document.querySelector('#message').textContent === 'all sent'", seconds=40)
        tab.wait_until(f"{plot}.length >= 600", seconds=40)
        tab.click("ordinary")
        tab.wait_for("answer", "answer")
        assert tab.page.evaluate(f"Array.from({plot})") == list(range(600))
        assert not tab.warnings
