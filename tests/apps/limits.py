"""Celery apps with workers of different configurations, each with a queue of its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

from celery import Celery
from celery.exceptions import SoftTimeLimitExceeded
from dash import Input

from flash_events import Update, event_callback
from flash_events.celery import stream_task
from tests.apps.elsewhere import say, sorry
from tests.apps.marks import mark
from tests.apps.tasks import BROKER

NAMES = ("blind", "blind_task", "limited", "limited_plain", "limited_busy", "overdue", "pickled")


def app_with_queue(name: str) -> Celery:
    app = Celery(f"tests.apps.{name}", broker=BROKER, backend=BROKER)
    app.conf.update(task_default_queue=name, broker_connection_retry_on_startup=True)
    return app


blind_app = app_with_queue("blind")
"""Its worker is started without FLASH_EVENTS_BROKER."""

limited_app = app_with_queue("limited")
"""Its worker has a soft and a hard time limit, and pickles its results."""

limited_app.conf.update(result_serializer="pickle", accept_content=["json", "pickle"])


@event_callback(Input("blind", "n_clicks"), on_error=sorry, worker=blind_app)
async def blind(_n: int) -> AsyncIterator[Update]:
    yield say("not to be seen")


@blind_app.task  # type: ignore[untyped-decorator] # Celery has no types
def quiet() -> None:
    """Emits nothing."""


@event_callback(Input("blind_task", "n_clicks"), on_error=sorry)
async def blind_task(_n: int) -> AsyncIterator[Update]:
    async with stream_task(quiet) as stream:
        async for update in stream:
            yield update


@limited_app.task  # type: ignore[untyped-decorator] # Celery has no types
def pickled() -> tuple[dict[int, int], tuple[int, int]]:
    return {2019: 3}, (3, 4)


@event_callback(Input("pickled", "n_clicks"), on_error=sorry)
async def show_pickled(_n: int) -> AsyncIterator[Update]:
    async with stream_task(pickled) as stream:
        yield say(repr(await stream.result()))


@event_callback(Input("limited", "n_clicks"), on_error=sorry, worker=limited_app)
async def limited(_n: int) -> AsyncIterator[Update]:
    yield say("waits")
    try:
        await asyncio.sleep(60)
    except SoftTimeLimitExceeded:
        mark("limited heard")
        yield say("cleans up")
        raise


@event_callback(Input("limited_plain", "n_clicks"), on_error=sorry, worker=limited_app)
def limited_plain(_n: int) -> Iterator[Update]:
    try:
        while True:
            yield say("works")
            time.sleep(0.01)  # the work
    except SoftTimeLimitExceeded:
        mark("limited_plain heard")
        raise


@event_callback(Input("limited_busy", "n_clicks"), on_error=sorry, worker=limited_app)
async def limited_busy(_n: int) -> AsyncIterator[Update]:
    yield say("computes")
    try:
        while True:  # blocks the loop
            sum(range(10_000))
    except SoftTimeLimitExceeded:
        mark("limited_busy heard")
        raise


@event_callback(Input("overdue", "n_clicks"), on_error=sorry, worker=limited_app)
async def overdue(_n: int) -> AsyncIterator[Update]:
    yield say("goes on")
    while True:
        try:
            await asyncio.sleep(60)
        except SoftTimeLimitExceeded:
            yield say("goes on all the same")
