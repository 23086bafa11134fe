"""A connection streams its log, resumes, sends heartbeats, and closes when no run is left."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from flash_events import Settings, sse
from flash_events.brokers import ConnectionId, PageId, RunId
from flash_events.brokers.log import LogLimits
from flash_events.brokers.memory import MemoryBroker
from flash_events.endpoint.connections import Connection, Connections
from flash_events.errors import LogGone
from flash_events.wire import events
from tests.support.broker import RUN
from tests.support.wire import parse

ID = ConnectionId("C" * 22)
LIMITS = LogLimits(2**20, 1000, 2**20, 60)


class Hub:
    """Connections with short timeouts, and a list of the expired ones."""

    def __init__(self, **settings: float) -> None:
        self.gone: list[Connection] = []
        self.is_gone = asyncio.Event()
        times: dict[str, Any] = {
            "heartbeat_seconds": 5.0,
            "grace_seconds": 5.0,
            "linger_seconds": 5.0,
            **settings,
        }
        self.broker = MemoryBroker(LIMITS)
        self.closed: list[Connection] = []
        self.all = Connections(Settings(**times), self._on_gone, self.closed.append)

    async def open(self) -> Connection:
        """A connection with one run."""
        log = await self.broker.logs.open(ID, "", RUN, self.broker.here)
        assert log is not None
        return self.all.hold(ID, "", PageId("P" * 22), log)

    def _on_gone(self, connection: Connection) -> None:
        self.gone.append(connection)
        self.is_gone.set()


def started(n: int) -> bytes:
    return events.encode(events.Started(str(n)))


async def names(stream: AsyncIterator[bytes]) -> list[str]:
    """Reads the events of a stream to its end."""
    chunks = [chunk async for chunk in stream if chunk != sse.HEARTBEAT]
    return [event.event for event in parse(b"".join(chunks))]


async def test_a_stream_opens_with_its_id_its_version_and_the_time_between_heartbeats() -> None:
    connection = await Hub().open()
    async with aclosing(connection.stream()) as stream:
        [event] = parse(await anext(stream))
    assert events.decode(event.event, event.data) == events.Opened(ID, heartbeat_seconds=5.0)


async def test_appended_events_follow_as_one_chunk() -> None:
    connection = await Hub().open()
    for n in range(100):
        connection.log.offer(RUN, started(n))
    async with aclosing(connection.stream()) as stream:
        await anext(stream)
        assert len(parse(await anext(stream))) == 100


async def test_a_silent_connection_sends_heartbeats() -> None:
    connection = await Hub(heartbeat_seconds=0.01).open()
    async with aclosing(connection.stream()) as stream:
        await anext(stream)
        assert await anext(stream) == b": heartbeat\n"
        connection.log.offer(RUN, started(1))
        assert b"event: start" in await anext(stream)


async def test_it_closes_soon_after_its_last_run() -> None:
    hub = Hub(linger_seconds=0.01)
    connection = await hub.open()
    stream = connection.stream()
    await anext(stream)
    connection.log.offer(RUN, started(1))
    connection.log.leave(RUN)
    assert not hub.closed
    assert await asyncio.wait_for(names(stream), 1) == ["start", "close"]
    assert hub.closed == [connection]
    assert await connection.log.finish_if_idle(b"")


async def test_a_run_that_joins_in_time_keeps_it_open() -> None:
    hub = Hub(linger_seconds=0.05, heartbeat_seconds=0.05)
    connection = await hub.open()
    async with aclosing(connection.stream()) as stream:
        await anext(stream)
        connection.log.leave(RUN, started(1))
        assert b"event: start" in await anext(stream)
        await hub.broker.logs.join(ID, "", RunId("second"), hub.broker.here, 9)
        for _ in range(3):
            assert await anext(stream) == b": heartbeat\n"
        connection.log.offer(RunId("second"), started(2))
        assert b"event: start" in await anext(stream)


async def test_a_drained_connection_is_closed_or_moved() -> None:
    connection = await Hub().open()
    connection.log.offer(RUN, started(1))
    connection.drain()
    assert await asyncio.wait_for(names(connection.stream()), 1) == ["open", "start", "drain"]
    connection.log.leave(RUN)
    assert await asyncio.wait_for(names(connection.stream()), 1) == ["open", "start", "close"]


async def test_a_dropped_log_ends_the_body() -> None:
    hub = Hub()
    connection = await hub.open()
    reading = asyncio.create_task(names(connection.stream()))
    await asyncio.sleep(0)
    await hub.broker.logs.drop(ID)
    assert await asyncio.wait_for(reading, 1) == ["open"]


async def test_a_pages_connections_count_until_they_expire() -> None:
    hub = Hub(grace_seconds=0.01)
    page = (await hub.open()).page
    assert (hub.all.of_page(page), hub.all.of_page(PageId("another"))) == (1, 0)
    await asyncio.wait_for(hub.is_gone.wait(), 1)
    assert hub.all.of_page(page) == 0
    await hub.open()
    hub.all.release(ID)
    hub.all.release(ID)
    assert (hub.all.of_page(page), len(hub.all)) == (0, 0)


async def test_it_expires_after_the_grace_period() -> None:
    hub = Hub(grace_seconds=0.01)
    connection = await hub.open()
    async with aclosing(connection.stream()) as stream:
        await anext(stream)
    await asyncio.wait_for(hub.is_gone.wait(), 1)
    assert hub.gone == [connection]
    assert hub.all.get(ID) is None


async def test_a_client_that_leaves_before_the_response_is_detected() -> None:
    hub = Hub(grace_seconds=0.01)
    await hub.open()
    await asyncio.wait_for(hub.is_gone.wait(), 1)


async def test_a_client_that_asks_for_it_has_the_whole_grace_period_again() -> None:
    """Or the period may end between the answer of the broker and that to the client."""
    hub = Hub()
    timer = (await hub.open())._timer
    hub.all.expect_client(ID, "another owner")
    hub.all.expect_client(ConnectionId("D" * 22), "")
    assert timer is not None
    assert not timer.cancelled()
    hub.all.expect_client(ID, "")
    again = hub.all.get(ID)
    assert timer.cancelled()
    assert again is not None
    assert again._timer is not None
    assert again._timer.when() > timer.when()


async def test_a_reader_that_returns_within_the_grace_period_keeps_it() -> None:
    hub = Hub(grace_seconds=0.05)
    connection = await hub.open()
    async with aclosing(connection.stream()) as stream:
        await anext(stream)
    async with aclosing(connection.stream()) as stream:
        await anext(stream)
        await asyncio.sleep(0.1)
        assert hub.all.get(ID) is connection
    assert not hub.gone


async def test_a_resumed_stream_continues_after_the_given_event() -> None:
    connection = await Hub().open()
    for n in range(5):
        connection.log.offer(RUN, started(n))
    async with aclosing(connection.stream()) as stream:
        await anext(stream)
        events = parse(await anext(stream))
    async with aclosing(connection.stream(events[2].id)) as stream:
        await anext(stream)
        assert [event.data for event in parse(await anext(stream))] == [
            event.data for event in events[3:]
        ]


async def test_a_later_reader_takes_over() -> None:
    hub = Hub(grace_seconds=0.01)
    connection = await hub.open()
    first = connection.stream()
    await anext(first)
    waiting = asyncio.create_task(names(first))
    await asyncio.sleep(0)
    async with aclosing(connection.stream()) as second:
        await anext(second)
        assert await asyncio.wait_for(waiting, 1) == []
        connection.log.offer(RUN, started(1))
        assert b"event: start" in await anext(second)
        assert not hub.gone  # the first reader's end loses nothing


async def test_a_closed_connection_can_still_be_resumed_to_its_end() -> None:
    connection = await Hub(linger_seconds=0.01).open()
    connection.log.offer(RUN, started(1))
    connection.log.leave(RUN)
    assert await asyncio.wait_for(names(connection.stream()), 1) == ["open", "start", "close"]
    assert await asyncio.wait_for(names(connection.stream()), 1) == ["open", "start", "close"]


async def test_an_unknown_position_is_refused() -> None:
    connection = await Hub().open()
    with pytest.raises(LogGone):
        await connection.log.check("other-3")


async def beats(stream: AsyncIterator[bytes], answer: Callable[[], object], answered: int) -> int:
    """Reads to the end and answers the first heartbeats; returns the number of heartbeats."""
    count = 0
    async for chunk in stream:
        if chunk == sse.HEARTBEAT:
            count += 1
            if count <= answered:
                answer()
    return count


@pytest.mark.deadline
@pytest.mark.parametrize("answered", [1, 3])
async def test_a_client_that_stops_answering_heartbeats_counts_as_gone(answered: int) -> None:
    hub = Hub(heartbeat_seconds=0.02, grace_seconds=0.02)
    connection = await hub.open()
    async with asyncio.timeout(1):
        assert await beats(connection.stream(), connection.alive, answered) == answered + 2
        await hub.is_gone.wait()


async def test_a_client_that_has_never_answered_heartbeats_keeps_its_connection() -> None:
    connection = await Hub(heartbeat_seconds=0.001).open()
    async with aclosing(connection.stream()) as stream:
        await anext(stream)
        for _ in range(20):
            assert await anext(stream) == sse.HEARTBEAT


async def test_a_client_that_misses_single_heartbeats_keeps_its_connection() -> None:
    connection = await Hub(heartbeat_seconds=0.001).open()
    async with aclosing(connection.stream()) as stream:
        await anext(stream)
        for _ in range(20):
            connection.alive()
            assert await anext(stream) == sse.HEARTBEAT
            assert await anext(stream) == sse.HEARTBEAT


async def test_a_client_that_counted_as_gone_can_return_within_the_grace_period() -> None:
    hub = Hub(heartbeat_seconds=0.01)
    connection = await hub.open()
    connection.alive()
    assert await beats(connection.stream(), connection.alive, 0) == 2
    connection.log.offer(RUN, started(1))
    async with aclosing(connection.stream()) as stream:
        await anext(stream)
        assert b"event: start" in await anext(stream)
        assert await anext(stream) == sse.HEARTBEAT
    assert not hub.gone


@pytest.mark.deadline
async def test_a_busy_stream_sends_heartbeats_too() -> None:
    """A busy stream must detect a lost client as well."""
    connection = await Hub(heartbeat_seconds=0.02).open()
    connection.alive()

    async def write() -> None:
        while True:
            connection.log.offer(RUN, started(1))
            await asyncio.sleep(0.001)

    writing = asyncio.create_task(write())
    async with asyncio.timeout(1):
        assert await beats(connection.stream(), connection.alive, 1) == 3
    writing.cancel()


async def test_an_old_stream_of_a_connection_that_has_returned_does_not_end_it() -> None:
    """It was moved to another worker and back while an answer for it was in flight."""
    hub = Hub(grace_seconds=0.02)
    old = await hub.open()
    hub.all.release(ID)
    new = hub.all.hold(ID, "", PageId("P" * 22), old.log)
    async with aclosing(new.stream()) as stream:
        await anext(stream)
        async with aclosing(old.stream()) as late:
            await anext(late)
        is_over = asyncio.Event()
        asyncio.get_running_loop().call_later(2 * 0.02, is_over.set)
        await is_over.wait()
        assert hub.all.get(ID) is new
        assert not hub.gone
