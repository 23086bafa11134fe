"""A worker's sign of life in Redis, renewed from a thread: a busy event loop is not a dead one."""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

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
        self._is_known = False

    def start(self, on_forgotten: Callable[[], object] = lambda: None) -> None:
        """Takes the lease and begins to renew it; blocks until Redis has answered once.

        When this returns, other workers can write to the inbox: a signal that is sent to an inbox
        that does not exist is dropped. If Redis does not answer, the thread tries again.

        Args:
            on_forgotten: called in a thread when Redis has lost the lease.
        """
        self._on_forgotten = on_forgotten
        self._redis = sync_client(self._url, SOCKET_SECONDS)
        with suppress(RedisError, OSError):
            self._renew()
        self._thread.start()

    def stop(self) -> None:
        """Ends; the lease expires, or is deleted by who stops it."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(1)

    def _work(self) -> None:
        while not self._stopped.wait(RENEW_SECONDS):
            with suppress(RedisError, OSError):
                self._renew()
        self._redis.close()

    def _renew(self) -> None:
        pipeline: Any = self._redis.pipeline(transaction=False)
        pipeline.set(self._key, 1, px=LEASE_MS, get=True)
        pipeline.exists(self._inbox)
        before, has_inbox = pipeline.execute()
        pipeline = self._redis.pipeline(transaction=True)  # or a death between leaves it for ever
        if not has_inbox:
            pipeline.xadd(self._inbox, {"hello": "1"})
        pipeline.pexpire(self._inbox, INBOX_MS)
        pipeline.execute()
        if before is None and self._is_known:
            self._on_forgotten()
        self._is_known = True
