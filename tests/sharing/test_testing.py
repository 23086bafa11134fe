"""`flash_events.testing.hub`: topics and shared values in the tests of apps."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from weakref import WeakKeyDictionary

import pytest
from dash import Dash, Input

from flash_events import (
    ConfigurationError,
    FlashEvents,
    Update,
    event_callback,
    shared_value,
    stream_props,
    topic,
)
from flash_events.sharing import apps, process
from flash_events.testing import IsolatedHub, fake_clock, hub, record, run
from tests.support.server import until

pytest_plugins = ["flash_events.testing.fixtures"]

news = topic("test_testing/news", ttl=60.0)
count = shared_value("test_testing/count", 0)
bound = FlashEvents(Dash("bound", backend="quart"), namespace="of bound").topic("news")


@event_callback(Input("read", "n_clicks"))
async def read(_: int) -> AsyncIterator[Update]:
    async for message in news.subscribe(last=10):
        yield stream_props("out", {"children": [message.data, message.is_mine]})


@event_callback(Input("plain", "n_clicks"))
def read_plainly(_: int) -> Iterator[Update]:
    for message in news.subscribe(last=10):
        yield stream_props("out", {"children": [message.data, message.is_mine]})


@event_callback(Input("publish", "n_clicks"))
async def publish(n: int) -> AsyncIterator[Update]:
    await news.publish(n)
    yield stream_props("out", {"children": await count.update(lambda old: old + n)})


@event_callback(Input("publish plainly", "n_clicks"))
def publish_plainly(n: int) -> Iterator[Update]:
    news.publish_sync(n)
    yield stream_props("out", {"children": count.update_sync(lambda old: old + n)})


@pytest.mark.parametrize("callback", [read, read_plainly])
async def test_a_run_reads_what_the_test_publishes(callback: Callable[..., Any]) -> None:
    async with hub() as topics:
        await news.publish("before")
        async with run(callback, 1) as stream:
            await stream.next()
            await news.publish("after")
            await stream.next()
            end = await stream.stop()
        assert stream.values("out", "children") == [["before", False], ["after", False]]
        assert end.reason == "cancelled"
        await asyncio.sleep(0)
        assert topics.readers == 0


@pytest.mark.parametrize("callback", [publish, publish_plainly])
async def test_the_test_reads_what_a_run_publishes(callback: Callable[..., Any]) -> None:
    async with hub():
        async with news.subscribe() as messages, run(callback, 2) as stream:
            await stream.ended()
            async for message in messages:
                assert (message.data, message.is_mine) == (2, False)
                break
        assert stream.values("out", "children") == [2]
        assert await count.get() == 2


@pytest.mark.parametrize("callback", [read, read_plainly])
def test_a_plain_test_publishes_and_records(callback: Callable[..., Any]) -> None:
    threads = threading.active_count()
    with hub() as topics:
        news.publish_sync("hello")
        stream = record(callback, 1, at_most=1)
        assert stream.values("out", "children") == [["hello", False]]
        assert [message.data for message in news.latest_sync()] == ["hello"]
        assert topics.readers == 0
    assert threading.active_count() == threads


@pytest.mark.parametrize("n", range(2))
async def test_each_test_begins_with_an_empty_store(n: int) -> None:
    async with hub():
        for one in (news, bound):
            assert await one.publish(n) == 1
        assert await count.update(lambda old: old + 1) == 1
        async with hub():
            assert await news.latest() == []
        assert [message.data for message in await news.latest()] == [n]
    with hub():
        assert await news.latest() == []


async def test_time_follows_the_fake_clock() -> None:
    began = time.monotonic()
    async with hub():
        with fake_clock():
            await news.publish("old")
            await asyncio.sleep(50)
            await news.publish("new")
            old, new = await news.latest(5)
            assert new.time - old.time == pytest.approx(50)
            assert abs(old.time - time.time()) < 5
            await asyncio.sleep(20)
            assert [message.data for message in await news.latest(5)] == ["new"]
            await asyncio.sleep(3600)
            assert await news.latest(5) == []
    assert time.monotonic() - began < 60  # of more than an hour


def test_a_wait_for_a_message_that_does_not_come_fails_the_test(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flash_events.testing.clock.LIMIT_SECONDS", 0.05)
    with hub(), pytest.raises(AssertionError, match="something that does not happen"):
        record(read, 1, at_most=1)


def test_the_fixture_is_a_hub(isolated_topics: IsolatedHub) -> None:
    news.publish_sync("hello")
    assert isolated_topics.readers == 0


async def test_readers_end_with_the_block() -> None:
    async with hub() as topics:
        messages = news.subscribe()
        read: list[Any] = []

        async def read_all() -> None:
            async for message in messages:
                read.append(message.data)

        reading = asyncio.create_task(read_all())
        await news.publish("hello")
        await until(lambda: read == ["hello"])
        assert topics.readers == 1
    async with asyncio.timeout(5):
        await reading
    assert topics.readers == 0


def test_without_a_hub_the_error_says_what_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_process", process._Process())
    monkeypatch.setattr(process, "workers_store", lambda: None)
    monkeypatch.setattr(apps, "_configured", WeakKeyDictionary())  # without those of other tests
    with pytest.raises(ConfigurationError, match=r"In a test.*flash_events\.testing\.hub\(\)"):
        news.publish_sync("x")
    end = record(read, 1).end
    assert end is not None
    assert "flash_events.testing.hub()" in str(end.error)
