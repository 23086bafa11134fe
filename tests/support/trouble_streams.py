"""Streams over two processes during failures of Redis."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import EventSource

from tests.support.machines import connection_of, machines, start_beside
from tests.support.page import Page, data, opened
from tests.support.redis_server import RedisServer, redis_server
from tests.support.refusing import Refusing, refusing
from tests.support.server import Served
from tests.support.troubles import Trouble

UPDATES = 20


@dataclass
class Troubled:
    """Two processes that share a Redis."""

    redis: RedisServer
    proxy: Refusing
    here: Page
    there: Page
    served: list[Served]

    def cause(self, trouble: Trouble, seconds: float) -> list[dict[str, Any]]:
        """Disturbs Redis while two runs stream on one connection; returns the runs' ends.

        One of them lives in the other process. Starts meanwhile must be refused in order.
        """
        first = self.here.body("endless0")
        numbers: dict[str, list[int]] = defaultdict(list)
        with self.here.stream("start", first) as events:
            next(events)
            second = start_beside(first, self.there, "endless1")
            runs = [body["flash_events"]["run"] for body in (first, second)]
            read(events, numbers, runs, UPDATES)
            until = time.monotonic() + seconds
            mend = trouble(self.redis, self.proxy)
            try:
                for page in (self.here, self.there):
                    is_refused(httpx.post(page.url("start"), json=page.body("fail"), timeout=5))
                time.sleep(max(0.0, until - time.monotonic()))  # the failure lasts
            finally:
                mend()
            more = {run: len(numbers[run]) + UPDATES for run in runs}
            ends = read(events, numbers, runs, max(more.values()))
        if not all(len(numbers[run]) >= more[run] for run in runs):
            ends += self.resumed(first, numbers, runs)
        for run in runs:
            assert numbers[run] == list(range(1, len(numbers[run]) + 1))
            self.here.stop(run)
        assert all("has died" not in served.log() for served in self.served)
        return ends

    def resumed(
        self, body: dict[str, Any], numbers: dict[str, list[int]], runs: list[str]
    ) -> list[dict[str, Any]]:
        """Resumes like a page until the server accepts it or ends the connection."""
        lost = [{"run": run, "n": 0, "reason": "lost"} for run in runs]
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            wanted = self.here.resume(connection_of(body))
            with self.here.client.stream("POST", self.here.url("resume"), json=wanted) as response:
                if response.status_code in (404, 410):
                    return lost
                if response.status_code == 200:
                    numbers.clear()  # it starts again
                    count = 2 * UPDATES
                    return read(EventSource(response).iter_sse(), numbers, runs, count)
                is_refused(response)
            time.sleep(0.1)  # as a page does
        raise AssertionError("The page is not told.")


def read(
    events: Iterator[Any], numbers: dict[str, list[int]], runs: list[str], count: int
) -> list[dict[str, Any]]:
    """Reads until each run has reached a number or ended; returns the ends."""
    ends: list[dict[str, Any]] = []
    for event in events:
        if event.event == "update":
            numbers[data(event)["run"]].append(data(event)["n"])
        elif event.event == "end":
            ends.append(data(event))
        over = {end["run"] for end in ends}
        if all(run in over or len(numbers[run]) >= count for run in runs):
            break
    return ends


def is_refused(response: httpx.Response) -> None:
    """Asserts that a request was refused such that a page retries it."""
    response.read()
    assert response.status_code == 503, response.text
    assert response.headers["retry-after"] == "1"
    assert response.json()["error"] == "broker"


@contextmanager
def troubled(directory: Path) -> Iterator[Troubled]:
    """Two processes and their own Redis, until the block ends."""
    with ExitStack() as stack:
        redis = stack.enter_context(redis_server(directory))
        proxy = stack.enter_context(refusing(redis.url))
        served = stack.enter_context(machines(directory, proxy.url))
        here, there = (stack.enter_context(opened(one)) for one in served)
        yield Troubled(redis, proxy, here, there, served)
