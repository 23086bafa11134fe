"""The gallery shows every example with its source, and leaving one ends its runs."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext

from tests.support.server import ROOT, Served, wait_until
from tests.support.tab import Tab, sound_tab, wait_for_runs

EXAMPLES = {
    "quickstart": "#start",
    "progress_table": "#table-start",
    "live_dashboard": "#dashboard-start",
    "chat": "#chat-send",
    "log_tail": "#log-start",
    "form": "#form-name",
    "cards": "[id*='cards-start']",
    "frames": "#frames-start",
    "shared_filter": "#filter-year",
    "script_feed": "#feed-start",
}
"""The control that starts each of them; a form starts on input."""

SHARING = ("shared_filter", "script_feed")
"""Those without event callbacks: pages share something."""

INDEX = "main a[href='/chat']"


@pytest.fixture
def tab(context: BrowserContext, gallery: Served) -> Iterator[Tab]:
    with sound_tab(context, gallery) as tab:
        tab.page.wait_for_selector(INDEX)
        yield tab
        home = urlsplit(gallery.url).netloc
        assert {urlsplit(url).netloc for url in tab.requests} <= {home, ""}  # "": data and blobs


def path_of(name: str) -> str:
    return "/" + name.replace("_", "-")


def source_of(name: str) -> str:
    return (ROOT / "examples" / f"{name}.py").read_text("utf-8")


def open_from_index(tab: Tab, name: str) -> None:
    tab.page.click(f"main a[href='{path_of(name)}']")
    tab.page.wait_for_selector(EXAMPLES[name])


def test_every_example_is_on_the_index_page(tab: Tab) -> None:
    files = {file.stem for file in (ROOT / "examples").glob("*.py")} - {"__init__", "gallery"}
    assert files == set(EXAMPLES)
    links = "[...document.querySelectorAll('main a')].map(link => new URL(link.href).pathname)"
    assert tab.page.evaluate(links) == [path_of(name) for name in EXAMPLES]


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name not in SHARING])
def test_an_example_has_its_source_and_ends_when_it_is_left(name: str, tab: Tab) -> None:
    served = tab.served
    cancelled = served.metric("ends_cancelled_total")
    open_from_index(tab, name)
    shown = "document.querySelector('#gallery-source code')?.textContent"
    tab.wait_until(shown)
    assert tab.page.evaluate(shown).strip() == source_of(name).strip()
    wait_for_runs(served, 0)  # none starts by itself
    if name in ("form", "chat"):
        tab.page.fill({"form": "#form-name", "chat": "#chat-prompt"}[name], "grace")
    if name != "form":
        tab.page.click(EXAMPLES[name])
    wait_for_runs(served, 1)
    tab.page.click("nav a[href='/']")
    tab.page.wait_for_selector(INDEX)
    wait_for_runs(served, 0)
    assert served.metric("ends_cancelled_total") == cancelled + 1
    assert not tab.page.query_selector(".mantine-Notification-root")  # T11: no stop was requested


@pytest.mark.parametrize("name", SHARING)
def test_an_example_that_shares_has_its_source_and_ends_when_it_is_left(
    name: str, tab: Tab
) -> None:
    open_from_index(tab, name)
    tab.wait_until("document.querySelector('#gallery-source code')")
    shown = tab.page.evaluate("document.querySelector('#gallery-source code').textContent")
    assert shown.strip() == source_of(name).strip()
    wait_until(lambda: tab.served.metric("subscriptions") == 1, 5, "a Subscription")
    tab.page.click("nav a[href='/']")
    tab.page.wait_for_selector(INDEX)
    wait_until(lambda: tab.served.metric("subscriptions") == 0, 5, "its end")


def test_a_failure_shows_a_notification_here_too(tab: Tab) -> None:
    open_from_index(tab, "live_dashboard")
    tab.page.click("#dashboard-start")
    tab.page.click("#dashboard-fail")
    tab.page.wait_for_selector(".mantine-Notification-root >> text=The feed has failed")


def test_nothing_is_wider_than_a_small_window(browser: Browser, gallery: Served) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    with sound_tab(context, gallery) as tab:
        tab.page.wait_for_selector(INDEX)
        for name in EXAMPLES:
            assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390, name
            tab.page.click("#gallery-burger")
            tab.page.click(f"nav a[href='{path_of(name)}']")
            tab.page.wait_for_selector(EXAMPLES[name])
            tab.wait_until("document.querySelector('nav').getBoundingClientRect().right <= 0")
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    context.close()


CONTRAST = (Path(__file__).parent.parent / "support/contrast.js").read_text("utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_t11_texts_can_be_read(browser: Browser, gallery: Served, scheme: Any) -> None:
    context = browser.new_context(color_scheme=scheme)
    with sound_tab(context, gallery) as tab:
        tab.page.wait_for_selector(INDEX)
        assert tab.page.evaluate(CONTRAST) == []
        for name, begin, shown in (
            ("live_dashboard", "#dashboard-start", "text=%"),
            ("form", "", "text=“ada” is taken"),
            ("cards", "button:has-text('Start')", "text=live"),
        ):
            tab.page.click(f"nav a[href='{path_of(name)}']")
            tab.page.wait_for_selector(EXAMPLES[name])
            if begin:
                tab.page.click(f"main {begin}")
            else:
                tab.page.fill("#form-name", "ada")
            tab.page.wait_for_selector(f"main >> {shown}")
            assert tab.page.evaluate(CONTRAST) == [], name
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_t11_the_quickstarts_graph_is_as_light_as_its_page(
    browser: Browser, gallery: Served, scheme: Any
) -> None:
    context = browser.new_context(color_scheme=scheme)
    with sound_tab(context, gallery) as tab:
        open_from_index(tab, "quickstart")
        graph = tab.page.wait_for_selector("#graph .js-plotly-plot .main-svg")
        assert graph
        picture = Image.open(BytesIO(graph.screenshot())).convert("L")
        background = picture.getpixel((2, 2))
        assert background == {"light": 255, "dark": 36}[scheme]
    context.close()


def test_t11_the_button_that_copies_covers_no_code(context: BrowserContext, tab: Tab) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_from_index(tab, "form")
    code = tab.page.locator("#gallery-source pre").bounding_box()
    button = tab.page.get_by_text("Copy", exact=True)
    place = button.bounding_box()
    assert code
    assert place
    assert place["y"] + place["height"] <= code["y"]
    button.click()
    tab.page.wait_for_selector("text=Copied")
    assert tab.page.evaluate("navigator.clipboard.readText()") == source_of("form")


def test_the_color_scheme_can_be_switched(browser: Browser, gallery: Served) -> None:
    context = browser.new_context(color_scheme="light")
    with sound_tab(context, gallery) as tab:
        scheme = "document.documentElement.dataset.mantineColorScheme"
        assert tab.page.evaluate(scheme) == "light"
        tab.page.click("text=☾")
        wait_until(lambda: tab.page.evaluate(scheme) == "dark", 5, "a dark page")
    context.close()
