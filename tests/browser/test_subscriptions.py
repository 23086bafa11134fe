"""`Subscription`: what is published reaches the components and callbacks of every page."""

import json
from typing import Any

from playwright.sync_api import BrowserContext

from tests.support.proxy import proxied
from tests.support.server import Served, wait_until
from tests.support.tab import WITHOUT_WORKER, Tab, app_fixture, sound_tab

app = app_fixture("tests.apps.shared_topics:server")

POINTS = 2000
"""Number of points that the button `burst` publishes."""

IS_HIDDEN = "Object.defineProperty(document, 'hidden', {get: () => true})"
PLOT = "document.querySelector('#graph .js-plotly-plot')?.data[0]"
LIVE = "document.getElementById('states')?.textContent.startsWith('live live live')"


def live(tab: Tab) -> Tab:
    """Waits until the page watches its topics."""
    tab.wait_until(LIVE)
    return tab


def window(tab: Tab) -> list[Any]:
    """Returns what a client-side callback has seen in `messages`."""
    seen: list[Any] = json.loads(tab.text("window"))
    return seen


def test_every_page_gets_each_of_2000_points_in_order(
    context: BrowserContext, app: Served, tab: Tab
) -> None:
    with sound_tab(context, app) as hidden:
        hidden.page.evaluate(IS_HIDDEN)
        live(tab), live(hidden)
        tab.click("burst")
        tab.wait_for("published", "burst")
        with sound_tab(context, app) as late:
            for one in (tab, hidden, late):
                one.wait_until(f"{PLOT}?.y.length >= {POINTS}", 30)
                assert one.page.evaluate(f"{PLOT}.y") == list(range(POINTS))
                assert one.warnings == []


def test_callbacks_see_the_last_message_each_message_and_the_window(tab: Tab, app: Served) -> None:
    live(tab)
    before = len(app.marks("each"))
    tab.click("thirty")
    tab.wait_for("latest", "{'click': 1, 'n': 29}")
    tab.wait_for("each-seen", "{'click': 1, 'n': 29}")
    seen = app.marks("each")[before:]
    assert [one["message"]["n"] for one in seen] == list(range(30))
    offsets = [one["offset"] for one in seen]
    assert offsets == list(range(offsets[0], offsets[0] + 30))
    assert window(tab) == [[n, 0, True] for n in range(30)]
    tab.wait_for("all-seen", "[{'click': 1, 'n': 29}, {'click': 1, 'n': 29}]")


def test_each_of_several_equal_messages_is_seen(tab: Tab, app: Served) -> None:
    live(tab)
    before = len(app.marks("each"))
    for n in range(1, 4):
        tab.click("same")
        app.wait_for_mark("each", before + n)
    assert [one["message"] for one in app.marks("each")[before:]] == ["the same"] * 3


def test_a_message_is_marked_in_the_page_whose_run_has_published_it(
    context: BrowserContext, app: Served, tab: Tab
) -> None:
    with sound_tab(context, app) as other:
        live(tab), live(other)
        tab.click("thirty")
        for one, is_mine in ((tab, True), (other, False)):
            one.wait_for("window", "[[0,")
            one.wait_until("document.getElementById('window').textContent.includes('[29,')")
            assert window(one) == [[n, 0, is_mine] for n in range(30)]


def test_a_shared_value_is_shown_at_once_and_after_it_was_deleted(
    context: BrowserContext, app: Served, tab: Tab
) -> None:
    live(tab).click("choose")
    tab.wait_for("choice-seen", "'choice 1'")
    with sound_tab(context, app) as late:
        late.wait_for("choice-seen", "'choice 1'")
        tab.click("reset")
        late.wait_for("choice-seen", "'none yet'")


def test_a_component_that_is_mounted_again_goes_on_after_its_last_message(tab: Tab) -> None:
    live(tab).click("mount")
    tab.wait_for("mounted-seen", "live")
    tab.click("thirty")
    thirty = " ".join(map(str, range(30)))
    tab.wait_for("mounted-seen", f"live {thirty}")
    tab.click("mount")
    tab.wait_until("!document.getElementById('mounted-seen')")
    tab.click("thirty")
    tab.wait_for("latest", "{'click': 2, 'n': 29}")
    tab.click("mount")
    tab.wait_for("mounted-seen", f"live {thirty} {thirty}")
    assert tab.text("mounted-seen") == f"live {thirty} {thirty}"


def test_an_unknown_topic_is_refused(tab: Tab) -> None:
    live(tab).click("name")
    tab.wait_for("refused", "refused")
    [warning] = tab.warnings
    assert 'The Subscription "nobody" was refused.' in warning
    assert "(unknown_topic): No such topic in this app." in warning
    assert all("404" in error for error in tab.errors)  # the browser's own, if the page has posted
    tab.errors.clear()


def test_a_cut_and_a_lost_connection_lose_no_message(context: BrowserContext, app: Served) -> None:
    with proxied(app.url) as proxy:
        tab = Tab(context.new_page(), app)
        tab.page.add_init_script(WITHOUT_WORKER)
        tab.page.goto(proxy.url)
        live(tab).click("mount")
        tab.wait_for("mounted-seen", "live")
        with sound_tab(context, app) as other:
            other.click("slowly")
            tab.wait_until("document.getElementById('window').textContent.includes('[20,')")
            proxy.cut()
            tab.wait_until("document.getElementById('window').textContent.includes('[60,')")
            tab.page.route("**/resume", lambda route: route.fulfill(status=410, body="{}"))
            proxy.cut()
            tab.wait_until("document.getElementById('states').textContent.includes('reconn')")
            text = "document.getElementById('mounted-seen').textContent"
            tab.wait_until(f"{text}.endsWith(' 199')", 20)
            live(tab)
        assert tab.text("mounted-seen").split() == ["live", *map(str, range(200))]
        assert tab.text("states").endswith(" 0")
        assert tab.warnings == []
        tab.page.close()


def test_a_reloaded_page_begins_anew(tab: Tab) -> None:
    live(tab).click("thirty")
    tab.wait_for("latest", "{'click': 1, 'n': 29}")
    tab.page.reload()
    live(tab)
    wait_until(lambda: tab.text("window") == "[]", 5, "an empty window")
