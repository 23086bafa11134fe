"""Rows 1, 2, 14, 15, 16, 17: network failures, and the log behind the stream."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from httpx_sse import EventSource

from tests.support.cuts import cut_many_times
from tests.support.page import Page, opened
from tests.support.proxy import proxied
from tests.support.server import Served, serving
from tests.support.socket_client import Event, Follower, Refusal, Stream, behind, read_until
from tests.support.wire import VECTORS


@pytest.fixture
def page(faulty: Served) -> Iterator[Page]:
    with opened(faulty) as page:
        yield page


def test_fault_01_the_vectors_are_the_same_events_cut_anywhere() -> None:
    """Read by an independent client; the renderer's tests have the same number for ours."""
    wire = b"".join(vector["wire"].encode() for vector in VECTORS)
    expected = [(vector["event"], vector["data"]) for vector in VECTORS]
    for at in range(len(wire) + 1):
        answer = httpx.Response(
            200,
            headers={"Content-Type": "text/event-stream"},
            content=iter([wire[:at], wire[at:]]),
        )
        seen = [(event.event, json.loads(event.data)) for event in EventSource(answer).iter_sse()]
        assert seen == expected, f"cut at {at}"


# With memory, a resume that reaches another worker is lost, so there is one worker only.
@pytest.mark.parametrize(("broker", "workers"), [("memory", 1), ("redis", 1), ("redis", 4)])
def test_fault_02_a_connection_cut_a_hundred_times_loses_nothing(
    broker: str, workers: int, tmp_path: Path, redis_url: str
) -> None:
    cut_many_times("memory://" if broker == "memory" else redis_url, workers, tmp_path)


def test_fault_14_events_that_were_trimmed_during_an_absence_are_reported_as_a_gap(
    tmp_path: Path,
) -> None:
    with (
        serving("tests.apps.faults:server", tmp_path, FLASH_EVENTS_REPLAY_BYTES="10000") as served,
        opened(served) as page,
    ):
        follower = Follower(page, page.body("count", 20_000), served.url)
        stream = follower.open()
        for event in stream.events():
            follower.take(event)
            if len(follower.numbers) == 5:
                break
        for _ in stream.events():
            pass  # received, but lost by the page, which was away
        with pytest.raises(Refusal) as refused:
            follower.open()
        assert refused.value.status == 410
        assert json.loads(refused.value.body)["error"] == "lost"


def test_fault_15_a_thousand_resumes_during_live_appends_leave_no_gap_and_no_duplicate(
    page: Page, faulty: Served
) -> None:
    follower = Follower(page, page.body("count", 20_000), faulty.url)
    before = follower.open()
    while follower.resumes < 1_000:
        for event in before.events():
            follower.take(event)
            if len(follower.numbers) % 17 == 16:
                break
        after = follower.open()  # while the run appends and the old stream is still read
        before.reset()
        before = after
    for event in before.events():
        follower.take(event)
    assert follower.numbers == list(range(1, 20_001))
    assert [end["reason"] for end in follower.ends] == ["done"]


def test_fault_16_a_start_that_is_repeated_after_a_lost_response_is_one_run(
    page: Page, faulty: Served
) -> None:
    began = len(faulty.marks("count began"))
    with proxied(faulty.url) as proxy:
        follower = Follower(page, page.body("count", 500), proxy.url)
        for lost in range(3):
            proxy.cut_after(0)
            with pytest.raises((OSError, EOFError)):
                follower.open()
            assert proxy.cuts == lost + 1
        follower.follow()
    assert follower.numbers == list(range(1, 501))
    assert len(faulty.marks("count began")) == began + 1


def test_fault_16_also_when_the_run_travels_on_an_open_connection(
    page: Page, faulty: Served
) -> None:
    began = len(faulty.marks("count began"))
    first = page.body("waits", 60)
    connection = first["flash_events"]["connection"]
    stream = Stream(page.url("start"), first)
    events = stream.events()
    while next(events).name != "update":
        pass
    second = page.body("count", 3, connections=[connection])
    with proxied(faulty.url) as proxy, opened(behind(faulty, proxy.url)) as lossy:
        proxy.cut_after(0)
        with pytest.raises(httpx.TransportError):
            lossy.post("start", second)
        assert lossy.post("start", second).json() == {"connection": connection}
    seen: list[Event] = []
    while not seen or seen[-1].name != "end":
        seen.append(next(events))
    assert [event.name for event in seen] == ["start", "update", "update", "update", "end"]
    assert len(faulty.marks("count began")) == began + 1
    page.stop(first["flash_events"]["run"])
    stream.close()


def test_fault_17_fifty_clients_that_are_cut_and_return_at_once_all_continue(
    faulty: Served,
) -> None:
    """The worst case of the jitter; the renderer's tests show that it spreads 500 clients."""
    with proxied(faulty.url) as proxy, opened(faulty) as page:
        followers = [Follower(page, page.body("count", 2_000), proxy.url) for _ in range(50)]
        for follower in followers:  # each its own page, or the limit of runs would hold
            follower.start["flash_events"]["page"] = follower.start["flash_events"]["run"]
        streams = [follower.open() for follower in followers]
        for follower, stream in zip(followers, streams, strict=True):
            for event in read_until(stream, "update"):
                follower.take(event)
        assert proxy.cut() == 50
        threads = [threading.Thread(target=follower.follow) for follower in followers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for follower in followers:
            assert follower.numbers == list(range(1, 2_001))
            assert follower.resumes == 1
