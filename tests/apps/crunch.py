"""An app whose callbacks and tasks run in Celery."""

import os
from collections.abc import AsyncIterator
from typing import Any

from celery import chain, chord, group
from dash import Dash, Input, dcc, html

from flash_events import FlashEvents, Update, event_callback, stream_props
from flash_events.celery import TaskStatus, stream_task
from tests.apps import elsewhere, limits, tasks
from tests.apps.backend import BACKEND
from tests.apps.marks import mark
from tests.apps.tasks import celery_app

__all__ = ["celery_app", "server"]

app = Dash(__name__, backend=BACKEND)
server = app.server
FlashEvents(app, metrics=True, linger_seconds=0.1)


CANVASES: dict[str, Any] = {
    "group": lambda: group(tasks.add.s("out", n, n) for n in range(3)),
    "chain": lambda: chain(tasks.add.s("out", 1, 1), tasks.total_of_one.s("out")),
    "ignored_chain": lambda: chain(tasks.ignoring.s("out"), tasks.total_of_one.s("out")),
    "chord": lambda: chord([tasks.add.s("out", n, n) for n in range(3)], tasks.total.s("out")),
}
TASKS = ("count", "tick", "sleepy", "fail", "odd", "stubborn", "reborn", "tracked", "unkept")
ENDINGS = ("replaced", "replaced_by_chain", "replaced_by_group", "ignoring")
NAMES = (*TASKS, *ENDINGS, *CANVASES)

OTHERS = ("four", "unasked", "either", "here")

TEXTS = ("out", "state", "waiting", "result", "message", "spinner")

app.layout = html.Div(
    [
        *(
            html.Button(name, id=name)
            for name in (*NAMES, *elsewhere.NAMES, *limits.NAMES, "stop", *OTHERS)
        ),
        *(
            html.Div(id=name)
            for name in ("out", "state", "waiting", "result", "message", "spinner")
        ),
        dcc.Input(id="who", value="Ann"),
        html.Progress(id="bar", max=100),
    ]
)


def show(status: TaskStatus) -> Update:
    state = f"{status.part} {status.state} {status.attempt}"
    return stream_props([("state", {"children": state}), ("waiting", {"children": status.waiting})])


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
        timeout=60,
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


@event_callback(Input("unasked", "n_clicks"), on_error=told)
async def unasked(_n: int) -> AsyncIterator[Update]:
    """Streams without reading the result."""
    async with stream_task(tasks.unkept, "out") as stream:
        async for update in stream:
            yield update


@event_callback(Input("four", "n_clicks"))
async def four_at_once(_n: int) -> AsyncIterator[Update]:
    """Four tasks at once, each with a component of its own."""
    counts = group(tasks.count.s(f"out{n}", 10_000) for n in range(4))
    async with stream_task(counts) as stream:
        async for update in stream:
            yield update
        yield stream_props("result", {"children": await stream.result()})


@event_callback(Input("either", "n_clicks"), on_error=elsewhere.sorry, worker=celery_app)
async def whatever_the_name(_n: int) -> AsyncIterator[Update]:
    """A worker knows it, even if this module is the program that serves."""
    yield elsewhere.say("found")


if __name__ == "__main__":

    @event_callback(Input("here", "n_clicks"), on_error=elsewhere.sorry, worker=celery_app)
    async def here(_n: int) -> AsyncIterator[Update]:
        """No worker knows it."""
        yield elsewhere.say("not to be seen")

    app.run(port=os.environ["PORT"])
