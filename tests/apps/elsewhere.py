"""An app whose callbacks run in the workers of Celery."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator

from celery import Celery
from dash import Dash, Input, Output, State, ctx, dcc, html, set_props

from flash_events import FlashEvents, Update, event_callback, stream_props
from flash_events.celery import attempt
from tests.apps.marks import mark, may_end

BROKER = os.environ["CELERY_BROKER"]
celery_app = Celery("tests.apps.elsewhere", broker=BROKER, backend=BROKER)
celery_app.conf.update(broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1)
if "REBORN" in os.environ:
    celery_app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)

app = Dash(__name__, backend="quart")
server = app.server
FlashEvents(app, metrics=True, linger_seconds=0.1)

NAMES = ("burst", "ticks", "plain", "queued", "deaf", "fail", "told", "keep")
app.layout = html.Div(
    [
        *(html.Button(name, id=name) for name in (*NAMES, "stop")),
        dcc.Input(id="who", value="Ann"),
        *(html.Div(id=name) for name in ("out", "message", "spinner")),
    ]
)

STOP = [Input("stop", "n_clicks")]
RUNNING = [(Output("spinner", "children"), "on", "off")]
RESET = {"message": {"children": "was reset"}}


def say(text: object) -> Update:
    return stream_props("out", {"children": text})


def sorry(error: Exception) -> Update:
    return stream_props("message", {"children": f"sorry: {type(error).__name__} {error}"})


@event_callback(Input("burst", "n_clicks"), worker=celery_app)
async def burst(_n: int) -> AsyncIterator[Update]:
    for n in range(1, 20_001):
        yield say(n)


@event_callback(
    Input("ticks", "n_clicks"),
    cancel=STOP,
    reset_props=RESET,
    running=RUNNING,
    on_error=sorry,
    worker=celery_app,
)
async def ticks(n_clicks: int) -> AsyncIterator[Update]:
    mark("ticks began", n_clicks=n_clicks, attempt=attempt())
    n = 0
    try:
        while True:
            n += 1
            yield say(f"{attempt()}:{n}")
            await asyncio.sleep(0.02)
    finally:
        mark("ticks finally", n=n, n_clicks=n_clicks)


@event_callback(Input("plain", "n_clicks"), cancel=STOP, worker=celery_app)
def plain(_n: int) -> Iterator[Update]:
    mark("plain began")
    n = 0
    try:
        while True:
            n += 1
            yield say(f"plain {n}")
            time.sleep(0.02)
    finally:
        mark("plain finally", n=n)


@event_callback(Input("queued", "n_clicks"), cancel=STOP, overlap="queue", worker=celery_app)
async def queued(n: int) -> AsyncIterator[Update]:
    yield say(f"queued {n}")


@event_callback(Input("deaf", "n_clicks"), cancel=STOP, worker=celery_app)
async def deaf(_n: int) -> AsyncIterator[Update]:
    mark("deaf began")
    yield say("deaf")
    await asyncio.sleep(0.05)
    while True:  # holds the loop, so that it hears nothing
        sum(range(10_000))


@event_callback(Input("fail", "n_clicks"), on_error=sorry, worker=celery_app)
async def fail(_n: int) -> AsyncIterator[Update]:
    yield say("about to fail")
    raise ValueError("no luck")


@event_callback(Input("told", "n_clicks"), State("who", "value"), worker=celery_app)
async def told(n: int, who: str) -> AsyncIterator[Update]:
    set_props("message", {"children": f"{ctx.triggered_id} {ctx.triggered[0]['value']}"})
    yield say(f"{n} {who} {ctx.inputs} {ctx.states} {os.getpid()}")


@event_callback(
    Input("keep", "n_clicks"), cancel=STOP, on_disconnect="finish", reset_props=RESET,
    running=RUNNING, worker=celery_app,
)  # fmt: skip
async def keep(_n: int) -> AsyncIterator[Update]:
    mark("keep began")
    n = 0
    try:
        while not may_end():
            n += 1
            yield say(f"keep {n}")
            await asyncio.sleep(0.02)
        yield say(f"kept to the end {n}")
    finally:
        mark("keep finally", n=n)
