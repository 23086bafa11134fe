"""Readers of topics whose store is in trouble, at any size."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from flash_events.settings import Settings
from flash_events.sharing.process import Namespace
from flash_events.sharing.values import DeclaredValues
from tests.support.redis_server import RedisServer
from tests.support.server import until
from tests.support.subscribed import Page
from tests.support.topic_work import news, work_together, working


@asynccontextmanager
async def declared(store: str) -> AsyncIterator[DeclaredValues]:
    """What is declared in an app of a process of its own."""
    namespace = Namespace(store, Settings())
    hub = await namespace.serve()
    yield DeclaredValues(lambda: namespace)
    await namespace.end(hub)


class Reading:
    """A reader that notes what it gets.

    Attributes:
        found: data and `missed` of each message.
    """

    def __init__(self, topic: Any) -> None:
        self.found: list[tuple[Any, int | None]] = []
        self.messages = topic.subscribe()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.messages:
            self.found.append((message.data, message.missed))

    async def until(self, data: object, seconds: float = 30) -> None:
        """Waits for a message."""
        await until(
            lambda: self._task.done() or (bool(self.found) and self.found[-1][0] == data), seconds
        )
        assert not self._task.done()

    async def close(self) -> None:
        self.messages.close()
        await self._task


class PageReading(Reading):
    """A page that notes what it gets."""

    def __init__(self, topic: Any) -> None:
        self._page = Page(topic._hub(), topic)
        super().__init__(topic)

    async def _read(self) -> None:
        while True:
            await self._page.until(len(self.found) + 1, seconds=60)
            self.found = [(message[4], message[2]) for message in self._page.news]

    async def close(self) -> None:
        self._page.relay.stop()
        self._task.cancel()
        await asyncio.wait({self._task})


@asynccontextmanager
async def reading(store: str) -> AsyncIterator[tuple[Any, list[Reading]]]:
    """One process publishes, and two others read, one of them for a page, too; they have begun."""
    async with declared(store) as here, declared(store) as there, declared(store) as other:
        every = [Reading(news(there)), Reading(news(other)), PageReading(news(other))]
        topic = news(here)
        for one in every:
            async with asyncio.timeout(10):
                while not one.found:
                    await topic.publish("has it begun?")
                    await asyncio.sleep(0.01)
        for one in every:
            await one.until("has it begun?")
        try:
            yield topic, every
        finally:
            for one in every:
                await one.close()


def numbers(one: Reading) -> list[tuple[int, int | None]]:
    return [(data, missed) for data, missed in one.found if isinstance(data, int)]


async def disturb_news(server: RedisServer, kills: int) -> None:
    """Kills the connections for news again and again while messages are published."""
    client: Any = server.client  # untyped in parts
    async with reading(server.url) as (topic, every):
        n = 0
        for _ in range(kills):
            await until(lambda: len(client.client_list(_type="pubsub")) == 2)
            client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
            for _ in range(5):
                await topic.publish(n)
                n += 1
        for one in every:
            await one.until(n - 1)
            assert numbers(one) == [(k, 0) for k in range(n)]


async def take_down(server: RedisServer, seconds: float, keeps: bool) -> None:
    """Redis is away for some time while messages are published.

    Args:
        server: the server.
        seconds: how long.
        keeps: whether it keeps what it has.
    """
    async with reading(server.url) as (topic, every):
        for n in range(20):
            await topic.publish(n)
        for one in every:
            await one.until(19)
        await asyncio.to_thread(server.stop)
        later = asyncio.create_task(publish_from(topic, 20, 60))
        await asyncio.sleep(seconds)  # the outage itself
        await asyncio.to_thread(server.start)
        await later
        for one in every:
            await one.until(59)
            first = 0 if keeps else None
            assert numbers(one) == [(n, first if n == 20 else 0) for n in range(60)]


async def publish_from(topic: Any, first: int, end: int) -> None:
    for n in range(first, end):
        await topic.publish(n)


async def stall(server: RedisServer, seconds: float) -> None:
    """Redis answers nothing for some time."""
    client: Any = server.client  # untyped in parts
    async with reading(server.url) as (topic, every):
        await publish_from(topic, 0, 20)
        client.execute_command("CLIENT", "PAUSE", int(seconds * 1000), "ALL")
        await publish_from(topic, 20, 40)
        for one in every:
            await one.until(39)
            assert numbers(one) == [(n, 0) for n in range(40)]


async def set_back(server: RedisServer, directory: Path) -> None:
    """Redis goes back to an older snapshot, and gives the same numbers to other messages."""
    async with reading(server.url) as (topic, every):
        await publish_from(topic, 0, 20)
        server.client.save()
        shutil.copy(directory / "dump.rdb", directory / "older.rdb")
        await publish_from(topic, 20, 40)
        for one in every:
            await one.until(39)
        await asyncio.to_thread(server.stop)
        shutil.copy(directory / "older.rdb", directory / "dump.rdb")
        await asyncio.to_thread(server.start)
        await publish_from(topic, 100, 160)
        for one in every:
            await one.until(159)
            before = [(n, 0) for n in range(40)]
            after = [(n, None if n == 100 else 0) for n in range(100, 160)]
            assert numbers(one) == before + after


async def flush(server: RedisServer) -> None:
    """Redis forgets everything, and no connection is lost."""
    async with reading(server.url) as (topic, every):
        await publish_from(topic, 0, 20)
        for one in every:
            await one.until(19)
        server.client.flushall()
        await publish_from(topic, 100, 140)
        for one in every:
            await one.until(139)
            before = [(n, 0) for n in range(20)]
            after = [(n, None if n == 100 else 0) for n in range(100, 140)]
            assert numbers(one) == before + after


async def subscribe_while_away(server: RedisServer) -> None:
    """Who subscribes while Redis is away gets what is published later."""
    async with declared(server.url) as here, declared(server.url) as there:
        topic = news(here)
        await topic.publish("before")
        await asyncio.to_thread(server.stop)
        every = [Reading(news(there)), PageReading(news(there))]
        publishing = asyncio.create_task(publish_from(topic, 0, 20))
        await asyncio.to_thread(server.start)
        await publishing
        for one in every:
            await one.until(19)
            found = [n for n, _ in numbers(one)]
            assert found == list(range(found[0], 20))
            assert all(missed == 0 for _, missed in one.found[1:])
            await one.close()


async def write_together(store: str, count: int, readers: int) -> None:
    """Four workers write and read at once."""
    publishers = [("publish", f"p{n}", count) for n in range(4)]
    reads = [("read", readers // 4, 4 * count)] * 4
    results = await work_together(None, store, *publishers, *reads)
    assert len({digest for result in results[4:] for digest in result}) == 1
    print(
        f"\n4 writers, {readers} readers of {4 * count}: longest publish {max(results[:4]):.3f} s"
    )


async def kill_writers(store: str, kills: int) -> float:
    """Kills a worker that writes, again and again, while others write and read.

    Returns:
        The longest time that somebody has waited for a publish or a message in seconds.
    """
    longest = 0.0
    async with declared(store) as here, declared(store) as there:
        topic, reader = news(here), news(there).subscribe()
        async with reader:
            reading = aiter(reader)
            n = 0
            for kill in range(kills):
                with working(store, ("publish_for_ever", f"victim {kill}")) as [work]:
                    assert await asyncio.to_thread(work.line) == "begun"
                    for step in range(30):
                        begun = time.monotonic()
                        offset = await topic.publish(["mine", n])
                        n += 1
                        if step == 10:
                            os.kill(work.process.pid, signal.SIGKILL)
                        message = await anext(reading)
                        while message.offset < offset:
                            assert message.missed == 0
                            message = await anext(reading)
                        assert message.data == ["mine", n - 1]
                        longest = max(longest, time.monotonic() - begun)
    print(f"\n{kills} writers killed: nobody waited longer than {longest:.3f} s")
    return longest
