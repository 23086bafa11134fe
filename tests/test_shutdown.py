"""On SIGTERM a worker ends or moves its streams, runs every `finally`, and exits in time."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.conftest import Served, serving
from tests.test_endpoint import data, opened
from tests.test_workers import connection_of, machines, take_updates

EXIT_SECONDS = 5


def terminate(served: Served) -> float:
    served.process.send_signal(signal.SIGTERM)
    return time.monotonic()


def has_exited_in_time(served: Served, asked: float) -> None:
    served.process.wait(EXIT_SECONDS)
    assert time.monotonic() - asked < EXIT_SECONDS


@pytest.mark.parametrize(
    ("app", "workers", "component", "mark"),
    [
        ("tests.apps.kitchen:server", 1, "start", "ticks finally"),
        ("tests.apps.kitchen:server", 3, "start", "ticks finally"),
        ("tests.apps.debug", 1, "endless", "endless finally"),  # by app.run
    ],
)
def test_streams_that_cannot_move_end_as_lost(
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


def test_a_worker_with_an_idle_client_exits_in_time(tmp_path: Path) -> None:
    with serving("tests.apps.kitchen:server", tmp_path) as served, opened(served) as page:
        page.client.get(served.url)  # its connection is kept alive
        has_exited_in_time(served, terminate(served))


def test_a_client_that_does_not_read_does_not_keep_the_worker(tmp_path: Path) -> None:
    with (
        serving("tests.apps.kitchen:server", tmp_path) as served,
        opened(served) as page,
        page.stream("start", page.body("flood")) as events,
    ):
        next(events)
        served.wait_for_mark("flood", 20)
        has_exited_in_time(served, terminate(served))


def test_a_connection_moves_to_another_worker_with_the_runs_that_live_there(
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
            second = there.body("endless1", connections=[connection_of(first)])
            assert there.post("start", second).status_code == 202
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


def test_a_worker_that_stops_takes_no_starts(tmp_path: Path) -> None:
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
