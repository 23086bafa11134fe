"""The request of a start, and how the page handles a refusal."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import BrowserContext

from tests.support.proxy import proxied
from tests.support.server import Served, serving
from tests.support.tab import WITHOUT_WORKER, Tab, goes_on

ROOM = 3

OWNERS = pytest.mark.parametrize("script", ["", WITHOUT_WORKER], ids=["shared", "owned"])


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("starts")
    with serving(
        "tests.apps.starts:server", home, FLASH_EVENTS_MAX_RUNS_PER_PAGE=str(ROOM)
    ) as served:
        yield served


@pytest.fixture
def tab(context: BrowserContext, app: Served, script: str) -> Iterator[Tab]:
    """A page that shares a worker or has its own connection; no token is required yet."""
    httpx.get(f"{app.url}open")
    tab = Tab(context.new_page(), app)
    if script:
        tab.page.add_init_script(script)
    yield tab.open()
    tab.page.close()


def button(name: str, index: int) -> str:
    return f'{{"index":{index},"type":"{name}"}}'


@OWNERS
def test_p5_a_grid_requests_its_rows(tab: Tab, app: Served) -> None:
    """P5: the request of AG Grid's infinite rows holds functions, which JSON drops."""
    tab.page.wait_for_selector("text=row 0")
    request = app.marks("rows")[-1]["request"]
    assert (request["startRow"], request["endRow"]) == (0, 100)
    assert "successCallback" not in request
    assert not tab.errors
    assert not tab.warnings


@OWNERS
def test_p17_runs_above_the_limit_wait_in_order(tab: Tab, app: Served) -> None:
    """P17: starts above the limit of runs wait in order, one for each run that ends."""
    before = len(app.marks("panel"))
    for index in range(5):
        tab.click(button("go", index))
    for index in range(ROOM):
        goes_on(tab, button("panel", index))
    tab.wait_for("states", "running running running queued queued")
    tab.click(button("halt", 3))  # while it waits
    tab.click(button("halt", 0))
    goes_on(tab, button("panel", 4))
    began = [mark["index"] for mark in app.marks("panel")[before:]]
    assert began == [0, 1, 2, 4]
    tab.wait_for("states", "cancelled running running cancelled running")
    assert len(tab.warnings) == 1
    assert "max_runs_per_page" in tab.warnings[0]


@OWNERS
def test_p21_hooks_are_called_and_tokens_are_refreshed(tab: Tab, app: Served) -> None:
    """P21: our requests call the renderer's hooks, and are retried with a refreshed token."""
    tab.click("count")
    find = "window.before?.find(body => body.changedPropIds[0] === 'count.n_clicks')"
    tab.wait_until(f"window.after?.some(([output]) => output === {find}?.output)")
    body = tab.page.evaluate(find)
    assert body["inputs"] == [{"id": "count", "property": "n_clicks", "value": 1}]
    assert body["changedPropIds"] == body["parsedChangedPropsIds"] == ["count.n_clicks"]
    assert [body["output"], {}] in tab.page.evaluate("after")
    goes_on(tab, "counted")
    token = httpx.get(f"{app.url}expire").text
    tab.click(button("go", 0))
    goes_on(tab, button("panel", 0))
    expired = tab.page.evaluate("expired")
    assert expired[-1] is None or expired[-1] != token
    assert not tab.warnings


@OWNERS
def test_p21_a_run_continues_when_its_token_expires(
    context: BrowserContext, app: Served, script: str
) -> None:
    """P21: a connection that is cut after the token has expired is resumed with another one."""
    with proxied(app.url) as proxy:
        tab = Tab(context.new_page(), app)
        if script:
            tab.page.add_init_script(script)
        tab.page.goto(proxy.url)
        tab.page.wait_for_selector("button:visible")
        tab.click("count")
        goes_on(tab, "counted")
        httpx.get(f"{app.url}expire")
        refused = len(app.marks("refused"))
        proxy.cut()
        app.wait_for_mark("refused", refused + 1)
        tab.page.evaluate("document.getElementById('counted').textContent = '0'")
        goes_on(tab, "counted")
        assert not tab.warnings
        tab.page.close()
