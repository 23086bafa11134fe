"""Row 18 of the faults: Celery workers that are killed, redeliver tasks, or lose Redis."""

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from httpx_sse import ServerSentEvent
from redis import Redis

from flash_events.celery.worker_runs import TASK
from tests.support.celery_worker import Celery, crunching
from tests.support.machines import connection_of, take_updates
from tests.support.page import Page, end_of, opened, read_until, sets
from tests.support.redis_server import RedisServer, redis_server
from tests.support.server import wait_until

NOTICE_SECONDS = 15


def process_of(celery: Celery, mark: str) -> int:
    """Returns the process that has written this mark last."""
    return int(celery.served.marks(mark)[-1]["pid"])


def deliver_again(celery: Celery) -> int:
    """Redelivers messages that are older than Celery's visibility timeout, as its broker does.

    kombu itself checks only every hundred seconds. Returns the number of messages.
    """
    redis: Any = Redis.from_url(celery.messages_url)
    taken = redis.hvals("unacked")
    for text in taken:
        message, _, queue = json.loads(text)
        message["properties"]["delivery_info"]["redelivered"] = True
        redis.lpush(queue, json.dumps(message))
    return len(taken)


Stream = tuple[str, Page, dict[str, Any], Iterator[ServerSentEvent]]


@contextmanager
def both(celery: Celery) -> Iterator[list[Stream]]:
    """A task that is streamed and a run in a worker, each on a page of its own."""
    with ExitStack() as stack:
        streams = []
        for name in ("tick", "ticks"):
            page = stack.enter_context(opened(celery.served))
            body = page.body(name)
            events = stack.enter_context(page.stream("start", body))
            streams.append((name, page, body, events))
        yield streams


def told_in_time(events: Iterator[ServerSentEvent]) -> list[ServerSentEvent]:
    """Reads until the end; fails if it takes too long."""
    killed = time.monotonic()
    rest = list(events)
    assert time.monotonic() - killed < NOTICE_SECONDS
    return rest


def test_a_killed_task_fails_its_run(celery: Celery) -> None:
    with opened(celery.served) as page, page.stream("start", page.body("tick")) as events:
        read_until(events, "tick 3")
        os.kill(process_of(celery, "tick began"), signal.SIGKILL)
        rest = told_in_time(events)
    assert end_of(rest)["reason"] == "error"
    assert sets(rest, "message")[0].startswith("WorkerLostError")


def test_a_killed_run_fails(celery: Celery) -> None:
    with opened(celery.served) as page, page.stream("start", page.body("ticks")) as events:
        take_updates(events, 3)
        os.kill(process_of(celery, "ticks began"), signal.SIGKILL)
        rest = told_in_time(events)
    assert end_of(rest)["reason"] == "error"
    assert sets(rest, "message")[0].startswith("sorry: WorkerLost")


@pytest.mark.deadline
def test_a_whole_worker_is_killed(tmp_path: Path, redis_url: str) -> None:
    with crunching(tmp_path, redis_url) as celery, both(celery) as streams:
        for _, _, _, events in streams:
            take_updates(events, 5)
        celery.worker.kill()
        killed = time.monotonic()
        for _, _, _, events in streams:
            assert end_of(list(events))["reason"] == "error"
        assert time.monotonic() - killed < NOTICE_SECONDS


def test_updates_of_a_redelivered_task_have_another_attempt(celery: Celery) -> None:
    with opened(celery.served) as page, page.stream("start", page.body("reborn")) as events:
        seen = []
        for event in events:
            seen.append(event)
            if sets([event], "out") == ["reborn 5"]:
                break
        os.kill(process_of(celery, "reborn began"), signal.SIGKILL)
        with celery.ending():
            seen += told_in_time(events)
    texts = [f"reborn {n}" for n in range(1, 6)]
    assert sets(seen, "out") == texts + texts
    states = sets(seen, "state")
    assert [state for state in states if "started" in state] == ["0 started 1", "0 started 2"]
    assert states[-1] == "0 success 2"
    assert end_of(seen)["reason"] == "done"


def test_a_redelivered_run_restarts(tmp_path: Path, redis_url: str) -> None:
    with (
        crunching(tmp_path, redis_url, REBORN="1") as celery,
        opened(celery.served) as page,
        page.stream("start", body := page.body("ticks")) as events,
    ):
        take_updates(events, 5)
        os.kill(process_of(celery, "ticks began"), signal.SIGKILL)
        read_until(events, "2:3")
        page.stop(body["flash_events"]["run"])
        assert end_of(list(events))["reason"] == "cancelled"
        began = celery.served.marks("ticks began")
        assert [mark["attempt"] for mark in began] == [1, 2]
        wait_until(lambda: not celery.active(), 5, "a free worker")


def test_only_one_attempt_of_a_run_that_is_delivered_twice_writes(
    tmp_path: Path, redis_url: str
) -> None:
    """C3: the visibility timeout of Celery's broker is shorter than the run takes."""
    with crunching(tmp_path, redis_url, REBORN="1") as celery, both(celery) as streams:
        shown: dict[str, list[str]] = {"tick": [], "ticks": []}

        def read(count: int) -> None:
            for name, _, _, events in streams:
                for _ in range(count):
                    event = next(events)
                    assert event.event != "end", event.data
                    shown[name] += sets([event], "out")

        def were_delivered_twice() -> bool:
            names = re.findall(r"Task (\S+)\[.*\] received", celery.worker.log())
            return all(names.count(name) > 1 for name in (TASK, "tests.apps.tasks.tick"))

        read(5)
        assert deliver_again(celery) == 2
        wait_until(were_delivered_twice, 10, "a second delivery")
        read(100)
        for name, page, body, _ in streams:
            page.stop(body["flash_events"]["run"])
            celery.served.wait_for_mark(f"{name} finally")
        wait_until(lambda: not celery.active(), 10, "a free worker")
        assert len(celery.served.marks("ticks began")) == 1
    assert shown["tick"] == [f"tick {n}" for n in range(1, len(shown["tick"]) + 1)]
    assert shown["ticks"] == [f"1:{n}" for n in range(1, len(shown["ticks"]) + 1)]


@pytest.fixture
def redis(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RedisServer]:
    """A Redis for events alone; Celery's own is not touched."""
    with redis_server(tmp_path, appendonly=request.param) as server:
        yield server


@pytest.mark.parametrize("redis", [True], indirect=True, ids=["appendonly"])
def test_no_emitted_update_is_lost_when_redis_restarts(
    tmp_path: Path, redis: RedisServer, redis_url: str
) -> None:
    with (
        crunching(tmp_path, redis_url, FLASH_EVENTS_BROKER=redis.url) as celery,
        both(celery) as streams,
    ):
        shown: dict[str, list[str]] = {"tick": [], "ticks": []}
        for count in (60, 120, 180):
            for name, _, _, events in streams:
                texts = shown[name]
                while len(texts) < count:
                    texts += sets([next(events)], "out")
            if count < 180:
                redis.stop()
                redis.start()
        for name, page, body, _ in streams:
            page.stop(body["flash_events"]["run"])
            celery.served.wait_for_mark(f"{name} finally")
    assert shown["tick"][:180] == [f"tick {n}" for n in range(1, 181)]
    assert shown["ticks"][:180] == [f"1:{n}" for n in range(1, 181)]


@pytest.mark.parametrize("redis", [False], indirect=True, ids=["in memory"])
def test_runs_are_lost_when_redis_is_emptied(
    tmp_path: Path, redis: RedisServer, redis_url: str
) -> None:
    with (
        crunching(tmp_path, redis_url, FLASH_EVENTS_BROKER=redis.url) as celery,
        both(celery) as streams,
    ):
        for _, _, _, events in streams:
            take_updates(events, 5)
        redis.stop()
        redis.start()
        for name, page, body, events in streams:
            list(events)  # the body ends
            assert page.post("resume", page.resume(connection_of(body))).status_code == 404
            celery.served.wait_for_mark(f"{name} finally")
        wait_until(lambda: not celery.active(), 5, "a free worker")
