"""An app with every kind of event callback, for the endpoint and the browser tests."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import dash
from dash import ALL, MATCH, Dash, Input, Output, Patch, State, ctx, dcc, html

from flash_events import FlashEvents, Update, event_callback, stream_props, track
from tests.apps.backend import BACKEND, request_path, wrap_asgi
from tests.apps.marks import mark, may_end
from tests.apps.streams import noting_streams

app = Dash(
    __name__,
    backend=BACKEND,
    suppress_callback_exceptions=True,
    requests_pathname_prefix=os.environ.get("REQUESTS_PREFIX"),
    routes_pathname_prefix=os.environ.get("ROUTES_PREFIX"),
)


def user(request: Any) -> str | None:
    name: str | None = request.cookies.get("user")
    return name


# Other settings come from the environment.
FlashEvents(app, identify=user if "USERS" in os.environ else None)
server = app.server
wrap_asgi(server, noting_streams)


def card(index: str) -> html.Div:
    return html.Div(
        [
            html.Button("go", id={"type": "go", "index": index}),
            html.Button("halt", id={"type": "halt", "index": index}),
            html.Span(id={"type": "card", "index": index}),
        ]
    )


BUTTONS = (
    "start stop reset skip queue parallel restart burst fail "
    "plain setprops context values patches everyone ordinary "
    "both endless0 endless1 endless2 endless3 endless4 endless5 endless6 endless7 self "
    "timeout bad insert remove pairs flood keep stubborn tracked tracked-async"
)

PLACES = (
    "out message log answer context-out runs both-one both-two both-three unset finished selfcount "
    "listener inserted place bar-text"
)

app.layout = html.Div(
    [
        dcc.Location(id="url"),
        dcc.Link("away", href="away", id="away"),
        html.Div([html.Button(name, id=name, n_clicks=0) for name in BUTTONS.split()]),
        dcc.Input(id="ticker", value="A"),
        html.Div("spin", id="spinner", hidden=True),
        html.Progress(id="bar", max="100"),
        *[html.Div(id=name) for name in PLACES.split()],
        *[html.Div(id=f"endless-out{n}") for n in range(8)],
        dcc.Store(id="patched", data={"items": [], "n": 0}),
        html.Div(id="patched-out"),
        html.Div([card(index) for index in ("a", "b", "c")]),
    ]
)


@event_callback(
    Input("start", "n_clicks"),
    State("ticker", "value"),
    cancel=[(Input("stop", "n_clicks"), 0), (Input("url", "pathname"), app.get_relative_path("/"))],
    reset_props=[("out", {"children": "reset"})],
    running=[(Output("spinner", "hidden"), False, True)],
)
async def ticks(_n: int, ticker: str) -> AsyncIterator[Update]:
    mark("ticks began")
    try:
        n = 0
        while True:
            n += 1
            yield stream_props("out", {"children": f"{ticker}{n}"})
            await asyncio.sleep(0.02)
    finally:
        mark("ticks finally", ticker=ticker)


def overlap_callback(mode: Any) -> None:
    @event_callback(
        Input(mode, "n_clicks"),
        overlap=mode,
        cancel=Input("stop", "n_clicks"),
        reset_props=[("message", {"children": f"{mode} was reset"})],
        running=[(Output("spinner", "hidden"), False, True)],
    )
    async def overlapping(n: int) -> AsyncIterator[Update]:
        mark(f"{mode} began", n=n)
        try:
            for step in range(20):
                yield stream_props("out", {"children": f"{mode} {n}.{step}"})
                await asyncio.sleep(0.05)
            patch = Patch()
            patch.append(f"{n} ")
            dash.set_props("finished", {"children": patch})
        finally:
            mark(f"{mode} finally", n=n)


for _mode in ("restart", "skip", "queue", "parallel"):
    overlap_callback(_mode)


@event_callback(Input("burst", "n_clicks"))
async def burst(_n: int) -> AsyncIterator[Update]:
    for i in range(20_000):
        yield stream_props("out", {"children": f"burst {i + 1}"})


@event_callback(
    Input("fail", "n_clicks"),
    on_error=lambda error: stream_props("message", {"children": f"sorry: {error}"}),
    reset_props={"message": {"children": "reset"}, "out": {"children": "reset by fail"}},
    running=[(Output("spinner", "hidden"), False, True)],
)
async def fail(_n: int) -> AsyncIterator[Update]:
    yield stream_props("message", {"children": "streaming"})
    raise ValueError("no luck")


@event_callback(
    Input("timeout", "n_clicks"), timeout=0.2, reset_props={"out": {"children": "timed out"}}
)
async def timeout(_n: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": "waiting"})
    await asyncio.sleep(60)


@event_callback(Input("bad", "n_clicks"), reset_props={"out": {"children": "bad was reset"}})
async def bad(_n: int) -> AsyncIterator[Update]:
    yield stream_props("out", {"children": object()})


@event_callback(Input("plain", "n_clicks"), cancel=Input("stop", "n_clicks"))
def plain(_n: int) -> Iterator[Update]:
    try:
        n = 0
        while True:
            n += 1
            yield stream_props("out", {"children": f"plain {n}"})
            time.sleep(0.02)  # a plain generator may block
    finally:
        mark("plain finally")


@event_callback(Input("setprops", "n_clicks"))
async def setprops(_n: int) -> AsyncIterator[None]:
    dash.set_props("out", {"children": "by set_props"})
    await asyncio.sleep(0)
    dash.set_props({"type": "card", "index": "a"}, {"children": "by set_props"})
    yield


@event_callback(
    inputs={"n": Input("context", "n_clicks"), "more": [State("ticker", "value")]},
    prevent_initial_call=True,
)
async def context(n: int, more: list[str]) -> AsyncIterator[Update]:
    seen = []
    for _ in range(2):
        seen.append(
            {
                "triggered": ctx.triggered_id,
                "grouping": bool(ctx.args_grouping["n"]["triggered"]),
                "path": request_path(),
                "cookie": ctx.cookies.get("user"),
                "more": more,
                "clicks": n,
            }
        )
        await asyncio.sleep(0.01)
    yield stream_props("context-out", {"children": json.dumps(seen)})


@event_callback(
    Input({"type": "go", "index": MATCH}, "n_clicks"),
    cancel=Input({"type": "halt", "index": MATCH}, "n_clicks"),
    reset_props=[({"type": "card", "index": MATCH}, {"children": "reset"})],
)
async def cards(_n: int) -> AsyncIterator[Update]:
    index = ctx.triggered_id["index"]
    try:
        n = 0
        while True:
            n += 1
            yield stream_props({"type": "card", "index": MATCH}, {"children": f"{index}{n}"})
            await asyncio.sleep(0.02)
    finally:
        mark(f"card {index} finally")


@event_callback(Input("everyone", "n_clicks"))
async def everyone(_n: int) -> AsyncIterator[Update]:
    yield stream_props({"type": "card", "index": ALL}, {"children": "everyone"})


@event_callback(Input("patches", "n_clicks"))
async def patches(_n: int) -> AsyncIterator[Update]:
    yield stream_props("patched", {"data": {"items": [], "n": 0}})
    for i in range(500):
        patch = Patch()
        patch["items"].append(i)
        patch["n"] += 1
        yield stream_props("patched", {"data": patch})


@app.callback(Output("patched-out", "children"), Input("patched", "data"))
def show_patched(data: Any) -> str:
    return json.dumps(data)


for _n in range(8):

    def endless_callback(n: int) -> None:
        @event_callback(Input(f"endless{n}", "n_clicks"), cancel=Input("stop", "n_clicks"))
        async def endless(_clicks: int) -> AsyncIterator[Update]:
            i = 0
            while True:
                i += 1
                yield stream_props(f"endless-out{n}", {"children": i})
                await asyncio.sleep(0.05)

    endless_callback(_n)


@app.callback(Output("answer", "children"), Input("ordinary", "n_clicks"))
def ordinary(n: int) -> str:
    return f"answer {n}"


@event_callback(Input("both", "n_clicks"))
async def both_one(_n: int) -> AsyncIterator[Update]:
    yield stream_props("both-one", {"children": "one"})


@event_callback(Input("both", "n_clicks"))
async def both_two(_n: int) -> AsyncIterator[Update]:
    yield stream_props("both-two", {"children": "two"})


@app.callback(Output("both-three", "children"), Input("both", "n_clicks"))
def both_three(_n: int) -> str:
    return "three"


@event_callback(
    Input("self", "n_clicks"),
    cancel=(Input("reset", "n_clicks"), 0),
    reset_props={"self": {"n_clicks": 0}},
)
async def itself(n: int) -> AsyncIterator[Update]:
    mark("self began", n=n)
    yield stream_props("self", {"n_clicks": 0})
    yield stream_props("reset", {"n_clicks": 7})
    for step in range(10):
        yield stream_props("selfcount", {"children": f"step {step}"})
        await asyncio.sleep(0.02)
    yield stream_props("selfcount", {"children": "done"})


@app.callback(Output("listener", "children"), Input("out", "children"), prevent_initial_call=True)
def listener(children: Any) -> str:
    mark("listener", children=children)
    return f"heard {children}"


@app.callback(
    Output("place", "children"),
    Input("insert", "n_clicks"),
    Input("remove", "n_clicks"),
    prevent_initial_call=True,
)
def place(_insert: int, _remove: int) -> Any:
    if ctx.triggered_id == "remove":
        return None
    return [html.Button("late", id="late"), html.Button("late keep", id="late-keep")]


@event_callback(Input("late", "n_clicks"), prevent_initial_call=False)
async def late(n: int | None) -> AsyncIterator[Update]:
    mark("late began", n=n, triggered=bool(ctx.triggered))
    try:
        i = 0
        while True:
            i += 1
            yield stream_props("inserted", {"children": f"late {i}"})
            await asyncio.sleep(0.02)
    finally:
        mark("late finally")


@event_callback(Input("late-keep", "n_clicks"), keep_alive=True, cancel=Input("stop", "n_clicks"))
async def late_keep(_n: int) -> AsyncIterator[Update]:
    try:
        i = 0
        while True:
            i += 1
            yield stream_props("runs", {"children": f"kept {i}"})
            await asyncio.sleep(0.02)
    finally:
        mark("kept finally")


@event_callback(Input("ticker", "id"), prevent_initial_call=False)
async def on_load(_id: str) -> AsyncIterator[Update]:
    mark("loaded", triggered=bool(ctx.triggered))
    yield stream_props("log", {"children": "loaded"})


@event_callback(
    Input("values", "n_clicks"),
    State("ticker", "placeholder"),
    State("not-on-the-page", "value", allow_optional=True),
)
async def values(n: int, never_set: Any, absent: Any) -> AsyncIterator[Update]:
    yield stream_props("unset", {"children": json.dumps([n, never_set, absent])})


@event_callback(Input("pairs", "n_clicks"))
async def pairs(_n: int) -> AsyncIterator[Update]:
    for i in range(200):
        yield stream_props({"both-one": {"children": i}, "both-two": {"children": i}})
        await asyncio.sleep(0.005)
    yield stream_props("message", {"children": "all pairs sent"})


@event_callback(Input("flood", "n_clicks"), cancel=Input("stop", "n_clicks"))
async def flood(_n: int) -> AsyncIterator[Update]:
    """Yields endlessly, and marks its progress."""
    count = 0
    while True:
        count += 1
        if count % 100 == 0:
            mark("flood", count=count)
        yield stream_props("out", {"children": f"flood {count} {'.' * 1000}"})


@event_callback(
    Input("keep", "n_clicks"),
    State("ticker", "value"),
    cancel=Input("stop", "n_clicks"),
    reset_props={"message": {"children": "keep was reset"}},
    running=[(Output("spinner", "hidden"), False, True)],
    on_disconnect="finish",
)
async def keep(_n: int, ticker: str) -> AsyncIterator[Update]:
    """Continues without a viewer; ends when the test writes a file, or never."""
    mark("keep began")
    count = 0
    try:
        yield stream_props("message", {"children": f"kept for {ticker}"})
        while not may_end():
            count += 1
            yield stream_props("out", {"children": f"keep {count}"})
            await asyncio.sleep(0.02)
    finally:
        mark("keep finally", count=count)


@event_callback(Input("stubborn", "n_clicks"))
async def stubborn(_n: int) -> AsyncIterator[Update]:
    """Stops slowly."""
    yield stream_props("out", {"children": "stubborn"})
    try:
        await asyncio.sleep(60)
    finally:
        mark("stubborn cancelled")
        await asyncio.sleep(0.8)


@event_callback(Input("tracked", "n_clicks"))
def tracked(_n: int) -> Iterator[Update]:
    for _ in track(range(50), "bar", label="bar-text"):
        time.sleep(0.01)  # a plain generator may block
    yield stream_props("message", {"children": "all tracked"})


@event_callback(Input("tracked-async", "n_clicks"))
async def tracked_async(_n: int) -> AsyncIterator[Update]:
    async def items() -> AsyncIterator[int]:
        for i in range(50):
            await asyncio.sleep(0.01)
            yield i

    async for _ in track(items(), "bar", total=50, label="bar-text"):
        pass
    yield stream_props("message", {"children": "all tracked"})
