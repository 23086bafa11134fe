"""`redis://`: a broker that all workers on all machines share.

Each worker has one connection for all that it asks (`Pipe`), one on which it waits for signals (its
inbox, a stream), and one in a thread that renews its lease, so that a worker that is only busy is
not taken for dead.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from redis.exceptions import RedisError

from flash_events.brokers.broker import Broker
from flash_events.brokers.ids import WorkerId
from flash_events.brokers.log import LogLimits
from flash_events.brokers.messages import Signal
from flash_events.brokers.redis.client import async_client, require_redis
from flash_events.brokers.redis.directory import RedisDirectory
from flash_events.brokers.redis.keys import key
from flash_events.brokers.redis.lease import INBOX_MS, Lease
from flash_events.brokers.redis.logs import RedisLogs
from flash_events.brokers.redis.pipe import Pipe
from flash_events.brokers.redis.signals import RedisSignals
from flash_events.brokers.redis.watch import RENEW_SECONDS, Watch
from flash_events.brokers.signals import OnRequest, OnSignal, no_requests
from flash_events.errors import BrokerError

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 0.5


class RedisBroker(Broker):
    """Keeps everything in Redis.

    Args:
        url: as redis-py takes it.
        limits: of each log.
    """

    is_shared = True

    def __init__(self, url: str, limits: LogLimits) -> None:
        worker = WorkerId(secrets.token_hex(16))
        self._url = url
        self._limits = limits
        kept_seconds = max(limits.orphan_seconds, limits.outage_seconds) + 2 * RENEW_SECONDS
        ttl_ms = int(kept_seconds * 1000)
        self._client = async_client(url)
        self._inbox_client = async_client(url)
        self._pipe = Pipe(self._client, limits.outage_seconds, self._on_outage)
        inbox_ms = max(ttl_ms, INBOX_MS)
        self._lease = Lease(url, key(worker, "lease"), key(worker, "inbox"), inbox_ms)
        self.signals: RedisSignals = RedisSignals(worker, self._pipe, self._inbox_client)
        self.logs: RedisLogs = RedisLogs(self._pipe, self.signals, limits, ttl_ms)
        self.directory: RedisDirectory = RedisDirectory(
            self._pipe, worker, self.logs, int(limits.orphan_seconds * 1000)
        )
        self._watch = Watch(self._lease, self.logs, self.directory, self.signals)
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_away(self) -> bool:
        return self._pipe.is_away

    async def open(
        self,
        on_signal: OnSignal,
        on_worker_lost: Callable[[WorkerId], object],
        on_request: OnRequest = no_requests,
    ) -> None:
        def hear(signal: Signal) -> None:
            if not self.logs.hear(signal):
                on_signal(signal)

        self.signals.open(hear, on_request)
        await require_redis(self._client, self._url)
        for client in (self._client, self._inbox_client):
            client.response_callbacks.clear()  # answers as they come
        loop = asyncio.get_running_loop()
        on_forgotten = partial(loop.call_soon_threadsafe, self._on_forgotten)
        await asyncio.to_thread(self._lease.start, on_forgotten)
        self._tasks = [
            asyncio.create_task(self.signals.listen(), name="flash_events inbox"),
            asyncio.create_task(self._watch.keep(on_worker_lost), name="flash_events watch"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._lease.stop()
        if self._tasks:
            self._pipe.call("DEL", key(self.worker, "lease"))
            self._pipe.call("DEL", key(self.worker, "inbox"))
            await self._pipe.close(CLOSE_SECONDS)
        for client in (self._client, self._inbox_client):
            with suppress(RedisError, OSError):
                await client.aclose()

    def mute(self) -> None:
        self._pipe.mute()

    def _on_forgotten(self) -> None:
        """Redis no longer has our lease: it was emptied, or away for longer than that lasts."""
        logger.warning("Redis has forgotten this worker; streams whose logs are gone are lost.")
        self.directory.renew()
        self.logs.wake()

    def _on_outage(self) -> None:
        """Redis was away for too long: all that it had is lost, whether it has it still or not."""
        logger.error("What Redis had of streams is lost.")
        error = BrokerError(f"Redis does not answer for {self._limits.outage_seconds:.0f} s.")
        self.logs.give_up(error)
