"""The logs in Redis: each is a stream, a hash with its end, and a hash with its large data.

To append is one script, which also tells who watches. `lua/log.lua` describes the keys.

What is asked about a log that is watched here waits until its subscription has begun. So what is
appended reaches the watcher, and there is no gap between what is read and the news that follow.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache

from flash_events.brokers.redis.keys import digest, key
from flash_events.brokers.redis.pipe import Pipe
from flash_events.errors import Conflict
from flash_events.stores.logs import (
    KEY_SECONDS,
    LARGE_BYTES,
    NONCE_SECONDS,
    OFFSET_SECONDS,
    READ_BYTES,
    START,
    Keep,
    LogId,
    Logs,
    OnNews,
    Position,
    Read,
)
from flash_events.stores.redis.answers import answer
from flash_events.stores.redis.entries import MICROSECONDS, decode_read
from flash_events.stores.redis.news import News
from flash_events.stores.redis.scripts import APPEND, HEAD, LOAD, READ, READ_LAST

KNOWN_LOGS = 1000
"""Number of logs whose keys are remembered."""


class RedisLogs(Logs):
    """The logs of a Redis.

    Args:
        pipe: to Redis.
        news: of what is appended.
    """

    def __init__(self, pipe: Pipe, news: News) -> None:
        self._pipe = pipe
        self._news = news

    async def append(
        self,
        log: LogId,
        data: bytes,
        keep: Keep,
        *,
        nonce: str,
        origin: str = "",
        key: str = "",
        expect: int | None = None,
        clear: bool = False,
    ) -> Position:
        channel = _channel(log)
        await self._news.has_begun(channel)
        remembered = [_remembered(log, "nonce", nonce)]
        if key:
            remembered.append(_remembered(log, "key", key))
        reply = await answer(
            self._pipe.run(
                APPEND,
                (*_keys(log), *remembered),
                channel,
                nonce,
                origin,
                data,
                keep.history,
                "" if keep.ttl_seconds is None else int(keep.ttl_seconds * MICROSECONDS),
                keep.max_bytes,
                "" if expect is None else expect,
                int(clear),
                LARGE_BYTES,
                int(NONCE_SECONDS * 1000),
                int(KEY_SECONDS * 1000),
                int(OFFSET_SECONDS * 1000),
            )
        )
        if len(reply) == 1:
            raise Conflict(reply[0])
        offset, found = reply
        return Position(offset, found.decode())

    async def read(self, log: LogId, after: Position, most_bytes: int = READ_BYTES) -> Read:
        await self._news.has_begun(_channel(log))
        position = after.offset, after.nonce
        return decode_read(await answer(self._pipe.run(READ, _keys(log), *position, most_bytes)))

    async def read_last(self, log: LogId, count: int, most_bytes: int = READ_BYTES) -> Read:
        reply = await answer(self._pipe.run(READ_LAST, _keys(log), count, most_bytes))
        reply[-1].reverse()
        return decode_read(reply)

    async def load(self, log: LogId, offset: int) -> bytes | None:
        data: bytes | None = await answer(self._pipe.run(LOAD, _keys(log), offset))
        return data

    async def heads(self, logs: Sequence[LogId]) -> list[Position]:
        for log in logs:
            await self._news.has_begun(_channel(log))
        seconds = int(OFFSET_SECONDS * 1000)
        asked = [self._pipe.run(HEAD, (key(log, "head"),), seconds) for log in logs]
        found = await answer(asyncio.gather(*asked))
        return [
            START if offset is None else Position(int(offset), nonce.decode())
            for offset, nonce in found
        ]

    def watch(self, log: LogId, on_news: OnNews) -> Callable[[], None]:
        return self._news.watch(_channel(log), on_news)


@lru_cache(KNOWN_LOGS)
def _keys(log: LogId) -> tuple[str, str, str]:
    """The keys of a log, as `lua/log.lua` wants them."""
    return key(log, "entries"), key(log, "head"), key(log, "large")


@lru_cache(KNOWN_LOGS)
def _channel(log: LogId) -> str:
    return key(log, "news")


def _remembered(log: LogId, kind: str, name: str) -> str:
    """The key that remembers an append by its nonce or idempotency key."""
    return f"{key(log, kind)}:{digest(name)}"
