"""Errors in debug mode, in the terminal and in Dash's dev tools."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from tests.support.server import ROOT, Served, serving, wait_until
from tests.support.tab import Tab

SOURCE = ROOT / "tests" / "apps" / "mistaken.py"

ERRORS = (
    """globalThis.store.getState().error.backEnd.map(({error}) => [error.message, error.html])"""
)
"""Expression for the text of the error panel in Dash's dev tools."""


AT_ONCE = {
    'No component with the id "sotp"',
    'No component with the id "ou"',
    'No prop "disable" in Button "go"',
    'No prop "childern" in Text "text"',
}
"""The errors of the event callbacks' dependencies, which come when the page has loaded."""


@pytest.fixture(scope="module", params=["quart", "fastapi"])
def mistaken(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    environment: Any = {"BACKEND": request.param}
    with serving("tests.apps.mistaken", tmp_path_factory.mktemp("app"), **environment) as served:
        yield served


@pytest.fixture
def tab(context: BrowserContext, mistaken: Served) -> Iterator[Tab]:
    tab = Tab(context.new_page(), mistaken).open()
    yield tab
    tab.page.close()


def place_of(comment: str) -> str:
    """Returns the line that ends in a comment, as a traceback names it."""
    lines = SOURCE.read_text("utf-8").splitlines()
    [number] = [n for n, line in enumerate(lines, 1) if line.endswith(f"  # {comment}")]
    return f'"{SOURCE}", line {number}'


def errors_of(tab: Tab) -> dict[str, str]:
    """Returns the dev tools' messages by title; each title occurs once."""
    told = tab.page.evaluate(ERRORS)
    errors = {title: str(text) for title, text in told}
    assert len(errors) == len(told)
    return errors


def wait_for_dependencies(tab: Tab) -> None:
    wait_until(lambda: set(errors_of(tab)) == AT_ONCE, 10, "the errors of the dependencies")


def wait_for_error(tab: Tab, title: str) -> str:
    wait_until(lambda: title in errors_of(tab), 10, title)
    return errors_of(tab)[title]


@pytest.mark.parametrize(
    ("button", "comment", "message"),
    [
        ("raises", "raises", "ValueError: shown to the developer"),
        ("raises-plain", "raises in a thread", "ValueError: shown to the developer"),
        ("unsendable", "unsendable", "object at children has no JSON form."),
        ("pushes", "unsendable and pushed", "object at children has no JSON form."),
        ("nothing", "no update", "got str 'nothing'"),
        ("late", "too late", "It ran longer than timeout=0.1 seconds."),
        ("bad-handler", "on_error", "LookupError: the handler itself"),
    ],
)
def test_t1_an_error_shows_its_source_and_its_traceback_in_terminal_and_dev_tools(
    tab: Tab, button: str, comment: str, message: str
) -> None:
    name = button.replace("-", "_")
    tab.click(button)
    shown = wait_for_error(tab, f"Error in __main__.{name}")
    assert shown.startswith(f'{name} in "{SOURCE}", line ')
    for text in (shown, tab.served.log()):
        assert f"File {place_of(comment)}, in " in text
        assert message in text
    assert f"__main__.{name} failed (ref " in tab.served.log()
    assert str(ROOT / "flash_events") not in shown


@pytest.mark.parametrize(
    ("button", "comment"),
    [
        ("ends", "finally"),
        ("ends-plain", "finally in a thread"),
    ],
)
def test_t1_an_exception_in_finally_of_a_cancelled_run_is_shown_in_the_terminal(
    tab: Tab, button: str, comment: str
) -> None:
    tab.click(button)
    tab.wait_for("out", f"{button} can be stopped")
    tab.click("stop")
    name = button.replace("-", "_")
    expected = f"__main__.{name} failed while it was cancelled"
    wait_until(lambda: expected in tab.served.log(), 10, expected)
    wait_until(lambda: f"File {place_of(comment)}, in {name}" in tab.served.log(), 10, comment)


def test_t2_wrong_ids_and_props_are_errors_in_dev_tools_once_each(tab: Tab) -> None:
    wait_for_dependencies(tab)
    names = {"sotp": "cancel", "ou": "reset_props", "disable": "running", "childern": "State"}
    for title, text in errors_of(tab).items():
        assert names[title.split('"')[1]] in text
        assert "The event callback __main__.targets " in text
    for n in (1, 2):
        tab.click("go")
        tab.wait_for("text", f"streamed {n}")
    later = {
        'No component with the id "outt"',
        'No prop "chidren" in Div "out"',
        'No prop "colour" in Text "text"',
    }
    told = tab.page.evaluate(ERRORS)
    missing = [text for title, text in told if title == 'No component with the id "outt"']
    assert {title for title, _ in told} == AT_ONCE | later
    assert len(told) == len(AT_ONCE) + len(later) + 1  # "outt" would have got two props
    [pushed, yielded] = missing
    assert f"Streamed in {place_of('a wrong id')}." in yielded
    assert f"Streamed in {place_of('a wrong id that is pushed')}." in pushed
    assert 'Did you mean "out"?' in yielded
    assert 'for its prop "children"' in yielded


def test_t2_the_panel_shows_them(tab: Tab) -> None:
    wait_for_dependencies(tab)  # the next error moves those before it in the panel
    tab.page.get_by_text('No component with the id "sotp"').first.click()
    tab.page.get_by_text('Did you mean "stop"?').wait_for()


def test_t9_an_app_without_event_callbacks_loads_nothing_of_the_package(
    context: BrowserContext, tmp_path: Path
) -> None:
    with serving("tests.apps.unused", tmp_path) as served:
        tab = Tab(context.new_page(), served).open()
        tab.click("click")
        tab.wait_for("out", "clicked 1")
        tab.page.get_by_text("Callbacks").wait_for()  # of the dev tools
        assert "flash_events" not in tab.page.content()
        assert not [url for url in tab.requests if "flash" in url]
        assert not tab.errors
