"""The panel in Dash's dev tools: runs, their updates, a stop button, recordings."""

from pathlib import Path

from playwright.sync_api import BrowserContext

from flash_events import stream_props
from flash_events.testing import recordings
from tests.support.server import Served
from tests.support.tab import Tab, app_fixture, goes_on, sound_tab

BUTTON = ".flash-events-devtool > button"
PANEL = "[role=dialog][aria-label=Streams]"


app = app_fixture("tests.apps.debug")


def test_the_panel_lists_a_run_and_stops_it(tab: Tab) -> None:
    tab.click("endless")
    goes_on(tab, "out")
    tab.page.click(BUTTON)
    panel = tab.page.locator(PANEL)
    row = panel.locator("tbody tr").first
    assert "endless" in row.inner_text()
    assert "endless.n_clicks" in row.inner_text()
    assert "connection: open" in panel.inner_text()
    row.get_by_role("button", name="Stop").click()
    row.get_by_text("cancelled").wait_for()


def test_the_panel_shows_the_updates_of_a_run_and_saves_them(tab: Tab, tmp_path: Path) -> None:
    tab.click("endless")
    goes_on(tab, "out")
    tab.page.click(BUTTON)
    panel = tab.page.locator(PANEL)
    panel.get_by_role("button", name="Stop").click()
    panel.get_by_text("cancelled").wait_for()
    panel.locator("tbody a").first.click()
    assert '[["out",{"children":1}]]' in panel.inner_text()
    with tab.page.expect_download() as saving:
        panel.get_by_role("button", name="Save recording").click()
    path = tmp_path / "streams.json"
    saving.value.save_as(path)
    [recording] = recordings(path)
    assert recording.callback.endswith(".endless")
    assert recording.triggered == ("endless.n_clicks",)
    assert recording.reason == "cancelled"
    updates = [update for _, update in recording.updates]
    numbers = range(1, len(updates) + 1)
    assert updates == [stream_props("out", {"children": n}) for n in numbers]


def test_the_panel_lists_subscriptions_apart_from_runs(tab: Tab) -> None:
    tab.page.click(BUTTON)
    topics = tab.page.locator(f"{PANEL} [aria-label=Topics]")
    tab.click("watch")
    rows = topics.locator("tbody tr")
    rows.nth(1).get_by_text("live").wait_for()
    rows.nth(0).get_by_text("live").wait_for()
    before = len(tab.requests)
    tab.click("publish")
    for row in rows.all():
        row.get_by_text("50", exact=True).nth(1).wait_for()  # offset and messages
    topics.get_by_text("100 messages, 0.0/s").wait_for()
    assert [row.inner_text().split("\t") for row in rows.all()] == [
        [name, "debug/news", "live", "50", "0", "50", "0.0"]
        for name in ("news", '{"index":1,"type":"sub"}')
    ]
    runs = tab.page.locator(f"{PANEL} > table tbody tr")
    assert ["publish" in row.inner_text() for row in runs.all()] == [True]
    actions = [url.rpartition("/")[2] for url in tab.requests[before:] if "_dash-flash" in url]
    assert set(actions) <= {"start", "alive"}
    assert tab.page.locator(BUTTON).inner_text() == "Streams (0)"
    tab.page.set_viewport_size({"width": 390, "height": 844})
    box = tab.page.locator(PANEL).bounding_box()
    assert box
    assert (box["x"], box["x"] + box["width"]) == (16, 374)


def test_without_debug_there_is_no_panel(context: BrowserContext, kitchen: Served) -> None:
    with sound_tab(context, kitchen) as tab:
        assert not [url for url in tab.requests if "devtool" in url]
