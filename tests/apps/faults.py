"""An app with faulty event callbacks, each named by its fault."""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import dash
import plotly.graph_objects as go
from dash import Dash, Input, Output, html

from flash_events import FlashEvents, Update, event_callback, stream_props
from tests.apps.backend import BACKEND
from tests.apps.marks import mark

app = Dash(__name__, backend=BACKEND, compress="COMPRESS" in os.environ)
FlashEvents(app)  # settings come from the environment
server = app.server

RESETS = [("message", {"children": "reset"})]
SECRET = "the password is swordfish"
RAISED = [
    "exit",
    "argparse",
    "interrupt",
    "panic",
    "group",
    "generator-exit",
    "stop-async-iteration",
    "stop-iteration",
    "cancelled",
    "cancels-itself",
    "cancelled-task",
]
FAILURES = ("before", "middle", "finally")
UNSENDABLE = ("top", "list", "component", "figure", "set_props")
POISONED = ("__proto__", "constructor", "prototype")

BUTTONS = (
    "count flood hot idle waits stubborn late big unsendable poison poisoned-ids ids ordinary halt "
    "missing endless plain raises raises-plain keeps"
)

app.layout = html.Div(
    [
        *[html.Button(name, id=name, n_clicks=0) for name in BUTTONS.split()],
        *[html.Button(name, id=f"fails-{name}", n_clicks=0) for name in FAILURES],
        *[html.Div(id=name) for name in ("out", "message", "answer")],
    ]
)


async def ping() -> str:
    return "pong"


app.backend.add_url_rule("/ping", ping, "ping")


@event_callback(Input("count", "n_clicks"))
async def count(n: int) -> AsyncIterator[Update]:
    """Streams the numbers up to n, and yields to the event loop now and then."""
    mark("count began")
    for number in range(1, n + 1):
        yield stream_props("out", {"children": number})
        if number % 50 == 0:
            await asyncio.sleep(0)


@event_callback(Input("flood", "n_clicks"), cancel=Input("halt", "n_clicks"), reset_props=RESETS)
async def flood(n: int) -> AsyncIterator[Update]:
    """Streams n texts of a KiB each as fast as possible, and marks its progress."""
    for number in range(1, (30_000 if n == 1 else n) + 1):  # 1 is a click
        if number % 500 == 1:
            mark("flood at", number=number)
        yield stream_props("out", {"children": "x" * 1000})


@event_callback(Input("hot", "n_clicks"), cancel=Input("halt", "n_clicks"))
async def hot(_n: int) -> AsyncIterator[Update]:
    """Never awaits and never ends."""
    try:
        while True:
            yield stream_props("out", {"children": "hot"})
    finally:
        mark("hot finally")


@event_callback(Input("idle", "n_clicks"), cancel=Input("halt", "n_clicks"))
async def idle(_n: int) -> AsyncIterator[Update]:
    """Streams once and then stays silent."""
    mark("idle began")
    try:
        yield stream_props("out", {"children": "idle"})
        await asyncio.Event().wait()
    finally:
        mark("idle finally")


@event_callback(Input("waits", "n_clicks"), cancel=Input("halt", "n_clicks"))
async def waits(n: int) -> AsyncIterator[Update]:
    """Streams once, and again after n seconds."""
    yield stream_props("out", {"children": "before"})
    await asyncio.sleep(n)
    yield stream_props("out", {"children": "after"})


@event_callback(Input("stubborn", "n_clicks"), cancel=Input("halt", "n_clicks"))
async def stubborn(n: int) -> AsyncIterator[Update]:
    """Ignores its cancellation for n seconds."""
    over = time.monotonic() + n
    yield stream_props("out", {"children": "stubborn"})
    while time.monotonic() < over:
        try:
            await asyncio.sleep(0.05)
        except (
            BaseException
        ):  # row 8 of the fault table: a fault that callbacks should not have, but may
            continue
    mark("stubborn gave in")


@event_callback(Input("late", "n_clicks"), cancel=Input("halt", "n_clicks"), reset_props=RESETS)
async def late(n: int) -> AsyncIterator[Update]:
    """Its `finally` exceeds the timeout of a second when it is replaced, and writes afterwards."""
    try:
        step = 0
        while True:
            step += 1
            yield stream_props("out", {"children": f"run {n} step {step}"})
            await asyncio.sleep(0.02)
    finally:
        if n == 1:
            await asyncio.sleep(1.5)
            dash.set_props("out", {"children": "run 1 late"})
        mark("late finally", n=n)


@event_callback(Input("big", "n_clicks"))
async def big(size: int) -> AsyncIterator[Update]:
    """Streams one text of this size."""
    yield stream_props("out", {"children": "x" * size})


@event_callback(Input("missing", "n_clicks"))
async def missing(_n: int) -> AsyncIterator[Update]:
    """Streams to a component that is not on the page, and to one that is."""
    for step in range(3):
        yield stream_props(
            [("nowhere", {"children": step}), ("out", {"children": f"beside missing {step}"})]
        )


@event_callback(Input("endless", "n_clicks"), cancel=Input("halt", "n_clicks"), reset_props=RESETS)
async def endless(_n: int) -> AsyncIterator[Update]:
    """Counts endlessly."""
    mark("endless began")
    try:
        step = 0
        while True:
            step += 1
            yield stream_props("out", {"children": f"endless {step}"})
            await asyncio.sleep(0.02)
    finally:
        mark("endless finally")


@app.callback(Output("answer", "children"), Input("ordinary", "n_clicks"))
def ordinary(n: int) -> str:
    return f"answer {n}"


def failing(where: str) -> None:
    @event_callback(
        Input(f"fails-{where}", "n_clicks"),
        on_error=lambda error: stream_props("answer", {"children": f"{where} failed"}),
        reset_props=RESETS,
    )
    async def fails(_n: int) -> AsyncIterator[Update]:
        try:
            if where == "before":
                raise ValueError(SECRET)
            yield stream_props("message", {"children": "streaming"})
            if where == "middle":
                raise ValueError(SECRET)
        finally:
            if where == "finally":
                raise ValueError(SECRET)


for _where in FAILURES:
    failing(_where)


class Foreign:
    """A value without a JSON form."""


@event_callback(Input("unsendable", "n_clicks"))
async def unsendable(depth: str) -> AsyncIterator[Update]:
    """Streams a value without a JSON form, at the requested depth."""
    foreign: Any = Foreign()
    values: dict[str, Any] = {
        "top": foreign,
        "list": {"rows": [1, {"cells": [2, foreign]}]},
        "component": html.Div([html.B("fine"), html.Div([foreign])]),
        "figure": go.Figure(layout={"meta": {"deep": [foreign]}}),
        "set_props": [foreign],
    }
    if depth == "set_props":
        dash.set_props("out", {"children": values[depth]})
    yield stream_props([("message", {"children": "fine"}), ("out", {"children": values[depth]})])


@event_callback(Input("poison", "n_clicks"))
async def poison(_n: int) -> AsyncIterator[Update]:
    """Streams props whose names every JavaScript object has."""
    for name in POISONED:
        yield stream_props("out", {name: {"polluted": "yes"}})
    yield stream_props("answer", {"children": "poisoned"})


@event_callback(Input("poisoned-ids", "n_clicks"))
async def poisoned_ids(_n: int) -> AsyncIterator[Update]:
    """Streams to ids that are names of every JavaScript object."""
    for name in POISONED:
        yield stream_props(name, {"polluted": "yes"})
        yield stream_props({"type": name, "index": 1}, {"polluted": "yes"})
        yield stream_props({name: 1}, {"polluted": "yes"})
    yield stream_props("answer", {"children": "poisoned"})


@event_callback(Input("ids", "n_clicks"))
def ids(component_id: str) -> Iterator[Update]:
    """Streams to the requested id."""
    yield stream_props(component_id, {"children": "written"})


@event_callback(Input("plain", "n_clicks"))
def plain(n: int) -> Iterator[Update]:
    """Runs for n seconds in a thread unless it is stopped."""
    over = time.monotonic() + n
    while time.monotonic() < over:
        yield stream_props("out", {"children": "plain"})
        time.sleep(0.02)  # a plain generator may block


class Panic(BaseException):
    """An exception like the panics of Rust libraries (polars' PanicException)."""


def raise_it(kind: str) -> None:
    """Raises a base exception, or one that Python gives another meaning."""
    match kind:
        case "exit":
            sys.exit(SECRET)
        case "argparse":
            argparse.ArgumentParser().parse_args(["--unknown"])
        case "interrupt":
            raise KeyboardInterrupt
        case "panic":
            raise Panic(SECRET)
        case "group":
            raise BaseExceptionGroup(SECRET, [Panic(), ValueError()])
        case "generator-exit":
            raise GeneratorExit
        case "stop-async-iteration":
            raise StopAsyncIteration
        case "stop-iteration":
            raise StopIteration
        case "cancelled":
            raise asyncio.CancelledError


def on_raised(error: Exception) -> Update:
    mark("on_error")
    return stream_props("answer", {"children": f"on_error got {type(error).__name__}"})


@event_callback(Input("raises", "n_clicks"), on_error=on_raised, reset_props=RESETS)
async def raises(kind: str) -> AsyncIterator[Update]:
    """Fails in the requested way."""
    yield stream_props("out", {"children": kind})
    if kind == "cancels-itself":
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
    if kind == "cancelled-task":
        work = asyncio.create_task(asyncio.sleep(60))
        work.cancel()
        await work
    await asyncio.sleep(0)
    raise_it(kind)


@event_callback(Input("raises-plain", "n_clicks"), on_error=on_raised, reset_props=RESETS)
def raises_plain(kind: str) -> Iterator[Update]:
    """The same in a thread."""
    yield stream_props("out", {"children": kind})
    raise_it(kind)


@event_callback(Input("keeps", "n_clicks"), on_disconnect="finish")
async def keeps(pieces: int) -> AsyncIterator[Update]:
    """Streams n texts of 100 KiB that an attaching page must get; then it waits."""
    for number in range(pieces):
        yield stream_props("out", {f"data-{number}": "x" * 100 * 1024})
    mark("keeps all")
    await asyncio.Event().wait()
