"""Rows 3 to 6: clients that leave without a message."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from httpx_sse._decoders import SSEDecoder

from tests.support.page import Page, opened
from tests.support.proxy import proxied
from tests.support.server import GRACE_SECONDS, HEARTBEAT_SECONDS, Served, wait_until
from tests.support.socket_client import Follower, Stream, read_until
from tests.support.unread import leave_unread

STOP_SECONDS = 1.0


@pytest.fixture
def page(faulty: Served) -> Iterator[Page]:
    with opened(faulty) as page:
        yield page


@pytest.fixture
def hasty_page(hasty: Served) -> Iterator[Page]:
    with opened(hasty) as page:
        yield page


def test_fault_03_a_body_that_ends_without_close_was_cut_and_is_resumed(
    page: Page, faulty: Served
) -> None:
    """The server ends a stream cleanly when a later one takes over; no event may be missing."""
    follower = Follower(page, page.body("waits", 1), faulty.url)
    first = follower.open()
    for event in read_until(first, "update"):
        follower.take(event)
    second = follower.open()
    assert [event.name for event in first.events()] == []  # it ended, and without `close`
    for event in second.events():
        follower.take(event)
    assert (follower.numbers, follower.is_closed) == ([1, 2], True)


@pytest.mark.deadline
def test_fault_04_a_reset_runs_finally_within_a_second_after_the_grace_period(
    hasty_page: Page, hasty: Served
) -> None:
    before = len(hasty.marks("idle finally"))
    stream = Stream(hasty_page.url("start"), hasty_page.body("idle"))
    read_until(stream, "update")
    gone = time.time()
    stream.reset()
    done = hasty.wait_for_mark("idle finally", before + 1)
    assert done["time"] - gone < GRACE_SECONDS + STOP_SECONDS


def test_fault_04_a_client_that_returns_within_the_grace_period_keeps_its_run(
    page: Page, faulty: Served
) -> None:
    before = len(faulty.marks("idle finally"))
    follower = Follower(page, page.body("idle"), faulty.url)
    stream = follower.open()
    for event in read_until(stream, "update"):
        follower.take(event)
    stream.reset()
    read_until(follower.open(), "open")
    assert len(faulty.marks("idle finally")) == before
    page.stop(follower.start["flash_events"]["run"])


@pytest.mark.deadline
def test_fault_04_after_a_reset_a_stop_cancels_without_a_grace_period(
    page: Page, faulty: Served
) -> None:
    before = len(faulty.marks("idle finally"))
    body = page.body("idle")
    stream = Stream(page.url("start"), body)
    read_until(stream, "update")
    stream.reset()
    asked = time.time()
    page.stop(body["flash_events"]["run"])
    done = faulty.wait_for_mark("idle finally", before + 1)
    assert done["time"] - asked < STOP_SECONDS


def test_fault_05_a_client_that_stops_reading_costs_no_memory_and_loses_nothing(
    tmp_path: Path,
) -> None:
    leave_unread(tmp_path, seconds=8)


@pytest.mark.deadline
def test_fault_06_a_client_that_closes_while_the_stream_is_idle_is_cleaned_up(
    hasty_page: Page, hasty: Served
) -> None:
    before = len(hasty.marks("idle finally"))
    with proxied(hasty.url) as proxy:
        stream = Stream(f"{proxy.url}_dash-flash-events/start", hasty_page.body("idle"))
        read_until(stream, "update")
        gone = time.time()
        stream.close()
        done = hasty.wait_for_mark("idle finally", before + 1)
    assert done["time"] - gone < 2 * HEARTBEAT_SECONDS + GRACE_SECONDS + STOP_SECONDS


def test_fault_06_an_idle_stream_sends_heartbeats(hasty_page: Page, hasty: Served) -> None:
    """The sign by which a client detects that the server or a proxy has gone silent."""
    body = hasty_page.body("idle")
    with proxied(hasty.url) as proxy:
        stream = Stream(f"{proxy.url}_dash-flash-events/start", body)
        read_until(stream, "update")
        for _ in range(2):
            proxy.carried.clear()
            wait_until(proxy.carried.is_set, 2 * HEARTBEAT_SECONDS, "a heartbeat")
        hasty_page.stop(body["flash_events"]["run"])
        stream.close()


def test_t8_a_heartbeat_is_no_event_for_clients_that_follow_the_specification(
    hasty_page: Page, hasty: Served
) -> None:
    """T8: httpx-sse, as fetch-event-source, delivers an event at each empty line after an id."""
    body = hasty_page.body("idle")
    beats = 0

    def lines(response: httpx.Response) -> Iterator[str]:
        nonlocal beats
        for line in response.iter_lines():
            beats += line.startswith(":")
            yield line
            if beats == 2:
                beats += 1
                hasty_page.stop(body["flash_events"]["run"])

    url = hasty_page.url("start")
    with httpx.stream("POST", url, json=body, timeout=15) as response:
        decoder = SSEDecoder()
        seen = [one.event for line in lines(response) if (one := decoder.decode(line))]
    assert seen == ["open", "start", "update", "end", "close"]
