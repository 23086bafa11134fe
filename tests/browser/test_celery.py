"""Runs in Celery workers, as a user sees them."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext

from tests.support.celery_worker import Celery, another, together
from tests.support.proxy import proxied
from tests.support.tab import Tab, goes_on


@pytest.fixture
def tab(context: BrowserContext, celery: Celery) -> Iterator[Tab]:
    tab = Tab(context.new_page(), celery.served).open()
    yield tab
    tab.page.close()
    assert not tab.errors


def stops(tab: Tab, celery: Celery, name: str) -> None:
    """Presses the stop button: the generator ends in the worker, and the page is reset."""
    before = len(celery.served.marks(f"{name} finally"))
    tab.click("stop")
    done = celery.served.wait_for_mark(f"{name} finally", before + 1)
    assert done["time"] - tab.clicked_at() < 1
    tab.wait_for("message", "was reset")
    tab.wait_for("spinner", "off")


@pytest.mark.deadline
def test_it_streams_restarts_and_stops_like_a_run_in_the_web_server(
    tab: Tab, celery: Celery
) -> None:
    tab.click("ticks")
    tab.wait_for("spinner", "on")
    goes_on(tab, "out", "1:")
    before = len(celery.served.marks("ticks finally"))
    tab.click("ticks")
    assert celery.served.wait_for_mark("ticks finally", before + 1)["n_clicks"] == 1
    goes_on(tab, "out", "1:")
    assert tab.text("spinner") == "on"
    stops(tab, celery, "ticks")
    assert celery.served.marks("ticks finally")[-1]["n_clicks"] == 2


@pytest.mark.deadline
def test_a_kept_run_is_shown_again_after_a_reload(tab: Tab, celery: Celery) -> None:
    tab.click("keep")
    goes_on(tab, "out", "keep ")
    shown = int(tab.text("out").removeprefix("keep "))
    tab.page.reload()
    goes_on(tab, "out", "keep ")
    assert int(tab.text("out").removeprefix("keep ")) > shown
    assert tab.text("spinner") == "on"
    stops(tab, celery, "keep")


@pytest.mark.deadline
def test_a_page_continues_when_the_web_server_is_replaced(
    context: BrowserContext, celery: Celery, tmp_path: Path
) -> None:
    homes = [tmp_path / "before", tmp_path / "after"]
    for home in homes:
        home.mkdir()
    with (
        together(*(another(celery, home) for home in homes)) as [before, after],
        proxied(before.url) as proxy,
    ):
        tab = Tab(context.new_page(), replace(celery.served, url=proxy.url))
        tab.open()
        tab.click("ticks")
        goes_on(tab, "out", "1:")
        proxy.aim(after.url)
        before.process.terminate()
        before.process.wait(10)
        shown = int(tab.text("out").removeprefix("1:"))
        goes_on(tab, "out", "1:")
        assert int(tab.text("out").removeprefix("1:")) > shown
        assert tab.text("spinner") == "on"
        stops(tab, celery, "ticks")
        assert not tab.warnings
        tab.page.close()
