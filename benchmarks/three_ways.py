"""An app in which Celery's workers write into the page in three ways, one per button.

The workers write the current time.
"""

import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterator

from celery import Celery
from dash import CeleryManager, Dash, Input, Output, State, callback, dcc, html

from flash_events import Update, event_callback, stream_props
from flash_events.celery import emit, stream_task

REDIS = os.environ["FLASH_EVENTS_BROKER"]

celery_app = Celery("benchmarks.three_ways", broker=REDIS, backend=REDIS)
celery_app.conf.update(broker_connection_retry_on_startup=True, worker_prefetch_multiplier=1)

WAYS = ("task", "worker", "dash")
"""Ids of the buttons."""

app = Dash(__name__, backend="quart")
server = app.server
app.layout = html.Div(
    [
        dcc.Input(id="updates", type="number", value=int(os.environ.get("UPDATES", "100"))),
        *(html.Button(way, id=way) for way in WAYS),
        *(html.Div(id=f"{way}-{part}") for way in WAYS for part in ("out", "sent")),
    ]
)


def times(updates: int) -> Iterator[str]:
    """Yields the time about every 200 ms, with the same irregular pauses in all three ways."""
    jitter = random.Random(0)
    for _ in range(updates):
        time.sleep(jitter.uniform(0.1, 0.3))  # the measured pace
        yield repr(time.time())


@celery_app.task
def work(updates: int) -> str:
    sent = []
    for now in times(updates):
        emit(stream_props("task-out", {"children": now}))
        sent.append(now)
    return " ".join(sent)


@event_callback(Input("task", "n_clicks"), State("updates", "value"))
async def through_a_task(_clicks: int, updates: int) -> AsyncIterator[Update]:
    async with stream_task(work, updates) as task:
        async for update in task:
            yield update
        yield stream_props("task-sent", {"children": await task.result()})


@event_callback(Input("worker", "n_clicks"), State("updates", "value"), worker=celery_app)
def in_a_worker(_clicks: int, updates: int) -> Iterator[Update]:
    sent = []
    for now in times(updates):
        yield stream_props("worker-out", {"children": now})
        sent.append(now)
    yield stream_props("worker-sent", {"children": " ".join(sent)})


@callback(
    Output("dash-sent", "children"),
    Input("dash", "n_clicks"),
    State("updates", "value"),
    background=True,
    manager=CeleryManager(celery_app),
    progress=Output("dash-out", "children"),
    prevent_initial_call=True,
)
def in_the_background(set_progress: Callable[[str], None], _clicks: int, updates: int) -> str:
    sent = []
    for now in times(updates):
        set_progress(now)
        sent.append(now)
    return " ".join(sent)
