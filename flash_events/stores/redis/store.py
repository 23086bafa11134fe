"""`redis://`: a store that all workers on all machines share.

A client has a connection for all that it asks, one on which it receives news, and, if it uses them,
one for values, as a large one would keep publishers waiting, and one in a thread that renews its
lease.
"""

import asyncio
from contextlib import suppress

from redis.exceptions import RedisError

from flash_events.brokers.redis.client import async_client, require_redis
from flash_events.brokers.redis.pipe import Pipe
from flash_events.stores.logs import NONCE_SECONDS
from flash_events.stores.redis.life import Life
from flash_events.stores.redis.logs import RedisLogs
from flash_events.stores.redis.members import RedisMembers
from flash_events.stores.redis.news import News
from flash_events.stores.redis.values import RedisValues
from flash_events.stores.store import Store

MAX_OUTAGE_SECONDS = NONCE_SECONDS - 5.0
"""A command is not sent again for longer, or a nonce could be forgotten meanwhile."""

KEPT_SECONDS = 3600.0
"""Time for which leads and members of a worker are kept that does not renew them."""

RENEW_SECONDS = 600.0

CLOSE_SECONDS = 2.0
"""Timeout for what was asked to be carried out when the store is closed."""


class RedisStore(Store):
    """A client of a Redis.

    Args:
        url: as redis-py takes it.
        outage_seconds: how long commands wait for a Redis that does not answer before they raise
            `StoreUnavailable`; MAX_OUTAGE_SECONDS at most.
    """

    def __init__(self, url: str, outage_seconds: float = MAX_OUTAGE_SECONDS) -> None:
        super().__init__()
        self._url = url
        self._client, self._news_client, self._values_client = (async_client(url) for _ in "123")
        for client in (self._client, self._values_client):
            client.response_callbacks.clear()  # answers as they come
        outage_seconds = min(outage_seconds, MAX_OUTAGE_SECONDS)
        self._pipe = Pipe(self._client, outage_seconds)
        self._values_pipe = Pipe(self._values_client, outage_seconds)
        self._news = News(self._news_client)
        self._life = Life(url, self.worker, self._pipe)
        kept_ms = int(KEPT_SECONDS * 1000)
        self.logs: RedisLogs = RedisLogs(self._pipe, self._news)
        self.values: RedisValues = RedisValues(self._values_pipe, self.worker, self._life, kept_ms)
        self.members: RedisMembers = RedisMembers(self._pipe, self.worker, self._life, kept_ms)
        self._life.on_forgotten = self.members.enter_again
        self._renewal: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await require_redis(self._news_client, self._url, "store")
        await self._news.open()
        self._renewal = asyncio.create_task(self._renew(), name="flash_events store")

    async def close(self) -> None:
        if self._renewal is not None:
            self._renewal.cancel()
            self.members.leave_all()
            self.values.release_all()
            await self._life.end()
            await asyncio.gather(
                self._pipe.close(CLOSE_SECONDS), self._values_pipe.close(CLOSE_SECONDS)
            )
        await self._news.close()
        for client in (self._client, self._news_client, self._values_client):
            with suppress(RedisError, OSError):
                await client.aclose()

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            for name in {*self.values.kept_keys(), *self.members.kept_keys()}:
                self._pipe.tell("PEXPIRE", name, int(KEPT_SECONDS * 1000))
