"""Several workers share their streams through Redis: a run may live anywhere, so may its client."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent

from tests.conftest import Served, serving, wait_until
from tests.redis_server import redis_server
from tests.test_endpoint import Page, data, new_id, opened, time_of


@contextmanager
def machines(
    directory: Path, broker: str, count: int = 2, **settings: Any
) -> Iterator[list[Served]]:
    """Servers with one worker each, as on several machines."""
    with ExitStack() as stack:
        served = []
        for n in range(count):
            home = directory / str(n)
            home.mkdir()
            served.append(
                stack.enter_context(
                    serving(
                        "tests.apps.kitchen:server", home, FLASH_EVENTS_BROKER=broker, **settings
                    )
                )
            )
        yield served


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, redis_url: str) -> Iterator[list[Served]]:
    with machines(tmp_path_factory.mktemp("machines"), redis_url) as served:
        yield served


@pytest.fixture
def here(pair: list[Served]) -> Iterator[Page]:
    with opened(pair[0]) as page:
        yield page


@pytest.fixture
def there(pair: list[Served]) -> Iterator[Page]:
    with opened(pair[1]) as page:
        yield page


def connection_of(body: dict[str, dict[str, str]]) -> str:
    return body["flash_events"]["connection"]


def test_a_run_elsewhere_travels_on_the_open_connection(here: Page, there: Page) -> None:
    first = here.body("endless0")
    with here.stream("start", first) as events:
        assert next(events).event == "open"
        second = there.body("burst", connections=[connection_of(first)])
        answer = there.post("start", second)
        assert (answer.status_code, answer.json()) == (202, {"connection": connection_of(first)})
        run = second["flash_events"]["run"]
        numbers = []
        for event in events:
            if data(event).get("run") == run:
                if event.event == "end":
                    break
                if event.event == "update":
                    numbers.append(data(event)["n"])
        assert numbers == list(range(1, 20_001))
        here.stop(first["flash_events"]["run"])


def test_a_connection_resumes_on_another_machine_without_gap_or_double(
    here: Page, there: Page
) -> None:
    body = here.body("start")
    numbers: list[int] = []
    last = ""
    pages, action, request = [here, there], "start", body
    for n in range(6):
        with pages[n % 2].stream(action, request) as events:
            for event in events:
                last = event.id or last
                if event.event == "update":
                    numbers.append(data(event)["n"])
                    if len(numbers) % 7 == 0:
                        break
        action, request = "resume", here.resume(connection_of(body), last)
    assert numbers == list(range(1, 43))
    there.stop(body["flash_events"]["run"])


def test_a_stop_reaches_the_other_machine_a_hundred_times(
    pair: list[Served], here: Page, there: Page
) -> None:
    slowest = 0.0
    before = len(pair[0].marks("ticks finally"))
    for n in range(1, 101):
        here.page = new_id()
        with here.stream("start", body := here.body("start")) as events:
            while next(events).event != "update":
                pass
            asked = time_of(there.stop(body["flash_events"]["run"]))
            done = pair[0].wait_for_mark("ticks finally", before + n, seconds=1)
            slowest = max(slowest, done["time"] - asked)
    assert slowest < 1


def test_a_run_that_replaces_one_elsewhere_waits_for_its_finally(
    pair: list[Served], here: Page, there: Page
) -> None:
    first = here.body("restart")
    before = len(pair[0].marks("restart finally"))
    with here.stream("start", first) as events:
        while next(events).event != "update":
            pass
        fields = {"connections": [connection_of(first)], "replaces": [first["flash_events"]["run"]]}
        second = there.body("restart", **fields)
        assert there.post("start", second).status_code == 202
        began = pair[1].wait_for_mark("restart began")
        done = pair[0].wait_for_mark("restart finally", before + 1)
        assert done["time"] < began["time"]
        there.stop(second["flash_events"]["run"])


def test_a_start_that_is_repeated_elsewhere_starts_no_second_run(
    pair: list[Served], here: Page, there: Page
) -> None:
    before = [len(served.marks("ticks began")) for served in pair]
    body = here.body("start")
    with here.stream("start", body) as events:
        assert [next(events).event for _ in range(3)] == ["open", "start", "update"]
    with there.stream("start", body) as events:  # its answer was lost
        assert [next(events).event for _ in range(3)] == ["open", "start", "update"]
    assert [len(served.marks("ticks began")) for served in pair] == [before[0] + 1, before[1]]
    there.stop(body["flash_events"]["run"])
    pair[0].wait_for_mark("ticks finally")


def test_a_start_that_was_stopped_elsewhere_before_it_came_starts_nothing(
    here: Page, there: Page
) -> None:
    body = here.body("start")
    there.stop(body["flash_events"]["run"])
    assert here.post("start", body).status_code == 410


def test_a_vanished_client_stops_runs_on_both_machines(tmp_path: Path, redis_url: str) -> None:
    with (
        machines(tmp_path, redis_url, FLASH_EVENTS_GRACE_SECONDS="0.3") as served,
        opened(served[0]) as here,
        opened(served[1]) as there,
    ):
        first = here.body("start")
        with here.stream("start", first) as events:
            next(events)
            second = there.body("start", connections=[connection_of(first)])
            assert there.post("start", second).status_code == 202
            served[1].wait_for_mark("ticks began")
        for one in served:
            one.wait_for_mark("ticks finally", seconds=0.3 + 1)


def test_a_reader_that_does_not_read_pauses_a_run_on_another_machine(
    pair: list[Served], here: Page, there: Page
) -> None:
    first = here.body("endless0")
    with here.stream("start", first) as events:
        next(events)
        there.post("start", there.body("flood", connections=[connection_of(first)]))
        paused = 0

        def is_paused() -> bool:
            nonlocal paused
            counts = [mark["count"] for mark in pair[1].marks("flood")]
            is_same = bool(counts) and counts[-1] == paused
            paused = counts[-1] if counts else 0
            time.sleep(0.3)  # the next count would have come by then
            return is_same

        wait_until(is_paused, 20, "pause of the flood")
        flood = [data(event)["n"] for event in events_until(events, "flood", paused)]
        assert flood == list(range(1, paused + 1))
    here.stop(first["flash_events"]["run"])


class TestWithoutRedis:
    """What happens when Redis is not there."""

    def test_it_is_missed_at_start_up(self, tmp_path: Path) -> None:
        with (
            pytest.raises(AssertionError) as raised,
            serving(
                "tests.apps.kitchen:server",
                tmp_path,
                FLASH_EVENTS_BROKER="redis://user:secret@127.0.0.1:9/0",
            ),
        ):
            pass
        assert "Redis at redis://127.0.0.1:9/0 does not answer" in str(raised.value)
        assert "secret" not in str(raised.value).split("does not answer")[1][:200]

    def test_starts_are_refused_soon_and_streams_go_on_when_it_is_back(
        self, tmp_path: Path
    ) -> None:
        with (
            redis_server(tmp_path, appendonly=True) as redis,
            machines(tmp_path, redis.url, count=1) as [served],
            opened(served) as page,
        ):
            body = page.body("start")
            numbers = []
            with page.stream("start", body) as events:
                numbers += take_updates(events, 5)
                redis.stop()
                began = time.monotonic()
                refused = httpx.post(page.url("start"), json=page.body("start"), timeout=5)
                assert refused.status_code == 503
                assert time.monotonic() - began < 2
                redis.start()
                numbers += take_updates(events, 100)
            assert numbers == list(range(1, 106))
            page.stop(body["flash_events"]["run"])
            served.wait_for_mark("ticks finally", seconds=5)

    def test_streams_whose_log_is_gone_end_and_say_so(self, tmp_path: Path) -> None:
        with (
            redis_server(tmp_path) as redis,
            machines(tmp_path, redis.url, count=1) as [served],
            opened(served) as page,
        ):
            body = page.body("start")
            with page.stream("start", body) as events:
                take_updates(events, 5)
                redis.client.flushall()
                list(events)  # the body ends
            assert page.post("resume", page.resume(connection_of(body))).status_code == 404
            served.wait_for_mark("ticks finally", seconds=5)
            with page.stream("start", page.body("fail")) as events:
                assert [event.event for event in events][-1] == "close"


def take_updates(events: Iterator[ServerSentEvent], count: int) -> list[int]:
    """The numbers of the next updates."""
    numbers: list[int] = []
    for event in events:
        if event.event == "update":
            numbers.append(data(event)["n"])
            if len(numbers) == count:
                break
    return numbers


class TestDeath:
    """A worker that is killed takes its runs along, and nothing else."""

    def test_the_page_learns_of_the_runs_of_a_killed_worker(
        self, tmp_path: Path, redis_url: str
    ) -> None:
        with (
            machines(tmp_path, redis_url) as served,
            opened(served[0]) as here,
            opened(served[1]) as there,
        ):
            first = here.body("endless0")
            with here.stream("start", first) as events:
                next(events)
                second = there.body("endless1", connections=[connection_of(first)])
                assert there.post("start", second).status_code == 202
                lost = second["flash_events"]["run"]
                next(event for event in events if data(event).get("run") == lost)
                killed = time.monotonic()
                kill(served[1])
                ends = (event for event in events if event.event == "end")
                assert data(next(ends)) == {"run": lost, "n": 0, "reason": "lost"}
                assert time.monotonic() - killed < 10
                take_updates(events, 3)  # the other goes on
                here.stop(first["flash_events"]["run"])

    def test_a_connection_whose_holder_was_killed_goes_on_elsewhere(
        self, tmp_path: Path, redis_url: str
    ) -> None:
        with (
            machines(tmp_path, redis_url) as served,
            opened(served[0]) as here,
            opened(served[1]) as there,
        ):
            first = here.body("endless0")
            numbers: list[int] = []
            last = ""
            with here.stream("start", first) as events:
                next(events)
                second = there.body("endless1", connections=[connection_of(first)])
                assert there.post("start", second).status_code == 202
                goes_on = second["flash_events"]["run"]
                for event in events:
                    last = event.id or last
                    if event.event == "update" and data(event)["run"] == goes_on:
                        numbers.append(data(event)["n"])
                        if len(numbers) == 5:
                            break
                killed = time.monotonic()
                kill(served[0])
            with there.stream("resume", there.resume(connection_of(first), last)) as events:
                ended = ""
                for event in events:
                    if event.event == "update" and data(event)["run"] == goes_on:
                        numbers.append(data(event)["n"])
                    if event.event == "end":
                        ended = data(event)["run"]
                    if ended and len(numbers) > 20:
                        break
                assert time.monotonic() - killed < 10
            assert ended == first["flash_events"]["run"]
            assert numbers == list(range(1, len(numbers) + 1))
            there.stop(goes_on)


def kill(served: Served) -> None:
    """Kills the one worker of a server, and its parent, which would end it in order."""
    workers = served.workers()
    served.process.kill()
    for worker in workers:
        os.kill(worker, signal.SIGKILL)


def events_until(
    events: Iterator[ServerSentEvent], prefix: str, count: int
) -> Iterator[ServerSentEvent]:
    """Updates that set a text with this prefix, as many as asked."""
    found = 0
    for event in events:
        if event.event == "update" and prefix in event.data:
            found += 1
            yield event
            if found == count:
                return
