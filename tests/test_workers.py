"""Several workers share their streams through Redis: a run and its client may be at any of them."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx_sse import ServerSentEvent

from tests.support.machines import connection_of, machines, start_beside
from tests.support.page import Page, data, new_id, opened, time_of
from tests.support.server import Served, wait_until


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


def test_a_run_of_another_machine_uses_the_open_connection(here: Page, there: Page) -> None:
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


def test_a_connection_resumes_on_another_machine_without_gaps_or_duplicates(
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


def test_a_repeated_start_on_another_machine_starts_no_second_run(
    pair: list[Served], here: Page, there: Page
) -> None:
    before = [len(served.marks("ticks began")) for served in pair]
    body = here.body("start")
    with here.stream("start", body) as events:
        assert [next(events).event for _ in range(3)] == ["open", "start", "update"]
    with there.stream("start", body) as events:  # its response was lost
        assert [next(events).event for _ in range(3)] == ["open", "start", "update"]
    assert [len(served.marks("ticks began")) for served in pair] == [before[0] + 1, before[1]]
    there.stop(body["flash_events"]["run"])
    pair[0].wait_for_mark("ticks finally")


def test_a_start_that_was_stopped_elsewhere_before_it_arrived_starts_nothing(
    here: Page, there: Page
) -> None:
    body = here.body("start")
    there.stop(body["flash_events"]["run"])
    assert here.post("start", body).status_code == 410


def test_a_lost_client_stops_runs_on_both_machines(tmp_path: Path, redis_url: str) -> None:
    with (
        machines(tmp_path, redis_url, FLASH_EVENTS_GRACE_SECONDS="0.3") as served,
        opened(served[0]) as here,
        opened(served[1]) as there,
    ):
        first = here.body("start")
        with here.stream("start", first) as events:
            next(events)
            start_beside(first, there, "start")
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

        def is_paused() -> bool:
            """Returns whether the last mark is so old that the next one is overdue."""
            notes = pair[1].marks("flood")
            return bool(notes) and time.time() - notes[-1]["time"] > 0.5

        wait_until(is_paused, 20, "pause of the flood")
        paused = pair[1].marks("flood")[-1]["count"]
        flood = [data(event)["n"] for event in events_until(events, "flood", paused)]
        assert flood == list(range(1, paused + 1))
    here.stop(first["flash_events"]["run"])


def events_until(
    events: Iterator[ServerSentEvent], prefix: str, count: int
) -> Iterator[ServerSentEvent]:
    """Reads `count` updates that set a text with this prefix."""
    found = 0
    for event in events:
        if event.event == "update" and prefix in event.data:
            found += 1
            yield event
            if found == count:
                return
