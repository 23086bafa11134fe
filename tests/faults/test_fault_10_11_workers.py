"""Rows 10 and 11: workers that are killed, and workers that are told to stop."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.machines import (
    connection_of,
    has_exited_in_time,
    kill,
    machines,
    start_beside,
    take_updates,
    terminate,
)
from tests.support.page import data, opened
from tests.support.server import serving


@pytest.mark.notice
def test_fault_10_the_page_gets_the_loss_of_a_killed_workers_runs(
    tmp_path: Path, redis_url: str
) -> None:
    with (
        machines(tmp_path, redis_url) as served,
        opened(served[0]) as here,
        opened(served[1]) as there,
    ):
        first = here.body("endless0")
        with here.stream("start", first) as events:
            next(events)
            second = start_beside(first, there, "endless1")
            lost = second["flash_events"]["run"]
            next(event for event in events if data(event).get("run") == lost)
            killed = time.monotonic()
            kill(served[1])
            ends = (event for event in events if event.event == "end")
            assert data(next(ends)) == {"run": lost, "n": 0, "reason": "lost"}
            assert time.monotonic() - killed < 10
            take_updates(events, 3)  # the other continues
            here.stop(first["flash_events"]["run"])


@pytest.mark.notice
def test_fault_10_a_connection_whose_holder_was_killed_continues_elsewhere(
    tmp_path: Path, redis_url: str
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
            second = start_beside(first, there, "endless1")
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


@pytest.mark.deadline
@pytest.mark.parametrize(
    ("app", "workers", "component", "mark"),
    [
        ("tests.apps.kitchen:server", 1, "start", "ticks finally"),
        ("tests.apps.kitchen:server", 3, "start", "ticks finally"),
        ("tests.apps.debug", 1, "endless", "endless finally"),  # by app.run
    ],
)
def test_fault_11_streams_that_cannot_move_end_as_lost(
    tmp_path: Path, app: str, workers: int, component: str, mark: str
) -> None:
    with serving(app, tmp_path, workers=workers) as served, opened(served) as page:
        with page.stream("start", page.body(component)) as events:
            assert take_updates(events, 1) == [1]
            asked = terminate(served)
            rest = [event for event in events if event.event != "update"]
        assert [event.event for event in rest] == ["end", "close"]
        assert data(rest[0])["reason"] == "lost"
        has_exited_in_time(served, asked)
        assert len(served.marks(mark)) == 1


@pytest.mark.deadline
def test_fault_11_a_worker_with_an_idle_client_exits_in_time(tmp_path: Path) -> None:
    with serving("tests.apps.kitchen:server", tmp_path) as served, opened(served) as page:
        page.client.get(served.url)  # its connection is kept alive
        has_exited_in_time(served, terminate(served))


@pytest.mark.deadline
def test_fault_11_a_client_that_does_not_read_does_not_delay_the_workers_exit(
    tmp_path: Path,
) -> None:
    with (
        serving("tests.apps.kitchen:server", tmp_path) as served,
        opened(served) as page,
        page.stream("start", page.body("flood")) as events,
    ):
        next(events)
        served.wait_for_mark("flood", 20)
        has_exited_in_time(served, terminate(served))


@pytest.mark.deadline
def test_fault_11_a_connection_moves_to_another_worker_with_that_workers_runs(
    tmp_path: Path, redis_url: str
) -> None:
    with (
        machines(tmp_path, redis_url) as served,
        opened(served[0]) as here,
        opened(served[1]) as there,
    ):
        first = here.body("start")
        with here.stream("start", first) as events:
            next(events)
            second = start_beside(first, there, "endless1")
            stays = second["flash_events"]["run"]
            numbers, ends, last = [], [], ""
            asked = 0.0
            for event in events:
                last = event.id or last
                if event.event == "update" and data(event)["run"] == stays:
                    numbers.append(data(event)["n"])
                    if len(numbers) == 3:
                        asked = terminate(served[0])
                elif event.event in ("end", "drain"):
                    ends.append(data(event))
        assert ends == [
            {"run": first["flash_events"]["run"], "n": ends[0]["n"], "reason": "lost"},
            {},
        ]
        has_exited_in_time(served[0], asked)
        assert len(served[0].marks("ticks finally")) == 1
        with there.stream("resume", there.resume(connection_of(first), last)) as events:
            numbers += take_updates(events, 10)
        assert numbers == list(range(1, len(numbers) + 1))
        there.stop(stays)


@pytest.mark.deadline
def test_fault_11_a_worker_that_stops_takes_no_starts(tmp_path: Path) -> None:
    with (
        serving("tests.apps.kitchen:server", tmp_path) as served,
        opened(served) as page,
        opened(served) as other,
    ):
        with page.stream("start", page.body("stubborn")) as events:
            assert take_updates(events, 1) == [1]
            [worker] = served.workers()
            os.kill(worker, signal.SIGTERM)
            asked = time.monotonic()
            served.wait_for_mark("stubborn cancelled")
            refused = other.post("start", other.body("fail"))
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        has_exited_in_time(served, asked)
