"""News of watched logs, over one pub/sub connection.

Redis delivers what is published to who is subscribed at that moment, once and without a promise. So
whenever something may have been missed, the watchers are called with None: when a subscription has
begun, also when that is a renewal after the connection was lost. A connection on which even `PING`
is not answered counts as lost.

Entries are published with PUBLISH, not with SPUBLISH (sharded). So one connection, to any node,
receives the news of all logs, and keeps to receive them when a slot moves. In a cluster each node
gets a copy of each message, which costs bandwidth from some nodes on. The names of the channels
have the hash tag of their log, so that they could be sharded later.
"""

import asyncio
import contextvars
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from flash_events.brokers.redis.client import CONNECT_SECONDS
from flash_events.stores.logs import Entry, OnNews
from flash_events.stores.redis.entries import decode_news

logger = logging.getLogger(__name__)

PING_SECONDS = 3.0
"""Time after which a connection is checked on which nothing was sent."""

RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 1.0

YIELD_AFTER = 100
"""Number of messages after which others on the loop have their turn."""


@dataclass(slots=True, eq=False)
class _Watch:
    on_news: OnNews
    has_begun: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when Redis has confirmed the subscription, or the connection is lost."""


class News:
    """The pub/sub connection of a client.

    Args:
        redis: a client that does not retry by itself, and is used for nothing else.
    """

    def __init__(self, redis: "Redis") -> None:
        self._redis = redis
        self._watches: dict[bytes, _Watch] = {}
        """Watchers by channel."""
        self._subscribed: set[bytes] = set()
        """The channels that the connection was asked for last."""
        self._unconfirmed: Counter[bytes] = Counter()
        """The number of SUBSCRIBE by channel that Redis has not confirmed yet."""
        self._changed: set[bytes] = set()
        """The channels whose subscription may have to be changed."""
        self._must_send = asyncio.Event()
        self._is_connected = asyncio.Event()
        self._has_answered = False
        self._is_closed = False
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect; if that fails, try again in the background."""
        self._task = asyncio.create_task(
            self._stay_connected(), name="flash_events news", context=contextvars.Context()
        )
        with suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._is_connected.wait()

    async def close(self) -> None:
        """Disconnect."""
        self._is_closed = True
        self._watches.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self._lose()

    def watch(self, channel: str, on_news: OnNews) -> Callable[[], None]:
        """Subscribe to a channel; return a function that ends it."""
        name = channel.encode()
        watch = self._watches[name] = _Watch(on_news)
        self._change(name)
        is_subscribed = name in self._subscribed and not self._unconfirmed[name]
        if is_subscribed or not self._is_connected.is_set():
            watch.has_begun.set()

        def end() -> None:
            watch.has_begun.set()
            if self._watches.get(name) is watch:
                del self._watches[name]
                self._change(name)

        return end

    async def has_begun(self, channel: str) -> None:
        """Wait until what is published in a channel reaches its watcher here, if there is one.

        Do not wait while the connection is lost.
        """
        watch = self._watches.get(channel.encode())
        if watch is not None:
            await watch.has_begun.wait()

    def _change(self, channel: bytes) -> None:
        self._changed.add(channel)
        self._must_send.set()

    async def _stay_connected(self) -> None:
        pool: Any = self._redis.connection_pool  # untyped in parts
        pause = RETRY_SECONDS
        while not self._is_closed:  # a connection that breaks meanwhile may hide the cancellation
            try:
                connection = await pool.get_connection()
                try:
                    await self._use(connection)
                finally:
                    await connection.disconnect(nowait=True)
                    await pool.release(connection)
            except* Exception as errors:  # whatever it was: who stops here misses all that comes
                if self._has_answered:
                    pause = RETRY_SECONDS
                if pause == RETRY_SECONDS:
                    [error, *_] = errors.exceptions
                    logger.warning("News of topics are interrupted (%s); trying on.", error)
            self._lose()
            await asyncio.sleep(pause)
            pause = min(2 * pause, MAX_RETRY_SECONDS)

    def _lose(self) -> None:
        self._is_connected.clear()
        self._has_answered = False
        for watch in self._watches.values():
            watch.has_begun.set()

    async def _use(self, connection: Any) -> None:
        """Subscribe to all that is watched, and receive until the connection is lost."""
        self._subscribed.clear()
        self._unconfirmed.clear()
        self._changed = set(self._watches)
        self._must_send.set()
        self._is_connected.set()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send(connection))
            tasks.create_task(self._receive(connection))

    async def _send(self, connection: Any) -> None:
        while True:
            try:
                async with asyncio.timeout(PING_SECONDS):
                    await self._must_send.wait()
            except TimeoutError:
                await connection.send_command("PING")
                continue
            self._must_send.clear()
            changed, self._changed = self._changed, set()
            begun = [one for one in changed if one in self._watches and one not in self._subscribed]
            ended = [one for one in changed if one not in self._watches and one in self._subscribed]
            self._subscribed.difference_update(ended)
            self._subscribed.update(begun)
            self._unconfirmed.update(begun)
            if ended:
                await connection.send_command("UNSUBSCRIBE", *ended)
            if begun:
                await connection.send_command("SUBSCRIBE", *begun)

    async def _receive(self, connection: Any) -> None:
        count = 0
        while True:
            match await connection.read_response():
                case [b"message", channel, message]:
                    self._tell(channel, _decode(message))
                case [b"subscribe", channel, _]:
                    self._confirm(channel)
            self._has_answered = True
            count += 1
            if count % YIELD_AFTER == 0:
                await asyncio.sleep(0)

    def _confirm(self, channel: bytes) -> None:
        self._unconfirmed[channel] -= 1
        if self._unconfirmed[channel] > 0:
            return
        del self._unconfirmed[channel]
        watch = self._watches.get(channel)
        if watch is not None:
            watch.has_begun.set()
            self._tell(channel, None)

    def _tell(self, channel: bytes, entries: Sequence[Entry] | None) -> None:
        watch = self._watches.get(channel)
        if watch is None:
            return
        try:
            watch.on_news(entries)
        except Exception:  # of one watcher; the others must not miss their news
            logger.exception("News of a topic were not handled")


def _decode(message: bytes) -> tuple[Entry] | None:
    try:
        return (decode_news(message),)
    except ValueError:  # of another version
        return None
