"""The watch of a worker: it finds dead workers, and renews its own keys."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from flash_events.brokers.ids import ConnectionId, WorkerId
from flash_events.brokers.place import At
from flash_events.brokers.redis.directory import RedisDirectory
from flash_events.brokers.redis.lease import Lease
from flash_events.brokers.redis.logs import RedisLogs
from flash_events.brokers.redis.pipe import AT_ONCE
from flash_events.brokers.redis.signals import RedisSignals
from flash_events.errors import BrokerError

logger = logging.getLogger(__name__)

WATCH_SECONDS = 0.4
"""Maximum time between two checks for dead workers."""

LOOK_SECONDS = 0.1
"""Minimum time between two checks, because many connections may be taken over together."""

RENEW_SECONDS = 5.0
RECORDS_SECONDS = 60.0


class Watch:
    """The watch of one worker.

    Args:
        lease: of this worker.
        logs: whose runs and holders matter here.
        directory: whose records are renewed.
        signals: know who is alive.
    """

    def __init__(
        self, lease: Lease, logs: RedisLogs, directory: RedisDirectory, signals: RedisSignals
    ) -> None:
        self._lease = lease
        self._logs = logs
        self._directory = directory
        self._signals = signals
        self._dead: set[WorkerId] = set()
        """Relevant workers whose lease has expired."""
        self._must_look = asyncio.Event()
        logs.on_taken = self._must_look.set

    async def keep(self, on_worker_lost: Callable[[WorkerId], object]) -> None:
        """Watch until cancelled; see `Broker.open` for `on_worker_lost`."""
        renewed = remembered = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._must_look.wait()
            await asyncio.sleep(LOOK_SECONDS)
            self._must_look.clear()
            try:
                for worker in await self.look():
                    on_worker_lost(worker)
                if time.monotonic() - renewed > RENEW_SECONDS:
                    renewed = time.monotonic()
                    await self._renew()
                if time.monotonic() - remembered > RECORDS_SECONDS:
                    remembered = time.monotonic()
                    self._directory.renew()
            except BrokerError as error:
                logger.warning("The watch over workers and logs is interrupted. %s", error)
            except Exception:  # whatever it was: who no longer watches loses all that is held
                logger.exception("The watch over workers and logs has stumbled")

    async def look(self) -> set[WorkerId]:
        """Check the relevant workers; return the dead ones that have runs.

        A worker counts as dead if its lease is missing while Redis takes renewals.
        """
        owners = {place.worker for place in self._logs.places() if isinstance(place, At)}
        workers = sorted((owners | self._logs.holders()) - {self._signals.worker})
        alive = await asyncio.gather(*(self._signals.lives(worker) for worker in workers))
        if not self._lease.is_steady:
            self._dead.clear()
            return set()
        dead = {worker for worker, lives in zip(workers, alive, strict=True) if not lives}
        for _ in dead - self._dead:
            logger.warning("Another worker has died.")
        self._dead = dead
        return dead & owners

    async def _renew(self) -> None:
        for connections in _bunches(list(self._logs)):
            renewals = (self._logs.renew(connection, self._dead) for connection in connections)
            await asyncio.gather(*renewals)


def _bunches(connections: list[ConnectionId]) -> Iterator[list[ConnectionId]]:
    for start in range(0, len(connections), AT_ONCE):
        yield connections[start : start + AT_ONCE]
