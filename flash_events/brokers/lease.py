"""A worker's sign of life in Redis, renewed from a thread: a busy event loop is not a dead one."""

import logging
import threading
from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from flash_events.brokers.redis_client import sync_client

logger = logging.getLogger(__name__)

LEASE_MS = 8000
"""A worker that has died is taken for alive for so long."""

RENEW_SECONDS = 0.5
SOCKET_SECONDS = 2.0
INBOX_MS = 60_000


class Lease:
    """Says that this worker lives, until it is stopped or the process dies.

    Args:
        url: of Redis.
        key: of the lease.
        inbox: the worker's stream of signals, which must exist to be written to.
    """

    def __init__(self, url: str, key: str, inbox: str) -> None:
        self._url = url
        self._key = key
        self._inbox = inbox
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="flash_events lease", daemon=True)
        self._on_forgotten: Callable[[], object] = lambda: None

    def start(self, on_forgotten: Callable[[], object] = lambda: None) -> None:
        """Begins; `on_forgotten` is called in a thread when Redis has lost the lease."""
        self._on_forgotten = on_forgotten
        self._thread.start()

    def stop(self) -> None:
        """Ends; the lease expires, or is deleted by who stops it."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(1)

    def _work(self) -> None:
        redis = sync_client(self._url, SOCKET_SECONDS)
        is_first = True
        while not self._stopped.is_set():
            try:
                was_there = self._renew(redis)
            except (RedisError, OSError):
                self._stopped.wait(RENEW_SECONDS)
                continue
            if not was_there and not is_first:
                self._on_forgotten()
            is_first = False
            self._stopped.wait(RENEW_SECONDS)
        redis.close()

    def _renew(self, redis: Redis) -> bool:
        """Whether Redis still knew of it."""
        pipeline: Any = redis.pipeline(transaction=False)
        pipeline.set(self._key, 1, px=LEASE_MS, get=True)
        pipeline.exists(self._inbox)
        before, has_inbox = pipeline.execute()
        pipeline = redis.pipeline(transaction=True)  # or a death between leaves it for ever
        if not has_inbox:
            pipeline.xadd(self._inbox, {"hello": "1"})
        pipeline.pexpire(self._inbox, INBOX_MS)
        pipeline.execute()
        return before is not None
