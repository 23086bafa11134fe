"""A worker's sign of life in Redis, renewed from a thread: a busy event loop is not a dead one."""

import logging
import math
import threading
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, RedisError

from flash_events.brokers.redis.client import sync_client

logger = logging.getLogger(__name__)

LEASE_MS = 8000
"""A worker that has died is taken for alive for so long."""

RENEW_SECONDS = 0.5
SOCKET_SECONDS = 2.0
INBOX_MS = 60_000

GAP_SECONDS = LEASE_MS / 2000
"""A longer pause between two renewals says that this process, or Redis, has stood still."""

SETTLE_SECONDS = SOCKET_SECONDS + 3 * RENEW_SECONDS
"""When Redis answers again, every worker that lives has renewed its lease within this time."""


class Lease:
    """Says that this worker lives, until it is stopped or the process dies.

    Args:
        url: of Redis.
        key: of the lease.
        inbox: the worker's stream of signals, which must exist to be written to; "" for none.
        inbox_ms: how long the inbox is kept without a renewal.
    """

    def __init__(self, url: str, key: str, inbox: str = "", inbox_ms: int = INBOX_MS) -> None:
        self._url = url
        self._key = key
        self._inbox = inbox
        self._inbox_ms = inbox_ms
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, name="flash_events lease", daemon=True)
        self._on_forgotten: Callable[[], object] = lambda: None
        self._is_known = False
        self._renewed_at = -math.inf
        self._steady_since = math.inf
        self._disturbed_at = -math.inf

    @property
    def is_disturbed(self) -> bool:
        """Whether a renewal has failed, or was late, a short time ago.

        Leases of workers that live may be missing then. One that is not renewed knows nothing.
        """
        now = monotonic()
        is_late = self._thread.is_alive() and now - self._renewed_at > GAP_SECONDS
        return is_late or now - self._disturbed_at < SETTLE_SECONDS

    @property
    def is_steady(self) -> bool:
        """Whether Redis has accepted all renewals for some time.

        Only then does a missing lease tell that its worker has died: while Redis refuses what is
        written, or does not answer, the leases of workers that live expire, too.
        """
        now = monotonic()
        return now - self._steady_since > SETTLE_SECONDS and now - self._renewed_at < GAP_SECONDS

    def start(self, on_forgotten: Callable[[], object] = lambda: None) -> None:
        """Take the lease and begins to renew it; blocks until Redis has answered once.

        When this returns, other workers can write to the inbox: a signal that is sent to an inbox
        that does not exist is dropped. If Redis does not answer, the thread tries again.

        Args:
            on_forgotten: called in a thread when Redis has lost the lease.
        """
        self._on_forgotten = on_forgotten
        self._redis = sync_client(self._url, SOCKET_SECONDS)
        self._try_to_renew()
        self._thread.start()

    def stop(self) -> None:
        """Stop renewing; the lease expires, or its owner deletes it."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(1)

    def _work(self) -> None:
        while not self._stopped.wait(RENEW_SECONDS):
            self._try_to_renew()
        self._redis.close()

    def _try_to_renew(self) -> None:
        try:
            try:
                self._renew()
            except RedisConnectionError:  # a connection that was cut says nothing of Redis
                self._renew()
        except (RedisError, OSError) as error:
            self._disturb()
            if isinstance(error, OutOfMemoryError):
                self._extend()
            return
        now = monotonic()
        if now - self._renewed_at > GAP_SECONDS and self._renewed_at > -math.inf:
            self._disturb()
        self._renewed_at = now
        self._steady_since = min(self._steady_since, now)

    def _disturb(self) -> None:
        self._steady_since, self._disturbed_at = math.inf, monotonic()

    def _renew(self) -> None:
        pipeline: Any = self._redis.pipeline(transaction=False)
        pipeline.set(self._key, 1, px=LEASE_MS, get=True)
        if self._inbox:
            pipeline.exists(self._inbox)
        before, *has_inbox = pipeline.execute()
        if self._inbox:
            self._keep_inbox(*has_inbox)
        if before is None and self._is_known:
            self._disturb()  # it has probably lost those of others, too
            self._on_forgotten()
        self._is_known = True

    def _keep_inbox(self, is_there: bool) -> None:
        pipeline: Any = self._redis.pipeline(transaction=True)  # a death between leaves it for ever
        if not is_there:
            pipeline.xadd(self._inbox, {"hello": "1"})
        pipeline.pexpire(self._inbox, self._inbox_ms)
        pipeline.execute()

    def _extend(self) -> None:
        """Renew the existing keys, without a write that needs memory."""
        with suppress(RedisError, OSError):
            self._redis.pexpire(self._key, LEASE_MS)
            if self._inbox:
                self._redis.pexpire(self._inbox, self._inbox_ms)
