"""Every private name of Dash that we use, on the Dash that is installed.

When one of these fails after an upgrade of Dash, `flash_events/bridge.py` is what must change.
"""

import logging
from collections.abc import AsyncIterator
from typing import Any

import dash
import pytest
from dash import ALL, MATCH, Dash, Input, Output, Patch, State, ctx, html

from flash_events import ConfigurationError, bridge
from flash_events.callbacks import event_callback_in
from flash_events.errors import Refused
from flash_events.wire.json import to_json


@pytest.fixture
def app() -> Dash:
    app = Dash("tests", backend="quart")
    app.layout = html.Div()
    return app


async def callback(*_: Any, **__: Any) -> AsyncIterator[None]:
    yield


def register(app: Dash, *args: Any, **options: Any) -> str:
    event_callback_in(bridge.app_registry(app), *args, **options)(callback)
    return list(bridge.app_registry(app).by_id)[-1]


def item(component_id: object, prop: str, value: object) -> dict[str, Any]:
    return {"id": component_id, "property": prop, "value": value}


async def open_call(app: Dash, body: dict[str, Any]) -> bridge.Call:
    async with app.server.test_request_context(
        "/_dash-flash-events/start?q=1",
        method="POST",
        headers={"Cookie": "user=ada", "X-Extra": "yes"},
    ):
        return bridge.open_call(app, body)


async def test_arguments_and_context_are_those_of_dash(app: Dash) -> None:
    callback_id = register(
        app,
        inputs={"n": Input("start", "n_clicks"), "rest": [Input({"i": ALL}, "v"), State("t", "v")]},
    )
    call = await open_call(
        app,
        {
            "output": callback_id,
            "inputs": [item("start", "n_clicks", 3), [item({"i": 1}, "v", "a")]],
            "state": [item("t", "v", "T")],
            "changedPropIds": ["start.n_clicks"],
        },
    )
    assert call.kwargs == {"n": 3, "rest": [["a"], "T"]}
    call.activate(lambda *_: None)
    assert ctx.triggered == [{"prop_id": "start.n_clicks", "value": 3}]
    assert ctx.triggered_id == "start"
    assert ctx.inputs == {"start.n_clicks": 3, '{"i":1}.v': "a"}
    assert ctx.states == {"t.v": "T"}
    assert ctx.args_grouping.n.triggered
    assert ctx.cookies == {"user": "ada"}
    assert ctx.headers["X-Extra"] == "yes"
    assert ctx.path.startswith("/_dash-flash-events/start")
    assert ctx.custom_data == {}


async def test_a_prop_that_is_not_set_is_none(app: Dash) -> None:
    callback_id = register(app, Input("start", "n_clicks"))
    body = {"output": callback_id, "inputs": [{"id": "start", "property": "n_clicks"}]}
    assert (await open_call(app, body)).args == [None]


@pytest.mark.parametrize("inputs", [[], [item("a", "b", 1)] * 3, [5], [{}], ["x"]])
async def test_mismatched_inputs_are_refused(app: Dash, inputs: Any) -> None:
    callback_id = register(app, Input("start", "n_clicks"))
    with pytest.raises(Refused) as raised:
        await open_call(app, {"output": callback_id, "inputs": inputs, "state": []})
    assert raised.value.status == 400


async def test_custom_data_hooks_are_run(app: Dash) -> None:
    hooks = app._hooks.hooks._ns["custom_data"]
    dash.hooks.custom_data("tests")(lambda context: {"triggered": len(context.triggered_inputs)})
    try:
        callback_id = register(app, Input("start", "n_clicks"))
        body = {"output": callback_id, "inputs": [item("start", "n_clicks", 1)]}
        call = await open_call(app, body)
    finally:
        app._hooks.hooks._ns["custom_data"] = hooks
    assert call.context.custom_data["tests"] == {"triggered": 0}


async def test_set_props_is_passed_on_in_order(app: Dash) -> None:
    callback_id = register(app, Input("start", "n_clicks"))
    body = {"output": callback_id, "inputs": [item("start", "n_clicks", 1)]}
    seen: list[Any] = []
    (await open_call(app, body)).activate(lambda *target: seen.append(target))
    dash.set_props("a", {"x": 1})
    dash.set_props({"i": 1}, {"y": 2})
    dash.set_props("a", {"z": 3})
    assert seen == [("a", {"x": 1}), ('{"i":1}', {"y": 2}), ("a", {"z": 3})]


def test_a_callback_registers_besides_dashs_own(app: Dash) -> None:
    @app.callback(Input("start", "n_clicks"))
    def ordinary(n: int) -> None: ...

    before = list(app.callback_map)
    callback_id = register(app, Input("start", "n_clicks"))
    assert list(app.callback_map) == [*before, callback_id]
    ours = app._callback_list[-1]
    assert ours["output"] == callback_id
    assert ours["no_output"]
    assert ours["clientside_function"] == {
        "namespace": "flash_events",
        "function_name": callback_id,
    }


async def test_the_browsers_options_are_sent_with_the_dependencies(app: Dash) -> None:
    register(app, Input("start", "n_clicks"), reset_props={"a": {"children": html.B("x")}})
    client = app.server.test_client()
    await client.get("/")
    answer = await (await client.get("/_dash-dependencies")).get_json()
    [[target, props]] = answer[0]["flash_events"]["reset"]
    assert (target, props["children"]["type"]) == ("a", "B")


def test_ids_are_written_as_dash_writes_them() -> None:
    assert bridge.wire_id({"type": "a", "index": MATCH}) == '{"index":["MATCH"],"type":"a"}'
    assert bridge.wire_id("plain") == "plain"
    assert bridge.wire_dependency(Output({"i": ALL}, "x")) == {
        "id": '{"i":["ALL"]}',
        "property": "x",
    }


def test_groupings_are_flattened() -> None:
    assert bridge.flatten([{"a": 1, "b": (2, [3])}]) == [1, 2, 3]


def test_a_patch_is_json() -> None:
    patch = Patch()
    patch["a"] = 1
    assert b'"__dash_patch_update"' in to_json(patch)


def test_debug_follows_dashs_dev_tools(app: Dash) -> None:
    assert not bridge.is_debug(app)
    app.enable_dev_tools(debug=True)
    assert bridge.is_debug(app)


def test_flask_is_refused_with_a_fix() -> None:
    quart = Dash("tests", backend="quart")
    flask = Dash("tests")
    try:
        with pytest.raises(ConfigurationError, match='backend="quart"'):
            bridge.require_async_backend(flask)
        bridge.require_async_backend(quart)
    finally:
        Dash("tests", backend="quart")  # the app that was created last is the current one


def test_the_apps_on_error_is_called() -> None:
    seen: list[Exception] = []
    error = ValueError()
    assert bridge.call_app_on_error(Dash("tests", backend="quart", on_error=seen.append), error)
    assert seen == [error]
    assert not bridge.call_app_on_error(Dash("tests", backend="quart"), error)


def test_t2_prop_names_are_those_of_the_python_class() -> None:
    names = bridge.prop_names("dash_html_components.Div")
    assert names is not None
    assert {"id", "children", "n_clicks", "data-*"} <= set(names)
    assert "self" not in names
    for unknown in ("flash_events.RunState", "dash_html_components.os", "os.path", "", "Div"):
        assert bridge.prop_names(unknown) is None


@pytest.mark.parametrize("is_used", [True, False])
def test_t1_using_an_app_disables_no_loggers(
    monkeypatch: pytest.MonkeyPatch, is_used: bool
) -> None:
    from dash.backends import _quart

    app = Dash("tests", backend="quart")
    before = logging.getLogger("flash_events.before")
    seen: list[bool] = []

    def run(*_: object) -> None:
        _quart.dictConfig({"version": 1})  # type: ignore[attr-defined] # as it does there
        seen.append(before.disabled)

    monkeypatch.setattr(app.backend, "run", run)
    found = {name: one for name, one in logging.root.manager.loggerDict.items()}
    bridge.keep_loggers(app, lambda: is_used)
    try:
        app.backend.run()  # type: ignore[call-arg]
    finally:
        for logger in found.values():
            if isinstance(logger, logging.Logger):
                logger.disabled = False
    assert seen == [not is_used]
