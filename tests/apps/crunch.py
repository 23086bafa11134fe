"""An app whose work is done by Celery."""

from collections.abc import AsyncIterator
from typing import Any

from celery import chain, chord, group
from dash import Dash, Input, dcc, html

from flash_events import FlashEvents, Update, event_callback, stream_props
from flash_events.celery import TaskStatus, stream_task
from tests.apps import tasks
from tests.apps.marks import mark

app = Dash(__name__, backend="quart")
server = app.server
FlashEvents(app, metrics=True, linger_seconds=0.1)


CANVASES: dict[str, Any] = {
    "group": lambda: group(tasks.add.s("out", n, n) for n in range(3)),
    "chain": lambda: chain(tasks.add.s("out", 1, 1), tasks.total_of_one.s("out")),
    "chord": lambda: chord([tasks.add.s("out", n, n) for n in range(3)], tasks.total.s("out")),
}
NAMES = ("count", "tick", "sleepy", "fail", "stubborn", "reborn", *CANVASES)

app.layout = html.Div(
    [
        *(html.Button(name, id=name) for name in (*NAMES, "stop")),
        *(html.Div(id=name) for name in ("out", "state", "result", "message")),
        dcc.Store(id="up-to", data=10_000),
    ]
)


def show(status: TaskStatus) -> Update:
    mark("state", **{name: getattr(status, name) for name in ("part", "state", "attempt")})
    return stream_props("state", {"children": f"{status.part} {status.state} {status.attempt}"})


async def follow(task: Any, *args: Any) -> AsyncIterator[Update]:
    try:
        async with stream_task(task, *args, on_state=show) as stream:
            async for update in stream:
                yield update
            yield stream_props("result", {"children": f"result {await stream.result()}"})
    finally:
        mark("run finally")


def told(error: Exception) -> Update:
    return stream_props("message", {"children": f"{type(error).__name__}: {error}"})


def define(name: str) -> None:
    @event_callback(
        Input(name, "n_clicks"),
        cancel=[Input("stop", "n_clicks")],
        on_error=told,
        overlap="parallel",
    )
    async def run(_n: int) -> AsyncIterator[Update]:
        task = CANVASES[name]() if name in CANVASES else getattr(tasks, name)
        args = () if name in CANVASES else ("out", 10_000) if name == "count" else ("out",)
        async for update in follow(task, *args):
            yield update


for one in NAMES:
    define(one)
