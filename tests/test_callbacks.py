"""Arguments that `@event_callback` accepts and refuses, and the options that it sends to the
browser.
"""

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from dash import ALL, ALLSMALLER, MATCH, Input, NoUpdate, Output, State, html, no_update

from flash_events import CallbackError, bridge, event_callback
from flash_events.callbacks import event_callback_in
from flash_events.options import Options
from flash_events.registration import EventCallback

START = Input("start", "n_clicks")


@pytest.fixture
def registry() -> bridge.Registry:
    return bridge.Registry([], {})


def spec_of(registry: bridge.Registry) -> dict[str, Any]:
    [entry] = registry.entries
    spec: dict[str, Any] = entry[bridge.SPEC_KEY]
    return spec


def decorate(registry: bridge.Registry, *args: Any, **options: Any) -> None:
    @event_callback_in(registry, *args, **options)
    async def live(*_args: Any, **_kwargs: Any) -> AsyncIterator[None]:
        yield


def only(registry: bridge.Registry) -> EventCallback:
    [callback] = registry
    assert isinstance(callback, EventCallback)
    return callback


def test_the_decorator_returns_the_function_itself(registry: bridge.Registry) -> None:
    async def live(n: int) -> AsyncIterator[int]:
        yield n

    assert event_callback_in(registry, START)(live) is live
    assert only(registry).function is live
    assert only(registry).is_async


def test_a_plain_generator_is_accepted(registry: bridge.Registry) -> None:
    @event_callback_in(registry, START)
    def live(n: int) -> Iterator[int]:
        yield n

    assert not only(registry).is_async


async def _coroutine(n: int) -> int:
    return n


def _function(n: int) -> int:
    return n


class _Callable:
    def __call__(self, n: int) -> int:
        return n


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (_coroutine, "got coroutine function '_coroutine'. Did you forget `yield`? Write: yield"),
        (_function, "got function '_function'. Did you forget `yield`? Write: yield"),
        (_Callable(), "Decorate the generator function itself"),
    ],
)
def test_anything_but_a_generator_function_is_refused(
    registry: bridge.Registry, function: Callable[..., Any], says: str
) -> None:
    with pytest.raises(CallbackError, match="Expected a generator function") as raised:
        event_callback_in(registry, START)(function)
    assert says in str(raised.value)
    assert not registry.entries


@pytest.mark.parametrize(
    ("args", "options", "says"),
    [
        ((), {}, "at least one Input"),
        ((State("a", "b"),), {}, "at least one Input"),
        ((Output("a", "b"), START), {}, "An event callback has no Outputs: yield stream_props"),
        ((START, "b"), {}, "Expected Inputs and States, got str 'b'"),
        ((START,), {"cancle": []}, "Unknown option 'cancle'"),
        ((START,), {"overlap": "both"}, "Expected overlap to be one of 'restart'"),
        ((START,), {"on_error": "oops"}, "Expected on_error to be a function"),
        ((START,), {"timeout": -1}, "Expected timeout to be seconds above 0 or None, got -1"),
        ((START,), {"timeout": True}, "Expected timeout to be seconds"),
        ((START,), {"keep_alive": "yes"}, "Expected keep_alive to be True or False"),
        ((START,), {"prevent_initial_call": "initial_duplicate"}, "Expected prevent_initial_call"),
        ((START,), {"cancel": [State("a", "b")]}, "Expected cancel entries to be an Input"),
        ((START,), {"cancel": "stop"}, "Expected cancel to be a list"),
        ((START,), {"cancel": [(START, 0, 1)]}, "Expected cancel entries to be an Input"),
        ((START,), {"cancel": [(START, object())]}, "cannot be sent to the browser"),
        ((START,), {"cancel": [START, (START, 0)]}, "is in cancel twice"),
        (
            (START,),
            {"cancel": [Input({"i": MATCH}, "n")]},
            "no Input of the callback has MATCH at 'i'",
        ),
        ((START,), {"cancel": [Input({"i": ALLSMALLER}, "n")]}, "Expected MATCH or ALL"),
        ((START,), {"reset_props": [("a", 1)]}, "In reset_props: Expected a dict of props"),
        ((START,), {"reset_props": "a"}, "Expected reset_props to be a list"),
        ((START,), {"reset_props": [("a", {"b": object()})]}, "cannot be sent to the browser"),
        ((START,), {"running": [(START, 1, 2)]}, "Expected an Output first"),
        ((START,), {"running": [(Output("a", "b"), 1)]}, "Expected running entries to be"),
        ((START,), {"running": [(Output("a", "b"), object(), 1)]}, "cannot be sent"),
        ((START,), {"running": [(Output("a", "b"), [no_update], 1)]}, "only a whole prop"),
        ((START,), {"reset_props": {"a": {"b": [no_update]}}}, "only a whole prop"),
    ],
)
def test_invalid_options_are_refused_at_decoration(
    registry: bridge.Registry, args: Any, options: Any, says: str
) -> None:
    with pytest.raises(CallbackError) as raised:
        decorate(registry, *args, **options)
    assert says in str(raised.value)
    assert not registry.entries


def test_the_browser_gets_the_options_that_it_needs_without_a_server(
    registry: bridge.Registry,
) -> None:
    decorate(
        registry,
        START,
        cancel=[(Input("stop", "n_clicks"), 0), Input("url", "pathname")],
        reset_props={"start": {"disabled": False}},
        running=[(Output("spinner", "hidden"), False, True)],
        overlap="queue",
        keep_alive=True,
    )
    assert spec_of(registry) == {
        "overlap": "queue",
        "onDisconnect": "cancel",
        "keepAlive": True,
        "cancel": [
            {"id": "stop", "property": "n_clicks", "allowed": 0},
            {"id": "url", "property": "pathname"},
        ],
        "reset": [["start", {"disabled": False}]],
        "running": [["spinner", "hidden", False, True]],
    }


def test_p14_no_update_in_the_options_does_not_set_the_prop(registry: bridge.Registry) -> None:
    decorate(
        registry,
        START,
        running=[(Output("a", "b"), no_update, 1), (Output("c", "d"), True, NoUpdate)],
        reset_props={"a": {"b": no_update}, "c": {"d": no_update, "e": 1}, "f": no_update},
    )
    nothing = {"_dash_no_update": "_dash_no_update"}  # Dash's own form, which the browser handles
    spec = spec_of(registry)
    assert spec["running"] == [["a", "b", nothing, 1], ["c", "d", True, nothing]]
    assert spec["reset"] == [["c", {"e": 1}]]


@pytest.mark.parametrize(
    "options",
    [
        {"cancel": Input("stop", "n_clicks"), "reset_props": [("a", {"b": 1})]},
        {"cancel": [Input("stop", "n_clicks")], "reset_props": {"a": {"b": 1}}},
        {"cancel": (Input("stop", "n_clicks"),), "reset_props": (("a", {"b": 1}),)},
        {"cancel": [Input(html.Button(id="stop"), "n_clicks")], "reset_props": ("a", {"b": 1})},
    ],
)
def test_one_entry_needs_no_list(registry: bridge.Registry, options: Any) -> None:
    decorate(registry, START, running=(Output("a", "b"), 1, 2), **options)
    spec = spec_of(registry)
    assert spec["cancel"] == [{"id": "stop", "property": "n_clicks"}]
    assert spec["reset"] == [["a", {"b": 1}]]
    assert spec["running"] == [["a", "b", 1, 2]]


def test_the_arguments_of_dash_flash_and_dash_event_callback_work_unchanged(
    registry: bridge.Registry,
) -> None:
    """Read from dash-flash 1.4.0 and dash-event-callback 1.2.0, whose decorators have the same
    arguments.
    """

    def on_error(_error: Exception) -> None: ...

    decorate(
        registry,
        START,
        State("ticker", "value"),
        on_error=on_error,
        cancel=[(Input("tabs", "value"), "dashboard"), (Input("c-btn", "n_clicks"), 0)],
        reset_props=[("start", {"loading": False})],
        prevent_initial_call=True,
        concat=True,
    )
    assert only(registry).on_error is on_error
    assert [one["allowed"] for one in spec_of(registry)["cancel"]] == ["dashboard", 0]
    assert spec_of(registry)["reset"] == [["start", {"loading": False}]]


def test_wildcards_are_sent_in_dashs_format(registry: bridge.Registry) -> None:
    decorate(
        registry,
        Input({"type": "go", "i": MATCH}, "n_clicks"),
        cancel=Input({"type": "stop", "i": MATCH}, "n_clicks"),
        reset_props=[({"type": "out", "i": MATCH}, {"children": ""})],
        running=[(Output({"type": "all", "i": ALL}, "hidden"), False, True)],
    )
    spec = spec_of(registry)
    assert spec["cancel"][0]["id"] == '{"i":["MATCH"],"type":"stop"}'
    assert spec["reset"][0][0] == '{"i":["MATCH"],"type":"out"}'
    assert spec["running"][0][0] == '{"i":["ALL"],"type":"all"}'
    assert only(registry).match_keys == {"i"}


def test_two_callbacks_on_one_input_are_both_kept(registry: bridge.Registry) -> None:
    @event_callback_in(registry, START)
    async def one(n: int) -> AsyncIterator[None]:
        yield

    @event_callback_in(registry, START)
    async def two(n: int) -> AsyncIterator[None]:
        yield

    assert len(registry.entries) == 2
    assert {callback.function for callback in registry} == {one, two}


SOURCE = """
from dash import Input
from flash_events.callbacks import event_callback_in

def register(registry):
    @event_callback_in(registry, Input("start", "n_clicks"))
    async def live(n):
        yield {value}
    return live
"""


def test_a_reexecuted_function_replaces_its_callback(registry: bridge.Registry) -> None:
    functions = []
    for value in (1, 2):  # a reload, or a notebook cell that is run again
        namespace: dict[str, Any] = {"__name__": "notebook"}
        exec(SOURCE.format(value=value), namespace)
        functions.append(namespace["register"](registry))
    assert len(registry.entries) == 1
    assert only(registry).function is functions[-1]


def test_two_functions_with_one_id_are_refused(registry: bridge.Registry) -> None:
    def make(value: int) -> None:
        @event_callback_in(registry, START)
        async def live(n: int) -> AsyncIterator[int]:
            yield value

    make(1)
    with pytest.raises(CallbackError, match="Two different functions"):
        make(2)


def test_the_id_is_that_of_the_importable_name(registry: bridge.Registry) -> None:
    source = SOURCE.format(value=1)
    ids = set()
    for name in ("__main__", main_name()):
        namespace: dict[str, Any] = {"__name__": name}
        exec(source, namespace)
        namespace["register"](registry)
        ids |= set(registry.by_id)
    assert len(ids) == 1


def main_name() -> str:
    from flash_events.callbacks import _importable_main

    return _importable_main()


def test_a_state_dict_of_the_caller_is_not_changed(registry: bridge.Registry) -> None:
    state = {"ticker": State("ticker", "value")}
    decorate(registry, inputs={"n": START}, state=state)
    assert list(state) == ["ticker"]


@pytest.mark.parametrize(
    ("args", "options", "inputs", "state"),
    [
        ((START, State("a", "b")), {}, 1, 1),
        (([START], [State("a", "b")]), {}, 1, 1),
        (({"x": START, "y": {"z": State("a", "b")}},), {}, 1, 1),
        ((), {"inputs": {"x": START, "y": (START, State("a", "b"))}}, 2, 1),
        ((), {"inputs": START, "state": State("a", "b")}, 1, 1),
        ((Input("a", "b", allow_optional=True),), {}, 1, 0),
    ],
)
def test_dependencies_are_accepted_in_dashs_forms(
    registry: bridge.Registry, args: Any, options: Any, inputs: int, state: int
) -> None:
    decorate(registry, *args, **options)
    [entry] = registry.entries
    assert (len(entry["inputs"]), len(entry["state"])) == (inputs, state)


def test_the_options_of_an_apps_decorator_are_those_of_the_plain_one() -> None:
    plain = inspect.signature(event_callback).parameters.values()
    names = [one.name for one in plain if one.kind is one.KEYWORD_ONLY]
    assert list(Options.__annotations__) == names
