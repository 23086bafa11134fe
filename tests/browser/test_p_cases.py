"""The page ends as if each update was applied alone, in order, and each command ran once."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Dialog

from tests.support.server import wait_until
from tests.support.tab import Tab

GRID = "dash_ag_grid.getApi('lab-grid')"
DATA = "document.querySelector('#lab-graph .js-plotly-plot').data"


@pytest.fixture
def lab(desk: Tab) -> Iterator[Tab]:
    """A page without warnings at the end of the test."""
    yield desk
    assert desk.warnings == []


def leave_and_show(tab: Tab, selector: str) -> None:
    """Leaves the tab with this component and shows it again."""
    tab.page.click("#lab >> text=left")
    tab.page.wait_for_selector(selector, state="detached")
    tab.page.click("#lab >> text=shown")
    tab.page.wait_for_selector(selector)


def wait_for_events(tab: Tab, condition: Callable[[], bool], what: str) -> None:
    """Processes browser events, which arrive only during a call."""
    wait_until(lambda: tab.page.evaluate("true") and condition(), 5, what)


def test_p1_a_redrawn_component_has_the_later_values(lab: Tab) -> None:
    """P1: a value, a redrawn container, a value."""
    lab.click("redrawn")
    lab.wait_for("message", "redrawn")
    assert lab.text("child") == "B"


def test_p2_a_pattern_matches_components_that_were_drawn_before_it(lab: Tab) -> None:
    """P2: cards, and ALL of them, in one batch."""
    lab.click("marked")
    lab.page.wait_for_selector(".card")
    assert lab.page.locator(".card").all_text_contents() == ["marked"] * 3


def test_p2_a_pattern_matches_components_that_were_drawn_before_it_one_by_one(lab: Tab) -> None:
    """P2: the same in separate yields, many times."""
    lab.click("one-by-one")
    lab.wait_until("document.querySelectorAll('.card').length === 20")
    shown = "[...document.querySelectorAll('.card')].map(card => [card.textContent, card.title])"
    assert lab.page.evaluate(shown) == [[f"number {n}", "one of 20"] for n in range(20)]


def test_p6_points_are_extended_once_however_often_the_graph_is_shown(lab: Tab) -> None:
    """P6: dcc.Graph applies an `extendData` again that is still set when it is remounted."""
    lab.click("graph-tab")
    lab.page.wait_for_selector("#lab-graph .js-plotly-plot")
    lab.wait_until(f"{DATA}[0].x.length >= 3")
    for _ in range(3):
        leave_and_show(lab, "#lab-graph .js-plotly-plot")
    lab.click("ordinary")
    lab.wait_for("answer", "answer")
    assert lab.page.evaluate(f"{DATA}[0].x") == [1, 2, 3]


def test_p7_no_row_is_lost_while_the_grid_is_left_and_shown(lab: Tab) -> None:
    """P7: AG Grid batches transactions for 50 ms, and loses them when it is unmounted."""
    lab.click("grid-tab")
    lab.page.wait_for_selector("#lab-grid .ag-root")
    while lab.text("message") != "all rows sent":
        leave_and_show(lab, "#lab-grid .ag-root")
    lab.wait_until(f"{GRID}.getDisplayedRowCount() >= 100")
    assert lab.page.evaluate(f"{GRID}.getDisplayedRowCount()") == 100


def test_p10_a_command_that_runs_once_is_not_repeated_by_a_snapshot(desk: Tab) -> None:
    """P10: a kept run has downloaded a file and opened a dialog before the page is reloaded."""
    happened: list[str] = []
    desk.page.on("download", lambda file: happened.append(file.suggested_filename))

    def accept(dialog: Dialog) -> None:
        happened.append(dialog.message)
        dialog.accept()

    desk.page.on("dialog", accept)
    served = desk.served
    before = len(served.marks("once finally"))
    end = Path(f"{served.marks_file}.end")
    desk.click("once")
    desk.wait_for("lab-text", "done once")
    wait_for_events(desk, lambda: len(happened) == 2, "the download and the dialog")
    desk.page.reload()
    desk.wait_for("lab-text", "done once")
    end.touch()
    try:
        served.wait_for_mark("once finally", before + 1)
    finally:
        end.unlink()
    desk.click("ordinary")
    desk.wait_for("answer", "answer")
    assert sorted(happened) == ["Once?", "once.txt"]


def test_p11_each_download_is_a_file(lab: Tab) -> None:
    """P11: five updates of one dcc.Download without a pause."""
    files: list[str] = []
    lab.page.on("download", lambda file: files.append(file.suggested_filename))
    lab.click("files")
    lab.wait_for("message", "five files")
    wait_for_events(lab, lambda: len(files) == 5, "five files")
    assert sorted(files) == [f"file{n}.txt" for n in range(5)]


def test_p12_props_are_set_in_the_order_of_their_dict(lab: Tab) -> None:
    """P12: rows, and then a scroll to one of them."""
    lab.click("scrolled")
    lab.page.wait_for_selector("#lab-grid .ag-root")
    lab.wait_until(f"{GRID}.getDisplayedRowCount() === 500")
    lab.wait_until(f"{GRID}.getLastDisplayedRowIndex() === 499")


def test_p13_synchronous_transactions_keep_their_place(lab: Tab) -> None:
    """P13: AG Grid would apply the asynchronous ones later."""
    lab.click("synchronous")
    lab.wait_for("message", "all changes sent")
    lab.page.wait_for_selector("#lab-grid .ag-root")
    lab.wait_until(f"{GRID}.getDisplayedRowCount() === 2")
    value = "id => dash_ag_grid.getApi('lab-grid').getRowNode(id).data.v"
    lab.wait_until(f"({value})('b') !== 0")
    lab.page.evaluate(f"{GRID}.flushAsyncTransactions()")
    assert [lab.page.evaluate(value, row) for row in "ab"] == [2, 9]


def test_p15_a_rejected_command_is_an_error_and_the_graph_continues(desk: Tab) -> None:
    """P15: Plotly rejects points of a missing trace."""
    desk.click("refused")
    desk.page.wait_for_selector("#lab-graph .js-plotly-plot")
    desk.wait_until(f"{DATA}[0].x.length + {DATA}[1].x.length >= 19")
    expected = [[i for i in range(20) if i % 2 == 0], [i for i in range(20) if i % 2 and i != 5]]
    assert desk.page.evaluate(f"{DATA}.map(trace => trace.x)") == expected
    desk.click("refused")
    desk.wait_until(f"{DATA}[0].x[0] === 'new'")
    told = '"lab-graph" rejected its extendData of trace 7'
    [warning], [error] = desk.warnings, desk.errors
    assert told in warning
    assert told in error
    desk.errors.clear()


def test_p16_encoded_arrays_are_extended_anywhere_in_a_trace(lab: Tab) -> None:
    """P16: colors, sizes, errors and images of plotly.express."""
    lab.click("arrays")
    plot = "id => Array.from(document.querySelector(`#${id} .js-plotly-plot`)?.data ?? [])[0]"
    lab.wait_until(f"({plot})('scatter')?.x.length === 4 && ({plot})('image')?.z.length === 4")
    scatter, image = lab.page.evaluate(f"['scatter', 'image'].map({plot})")
    marker = scatter["marker"]
    arrays = (scatter["x"], scatter["y"], marker["color"], marker["size"])
    assert [*arrays, scatter["error_y"]["array"]] == [[1, 2, 3, 4]] * 5
    assert image["z"] == [[1, 2], [3, 4], [3, 3], [4, 4]]
