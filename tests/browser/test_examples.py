"""The examples do what they show, in a browser."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.conftest import Tab
from tests.conftest import Served, serving

Examples = Callable[[str], Served]

ROWS = "dash_ag_grid.getApi('grid').getDisplayedRowCount()"


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Examples]:
    """Serves each example once, when it is asked for."""
    with ExitStack() as stack:

        @cache
        def serve(name: str) -> Served:
            home = tmp_path_factory.mktemp(name)
            return stack.enter_context(serving(f"examples.{name}:server", home))

        yield serve


@contextmanager
def opened(context: BrowserContext, served: Served) -> Iterator[Tab]:
    """An example in a browser; nothing may have gone wrong in it."""
    tab = Tab(context.new_page(), served).open()
    yield tab
    tab.page.close()
    assert not tab.errors


def points(component_id: str, trace: int = 0) -> str:
    graph = f"document.querySelector('[id=\"{component_id}\"] .js-plotly-plot')"
    return f"{graph}?.data[{trace}].x.length"


def test_quickstart_streams_stops_and_resets(context: BrowserContext, examples: Examples) -> None:
    with opened(context, examples("quickstart")) as tab:
        tab.page.wait_for_selector("#graph .js-plotly-plot")
        tab.click("start")
        tab.wait_until(f"{points('graph', 5)} > 10")
        tab.click("stop")
        tab.wait_until(f"{points('graph')} === 0")
        tab.click("start")
        tab.wait_until(f"{points('graph')} === 105", seconds=20)


class TestProgressTable:
    """The gapminder table fills; cancel empties it; reload begins again."""

    @pytest.fixture
    def tab(self, context: BrowserContext, examples: Examples) -> Iterator[Tab]:
        with opened(context, examples("progress_table")) as tab:
            tab.page.wait_for_selector("#grid .ag-root")
            yield tab

    def test_every_row_arrives_once(self, tab: Tab) -> None:
        tab.click("start")
        tab.page.wait_for_selector("text=All 1,704 rows are here.", timeout=30_000)
        tab.wait_for("progress-text", "1,704 of 1,704 rows")
        tab.wait_until(f"{ROWS} === 1704")

    def test_cancel_empties_the_table(self, tab: Tab) -> None:
        tab.click("start")
        tab.wait_until(f"{ROWS} > 50")
        tab.click("cancel")
        tab.wait_until(f"{ROWS} === 0")
        tab.wait_for("progress-text", "0 of 1,704 rows")
        tab.page.wait_for_selector("text=Stopped")

    def test_reload_begins_again(self, tab: Tab) -> None:
        tab.click("start")
        tab.wait_until(f"{ROWS} > 50")
        for _ in range(3):
            tab.click("reload")
        tab.page.wait_for_selector("text=All 1,704 rows are here.", timeout=30_000)
        tab.wait_until(f"{ROWS} === 1704")


class TestLiveDashboard:
    """Four stocks tick until they are ended, the page is left, or the feed fails."""

    @pytest.fixture
    def tab(self, context: BrowserContext, examples: Examples) -> Iterator[Tab]:
        with opened(context, examples("live_dashboard")) as tab:
            tab.page.wait_for_selector("#graph-MSFT .js-plotly-plot")
            tab.click("start")
            for stock in ("GOOG", "AAPL", "AMZN", "MSFT"):
                tab.wait_until(f"{points(f'graph-{stock}')} > 5")
            yield tab

    def test_end_stops_the_ticks(self, tab: Tab) -> None:
        assert tab.text("status") == "Live"
        tab.click("end")
        tab.wait_for("status", "Idle")
        assert tab.page.is_enabled("#start")

    def test_leaving_the_page_ends_the_stream(self, tab: Tab) -> None:
        tab.click("about-link")
        tab.page.wait_for_selector("#back")
        stopped = [url for url in tab.requests if url.endswith("/_dash-flash-events/stop")]
        assert len(stopped) == 1
        tab.click("back")
        tab.page.wait_for_selector("#graph-MSFT .js-plotly-plot")
        tab.wait_for("status", "Idle")

    def test_a_failure_shows_a_notification(self, tab: Tab) -> None:
        tab.click("fail")
        tab.page.wait_for_selector("text=The feed has failed")
        tab.wait_for("status", "Failed")
        tab.click("start")
        tab.wait_for("status", "Live")
        tab.wait_until(f"{points('graph-AAPL')} > 2")
