"""Apps are set up automatically; an app without event callbacks is unchanged."""

import asyncio
import gc
import hashlib
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from dash import Dash, Input, html
from dash.development.base_component import ComponentRegistry
from quart import Quart

from flash_events import ConfigurationError, FlashEvents, bridge, event_callback
from flash_events.bridge import NAMESPACE
from flash_events.plugin import COMPONENTS
from flash_events.sharing import apps
from flash_events.sharing.values import DeclaredValues
from tests.support.page import new_id
from tests.support.server import ROOT

START = Input("start", "n_clicks")


async def live(n: int) -> AsyncIterator[None]:
    yield


@pytest.fixture(autouse=True)
def _no_components(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Forgets components that other tests have imported, whose script all apps would load."""
    monkeypatch.delitem(sys.modules, COMPONENTS, raising=False)
    monkeypatch.delitem(ComponentRegistry.children_props, NAMESPACE, raising=False)
    is_known = NAMESPACE in ComponentRegistry.registry
    if is_known:
        ComponentRegistry.registry.discard(NAMESPACE)
    yield
    if is_known:
        ComponentRegistry.registry.add(NAMESPACE)


@pytest.fixture(autouse=True)
def _no_global_callbacks() -> Iterator[None]:
    registry = bridge.global_registry()
    registry.entries.clear()
    registry.by_id.clear()
    yield
    registry.entries.clear()
    registry.by_id.clear()
    Dash("tests", backend="quart")  # the app that was created last is the current one


def new_app(**options: Any) -> Dash:
    app = Dash("tests", backend="quart", **options)
    app.layout = html.Div(html.Button(id="start"))
    return app


async def page_of(app: Dash, path: str = "/") -> str:
    return str(await (await app.server.test_client().get(path)).get_data(as_text=True))


async def test_an_app_without_event_callbacks_loads_nothing_of_ours() -> None:
    assert "flash_events" not in await page_of(new_app())


async def test_t9_in_debug_mode_only_an_app_that_has_event_callbacks_gets_the_dev_tools() -> None:
    used, unused = new_app(), new_app()
    for app in (used, unused):
        app.enable_dev_tools(debug=True)
    FlashEvents(used).event_callback(START)(live)
    for _ in range(2):
        shown = await page_of(used)
        assert shown.count("static/flash_events_devtool") == 1
        assert shown.count('"type":"Devtool"') == 1
        assert f"test_plugin.py:{live.__code__.co_firstlineno}" in shown
        assert "flash_events" not in await page_of(unused)


async def test_t9_a_flask_app_in_debug_mode_that_uses_nothing_loads_nothing() -> None:
    flask = Dash("tests")
    flask.layout = html.Div()
    flask.enable_dev_tools(debug=True)
    assert "flash_events" not in flask.server.test_client().get("/").get_data(as_text=True)


async def test_t1_without_debug_no_place_reaches_the_page() -> None:
    app = new_app()
    FlashEvents(app, debug=False).event_callback(START)(live)
    assert ".py" not in await page_of(app)
    app.enable_dev_tools(debug=True)
    assert ".py" not in await page_of(app)


async def test_props_of_components_are_served_in_debug_mode_only() -> None:
    app = new_app()
    FlashEvents(app).event_callback(START)(live)
    client, url = (
        app.server.test_client(),
        "/_dash-flash-events/props?type=dash_html_components.Div",
    )
    assert (await client.get(url)).status_code == 404
    app.enable_dev_tools(debug=True)
    assert "children" in await (await client.get(url)).get_json()


async def test_a_callback_that_is_older_than_the_app_is_served() -> None:
    event_callback(START)(live)
    assert "static/flash_events" in await page_of(new_app())


async def test_a_callback_that_is_younger_than_the_app_is_served() -> None:
    app = new_app()
    event_callback(START)(live)
    assert "static/flash_events" in await page_of(app)


async def test_t9_an_app_with_topics_gets_the_script_once_the_components_are_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """T9: another app of the process, and one that only publishes, load nothing."""
    monkeypatch.setitem(sys.modules, COMPONENTS, sys)
    watching, other = new_app(), new_app()
    FlashEvents(watching).topic("prices")
    assert "static/flash_events." in await page_of(watching)
    assert "static/flash_events." not in await page_of(other)
    monkeypatch.delitem(sys.modules, COMPONENTS)
    publishing = new_app()
    FlashEvents(publishing).topic("prices")
    assert "static/flash_events." not in await page_of(publishing)


async def test_topics_without_an_app_are_those_of_the_only_configured_app(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared = DeclaredValues(apps.only_namespace)
    declared.topic("prices")
    monkeypatch.setattr(apps, "declared", declared)
    monkeypatch.setattr(apps, "_configured", weakref.WeakKeyDictionary())
    monkeypatch.setitem(sys.modules, COMPONENTS, sys)
    flask = Dash("tests")
    flask.layout = html.Div()
    assert "flash_events" not in flask.server.test_client().get("/").get_data(as_text=True)
    assert "static/flash_events." in await page_of(new_app())
    used, unused = new_app(), new_app()
    FlashEvents(used)
    assert "static/flash_events." in await page_of(used)
    assert "static/flash_events." not in await page_of(unused)


async def test_the_script_is_served_by_a_worker_that_has_rendered_no_page() -> None:
    app = new_app()
    event_callback(START)(live)
    client = app.server.test_client()
    await client.get("/_dash-layout")
    answer = await client.get("/_dash-component-suites/flash_events/static/flash_events.js")
    assert answer.status_code == 200


async def test_two_apps_do_not_serve_each_others_callbacks() -> None:
    one, two = new_app(), new_app()
    FlashEvents(one).event_callback(START)(live)
    assert "static/flash_events" in await page_of(one)
    assert "static/flash_events" not in await page_of(two)


async def test_a_global_callback_belongs_to_the_first_app_that_serves() -> None:
    one, two = new_app(), new_app()
    event_callback(START)(live)
    assert "static/flash_events" in await page_of(two)
    assert "static/flash_events" not in await page_of(one)


async def test_a_server_that_is_set_later_gets_the_routes() -> None:
    app = new_app(server=False, routes_pathname_prefix="/dash/")
    server = Quart("tests")
    app.init_app(server)
    event_callback(START)(live)
    answer = await server.test_client().post("/dash/_dash-flash-events/start", json={})
    assert answer.status_code == 400


async def test_settings_are_those_of_the_app() -> None:
    app = new_app()
    FlashEvents(app, max_body_bytes=3).event_callback(START)(live)
    answer = await app.server.test_client().post("/_dash-flash-events/start", json={"a": 1})
    assert answer.status_code == 413


async def test_settings_after_the_first_request_are_refused() -> None:
    app = new_app()
    event_callback(START)(live)
    await app.server.test_client().post("/_dash-flash-events/stop", json={})
    with pytest.raises(ConfigurationError, match="right after creating the app"):
        FlashEvents(app, grace_seconds=1)
    assert FlashEvents(app).settings.grace_seconds == 30


class TestASecondCall:
    """S10: it returns the same object, and cannot change settings."""

    async def test_it_keeps_identify_so_that_there_are_no_anonymous_streams(self) -> None:
        app = new_app()
        FlashEvents(app, identify=lambda _request: None, heartbeat_seconds=5)
        FlashEvents(app).event_callback(START)(live)
        assert FlashEvents(app).stats()["runs"] == 0
        assert FlashEvents(app).settings.heartbeat_seconds == 5
        answer = await app.server.test_client().post("/_dash-flash-events/start", json={})
        assert answer.status_code == 403

    def test_it_is_the_same_object(self) -> None:
        app = new_app()
        first = FlashEvents(app, grace_seconds=7, allowed_origins="https://a.example")
        assert FlashEvents(app) is first
        assert FlashEvents(app, allowed_origins=["https://a.example"], grace_seconds=7.0) is first
        assert FlashEvents(new_app()) is not first

    @pytest.mark.parametrize("before", [{}, {"identify": lambda _request: "me"}])
    @pytest.mark.parametrize("other", [{"identify": lambda _request: "any"}, {"identify": None}])
    def test_other_settings_are_refused_by_name(
        self, before: dict[str, Any], other: dict[str, Any]
    ) -> None:
        if before == {} and other["identify"] is None:
            other = {"heartbeat_seconds": 3}
        app = new_app()
        FlashEvents(app, **before)
        with pytest.raises(ConfigurationError, match=f"already has another {next(iter(other))}"):
            FlashEvents(app, **other)
        assert FlashEvents(app).settings.identify is before.get("identify")

    def test_a_misspelt_setting_is_refused_there_too(self) -> None:
        app = new_app()
        FlashEvents(app)
        with pytest.raises(ConfigurationError, match="Unknown setting 'heart'"):
            FlashEvents(app, heart=1)  # type: ignore[call-arg] # the test's point


FORKS = """
import os
from dash import Dash
from flash_events import FlashEvents

app = Dash("forked", backend="quart")
FlashEvents(app, broker=os.environ["BROKER"])
FlashEvents(app).stats()  # used before the fork, too
for _ in range(3):
    if os.fork() == 0:
        print(app._flash_events_wiring.ready()._broker.worker, flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.mark.parametrize("broker", ["memory://", "redis://localhost:1/0"])
def test_fault_31_a_workers_id_is_created_after_the_fork(broker: str) -> None:
    """S15: `gunicorn --preload` forks every worker from a process that has imported the app."""
    forks = subprocess.run(
        [sys.executable, "-c", FORKS],
        env={**os.environ, "BROKER": broker},
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
    )
    ids = forks.stdout.split()
    assert len(ids) == len(set(ids)) == 3


def test_an_unknown_broker_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match="Expected broker to be 'memory://'"):
        FlashEvents(new_app(), broker="carrier-pigeon://")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"store": "postgres://host"}, "Expected store to be 'redis://host:port/db'"),
        ({"store": None}, "Expected store to be a string, got None"),
        ({"namespace": ""}, "Expected namespace to be a name"),
        ({"namespace": 7}, "Expected namespace to be a string, got 7"),
    ],
)
def test_a_wrong_store_or_namespace_is_refused_at_once(setting: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FlashEvents(new_app(), **setting)


async def test_a_cell_that_runs_again_while_the_app_serves_replaces_the_callback() -> None:
    app = new_app()
    event_callback(START)(live)
    await page_of(app)
    before = list(bridge.app_registry(app))
    namespace: dict[str, Any] = {"__name__": live.__module__}
    exec("async def live(n):\n    yield", namespace)
    event_callback(START)(namespace["live"])
    [callback] = bridge.app_registry(app)
    assert len(before) == 1
    assert callback.function is namespace["live"]


class TestServedAgain:
    """One after the other in the same process, as in the tests of an app."""

    @pytest.fixture
    def app(self) -> Dash:
        app = new_app()
        FlashEvents(app, linger_seconds=0.01).event_callback(START)(live)
        return app

    async def start(self, app: Dash) -> int:
        connection = {"page": new_id(), "connection": new_id(), "run": new_id(), "connections": []}
        body = {
            "output": bridge.app_registry(app).entries[0]["output"],
            "inputs": [{"id": "start", "property": "n_clicks", "value": 1}],
            "changedPropIds": ["start.n_clicks"],
            "flash_events": {"version": 1, **connection},
        }
        answer = await app.server.test_client().post("/_dash-flash-events/start", json=body)
        return int(answer.status_code)

    def test_after_it_was_shut_down(self, app: Dash) -> None:
        async def serve() -> int:
            async with app.server.test_app():
                return await self.start(app)

        assert [asyncio.run(serve()) for _ in range(3)] == [200] * 3

    def test_after_its_event_loop_has_ended_without_a_shutdown(self, app: Dash) -> None:
        async def serve() -> int:
            await app.server.startup()
            return await self.start(app)

        assert [asyncio.run(serve()) for _ in range(3)] == [200] * 3

    def test_while_its_earlier_event_loop_shuts_down_late(self, app: Dash) -> None:
        before = asyncio.new_event_loop()
        before.run_until_complete(app.server.startup())
        assert before.run_until_complete(self.start(app)) == 200

        async def serve() -> int:
            await app.server.startup()
            await asyncio.to_thread(before.run_until_complete, app.server.shutdown())
            return await self.start(app)

        assert asyncio.run(serve()) == 200
        before.close()

    def test_with_the_same_settings(self, app: Dash) -> None:
        async def serve() -> int:
            async with app.server.test_app():
                return await self.start(app)

        asyncio.run(serve())
        with pytest.raises(ConfigurationError, match="another max_body_bytes"):
            FlashEvents(app, max_body_bytes=10)
        assert asyncio.run(serve()) == 200


def test_an_unused_app_is_garbage_collected() -> None:
    app = weakref.ref(new_app())
    Dash("tests", backend="quart")
    gc.collect()
    assert app() is None


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Unknown setting 'heart'"):
        FlashEvents(new_app(), heart=1)  # type: ignore[call-arg] # the test's point


def test_a_callback_of_a_flask_app_is_refused_when_it_is_decorated() -> None:
    Dash("tests")
    with pytest.raises(ConfigurationError, match='backend="quart"'):
        event_callback(START)(live)


def test_a_flask_app_is_refused_when_there_are_callbacks() -> None:
    Dash("tests", backend="quart")
    event_callback(START)(live)
    with pytest.raises(ConfigurationError, match='backend="quart"'):
        Dash("tests")


def test_settings_for_a_flask_app_are_refused() -> None:
    with pytest.raises(ConfigurationError, match='backend="quart"'):
        FlashEvents(Dash("tests"))


def test_a_request_waits_until_the_app_is_set_up() -> None:
    app = new_app()
    asked, go_on = threading.Event(), threading.Event()

    def layout() -> html.Div:
        asked.set()
        go_on.wait(10)
        return html.Div(html.Button(id="start"))

    go_on.set()
    app.layout = layout  # which asks for it
    app._got_first_request["setup_server"] = False
    asked.clear()
    go_on.clear()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(app._setup_server)
        assert asked.wait(10)
        second = pool.submit(app._setup_server)
        with pytest.raises(TimeoutError):
            second.result(0.1)
        go_on.set()
        first.result(10)
        second.result(10)
    assert app.registered_paths["dash"]


async def test_the_worker_script_is_served_to_pages_of_its_own_deploy_only() -> None:
    app = new_app(routes_pathname_prefix="/app/", requests_pathname_prefix="/app/")
    event_callback(START)(live)
    client = app.server.test_client()
    page_script = (ROOT / "flash_events/static/flash_events.js").read_text("utf-8")
    script = (ROOT / "flash_events/static/flash_events_worker.js").read_bytes()
    version = hashlib.sha256(script).hexdigest()[:16]
    assert f'"{version}"' in page_script or f"{version}`" in page_script
    response = await client.get(f"/app/_dash-flash-events/worker?v={version}")
    assert await response.get_data() == script
    assert response.headers["Content-Type"].startswith("text/javascript")
    assert response.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    other = await client.get("/app/_dash-flash-events/worker?v=other")
    assert (other.status_code, other.headers["Cache-Control"]) == (404, "no-store")


@pytest.mark.parametrize("name", ["connections", "waitlist"])
async def test_a_script_that_is_loaded_on_use_is_served_to_every_deploy(name: str) -> None:
    """A page that is older than the server needs it to continue."""
    app = new_app(routes_pathname_prefix="/app/", requests_pathname_prefix="/app/")
    event_callback(START)(live)
    client = app.server.test_client()
    page_script = (ROOT / "flash_events/static/flash_events.js").read_text("utf-8")
    script = (ROOT / f"flash_events/static/flash_events_{name}.js").read_bytes()
    version = hashlib.sha256(script).hexdigest()[:16]
    assert version in page_script
    for query, caching in ((version, "public, max-age=31536000, immutable"), ("other", "no-store")):
        response = await client.get(f"/app/_dash-flash-events/{name}?v={query}")
        assert await response.get_data() == script
        assert response.headers["Content-Type"].startswith("text/javascript")
        assert response.headers["Cache-Control"] == caching
