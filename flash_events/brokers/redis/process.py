"""Redis commands of a task queue's worker process, which has no event loop."""

import logging
import secrets
import threading
import time
from dataclasses import replace
from typing import Any

from redis.exceptions import NoScriptError, RedisError

from flash_events.brokers.directory import RunRecord
from flash_events.brokers.ids import ConnectionId, RunId, WorkerId
from flash_events.brokers.log import LogLimits
from flash_events.brokers.messages import Failed, Readable, Signal
from flash_events.brokers.place import At
from flash_events.brokers.redis.client import is_passing, sync_client
from flash_events.brokers.redis.directory import REMEMBER_MS
from flash_events.brokers.redis.keys import key, log_keys
from flash_events.brokers.redis.lease import Lease
from flash_events.brokers.redis.records import decode_record, encode_record
from flash_events.brokers.redis.script import Script
from flash_events.brokers.redis.scripts import END_RUN
from flash_events.brokers.redis.signals import delivery

logger = logging.getLogger(__name__)

RETRY_SECONDS = 0.05
MAX_RETRY_SECONDS = 1.0
HAND_OVER_SECONDS = 5.0
HAND_OVER_TRIES = 50
"""Timeout for a web worker to end a run, and the number of checks within it."""

ROOM_MS = 1000
"""Time after which a writer checks for room again without a signal."""


class RedisProcess:
    """One process of a task queue.

    Args:
        url: as redis-py takes it.
        limits: of the logs that it writes to.

    Attributes:
        worker: its id, while it writes.
    """

    def __init__(self, url: str, limits: LogLimits) -> None:
        self.worker = WorkerId(secrets.token_hex(16))
        self.limits = limits
        self._client: Any = sync_client(url)  # untyped in parts
        self._inbox = key(self.worker, "inbox")
        self._lease = Lease(url, key(self.worker, "lease"), self._inbox)
        self._has_lease = False
        self._heard = "0"
        self._starting = threading.Lock()

    def renew_lease(self) -> None:
        """Take the lease of this process, unless it was taken before."""
        with self._starting:
            if not self._has_lease:
                self._lease.start()
                self._has_lease = True

    def run(self, script: Script, connection: ConnectionId, *args: bytes | str | int) -> Any:
        """Run a script on a log; retry until Redis answers."""
        keys = log_keys(connection)
        while True:
            try:
                return self.call("EVALSHA", script.digest, len(keys), *keys, *args)
            except NoScriptError:
                self.call("SCRIPT LOAD", script.text)

    def call(self, *command: bytes | str | int) -> Any:
        """Send a command; retry until Redis answers."""
        seconds = RETRY_SECONDS
        while True:
            try:
                return self._client.execute_command(*command)
            except (RedisError, OSError) as error:
                if not is_passing(error):
                    raise
                if seconds == RETRY_SECONDS:
                    logger.warning("Redis does not answer (%s); trying on.", error)
                time.sleep(seconds)  # in a task or a thread of its own, never on a loop
                seconds = min(2 * seconds, MAX_RETRY_SECONDS)

    def tell(self, worker: WorkerId, connection: ConnectionId) -> None:
        """Signal to the holder of a log that it has new events."""
        self._signal(worker, Readable(connection))

    def _signal(self, worker: WorkerId, signal: Signal) -> None:
        self.call(*delivery(worker, signal))

    def end_run(
        self, run: RunId, event: bytes, is_lost: bool, failed: Failed | None = None
    ) -> None:
        """End a run that no worker drives any more.

        Args:
            run: its id.
            event: its last one.
            is_lost: whether the process that drove it has died: the others, who answer that with
                more than this event, then learn it before its lease expires.
            failed: told to who holds the run's connection, who calls `on_error`; the run is ended
                from here only if nobody does so in time.
        """
        record = self._record(run)
        if record is None:
            return
        if is_lost and isinstance(record.place, At):
            self.call("DEL", key(record.place.worker, "lease"))
            return
        if failed is not None and self._hand_over(record, failed):
            return
        cost = self.limits.cost(event)
        holder = self.run(END_RUN, record.connection, run, "", cost, event, secrets.token_hex(8))
        ended = encode_record(replace(record, is_ended=True))
        self.call("SET", key(run, "run"), ended, "PX", REMEMBER_MS)
        if holder is not None:
            self.tell(WorkerId(holder.decode()), record.connection)

    def _record(self, run: RunId) -> RunRecord | None:
        """Return the record of a run, or None if the run has ended or is unknown."""
        text = self.call("GET", key(run, "run"))
        record = None if text is None else decode_record(text)
        return None if record is None or record.is_ended else record

    def _hand_over(self, record: RunRecord, failed: Failed) -> bool:
        """Ask the holder of its connection to end a run; return whether it does."""
        holder = self.call("HGET", log_keys(record.connection)[1], "holder")
        if holder is None:
            return False
        self._signal(WorkerId(holder.decode()), failed)
        for _ in range(HAND_OVER_TRIES):
            time.sleep(HAND_OVER_SECONDS / HAND_OVER_TRIES)  # in a thread of its own
            if self._record(failed.run) is None:
                return True
        return False

    def lives(self, worker: WorkerId) -> bool:
        """Return whether a worker has a lease."""
        return bool(self.call("EXISTS", key(worker, "lease")))

    def hear(self) -> None:
        """Wait for a signal, for a short time."""
        found = self.call("XREAD", "BLOCK", ROOM_MS, "STREAMS", self._inbox, self._heard)
        if found:
            [[_, entries]] = found.items() if isinstance(found, dict) else found
            self._heard = entries[-1][0].decode()
