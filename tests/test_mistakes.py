"""Common mistakes: each is found, and its message names the fix.

Those that only the page can find are in `tests/browser/test_mistakes.py`.
"""

import ast
import asyncio
import functools
import importlib
import linecache
import sys
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import dash
import numpy as np
import pandas as pd
import pytest
from dash import ALL, MATCH, Dash, Input, Output, Patch, State, dcc, html

from flash_events import (
    CallbackError,
    ConfigurationError,
    FlashEvents,
    Settings,
    bridge,
    event_callback,
    stream_props,
)
from flash_events.callbacks import event_callback_in
from flash_events.endpoint.loop_watch import _culprit
from flash_events.settings import _warn_of
from tests.support.harness import running
from tests.support.mistakes import MISTAKES, Mistake
from tests.support.server import serving, wait_until

START = Input("start", "n_clicks")
TICKER = State("ticker", "value")


LIST: Any = ["a", "b"]


async def live(_n: int) -> AsyncIterator[Any]:
    yield


async def coroutine(_n: int) -> Any:
    return stream_props("out", {"children": 1})


def function(_n: int) -> Any:
    return stream_props("out", {"children": 1})


def two(_n: int, _m: int) -> Iterator[Any]:
    yield


def of_keywords(*, n: int, ticker: str) -> Iterator[Any]:
    yield n, ticker


@functools.wraps(live)
def wrapper(n: int) -> Any:
    return live(n)


@functools.wraps(live)
async def async_wrapper(n: int) -> Any:
    return live(n)


def timed(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that does not know `functools.wraps`."""

    def inner(*args: Any) -> Any:
        return function(*args)

    return inner


class Page:
    def method(self, _n: int) -> Iterator[Any]:
        yield

    async def without_parameter(self) -> AsyncIterator[Any]:
        yield


def decorated(
    *dependencies: Any, function: Callable[..., Any] = live, **options: Any
) -> Callable[[], object]:
    """A decorator that moves the function where it cannot be found."""
    return lambda: event_callback_in(bridge.Registry([], {}), *dependencies, **options)(function)


AT_DECORATION: dict[str, tuple[Callable[[], object], tuple[str, ...]]] = {
    "no parentheses": (
        lambda: event_callback(live),  # type: ignore[arg-type] # the test's point
        ("function 'live'", "has no parentheses", 'Write: @event_callback(Input("start", '),
    ),
    "background": (
        decorated(START, background=True),
        ("Unknown option 'background'", "remove it", "worker=celery_app"),
    ),
    "progress": (decorated(START, progress=[Output("a", "b")]), ("'progress'", "track(...)")),
    "output by keyword": (decorated(START, output=Output("a", "b")), ("yield stream_props(id",)),
    "websocket": (decorated(START, websocket=True), ("an option of dash.callback", "remove it")),
    "misspelt option": (decorated(START, cancle=[]), ("Did you mean cancel?",)),
    "unknown option": (decorated(START, colour=1), ("Known are: cancel, inputs, ",)),
    "Output": (
        decorated(Output("a", "b"), START),
        ("got <Output `a.b`>", "has no Outputs: yield stream_props(id, {prop: value}) instead"),
    ),
    "Input as text": (decorated("go"), ("got str 'go'", 'Input("go", "n_clicks")')),
    "Input as dotted text": (decorated("go.value"), ('@event_callback(Input("go", "value"))',)),
    "component": (decorated(html.Button(id="a")), ("got Button", 'Input("start", "n_clicks")')),
    "list as id": (
        decorated(Input(LIST, "n_clicks")),
        ("component id in Input(...)", "got ['a', 'b']", "Write one Input for each component"),
    ),
    "set in an id": (decorated(Input({"a": {1}}, "n_clicks")), ("In Input(...)", "got set {1}")),
    "fewer parameters": (
        decorated(START, TICKER),
        (
            "Expected live to have 2 parameters",
            "start.n_clicks, ticker.value; got live(_n",
            "Write: async def live(n_clicks, value)",
        ),
    ),
    "more parameters": (decorated(START, function=two), ("1 parameter,", "def two(n_clicks)")),
    "other names": (
        decorated(function=of_keywords, inputs={"n": START, "name": TICKER}),
        ("parameters named as the keys", "n, name", "Write: def of_keywords(n, name)"),
    ),
    "wildcards": (
        decorated(Input({"i": MATCH}, "value"), State({"i": ALL}, "value")),
        ("2 parameters", "async def live(value_1, value_2)"),
    ),
    "method": (
        decorated(START, function=Page.method),
        ("got the method Page.method", "Take it out of the class"),
    ),
    "method without parameter": (
        decorated(START, function=Page.without_parameter),
        ("got the method Page.without_parameter",),
    ),
    "staticmethod": (
        decorated(START, function=staticmethod(live)),
        ("got staticmethod", "on a function of a module"),
    ),
    "partial": (decorated(START, function=functools.partial(live, 1)), ("Write a `def`",)),
    "lambda": (decorated(START, function=lambda n: n), ("got lambda", "Write a `def` with `yield")),
    "no yield": (
        decorated(START, function=function),
        ("Did you forget `yield`?", "yield stream_props(id, {prop: value}), and no `return`"),
    ),
    "no yield, async": (
        decorated(START, function=coroutine),
        ("got coroutine function 'coroutine'", "Did you forget `yield`?"),
    ),
    "decorator below": (
        decorated(START, function=wrapper),
        ("Put @event_callback below the other decorators",),
    ),
    "async decorator below": (
        decorated(START, function=async_wrapper),
        ("got coroutine function 'live'", "below the other decorators"),
    ),
    "decorator below without wraps": (
        decorated(START, function=timed(live)),
        ("got function 'inner'", "Put @event_callback below the other decorators"),
    ),
    "cancel as text": (decorated(START, cancel="stop"), ('Write: cancel=[Input("stop", ',)),
    "cancel of texts": (
        decorated(START, cancel=[("stop", "n_clicks")]),
        ("got ('stop', 'n_clicks')", 'Write: cancel=[Input("stop", "n_clicks")]'),
    ),
    "running without values": (
        decorated(START, running=[Output("a", "b")]),
        ('Write: running=[(Output("start", "disabled"), True, False)]',),
    ),
    "reset_props of values": (decorated(START, reset_props={"a": ""}), ('Write: {"children": ',)),
    "reset_props of Outputs": (
        decorated(START, reset_props=[Output("a", "b")]),
        ('Write: [("out", {"children": ...}), ...]',),
    ),
    "on_error without parameter": (
        decorated(START, on_error=lambda: None),
        ("function of the exception", "Write: def on_error(error): return stream_props("),
    ),
    "on_error that yields": (
        decorated(START, on_error=live),
        ("Expected on_error to return its updates", "return stream_props("),
    ),
    "worker by name": (decorated(START, worker="celery"), ("Write: worker=celery_app",)),
}
"""Mistakes: a name, code that makes it, and parts of the error message."""


@pytest.mark.parametrize("name", AT_DECORATION)
def test_it_is_an_error_at_decoration(name: str) -> None:
    """T5"""
    make, says = AT_DECORATION[name]
    with pytest.raises(CallbackError) as raised:
        make()
    missing = [part for part in says if part not in str(raised.value)]
    assert not missing, str(raised.value)


def lost_update(_n: int) -> Iterator[Any]:
    stream_props("out", {"children": "nobody sees it"})
    yield


async def sleeps(_n: int) -> AsyncIterator[Any]:
    yield
    time.sleep(0)  # noqa: ASYNC251 - that is the mistake


async def sleeps_elsewhere(_n: int) -> AsyncIterator[Any]:
    def work() -> None:
        time.sleep(0)

    yield await asyncio.to_thread(work)


async def forgets_to_await(_n: int) -> AsyncIterator[Any]:
    yield
    asyncio.sleep(0)  # type: ignore[unused-coroutine]


def sleeps_as_if_async(_n: int) -> Iterator[Any]:
    yield
    asyncio.sleep(0)  # type: ignore[unused-coroutine]


async def catches_everything(_n: int) -> AsyncIterator[Any]:
    while True:
        try:
            yield
        except:  # noqa: E722 - that is the mistake
            print("again")


def catches_base_exceptions(_n: int) -> Iterator[Any]:
    try:
        yield
    except (KeyError, BaseException):
        print("again")


async def catches_and_raises(_n: int) -> AsyncIterator[Any]:
    try:
        yield
    except BaseException:
        print("stopped")
        raise


def catches_where_nothing_waits(_n: int) -> Iterator[Any]:
    try:
        print("one line")
    except BaseException:
        print("again")
    yield


def yields_in_finally(_n: int) -> Iterator[Any]:
    try:
        yield
    finally:
        print("The sensor is off.")
        yield stream_props("out", {"children": "stopped"})


def resets(allowed: object, prop: str = "n_clicks") -> Callable[[], object]:
    """T6: dash-event-callback's own example has 1."""
    return decorated(START, cancel=[(Input("reset", prop), allowed)])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (resets(1), ["click number 1 does nothing", "cancel=[Input('reset', 'n_clicks')]"]),
        (resets(3), ["click number 3 does nothing"]),
        (resets(0), []),
        (resets(None), []),
        (resets(1, "value"), []),
        (
            decorated(START, function=lost_update),
            ["test_mistakes.lost_update, line ", "thrown away. Write: yield stream_props(...)"],
        ),
        (decorated(START, function=sleeps), ["sleeps, line ", "Write: await asyncio.sleep(...)"]),
        (decorated(START, function=sleeps_elsewhere), []),
        (
            decorated(START, function=forgets_to_await),
            ["forgets_to_await, line ", "does not wait. Write: await asyncio.sleep(...)."],
        ),
        (
            decorated(START, function=sleeps_as_if_async),
            ["sleeps_as_if_async, line ", "does not wait. Write: time.sleep(...)."],
        ),
        (
            decorated(START, function=catches_everything),
            ["catches_everything, line ", "cannot be stopped", "Write: except Exception:"],
        ),
        (
            decorated(START, function=catches_base_exceptions),
            ["catches_base_exceptions, line ", "Write: except Exception:"],
        ),
        (decorated(START, function=catches_and_raises), []),
        (decorated(START, function=catches_where_nothing_waits), []),
        (
            decorated(START, function=yields_in_finally),
            ["not shown when the run is cancelled", "Write it as reset_props"],
        ),
        (
            decorated(Input("price", "id")),
            ["price.id never changes", "Write: prevent_initial_call=False"],
        ),
        (decorated(Input("price", "id"), prevent_initial_call=False), []),
        (decorated(Input("price", "id"), START, function=two), []),
        (decorated(START, function=live), []),
    ],
)
def test_it_is_warned_about_at_decoration(
    caplog: pytest.LogCaptureFixture, make: Callable[[], object], says: list[str]
) -> None:
    make()
    assert bool(says) is bool(caplog.messages)
    assert all(part in caplog.text for part in says), caplog.text


@pytest.mark.parametrize(
    "function",
    [
        lambda _n: (yield),
        functools.wraps(two)(lambda *args: (yield args)),
        Page().method,
    ],
    ids=["lambda that yields", "wrapper that passes something", "bound method"],
)
def test_unusual_but_correct_code_is_accepted(function: Callable[..., Any]) -> None:
    decorated(START, function=function)()


POINTS: Any = {"x": [[1]], "y": [[2]]}


@pytest.mark.parametrize(
    "value",
    [
        POINTS,
        [POINTS],
        [POINTS, 0],
        [POINTS, [0]],
        [POINTS, [-1], 200],
        (POINTS, (0,), None),
        [POINTS, np.array([0]), np.int64(200)],
        [POINTS, None, np.float32(200)],
        [POINTS, [0], {"x": [5], "y": [5]}],
        {"x": np.array([[1, 2]]), "y": [np.array([1, 2])]},
        {"x": [pd.Series([1])], "marker.color": (("red",),)},
        [[{"x": [1], "y": [2]}], [0], 200],
        [],
        {},
        None,
        Patch(),
    ],
)
def test_t5_points_that_a_component_takes_are_no_mistake(value: Any) -> None:
    """The list of new traces is what dash-extendable-graph's component takes."""
    for prop in ("extendData", "prependData"):
        assert stream_props("graph", {prop: value}).targets == (("graph", {prop: value}),)


@pytest.mark.parametrize("source", ["# a comment\n", "x = 1; y = 2\n", "def live(\n", "\0\n", ""])
def test_t5_a_function_whose_source_has_changed_since_its_import_is_accepted(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An editor saves while the app starts."""
    file = tmp_path / "changing.py"
    file.write_text("def live(n):\n    yield n\n\n\ninline = lambda n: (yield n); n = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("changing")
    monkeypatch.delitem(sys.modules, "changing")
    decorated(START, function=module.inline)()
    file.write_text(source * 9)
    linecache.checkcache()
    decorated(START, function=module.live)()
    decorated(START, function=module.inline)()


def test_t5_a_function_that_cpython_fails_to_parse_is_accepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def parse(_source: str) -> None:
        raise SystemError("AST constructor recursion depth mismatch (before=180, after=232)")

    monkeypatch.setattr(ast, "parse", parse)
    decorated(START)()


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
async def test_it_is_an_error_of_the_run(
    caplog: pytest.LogCaptureFixture, mistake: Mistake
) -> None:
    """T5"""
    async with running(mistake.body, 1, settings=Settings(debug=True)) as streamed:
        end = await streamed.to_end()
    assert end.failure is not None
    [record] = [one for one in caplog.records if "failed (ref" in one.getMessage()]
    assert record.exc_info is not None
    for text in (str(record.exc_info[1]), end.failure.message or ""):
        assert not [part for part in mistake.says if part not in text], text


async def test_s14_the_return_value_of_a_plain_generator_is_an_update() -> None:
    def body(_n: int) -> Generator[Any, None, Any]:
        yield
        return stream_props("out", {"children": "returned"})

    async with running(body, 1) as streamed:
        await streamed.to_end()
    assert streamed.sets == [[["out", {"children": "returned"}]]]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("sorry", "Write: return stream_props(id, {\"children\": 'sorry'})."),
        ({"out": {"children": "sorry"}}, "Write: return stream_props({'out': "),
        (("out", {"children": "sorry"}), "Write: return stream_props('out', {'children'"),
    ],
)
async def test_an_invalid_return_value_of_on_error_is_an_error(
    caplog: pytest.LogCaptureFixture, answer: Any, says: str
) -> None:
    async def fails(_n: int) -> AsyncIterator[Any]:
        raise ValueError
        yield

    async with running(fails, 1, on_error=lambda _error: answer) as streamed:
        await streamed.to_end()
    assert "Expected the function to return stream_props(...)" in caplog.text
    assert says in caplog.text


async def test_a_finally_that_fails_while_a_plain_run_is_cancelled_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def body(_n: int) -> Iterator[Any]:
        try:
            while True:
                yield stream_props("out", {"children": 1})
        finally:
            raise ValueError("The device does not answer.")

    async with running(body, 1) as streamed:
        await streamed.next()
        streamed.run.stop()
        end = await streamed.to_end()
    assert end.reason == "cancelled"
    assert "failed while it was cancelled" in caplog.text
    assert "The device does not answer." in caplog.text


class TestBlocking:
    """T4: the advice is for the function that blocks."""

    async def test_in_an_async_event_callback(self) -> None:
        said = []

        async def blocks(_n: int) -> AsyncIterator[Any]:
            said.append(_culprit(sys._getframe()))
            yield

        async with running(blocks, 1) as streamed:
            await streamed.to_end()
        [(culprit, cure)] = said
        assert "blocks, line" in culprit
        assert "said.append" in culprit  # the line itself
        assert "write a plain `def` with `yield`" in cure
        assert "`await asyncio.sleep(...)`" in cure

    async def test_in_a_callback_that_is_async(self) -> None:
        async def blocks() -> tuple[str, str]:
            return _culprit(sys._getframe())

        _, cure = await asyncio.create_task(blocks())
        assert (
            "calls that can be awaited (`await asyncio.sleep(...)`, not `time.sleep(...)`)" in cure
        )
        assert "plain `def`" not in cure

    async def test_in_a_callback_that_is_not(self) -> None:
        said: asyncio.Future[tuple[str, str]] = asyncio.get_running_loop().create_future()

        def blocks() -> None:
            said.set_result(_culprit(sys._getframe()))

        asyncio.get_running_loop().call_soon(blocks)
        _, cure = await said
        assert "with `yield` under @event_callback" in cure
        assert "await asyncio.to_thread" in cure


class TestApps:
    """Mistakes in creating, configuring or serving an app."""

    @pytest.fixture(autouse=True)
    def _forget(self) -> Iterator[None]:
        registry = bridge.global_registry()
        registry.entries.clear()
        registry.by_id.clear()
        yield
        registry.entries.clear()
        registry.by_id.clear()
        Dash("tests", backend="quart")  # the app that was created last is the current one

    def test_the_error_of_an_app_on_flask_recommends_quart(self) -> None:
        app = Dash("tests")
        for make in (lambda: FlashEvents(app), lambda: event_callback(START)(live)):
            with pytest.raises(ConfigurationError, match=r'Dash\(__name__, backend="quart"\)'):
                make()

    def test_the_server_instead_of_the_app(self) -> None:
        server: Any = Dash("tests", backend="quart").server
        with pytest.raises(ConfigurationError, match=r"got Quart .* Write: FlashEvents\(app\)"):
            FlashEvents(server)

    def test_event_callback_as_a_method_of_the_app_binds_to_it(self) -> None:
        app: Any = Dash("tests", backend="quart")
        assert app.event_callback(START)(live) is live
        assert [callback.function for callback in bridge.app_registry(app)] == [live]

    def test_the_app_instead_of_its_server(self) -> None:
        app = Dash("tests", backend="quart")
        with pytest.raises(ConfigurationError, match="start `hypercorn app:server`"):
            app({"REQUEST_METHOD": "GET"}, lambda *_: None)

    async def test_event_callbacks_without_flash_events_are_enabled(self) -> None:
        app = Dash("tests", backend="quart")
        app.layout = html.Div([html.Button(id="start"), dcc.Store(id="ticker")])
        event_callback(START)(live)
        page = await (await app.server.test_client().get("/")).get_data(as_text=True)
        assert "static/flash_events" in page

    async def test_a_generator_under_the_callback_decorator_of_dash(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A newcomer leaves @callback where @event_callback belongs, or writes both."""
        app = Dash("tests", backend="quart")
        app.layout = html.Div(html.Button(id="start"))

        @app.callback(Output("out", "children"), START)
        async def one_word_wrong(_n: int) -> AsyncIterator[Any]:
            yield 1

        @app.callback(Output("out", "title"), START)
        @event_callback(START)
        async def both(_n: int) -> AsyncIterator[Any]:
            yield stream_props("out", {"children": 1})

        @app.callback(Output("out", "lang"), START)
        async def right(_n: int) -> str:
            return "en"

        await app.server.test_client().get("/")
        one, two = caplog.messages
        assert "one_word_wrong, line " in one
        assert "under @callback" in one
        assert "write @event_callback(Input(...)), without an Output." in one
        assert "both, line " in two
        assert "leave @callback out" in two

    async def test_a_generator_under_the_callback_decorator_of_an_app_without_our_callbacks(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Only one that uses `stream_props` is ours to speak of."""
        app = Dash("tests", backend="quart")
        app.layout = html.Div(html.Button(id="start"))
        app.callback(Output("out", "children"), START)(live)
        app.callback(Output("out", "title"), START)(lost_update)
        await app.server.test_client().get("/")
        [message] = caplog.messages
        assert "test_mistakes.lost_update, line " in message

    async def test_an_update_that_an_ordinary_callback_returns(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Dash sends it as a dict, which no component can show."""
        app = Dash("tests", backend="quart")
        app.layout = html.Div(html.Button(id="start"))
        app.callback(Output("out", "children"), START)(coroutine)
        await app.server.test_client().get("/")
        [message] = caplog.messages
        assert "test_mistakes.coroutine, line " in message
        assert "is returned under @callback" in message
        assert "return the value itself, or write @event_callback(" in message

    def test_callbacks_that_were_meant_to_stream_are_named_in_the_terminal(
        self, tmp_path: Path
    ) -> None:
        """Also where the app has no event callback; Dash silences other loggers in debug mode."""
        with serving("tests.apps.half_moved", tmp_path) as served:
            wait_until(lambda: "__main__.returns, line " in served.log(), 10, "a warning")
        assert "__main__.yields, line " in served.log()

    @pytest.mark.parametrize("worker", ["sync", "gthread"])
    def test_gunicorns_own_workers(
        self, worker: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setitem(sys.modules, f"gunicorn.workers.{worker}", ModuleType(worker))
        Dash("tests")
        assert not caplog.messages
        Dash("tests", backend="quart")
        Dash("tests", backend="quart")
        [message] = caplog.messages
        assert f"worker class {worker} serves WSGI" in message
        assert "hypercorn app:server" in message
        assert "-k uvicorn_worker.UvicornWorker" in message

    async def test_t7_pages_with_an_async_layout(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def layout() -> html.Div:
            return html.Div()

        monkeypatch.setattr(dash, "page_registry", {"a": {"path": "/a", "layout": layout}})
        app = Dash("tests", backend="quart")
        app.layout = html.Div(html.Button(id="start"))
        event_callback(START)(live)
        await app.server.test_client().get("/_dash-layout")
        assert "The layout of /a is an `async def`" in caplog.text
        assert "Install dash[async]" in caplog.text

    async def test_an_invalid_setting_stops_the_start(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLASH_EVENTS_HEARTBEAT_SECONDS", "abc")
        app = Dash("tests", backend="quart")
        event_callback(START)(live)
        with pytest.raises(ConfigurationError, match="FLASH_EVENTS_HEARTBEAT_SECONDS to be a num"):
            await app.server.startup()


@pytest.mark.parametrize(
    ("variable", "says"),
    [
        ("FLASH_EVENTS_HEARTBEAT", "Did you mean FLASH_EVENTS_HEARTBEAT_SECONDS?"),
        ("FLASH_EVENT_BROKER", "Did you mean FLASH_EVENTS_BROKER?"),
        ("flash_events_debug", "Did you mean FLASH_EVENTS_DEBUG?"),
        ("FLASH_EVENTS_COLOUR", "The settings are FLASH_EVENTS_ and one of BROKER, "),
        ("FLASH_EVENTS_BROKER", None),
        ("FLASH", None),
        ("FLASHEVENTSOURCE_URL", None),
        ("FLASH_EVENT_CACHE", None),
    ],
)
def test_t13_a_misspelt_variable_is_warned_about_once(
    caplog: pytest.LogCaptureFixture, variable: str, says: str | None
) -> None:
    _warn_of.cache_clear()
    for _ in range(2):
        Settings.load({variable: "memory://"})
    expected = (
        [f"The environment variable {variable} is not a setting of flash_events"] if says else []
    )
    assert [message.partition(" and has")[0] for message in caplog.messages] == expected
    assert all(str(says) in message for message in caplog.messages)
