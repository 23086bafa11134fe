"""Row 6: the client has gone, and a proxy keeps its connection open."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.page import Page, opened
from tests.support.proxy import proxied
from tests.support.server import GRACE_SECONDS, HEARTBEAT_SECONDS, Served, serving
from tests.support.socket_client import Stream

NOTICE_SECONDS = 2 * HEARTBEAT_SECONDS + GRACE_SECONDS + 1.0


@pytest.fixture
def page(hasty: Served) -> Iterator[Page]:
    with opened(hasty) as page:
        yield page


class Answering:
    """A client that answers heartbeats, each over a TCP connection of its own."""

    def __init__(self, page: Page, url: str, body: dict[str, Any]) -> None:
        self.heartbeats = 0
        self.answers: list[int] = []
        self._url = url
        self._alive = alive(body)
        self.stream = Stream(f"{url}_dash-flash-events/start", body, on_heartbeat=self._answer)
        self._events = self.stream.events()

    def _answer(self) -> None:
        self.heartbeats += 1
        with httpx.Client(verify=False) as client:  # certificates take long to load
            answer = client.post(f"{self._url}_dash-flash-events/alive", json=self._alive)
        self.answers.append(answer.status_code)

    def read(self, heartbeats: int) -> None:
        """Reads and answers `count` heartbeats."""
        while self.heartbeats < heartbeats:
            next(self._events)


def alive(body: dict[str, Any]) -> dict[str, Any]:
    return {"flash_events": {"version": 1, "connection": body["flash_events"]["connection"]}}


@pytest.mark.deadline
def test_fault_06_a_client_that_goes_silent_behind_a_stalled_proxy_is_cleaned_up(
    page: Page, hasty: Served
) -> None:
    before = len(hasty.marks("endless finally"))
    with proxied(hasty.url) as proxy:
        client = Answering(page, proxy.url, page.body("endless"))
        client.read(heartbeats=3)
        proxy.stall()
        gone = time.time()
        client.stream.close()
        done = hasty.wait_for_mark("endless finally", before + 1)
        assert done["time"] - gone < NOTICE_SECONDS
    assert set(client.answers) == {202}


def test_fault_06_a_client_that_never_answers_keeps_its_stream(page: Page, hasty: Served) -> None:
    before = len(hasty.marks("endless finally"))
    body = page.body("endless")
    heartbeats = 0

    def count() -> None:
        nonlocal heartbeats
        heartbeats += 1

    stream = Stream(page.url("start"), body, on_heartbeat=count)
    events = stream.events()
    while heartbeats < 6:
        next(events)
    assert len(hasty.marks("endless finally")) == before
    page.stop(body["flash_events"]["run"])
    stream.close()


@pytest.mark.parametrize("is_shared", [False, True], ids=["siblings", "redis"])
def test_fault_06_an_answer_finds_the_worker_that_holds_the_stream(
    tmp_path: Path, request: pytest.FixtureRequest, is_shared: bool
) -> None:
    with (
        serving(
            "tests.apps.faults:server",
            tmp_path,
            workers=4,
            FLASH_EVENTS_HEARTBEAT_SECONDS="0.5",
            FLASH_EVENTS_BROKER=request.getfixturevalue("redis_url") if is_shared else "memory://",
        ) as served,
        opened(served) as page,
    ):
        body = page.body("endless")
        client = Answering(page, served.url, body)
        client.read(heartbeats=10)  # three of four answers reach another worker
        assert set(client.answers) == {202}
        assert not served.marks("endless finally")
        page.stop(body["flash_events"]["run"])
        client.stream.close()


def test_fault_06_an_answer_for_an_unknown_connection_is_refused(page: Page) -> None:
    answer = page.post("alive", alive(page.body("idle")))
    assert (answer.status_code, answer.json()["error"]) == (404, "lost")
    assert page.post("alive", {"flash_events": {"version": 1}}).status_code == 400


def test_fault_06_an_answer_for_another_users_connection_is_refused(tmp_path: Path) -> None:
    with (
        serving("tests.apps.kitchen:server", tmp_path, USERS="1") as served,
        opened(served) as ann,
        opened(served) as bob,
    ):
        ann.client.cookies.set("user", "ann")
        bob.client.cookies.set("user", "bob")
        body = ann.body("endless0")
        with ann.stream("start", body) as events:
            next(events)
            assert bob.post("alive", alive(body)).status_code == 404
            assert ann.post("alive", alive(body)).status_code == 202
            assert ann.stop(body["flash_events"]["run"]).status_code == 202
