"""Celery tasks of the tests."""

import os
import time
from decimal import Decimal
from typing import Any
from uuid import UUID

from celery import Celery, group
from celery.exceptions import Ignore

from flash_events import stream_props, track
from flash_events.celery import emit
from tests.apps.marks import mark

BROKER = os.environ["CELERY_BROKER"]

celery_app = Celery("tests.apps.tasks", broker=BROKER, backend=BROKER)
celery_app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=1,
    result_expires=600,
)
if "REBORN" in os.environ:  # redeliver a run whose worker has died
    celery_app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


def say(component_id: str | None, text: object) -> None:
    if component_id is not None:
        emit(stream_props(component_id, {"children": text}))


@celery_app.task
def count(component_id: str, up_to: int) -> int:
    """Emits as fast as possible."""
    for n in range(1, up_to + 1):
        say(component_id, n)
    return up_to


@celery_app.task
def tick(component_id: str, seconds: float = 0.02) -> None:
    """Emits until it is stopped."""
    mark("tick began")
    n = 0
    try:
        while True:
            n += 1
            say(component_id, f"tick {n}")
            time.sleep(seconds)  # the work
    finally:
        mark("tick finally", n=n)


@celery_app.task
def sleepy(component_id: str) -> None:
    """Emits once and then works without checking for a cancel."""
    mark("sleepy began")
    say(component_id, "asleep")
    try:
        while True:
            sum(range(10_000))
    finally:
        mark("sleepy finally")


class OddError(Exception):
    """An exception of the tests."""


@celery_app.task
def fail(component_id: str) -> None:
    say(component_id, "about to fail")
    raise OddError("out of paper")


@celery_app.task
def odd(component_id: str) -> None:
    raise KeyError(UUID(int=1), Decimal("0.1"))


@celery_app.task(bind=True)
def stubborn(self: Any, component_id: str) -> str:
    """Succeeds at the third attempt."""
    say(component_id, f"attempt {self.request.retries + 1}")
    if self.request.retries < 2:
        raise self.retry(countdown=0)
    return "at last"


@celery_app.task(ignore_result=True)
def unkept(component_id: str) -> set[int]:
    """Returns a value without a JSON form, which is not stored."""
    for n in range(1, 101):
        say(component_id, n)
    return {1, 2}


@celery_app.task(bind=True)
def replaced(self: Any, component_id: str) -> Any:
    say(component_id, "the first")
    return self.replace(replacement.s(component_id))


@celery_app.task
def replacement(component_id: str) -> str:
    say(component_id, "the second")
    return "of the second"


@celery_app.task(bind=True)
def replaced_by_chain(self: Any, component_id: str) -> Any:
    say(component_id, "the first")
    return self.replace(add.s(None, 1, 2) | total_of_one.s(component_id))


@celery_app.task(bind=True)
def replaced_by_group(self: Any, component_id: str) -> Any:
    return self.replace(group(add.s(None, n, n) for n in range(2)))


@celery_app.task
def ignoring(component_id: str) -> None:
    say(component_id, "nothing to do")
    raise Ignore


@celery_app.task(acks_late=True, reject_on_worker_lost=True)
def reborn(component_id: str) -> str:
    """Is killed once from outside, and redelivered."""
    mark("reborn began")
    for n in range(1, 6):
        say(component_id, f"reborn {n}")
    while not os.path.exists(os.environ["MARKS"] + ".end"):
        time.sleep(0.01)  # poll interval; the test ends the wait
    return "done"


@celery_app.task
def add(component_id: str | None, a: int, b: int) -> int:
    for n in range(1, 4):
        say(component_id, f"{a}+{b} {n}")
    return a + b


@celery_app.task
def total(parts: list[int], component_id: str) -> int:
    say(component_id, f"total of {len(parts)}")
    return sum(parts)


@celery_app.task
def total_of_one(part: int, component_id: str) -> int:
    return total([part], component_id)  # type: ignore[no-any-return]


@celery_app.task
def tracked(component_id: str) -> int:
    return sum(track(range(50), "bar", label=component_id))


@celery_app.task
def hold(until: str) -> None:
    """Keeps a process busy until a file exists."""
    while not os.path.exists(until):
        time.sleep(0.01)  # poll interval; the test ends the wait
