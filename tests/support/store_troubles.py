"""Troubles of a store in Redis while messages are published, and what a reader gets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from flash_events.stores import Keep, LogId
from flash_events.stores.redis import RedisStore
from tests.support.redis_server import RedisServer
from tests.support.server import until
from tests.support.stores import KEEP, Reader, append, new_log

T = TypeVar("T")

MUCH = replace(KEEP, history=100_000)

PAUSE_SECONDS = 0.002
"""Time between two publishes."""


@asynccontextmanager
async def opened(url: str, outage_seconds: float = 15.0) -> AsyncIterator[RedisStore]:
    """A client that is closed at the end."""
    store = RedisStore(url, outage_seconds)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def eventually(ask: Callable[[], Awaitable[T]], within_seconds: float = 10) -> T:
    """Asks until the answer is true; returns it."""
    async with asyncio.timeout(within_seconds):
        while not (answer := await ask()):  # noqa: ASYNC110 - nothing tells when it changes
            await asyncio.sleep(0.05)
    return answer


class Publishing:
    """Publishes the numbers from 1 on, one after the other, until it is stopped.

    Attributes:
        done: the last number that was published.
    """

    def __init__(
        self, store: RedisStore, log: LogId, keep: Keep = MUCH, pause_seconds: float = PAUSE_SECONDS
    ) -> None:
        self._store = store
        self._log = log
        self._keep = keep
        self._pause_seconds = pause_seconds
        self._must_stop = False
        self.done = 0
        self._task = asyncio.create_task(self._publish())

    async def _publish(self) -> None:
        while not self._must_stop:
            await append(self._store, self._log, str(self.done + 1), self._keep)
            self.done += 1
            await asyncio.sleep(self._pause_seconds)

    async def stop(self) -> list[bytes]:
        """Stops; returns all that was published."""
        self._must_stop = True
        await self._task
        return [b"%d" % number for number in range(1, self.done + 1)]


@asynccontextmanager
async def followed(url: str) -> AsyncIterator[tuple[Publishing, Reader]]:
    """One client publishes, and another one reads; at the end, it has got everything once."""
    log = new_log()
    async with opened(url) as here, opened(url) as there, Reader(there, log) as reader:
        publishing = Publishing(here, log)
        await reader.until(20)
        yield publishing, reader
        published = await publishing.stop()
        assert await reader.until(len(published)) == published
        assert reader.resets == 0


async def kill_connections(server: RedisServer, times: int) -> None:
    """Kills the connections that receive news, again and again, while messages are published."""
    client: Any = server.client  # untyped in parts
    async with followed(server.url) as (publishing, reader):
        for _ in range(times):
            await until(lambda: len(client.client_list(_type="pubsub")) == 1)
            seen, published = len(reader.entries), publishing.done
            assert client.execute_command("CLIENT", "KILL", "TYPE", "pubsub") == 1
            await until(lambda: publishing.done > published + 3)  # noqa: B023
            await reader.until(seen + 3)


async def stall(server: RedisServer, seconds: float) -> None:
    """Has Redis answer nothing for some time."""
    client: Any = server.client  # untyped in parts
    async with followed(server.url) as (publishing, _):
        client.execute_command("CLIENT", "PAUSE", int(seconds * 1000), "ALL")
        published = publishing.done
        with suppress(TimeoutError):
            await until(lambda: publishing.done > published + 1, seconds - 0.2)
            raise AssertionError("Redis was not stalled")
        await until(lambda: publishing.done > published + 10, 20)


async def restart(server: RedisServer) -> None:
    """Restarts a Redis that keeps what it has."""
    async with followed(server.url) as (publishing, _):
        await asyncio.to_thread(server.stop)
        published = publishing.done
        await asyncio.to_thread(server.start)
        await until(lambda: publishing.done > published + 10)
