"""Dash's own effects of a prop change are preserved, whichever way the prop is set."""

from tests.apps.holders import CARDS
from tests.support.server import Served
from tests.support.tab import Tab, app_fixture

app = app_fixture("tests.apps.holders:server")


def test_streamed_components_can_be_updated_at_once(tab: Tab) -> None:
    tab.click("fill")
    tab.wait_for("born", "born 19")
    tab.wait_for("followed", "followed asked 19")


def test_components_that_a_stream_removes_are_gone(tab: Tab) -> None:
    tab.click("fill")
    tab.wait_for("born", "born 19")
    tab.click("empty")
    tab.wait_for("holder", "nothing at all")
    assert any('"born"' in warning for warning in tab.warnings)


def test_a_container_may_be_set_after_its_content(tab: Tab) -> None:
    tab.click("fill")
    tab.wait_for("born", "born 19")
    tab.click("both")
    tab.wait_for("holder", "nothing left")


def test_listening_callbacks_get_the_last_value(tab: Tab) -> None:
    tab.click("hear")
    tab.wait_for("heard", "heard value 19")
    assert tab.page.get_attribute("#holder", "title") == "19"


def test_a_persisted_value_is_restored_after_a_reload(tab: Tab) -> None:
    value = "document.getElementById('kept').value"
    tab.click("persist")
    tab.wait_until(f"{value} === 'streamed'")
    tab.open()
    tab.wait_until(f"{value} === 'streamed'")


def test_a_loading_state_remains_while_its_content_is_streamed(tab: Tab, app: Served) -> None:
    spinner = "document.querySelector('.dash-spinner')"
    tab.click("slow")
    tab.wait_until(spinner)
    tab.click("load")
    tab.wait_for("loaded", "loaded 19")
    assert tab.page.evaluate(f"Boolean({spinner})")
    app.marks_file.with_name(f"{app.marks_file.name}.end").touch()
    tab.wait_until(f"!{spinner}")
    assert tab.text("loaded") == "loaded 19"


def test_a_component_that_draws_its_children_itself_gets_their_changes(tab: Tab) -> None:
    tab.click("label")
    tab.wait_for("tab", "new")


def test_hundreds_of_components_with_dict_ids_all_show_their_last_value(tab: Tab) -> None:
    tab.click("cards")
    tab.wait_for("heard-cards", f"{CARDS} done")
    texts = "[...document.querySelectorAll('.done')].map(one => one.textContent)"
    tab.wait_until("document.querySelectorAll('.done').length")
    assert tab.page.evaluate(texts) == [f"{n} in round 3" for n in range(CARDS)]
