"""The signals that a worker gets, on a connection of its own that waits for them."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from flash_events.brokers.redis_pipe import AT_ONCE
from flash_events.brokers.signals import Signal, decode

logger = logging.getLogger(__name__)

BLOCK_MS = 4000
RETRY_SECONDS = 0.5
READ_ENTRIES = 512


class Inbox:
    """Hands each signal on, once.

    Args:
        redis: a client that does nothing else, and answers as Redis does.
        key: of the stream.
        hear: called with each signal; what it raises is logged and keeps nobody from the next.
    """

    def __init__(self, redis: "Redis", key: str, hear: Callable[[Signal], None]) -> None:
        self._redis = redis
        self._key = key
        self._hear = hear
        self._heard: deque[bytes] = deque(maxlen=AT_ONCE)
        """Marks of the last ones: a signal whose answer was lost is sent again."""

    async def listen(self) -> None:
        """Waits for signals, for ever."""
        last: Any = "0"
        while True:
            try:
                answer: Any = await self._redis.xread(
                    {self._key: last}, count=READ_ENTRIES, block=BLOCK_MS
                )
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for _, entries in answer or ():
                for entry_id, fields in entries:
                    last = entry_id
                    self._take(dict(zip(fields[::2], fields[1::2], strict=True)))

    def _take(self, fields: dict[bytes, bytes]) -> None:
        if b"s" not in fields or fields[b"k"] in self._heard:
            return
        self._heard.append(fields[b"k"])
        try:
            self._hear(decode(fields[b"s"]))
        except Exception:  # of another version, say; a worker that hears nothing cannot be stopped
            logger.exception("A signal could not be followed")
