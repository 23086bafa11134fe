"""The page loses no yielded update: bursts, commands, patches, missing targets."""

import json

import pytest

from tests.support.tab import Tab

PLOT = "document.querySelector('#graph .js-plotly-plot').data"
ROWS = "dash_ag_grid.getApi('grid')"


def settled(tab: Tab, component_id: str = "ordinary") -> None:
    """A round trip through server and page, after which late updates have arrived."""
    tab.click(component_id)
    tab.wait_for("answer", "answer")


class TestBursts:
    def test_20000_texts_do_not_freeze_the_page(self, tab: Tab) -> None:
        tab.click("burst")
        tab.click("ordinary")
        tab.wait_for("answer", "answer 1")
        tab.wait_for("out", "burst 20000")

    def test_2000_points_in_a_burst_are_2000_points(self, desk: Tab) -> None:
        desk.page.wait_for_selector("#graph .js-plotly-plot")
        desk.click("points")
        desk.wait_until(f"{PLOT}[0].x.length >= 2000")
        settled(desk)
        assert desk.page.evaluate(f"{PLOT}[0].x") == list(range(2000))

    def test_points_before_the_first_drawing_of_the_graph_are_not_lost(self, desk: Tab) -> None:
        desk.click("points")
        desk.wait_until(
            f"document.querySelector('#graph .js-plotly-plot') && {PLOT}[0].x.length >= 2000"
        )
        settled(desk)
        assert desk.page.evaluate(f"{PLOT}[0].x") == list(range(2000))

    def test_500_points_per_second_are_neither_lost_nor_duplicated(self, desk: Tab) -> None:
        desk.page.wait_for_selector("#graph .js-plotly-plot")
        desk.click("steady")
        desk.wait_until(f"{PLOT}[0].x.length >= 1000", seconds=20)
        settled(desk)
        assert desk.page.evaluate(f"{PLOT}[0].x") == list(range(1000))

    def test_points_of_several_traces_each_stay_in_order(self, desk: Tab) -> None:
        desk.page.wait_for_selector("#graph .js-plotly-plot")
        desk.click("traces")
        desk.wait_until(f"{PLOT}[0].x.length >= 104 && {PLOT}[1].x.length >= 100", seconds=20)
        settled(desk)
        first, second = desk.page.evaluate(f"{PLOT}.map(trace => Array.from(trace.x))")
        expected = [
            n
            for i in range(200)
            for n in ([i] if i % 2 == 0 else []) + ([i] if i % 50 == 49 else [])
        ]
        assert (first, second) == (expected, list(range(1, 200, 2)))

    def test_2000_rows_in_a_burst_are_2000_rows(self, desk: Tab) -> None:
        desk.click("rows")
        desk.wait_until(f"window.dash_ag_grid && {ROWS}?.getDisplayedRowCount() >= 2000")
        settled(desk)
        assert desk.page.evaluate(f"{ROWS}.getDisplayedRowCount()") == 2000

    def test_transactions_keep_their_order(self, desk: Tab) -> None:
        desk.page.wait_for_selector("#grid .ag-root")
        desk.click("mixed")
        desk.wait_until(f"{ROWS}.getRowNode('m28') && !{ROWS}.getRowNode('m29')")
        settled(desk)
        assert desk.page.evaluate(f"{ROWS}.getDisplayedRowCount()") == 20

    def test_every_notification_shows(self, desk: Tab) -> None:
        desk.click("notify")
        for n in range(10):
            desk.page.wait_for_selector(f"text=note {n} >> nth=0", state="attached")

    def test_500_patches_build_on_each_other(self, tab: Tab) -> None:
        tab.click("patches")
        tab.wait_until("document.querySelector('#patched-out').textContent.includes('\"n\": 500')")
        assert json.loads(tab.text("patched-out")) == {"items": list(range(500)), "n": 500}

    def test_points_extend_arrays_that_plotly_express_has_encoded(self, desk: Tab) -> None:
        desk.page.wait_for_selector("#express .js-plotly-plot")
        plot = "document.querySelector('#express .js-plotly-plot').data[0].y"
        desk.click("packed")
        desk.wait_until(f"{plot}.length >= 100")
        assert desk.page.evaluate(f"Array.from({plot})") == list(range(10, 110))

    def test_prepended_points_come_before_existing_ones(self, desk: Tab) -> None:
        desk.page.wait_for_selector("#graph .js-plotly-plot")
        desk.click("before")
        desk.wait_until(f"{PLOT}[0].x.length >= 500")
        settled(desk)
        assert desk.page.evaluate(f"{PLOT}[0].x") == list(range(499, -1, -1))

    def test_rows_for_a_grid_in_another_tab_wait_until_it_is_shown(self, desk: Tab) -> None:
        desk.click("tabbed")
        desk.wait_for("message", "all sent")
        desk.page.click("text=second tab")
        desk.wait_until(
            "document.querySelector('#tabbed-grid .ag-root') &&"
            " dash_ag_grid.getApi('tabbed-grid').getDisplayedRowCount() === 50"
        )
        desk.page.click("text=first tab")
        desk.page.wait_for_selector("#tabbed-grid", state="detached")
        desk.click("stop")
        desk.wait_for("message", "tabbed was reset")

    def test_no_row_arrives_after_the_reset_of_its_grid(self, desk: Tab) -> None:
        desk.page.wait_for_selector("#grid .ag-root")
        desk.click("clear")
        desk.wait_until(f"{ROWS}?.getDisplayedRowCount() > 20")
        desk.click("clear")
        desk.wait_until(f"{ROWS}.getDisplayedRowCount() === 0")
        desk.page.evaluate(f"{ROWS}.flushAsyncTransactions()")
        assert desk.page.evaluate(f"{ROWS}.getDisplayedRowCount()") == 0


def test_a_batch_is_applied_in_one_commit(tab: Tab) -> None:
    tab.page.evaluate(
        """() => {
            const text = id => document.getElementById(id).textContent;
            window.apart = [];
            window.seen = 0;
            new MutationObserver(() => {
                window.seen++;
                const pair = [text('both-one'), text('both-two')];
                if (pair[0] !== pair[1]) window.apart.push(pair);
            }).observe(document.body, {subtree: true, childList: true, characterData: true});
        }"""
    )
    tab.click("pairs")
    tab.wait_for("message", "all pairs sent")
    assert tab.page.evaluate("window.seen") > 10
    assert tab.page.evaluate("window.apart") == []


def test_eight_endless_streams_leave_the_page_responsive(tab: Tab) -> None:
    for n in range(8):
        tab.click(f"endless{n}")
    for n in range(8):
        tab.wait_for(f"endless-out{n}", "5")
    for click in range(1, 4):
        tab.click("ordinary")
        tab.wait_for("answer", f"answer {click}")
    tab.click("stop")


def test_a_hidden_page_continues(tab: Tab) -> None:
    tab.page.evaluate(
        "() => { Object.defineProperty(document, 'hidden', {get: () => true});"
        " window.requestAnimationFrame = () => 0; }"
    )
    tab.click("burst")
    tab.wait_for("out", "burst 20000")


@pytest.mark.parametrize("button", ["tracked", "tracked-async"])
def test_a_tracked_iteration_fills_its_bar(tab: Tab, button: str) -> None:
    tab.page.evaluate(
        """() => {
            const bar = document.getElementById('bar');
            window.shown = [];
            new MutationObserver(() => window.shown.push(bar.value)).observe(
                bar, {attributes: true, attributeFilter: ['value']});
        }"""
    )
    tab.click(button)
    tab.wait_for("message", "all tracked")
    shown = tab.page.evaluate("window.shown")
    assert shown == sorted(shown)
    assert shown[-1] == 100
    assert tab.page.evaluate("document.getElementById('bar').value") == 100
    assert tab.text("bar-text").startswith("100 %, ")
    assert tab.text("bar-text").endswith("/s, 0:00 left")
