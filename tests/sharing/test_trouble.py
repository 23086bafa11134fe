"""Readers and publishers in trouble: nothing is lost in silence, and nobody waits for ever."""

import asyncio
import concurrent.futures
import random
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import chain
from typing import Any

import pytest

from flash_events import EncodingError, StoreUnavailable, TopicOverflow
from flash_events.errors import ConfigurationError
from flash_events.settings import Settings
from flash_events.sharing.hub import Hub
from flash_events.sharing.process import Namespace, namespace_of
from flash_events.sharing.reader import Reader, Start
from flash_events.sharing.topics import Topic
from flash_events.sharing.values import DeclaredValues
from flash_events.stores import LARGE_BYTES, Keep, LogId, Position, Read
from flash_events.stores.memory import MemoryData, MemoryStore
from tests.support.server import until
from tests.support.stores import append
from tests.support.subscribed import Page
from tests.support.topic_readers import read_to, watch_many

LARGE = "x" * (LARGE_BYTES + 1)


@pytest.fixture
async def memory() -> AsyncIterator[Namespace]:
    """A namespace in memory that this event loop serves."""
    namespace = Namespace("memory://", Settings())
    hub = await namespace.serve()
    yield namespace
    await namespace.end(hub)


def failing(logs: Any, name: str, errors: list[Exception | None]) -> None:
    """Has the next calls of a method raise these errors."""
    method = getattr(logs, name)

    async def call(*args: Any, **options: Any) -> Any:
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error
        return await method(*args, **options)

    setattr(logs, name, call)


async def test_messages_before_one_that_cannot_be_loaded_are_not_lost(memory: Namespace) -> None:
    topic = DeclaredValues(lambda: memory).topic("news")
    async with topic.subscribe() as messages:
        for n in range(4):
            await topic.publish([n, LARGE])
        failing(memory.hub().store.logs, "load", [None, None, StoreUnavailable("away")])
        found: list[tuple[int, int | None]] = []
        while len(found) < 4:
            with suppress(StoreUnavailable):
                async for message in messages:
                    found.append((message.offset, message.missed))
                    if message.offset == 4:
                        break
    assert found == [(1, 0), (2, 0), (3, 0), (4, 0)]


async def test_a_relay_sends_everything_when_the_store_was_away(memory: Namespace) -> None:
    hub = memory.hub()
    topic = DeclaredValues(lambda: memory).topic("news")
    page = Page(hub, topic)
    await topic.publish("first")
    await page.until(1)
    failing(hub.store.logs, "load", [None, None, StoreUnavailable("away")])
    for n in range(4):
        await topic.publish([n, LARGE])
    await page.until(5)
    assert [(one[0], one[2]) for one in page.news] == [(n, 0) for n in range(1, 6)]


async def test_a_ledger_gets_everything_up_to_the_gap(memory: Namespace) -> None:
    topic = DeclaredValues(lambda: memory).topic("news")
    async with topic.subscribe(overflow="error") as messages:
        for n in range(4):
            await topic.publish([n, LARGE])
        logs: Any = memory.hub().store.logs
        load = logs.load

        async def forget_third(log: LogId, offset: int) -> bytes | None:
            data: bytes | None = await load(log, offset)
            return None if offset == 3 else data

        logs.load = forget_third
        reading = aiter(messages)
        assert [(await anext(reading)).offset for _ in range(2)] == [1, 2]
        with pytest.raises(TopicOverflow, match="1 messages were missed"):
            await anext(reading)


async def test_a_cancelled_wait_loses_nothing(app: DeclaredValues) -> None:
    """As `asyncio.wait_for(anext(...))` does, with messages that must be loaded."""
    topic = app.topic("news", history=1000)
    count = 60
    found: list[int] = []

    async def publish() -> None:
        for n in range(count):
            await topic.publish([n, LARGE if n % 2 else ""])

    async with topic.subscribe() as messages:
        publishing = asyncio.create_task(publish())
        somewhere = random.Random(7)
        reading = aiter(messages)
        async with asyncio.timeout(20):
            while len(found) < count:
                with suppress(TimeoutError):
                    async with asyncio.timeout(somewhere.random() * 0.01):
                        while True:
                            found.append((await anext(reading)).offset)
                            if len(found) == count:
                                break
        await publishing
    assert found == list(range(1, count + 1))


async def test_a_cancelled_wait_on_another_loop_loses_nothing(app: DeclaredValues) -> None:
    topic = app.topic("news", history=10_000)
    count = 300

    async def read() -> list[int]:
        found: list[int] = []
        messages = topic.subscribe()
        async with messages:
            is_reading.set()
            somewhere = random.Random(7)
            reading = aiter(messages)
            async with asyncio.timeout(20):
                while len(found) < count:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(somewhere.random() * 0.002):
                            found.append((await anext(reading)).offset)
        return found

    is_reading = threading.Event()
    reading = asyncio.create_task(asyncio.to_thread(asyncio.run, read()))
    await asyncio.to_thread(is_reading.wait)
    for n in range(count):
        await topic.publish(n)
        if n % 5 == 0:
            await asyncio.sleep(0.001)
    assert await reading == list(range(1, count + 1))


async def test_tasks_that_share_messages_get_each_once(app: DeclaredValues) -> None:
    topic = app.topic("news", history=1000)
    found: list[int] = []

    async def work(messages: Any) -> None:
        async for message in messages:
            found.append(message.offset)
            await asyncio.sleep(0)

    async with topic.subscribe(last=3) as messages:
        workers = [asyncio.create_task(work(messages)) for _ in range(4)]
        for n in range(200):
            await topic.publish([n, LARGE if n % 20 == 0 else ""])
        await until(lambda: len(found) >= 200)
    await asyncio.gather(*workers)
    assert sorted(found) == list(range(1, 201))


async def test_threads_that_share_messages_get_each_once(app: DeclaredValues) -> None:
    topic = app.topic("news", history=1000)
    found: deque[int] = deque()
    messages = topic.subscribe()

    def work() -> None:
        for message in messages:
            found.append(message.offset)

    async with messages:
        workers = [asyncio.create_task(asyncio.to_thread(work)) for _ in range(4)]
        for n in range(200):
            await topic.publish(n)
        await until(lambda: len(found) >= 200)
    await asyncio.gather(*workers)
    assert sorted(found) == list(range(1, 201))


async def publish_raw(hub: Hub, topic: Topic, data: bytes) -> None:
    """Publishes what another version has encoded."""
    await hub.publish(topic.watch(origin="").log, data, Keep(100, None, 2**20))


async def test_a_message_of_another_version_is_missed_and_ends_nobody(
    hub: Hub, app: DeclaredValues, caplog: pytest.LogCaptureFixture
) -> None:
    topic = app.topic("news")
    page = Page(hub, topic)
    async with topic.subscribe() as messages:
        await topic.publish("first")
        await page.until(1)
        for data in (b"\xffof another version", b""):
            await publish_raw(hub, topic, data)
        await topic.publish("last")
        assert await read_to(messages, 4) == [(1, 0), (4, 2)]
    await page.until(2)
    assert [(one[0], one[2]) for one in page.news] == [(1, 0), (4, 2)]
    late = Page(hub, topic, Start(last=4))
    await late.until(2)
    assert [(one[0], one[2]) for one in late.news] == [(1, 0), (4, 2)]
    assert [one.offset for one in await topic.latest(5)] == [1, 4]
    assert page.end is late.end is None
    assert "another version" in caplog.text


async def test_a_value_of_another_version_says_so(hub: Hub, app: DeclaredValues) -> None:
    value = app.shared_value("choice", "initial")
    await hub.publish(value.watch(origin="").log, b"\xffnew", Keep(1, None, 2**20))
    with pytest.raises(EncodingError, match="another version"):
        await value.get()
    await value.set("known")
    assert await value.get() == "known"


async def test_a_reader_that_fails_disturbs_neither_publishers_nor_readers(
    hub: Hub, app: DeclaredValues, caplog: pytest.LogCaptureFixture
) -> None:
    topic = app.topic("news")

    def fail(_: object) -> None:
        raise ZeroDivisionError

    Reader(hub, topic.watch(origin=""), on_news=fail)
    async with topic.subscribe() as messages:
        for n in range(3):
            assert await topic.publish(n) == n + 1
        assert await read_to(messages, 3) == [(1, 0), (2, 0), (3, 0)]
    assert "ZeroDivisionError" in caplog.text


class Forgetful:
    """The logs of a client whose store is set back, as its next read waits.

    Attributes:
        told: calls the watcher.
    """

    def __init__(self) -> None:
        self.data = MemoryData()
        self.store = MemoryStore(self.data)
        self.may_read = asyncio.Event()
        self.may_read.set()
        read = self.store.logs.read

        async def slow_read(log: LogId, after: Position, most_bytes: int = 2**20) -> Read:
            found = await read(log, after, most_bytes)
            await self.may_read.wait()
            return found

        setattr(self.store.logs, "read", slow_read)  # noqa: B010 - mypy knows it as a method

    def forget(self) -> None:
        """Sets it back to nothing; nobody is told."""
        self.data.logs.clear()


@pytest.fixture
async def forgetful() -> AsyncIterator[tuple[Forgetful, Hub]]:
    forgetful = Forgetful()
    hub = Hub(forgetful.store)
    await hub.open()
    yield forgetful, hub
    await hub.close()


def disturb(forgetful: Forgetful, log: LogId) -> None:
    """Tells the watchers that they may have missed something, as a new connection does."""
    for watcher in forgetful.data.watchers[log]:
        watcher.on_news(None)


async def test_news_that_come_while_the_store_is_compared_are_not_taken_for_the_next(
    forgetful: tuple[Forgetful, Hub],
) -> None:
    """The store was set back, and gave out the numbers up to the reader's again meanwhile."""
    store, hub = forgetful
    topic = declared(hub).topic("news", history=1000)
    log = topic.watch(origin="").log
    async with topic.subscribe() as messages:
        for n in range(1, 6):
            await topic.publish(["old", n])
        reading = aiter(messages)
        assert [(await anext(reading)).offset for _ in range(5)] == [1, 2, 3, 4, 5]
        store.forget()
        watchers = store.data.watchers.pop(log)  # the connection is lost
        for n in range(1, 6):
            await append(store.store, log, f'j["new",{n}]')
        store.data.watchers[log] = watchers  # and comes back
        store.may_read.clear()
        disturb(store, log)
        await asyncio.sleep(0)
        for n in range(6, 9):  # news come before the log was read
            await append(store.store, log, f'j["new",{n}]')
        store.may_read.set()
        found: list[tuple[Any, int | None]] = []
        async with asyncio.timeout(5):
            while len(found) < 8:
                message = await anext(reading)
                found.append((message.data, message.missed))
    assert found == [(["new", n], None if n == 1 else 0) for n in range(1, 9)]


async def test_a_late_reader_of_a_store_that_was_set_back_gets_nothing_twice(
    forgetful: tuple[Forgetful, Hub], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flash_events.sharing.watched.RECENT_ENTRIES", 3)
    store, hub = forgetful
    topic = declared(hub).topic("news", history=1000)
    log = topic.watch(origin="").log
    reader = Reader(hub, topic.watch(origin=""))
    for n in range(1, 6):
        await topic.publish(["old", n])
    assert len(await reader.take()) == 5
    for n in range(6, 21):
        await topic.publish(["old", n])
    store.forget()
    watchers = store.data.watchers.pop(log)
    for n in range(1, 21):
        await append(store.store, log, f'j["new",{n}]')
    store.data.watchers[log] = watchers
    found = [(one.entry.offset, one.missed) for one in await reader.take()]  # it finds out first
    disturb(store, log)
    await until(lambda: hub.watched(log) is not None and hub.watched(log).resets == 1)  # type: ignore[union-attr]
    await append(store.store, log, 'j["new",21]')
    async with asyncio.timeout(5):
        while not found or found[-1][0] != 21:
            found += [(one.entry.offset, one.missed) for one in await reader.read()]
    reader.close()
    assert found == [(n, None if n == 1 else 0) for n in range(1, 22)]


def declared(hub: Hub) -> DeclaredValues:
    """What is declared in an app with this hub."""
    namespace = Namespace("memory://", Settings())
    setattr(namespace, "hub", lambda: hub)  # noqa: B010 - mypy knows it as a method
    return DeclaredValues(lambda: namespace)


@pytest.mark.parametrize("offset", [2**31, 2**53, 2**63 - 1, 2**63, 2**64, 10**30])
async def test_an_offset_of_any_size_is_only_unknown(
    hub: Hub, app: DeclaredValues, offset: int
) -> None:
    topic = app.topic("news")
    await topic.publish("first")
    page = Page(hub, topic, Start(since=Position(offset, "of another life")))
    await page.until(1)
    assert [(one[0], one[2]) for one in page.news] == [(1, None)]
    page = Page(hub, topic, Start(last=offset))
    await page.until(1)
    assert [(one[0], one[2]) for one in page.news] == [(1, 0)]
    async with topic.subscribe(since=offset) as messages:
        assert await read_to(messages, 1) == [(1, None)]
    assert [one.offset for one in await topic.latest(offset)] == [1]


async def test_who_subscribes_while_the_store_is_away_gets_what_comes_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flash_events.sharing.hub.RETRY_SECONDS", 0.01, raising=False)
    store = MemoryStore()
    open_store = store.open
    is_away = True

    async def open_or_fail() -> None:
        if is_away:
            raise ConfigurationError("The store cannot be reached.")
        await open_store()

    setattr(store, "open", open_or_fail)  # noqa: B010 - mypy knows it as a method
    hub = Hub(store)
    topic = declared(hub).topic("news")
    page = Page(hub, topic)
    messages = topic.subscribe()
    with pytest.raises(ConfigurationError):
        await anext(aiter(messages))
    again = topic.subscribe()
    is_away = False
    await topic.publish("first")
    assert await read_to(again, 1) == [(1, 0)]
    await page.until(1)
    await hub.close()


async def test_readers_on_other_loops_and_threads_end_with_the_hub(app: DeclaredValues) -> None:
    """A server that ends: what waits in its threads and loops must not wait for ever."""
    namespace = app.namespace()
    hub = namespace.hub()
    topic = app.topic("news")

    found: deque[int] = deque()

    async def read() -> None:
        async for message in topic.subscribe(last=5):
            found.append(message.offset)

    def read_in_thread() -> None:
        for message in topic.subscribe(last=5):
            found.append(message.offset)

    waiting = [
        asyncio.create_task(asyncio.to_thread(work))
        for work in (*[lambda: asyncio.run(read())] * 3, *[read_in_thread] * 3)
    ]
    await until(lambda: hub.readers == 6)
    await topic.publish("all")
    await until(lambda: len(found) == 6)
    await namespace.end(hub)
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting)
    assert set(found) == {1}
    await namespace.serve()


async def test_readers_of_a_loop_that_dies_do_not_wait_for_ever() -> None:
    """The loop of the hub ends without closing it."""
    namespace = Namespace("memory://", Settings())
    topic = DeclaredValues(lambda: namespace).topic("news")
    served, may_end = threading.Event(), threading.Event()

    async def serve() -> None:
        await namespace.serve()
        served.set()
        await asyncio.to_thread(may_end.wait)

    server = threading.Thread(target=asyncio.run, args=(serve(),))
    server.start()
    served.wait(5)
    hub = namespace.hub()
    failures: deque[BaseException] = deque()

    def read() -> None:
        try:
            for _ in topic.subscribe():
                pass
        except BaseException as error:
            failures.append(error)

    async def read_on_loop() -> None:
        try:
            async for _ in topic.subscribe():
                pass
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(3)]
    threads += [threading.Thread(target=lambda: asyncio.run(read_on_loop())) for _ in range(3)]
    for thread in threads:
        thread.start()
    await until(lambda: hub.readers == 6)
    may_end.set()
    for thread in (server, *threads):
        await asyncio.to_thread(thread.join, 5)
        assert not thread.is_alive()
    assert {type(one) for one in failures} == {StoreUnavailable}


async def test_fifty_threads_publish_at_once(app: DeclaredValues) -> None:
    topic = app.topic("news", history=10_000)
    barrier = threading.Barrier(50)

    def publish() -> list[int]:
        barrier.wait()
        return [topic.publish_sync(n) for n in range(4)]

    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        loop = asyncio.get_running_loop()
        found = await asyncio.gather(*(loop.run_in_executor(pool, publish) for _ in range(50)))
    assert sorted(chain.from_iterable(found)) == list(range(1, 201))
    assert all(one == sorted(one) for one in found)


def test_threads_that_are_first_at_once_share_a_namespace() -> None:
    for n in range(50):
        barrier = threading.Barrier(8)

        def find(settings: Settings, barrier: threading.Barrier = barrier) -> Namespace:
            barrier.wait()
            return namespace_of(settings)

        settings = Settings(store="memory://", namespace=f"first {n}")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            found = set(pool.map(find, [settings] * 8))
        assert len(found) == 1


async def test_cancelled_publishes_and_gets_disturb_nobody(app: DeclaredValues) -> None:
    topic, value = app.topic("news", history=10_000), app.shared_value("value", 0)
    somewhere = random.Random(3)
    async with topic.subscribe() as messages:
        for n in range(150):
            work = topic.publish(n) if n % 2 else value.get()
            task = asyncio.ensure_future(work)
            await asyncio.sleep(somewhere.random() * 0.0008)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        last = await topic.publish("last")
        assert await value.update(lambda old: old + 1) == 1
        assert await read_to(messages, last) == [(n, 0) for n in range(1, last + 1)]
        latest = await topic.latest(10_000)
        data = [one.data for one in latest[:-1]]
        assert data == sorted(set(data))


async def test_many_topics_are_watched_at_once_and_left_again(
    hub: Hub, app: DeclaredValues
) -> None:
    room = app.topic("room/{room}")
    await watch_many(hub, room, 300)
