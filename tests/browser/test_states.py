"""`RunState` and `ConnectionStatus`: the states of runs and of the connection."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.support.proxy import proxied
from tests.support.server import ROOT, Served, serving
from tests.support.tab import WITHOUT_WORKER, Tab, app_fixture, goes_on, sound_tab

app = app_fixture("tests.apps.states:server")


def test_a_callback_gets_the_states_queued_running_and_cancelled(tab: Tab) -> None:
    tab.click("start")
    goes_on(tab, "out")
    tab.click("stop")
    tab.wait_until("document.getElementById('seen').textContent.endsWith('ticks cancelled')")
    first, *seen = tab.text("seen").split(", ")
    assert first == "at first idle idle idle idle"
    assert seen == ["ticks queued", "ticks running", "ticks cancelled"]


def test_a_callback_follows_each_run_that_is_done(tab: Tab) -> None:
    for n in range(1, 4):
        tab.click("short")
        tab.wait_until(
            f"document.getElementById('seen').textContent.split('short done').length === {n + 1}"
        )


def test_a_failed_run_has_the_state_error(tab: Tab) -> None:
    tab.click("fail")
    tab.wait_until("document.getElementById('seen').textContent.endsWith('fail error')")


def test_a_run_that_is_refused_is_an_error_and_is_reset(
    context: BrowserContext, app: Served
) -> None:
    tab = Tab(context.new_page(), app)
    tab.page.add_init_script(WITHOUT_WORKER)  # so that the page itself posts
    refusal = {"error": "bad_inputs", "message": "Unfit inputs."}
    tab.page.route("**/start", lambda route: route.fulfill(status=400, json=refusal))
    tab.open().click("fail")
    tab.wait_until("document.getElementById('seen').textContent.endsWith('fail error')")
    assert tab.text("out") == "reset"
    assert "Unfit inputs." in tab.warnings[0]
    tab.page.close()


def test_a_state_with_the_values_of_match_is_that_of_its_own_runs(tab: Tab) -> None:
    tab.wait_for("seen-cards", "idle idle")
    tab.click('{"index":"b","type":"go"}')
    tab.wait_for("seen-cards", "idle running")
    tab.wait_until("document.getElementById('seen').textContent.endsWith('cards running')")
    tab.click('{"index":"b","type":"halt"}')
    tab.wait_for("seen-cards", "idle cancelled")
    assert tab.text("seen").endswith("cards cancelled")


@pytest.mark.parametrize("script", ["", WITHOUT_WORKER], ids=["shared", "owned"])
def test_the_page_shows_that_its_connection_is_cut_and_restored(
    context: BrowserContext, app: Served, script: str
) -> None:
    with proxied(app.url) as proxy:
        tab = Tab(context.new_page(), app)
        tab.page.add_init_script(script)
        tab.page.goto(proxy.url)
        tab.wait_for("connection", "Nothing streams")
        tab.click("start")
        tab.wait_for("connection", "Live")
        goes_on(tab, "out")
        proxy.stall()  # so that it is not restored before one can look
        proxy.cut()
        seen = "document.getElementById('connection-seen').textContent"
        tab.wait_until(f"/open reconnecting/.test({seen})")
        proxy.flow()
        tab.wait_until(f"/open reconnecting.*open$/.test({seen})")
        tab.wait_for("connection", "Live")
        tab.click("stop")
        tab.wait_for("connection", "Nothing streams")
        tab.page.close()


def test_p23_the_page_shows_only_what_is_known_of_its_connection(
    context: BrowserContext, app: Served
) -> None:
    """P23: an idle page does not know whether the server can be reached; after a start it does."""
    tab = Tab(context.new_page(), app)
    tab.page.add_init_script(WITHOUT_WORKER)
    tab.page.route("**/start", lambda route: route.abort("connectionrefused"))
    tab.open().wait_for("unlabelled", "Idle")
    tab.click("short")
    tab.wait_for("unlabelled", "Not connected")
    tab.wait_until("document.getElementById('seen').textContent.endsWith('short error')")
    tab.page.close()


def test_a_second_tab_gets_the_connections_state(
    tab: Tab, context: BrowserContext, app: Served
) -> None:
    tab.click("start")
    tab.wait_for("connection", "Live")
    with sound_tab(context, app) as second:
        second.click("short")
        second.wait_for("connection", "Live")


def test_the_readmes_buttons_follow_the_run(context: BrowserContext, tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    [listing] = re.findall(r"<!-- listing: states -->\n```python\n(.*?)```", readme, re.S)
    (tmp_path / "shown.py").write_text(listing, "utf-8")
    with (
        serving("shown:server", tmp_path, home=tmp_path, PYTHONPATH=str(ROOT)) as served,
        sound_tab(context, served) as tab,
    ):
        tab.wait_until("document.getElementById('stop').disabled")
        tab.click("start")
        tab.wait_for("start", "Again")
        goes_on(tab, "out")
        tab.click("stop")
        tab.wait_for("start", "Start")
        tab.wait_until("document.getElementById('stop').disabled")


def test_an_app_without_these_components_loads_no_script_for_them(
    context: BrowserContext, kitchen: Served
) -> None:
    with sound_tab(context, kitchen) as tab:
        assert not [url for url in tab.requests if "components" in url and "flash_events" in url]


def test_a_connection_that_cannot_be_resumed_is_shown_as_lost(
    context: BrowserContext, app: Served
) -> None:
    with proxied(app.url) as proxy:
        tab = Tab(context.new_page(), app)
        tab.page.add_init_script(WITHOUT_WORKER)
        tab.page.route("**/resume", lambda route: route.fulfill(status=410, body="{}"))
        tab.page.goto(proxy.url)
        tab.click("start")
        tab.wait_for("connection", "Live")
        goes_on(tab, "out")
        proxy.cut()
        tab.wait_for("connection", "Not connected")
        tab.wait_until("document.getElementById('seen').textContent.endsWith('ticks lost')")
        tab.page.close()
