"""Event callbacks that run in the workers of Celery."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator

from dash import Input, Output, State, ctx, set_props

from flash_events import Update, event_callback, stream_props
from flash_events.celery import attempt
from tests.apps.marks import mark, may_end
from tests.apps.tasks import celery_app

NAMES = ("burst", "ticks", "plain", "deaf", "wrong", "told", "keep")
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
            time.sleep(0.02)  # a plain generator may block
    finally:
        mark("plain finally", n=n)


@event_callback(Input("deaf", "n_clicks"), cancel=STOP, worker=celery_app)
async def deaf(_n: int) -> AsyncIterator[Update]:
    yield say("deaf")
    await asyncio.sleep(0.05)
    mark("deaf began")
    try:
        while True:  # holds the loop, so that it hears nothing
            sum(range(10_000))
    finally:
        mark("deaf finally")


@event_callback(Input("wrong", "n_clicks"), on_error=sorry, worker=celery_app)
async def wrong(_n: int) -> AsyncIterator[Update]:
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
