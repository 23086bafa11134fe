"""Common mistakes in debug mode: Dash's dev tools show the fix."""

from tests.support.mistakes import MISTAKES
from tests.support.tab import Tab, app_fixture

app = app_fixture("tests.apps.mistakes:server")

SHOWN = "JSON.stringify(store.getState().error.backEnd)"
"""Expression for the errors that Dash's dev tools list."""


def press(tab: Tab, button: str) -> None:
    """Presses a button that the dev tools may cover."""
    tab.page.evaluate("id => document.getElementById(id).click()", button)


def test_each_is_shown_with_its_fix_and_the_next_run_works(tab: Tab) -> None:
    """T5: one press of each; a failed run must not block the next."""
    for name in MISTAKES:
        press(tab, name)
    wanted = sorted({part for mistake in MISTAKES.values() for part in mistake.says})
    tab.wait_until(f"store.getState().error.backEnd.length >= {len(MISTAKES)}")
    shown = tab.page.evaluate(SHOWN)
    assert not [part for part in wanted if part not in shown]
    press(tab, "right")
    tab.wait_for("out", "right 1")
    tab.errors.clear()  # errors in the dev tools are in the console, too


def test_points_of_a_missing_trace_cause_an_error_that_names_graph_and_trace(
    tab: Tab,
) -> None:
    """T5: only the page knows which traces there are."""
    tab.wait_until("document.querySelector('#graph .js-plotly-plot')")
    press(tab, "another-trace")
    tab.wait_until(f"{SHOWN}.includes('graph')")
    shown = tab.page.evaluate(SHOWN)
    assert "rejected its extendData of trace 7" in shown
    assert "It has 1 traces, counted from 0." in shown
    tab.errors.clear()


def test_points_for_a_graph_without_a_figure_are_an_error_with_its_cure(tab: Tab) -> None:
    tab.wait_until("document.querySelector('#empty .js-plotly-plot')")
    press(tab, "no-trace")
    tab.wait_until(f"{SHOWN}.includes('empty')")
    shown = tab.page.evaluate(SHOWN).replace("\\", "")
    assert "It has 0 traces, counted from 0." in shown
    assert 'Set its figure first: {"data": [{"x": [], "y": []}]}' in shown
    tab.errors.clear()


def test_track_fills_the_progress_bar_of_html(tab: Tab) -> None:
    """Dash declares its value as a string, and in debug mode takes a page down for a number."""
    press(tab, "progress")
    tab.wait_for("out", "step 4")
    tab.wait_until("document.getElementById('bar').value === 100")
    assert not tab.page.evaluate("store.getState().error.frontEnd.length")
