"""T3: uploads up to Dash's own limit, and the message for larger ones."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext

from tests.support.server import Served
from tests.support.tab import WITHOUT_WORKER, Tab, app_fixture, goes_on, sound_tab

app = app_fixture("tests.apps.uploads:server")

MB = 10**6


@pytest.fixture(params=["", WITHOUT_WORKER], ids=["shared", "owned"])
def tab(context: BrowserContext, app: Served, request: pytest.FixtureRequest) -> Iterator[Tab]:
    tab = Tab(context.new_page(), app)
    tab.page.add_init_script(request.param)
    yield tab.open()
    tab.page.close()


def upload(tab: Tab, component_id: str, size: int) -> int:
    """Drops a file of `size` bytes; returns the length of its `contents`."""
    file = tab.served.marks_file.with_name(f"{size}.bin")
    file.write_bytes(b"x" * size)
    tab.page.set_input_files(f"#{component_id} input[type=file]", file)
    return len("data:application/octet-stream;base64,") + (size + 2) // 3 * 4


def test_t3_a_file_of_2_mb_arrives(tab: Tab) -> None:
    length = upload(tab, "upload", 2 * MB)
    tab.wait_for("out", f"{2 * MB}.bin: {length}")
    tab.wait_for("states", "done idle")
    assert not tab.warnings


def test_t3_a_file_of_20_mb_is_reported_by_on_error_after_the_resets(tab: Tab) -> None:
    """The message replaces a reset value, and `running` is set off."""
    upload(tab, "upload", 20 * MB)
    message = tab.wait_for("message", "too_large: The request has 26,6")
    assert "max_body_bytes" in message
    tab.wait_for("states", "error idle")
    assert tab.text("out") == "was reset"
    assert tab.text("busy") == "idle"
    [warning] = tab.warnings
    assert "too_large" in warning
    upload(tab, "upload", 1000)
    tab.wait_for("out", "1000.bin: ")


def test_t3_without_on_error_the_state_and_dashs_dev_tools_show_it(tab: Tab) -> None:
    upload(tab, "untold", 20 * MB)
    tab.wait_for("states", "idle error")
    assert tab.text("message") == "was reset"
    errors = tab.page.evaluate("store.getState().error.backEnd.map(({error}) => error.html)")
    assert any("max_body_bytes" in error for error in errors)


def test_t3_other_pages_continue_during_an_upload(context: BrowserContext, app: Served) -> None:
    """Tabs share a worker, which is not blocked by the upload."""
    with sound_tab(context, app) as first, sound_tab(context, app) as second:
        length = upload(first, "upload", 12 * MB)
        second.click("tick")
        goes_on(second, "ticks")
        first.wait_for("out", f"{12 * MB}.bin: {length}")
        goes_on(second, "ticks")
        second.click("stop")
