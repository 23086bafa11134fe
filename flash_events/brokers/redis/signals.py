"""Signals over Redis: each worker has an inbox, a stream, and a connection that waits for it."""

import asyncio
import logging
import secrets
from collections import deque
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from flash_events.brokers.ids import WorkerId
from flash_events.brokers.messages import Signal, decode, encode
from flash_events.brokers.redis.keys import key
from flash_events.brokers.redis.pipe import AT_ONCE, Part, Pipe
from flash_events.brokers.signals import OnRequest, OnSignal, Signals

logger = logging.getLogger(__name__)

BLOCK_MS = 4000
RETRY_SECONDS = 0.5
READ_ENTRIES = 512
INBOX_LENGTH = 100_000


def delivery(worker: WorkerId, signal: Signal) -> tuple[Part, ...]:
    """The command that puts a signal into a worker's inbox, unless the worker is gone."""
    limit = ("NOMKSTREAM", "MAXLEN", "~", INBOX_LENGTH)
    once = secrets.token_hex(8)  # it may be sent twice, and must be heard once
    return ("XADD", key(worker, "inbox"), *limit, "*", "s", encode(signal), "k", once)


class RedisSignals(Signals):
    """Sends through the pipe; hears each signal once.

    Args:
        worker: the id of this worker.
        pipe: to Redis.
        redis: a client that does nothing else, and answers as Redis does.
    """

    def __init__(self, worker: WorkerId, pipe: Pipe, redis: "Redis") -> None:
        super().__init__(worker)
        self._pipe = pipe
        self._redis = redis
        self._heard: deque[bytes] = deque(maxlen=AT_ONCE)
        """Marks of the last signals, because a signal whose answer was lost is sent again."""

    def open(self, on_signal: OnSignal, on_request: OnRequest) -> None:
        """Set the handlers of received signals; their exceptions are logged."""
        self._on_signal, self._on_request = on_signal, on_request

    def send(self, worker: WorkerId, signal: Signal) -> None:
        if worker == self.worker:
            self.hear(signal)
        else:
            self._pipe.tell(*delivery(worker, signal))

    async def lives(self, worker: WorkerId) -> bool:
        return bool(await self._pipe.call("EXISTS", key(worker, "lease")))

    async def listen(self) -> None:
        """Receive signals until cancelled."""
        inbox = key(self.worker, "inbox")
        last: Any = "0"
        while True:
            try:
                answer: Any = await self._redis.xread(
                    {inbox: last}, count=READ_ENTRIES, block=BLOCK_MS
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
            self.hear(decode(fields[b"s"]))
        except Exception:  # of another version, say; a worker that hears nothing cannot be stopped
            logger.exception("A signal could not be followed")
