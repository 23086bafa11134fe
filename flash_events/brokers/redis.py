"""`redis://`: event logs and signals that all workers on all machines share.

Each worker has one connection for all that it asks (`Pipe`), one on which it waits for signals (its
inbox, a stream), and one in a thread that renews its lease, so that a worker that is only busy is
not taken for dead.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from redis.exceptions import RedisError

from flash_events.brokers import redis_scripts as scripts
from flash_events.brokers.base import QUEUED, EventLog, LogLimits, RunRecord, SharedBroker
from flash_events.brokers.lease import Lease
from flash_events.brokers.redis_client import async_client, require_redis
from flash_events.brokers.redis_inbox import Inbox
from flash_events.brokers.redis_keys import key, log_keys
from flash_events.brokers.redis_log import RedisLog
from flash_events.brokers.redis_pipe import Pipe
from flash_events.brokers.redis_records import RunRecords
from flash_events.brokers.signals import (
    Alive,
    Gone,
    Moved,
    Readable,
    Room,
    Signal,
    Stop,
    encode,
)
from flash_events.errors import LogFull

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 0.5
WATCH_SECONDS = 0.5
RENEW_SECONDS = 5.0
RECORDS_SECONDS = 60.0
INBOX_LENGTH = 100_000


class RedisBroker(SharedBroker):
    """Keeps every log in Redis.

    Args:
        url: as redis-py takes it.
        limits: of each log.
    """

    is_shared = True

    def __init__(self, url: str, limits: LogLimits) -> None:
        self.worker = secrets.token_hex(16)
        self._url = url
        self._limits = limits
        self._ttl_ms = int((limits.orphan_seconds + 2 * RENEW_SECONDS) * 1000)
        self._client = async_client(url)
        self._inbox_client = async_client(url)
        self._inbox = Inbox(self._inbox_client, key(self.worker, "inbox"), self._hear)
        self._pipe = Pipe(self._client)
        self._lease = Lease(url, key(self.worker, "lease"), key(self.worker, "inbox"))
        self._logs: dict[str, RedisLog] = {}
        self._held: set[str] = set()
        self._records = RunRecords(self._pipe, int(limits.orphan_seconds * 1000))
        self._missing: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._on_signal: Callable[[Signal], None] = lambda _: None
        self._on_worker_lost: Callable[[str], None] = lambda _: None

    async def start(
        self, on_signal: Callable[[Signal], None], on_worker_lost: Callable[[str], None]
    ) -> None:
        self._on_signal, self._on_worker_lost = on_signal, on_worker_lost
        await require_redis(self._client, self._url)
        for client in (self._client, self._inbox_client):
            client.response_callbacks.clear()  # answers as they come
        loop = asyncio.get_running_loop()
        on_forgotten = partial(loop.call_soon_threadsafe, self._on_forgotten)
        await asyncio.to_thread(self._lease.start, on_forgotten)
        self._tasks = [
            asyncio.create_task(self._inbox.listen(), name="flash_events inbox"),
            asyncio.create_task(self._watch(), name="flash_events watch"),
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

    async def open(self, connection: str, owner: str, run: str, worker: str) -> EventLog | None:
        epoch = str(time.time_ns() // 1_000_000)
        args = (epoch, owner, self.worker, self._ttl_ms, run, worker)
        answer = await self._run(scripts.OPEN, connection, *args)
        return None if answer is None else self._hold(connection, answer.decode(), run, worker)

    async def take(self, connection: str, owner: str) -> EventLog | None:
        answer = await self._run(scripts.TAKE, connection, owner, self.worker, self._ttl_ms)
        if answer is None:
            return None
        epoch, before = answer[0].decode(), answer[1].decode()
        if before != self.worker:
            self.signal(before, Moved(connection))
        return self._hold(connection, epoch)

    async def touch(self, connection: str, owner: str) -> bool:
        known = await self._pipe.call("HMGET", log_keys(connection)[1], "holder", "owner")
        if known[0] is None or known[1].decode() != owner:
            return False
        self.signal(known[0].decode(), Alive(connection))
        return True

    async def drop(self, connection: str) -> Mapping[str, str]:
        self._held.discard(connection)
        left = await self._run(scripts.DROP, connection, self.worker)
        names = [part.decode() for part in left]
        if connection in self._logs:
            self._logs.pop(connection).close()
        return dict(zip(names[::2], names[1::2], strict=True))

    async def join(
        self, connection: str, owner: str, run: str, worker: str, max_runs: int
    ) -> EventLog | None:
        answer = await self._run(scripts.JOIN, connection, owner, run, worker, max_runs)
        if answer is None:
            return None
        if answer == b"full":
            raise LogFull
        log = self._log(connection)
        if worker == self.worker:
            log.writers.add(run)
        return log

    async def adopt(self, connection: str, run: str) -> tuple[EventLog, int] | None:
        nonce = secrets.token_hex(8)
        answer = await self._run(scripts.ADOPT, connection, run, self.worker, nonce)
        if answer is None or not int(answer[1]):
            return None
        return self.writer(connection, run), int(answer[1])

    async def call_off(self, connection: str) -> None:
        for worker in await self._run(scripts.CALL_OFF, connection):
            self.signal(worker.decode(), Room(connection, 0))

    async def lose(self, connection: str, run: str, worker: str, event: bytes) -> bool:
        cost = self._limits.cost(event)
        holder = await self._run(scripts.LOSE, connection, run, worker, cost, event)
        if holder is not None:
            self.signal(holder.decode(), Readable(connection))
        return holder is not None

    def writer(self, connection: str, run: str) -> EventLog:
        log = self._log(connection)
        log.writers.add(run)
        return log

    async def claim(self, record: RunRecord) -> RunRecord | None:
        return await self._records.claim(record)

    async def move(self, record: RunRecord, before: str = "") -> RunRecord | None:
        return await self._records.move(record, before)

    async def leave_testament(self, run: str, events: Sequence[bytes], end: bytes) -> None:
        await self._records.leave_testament(run, events, end)

    async def testament(self, run: str) -> tuple[list[bytes], bytes]:
        return await self._records.testament(run)

    async def find(self, runs: Sequence[str]) -> list[RunRecord | None]:
        return await self._records.find(runs)

    async def kept(self, kept_by: str, callbacks: Sequence[str]) -> tuple[str, ...]:
        return await self._records.kept(kept_by, callbacks)

    def retire(self, record: RunRecord) -> None:
        self._records.retire(record)

    async def stop(self, signal: Stop) -> tuple[str, ...]:
        runs_of = await self._records.locate(signal.runs, signal.owner)
        for worker, runs in runs_of.items():
            self.signal(worker, replace(signal, runs=tuple(runs)))
        return tuple(run for runs in runs_of.values() for run in runs)

    def signal(self, worker: str, signal: Signal) -> None:
        if worker in (self.worker, QUEUED):
            self._hear(signal)
            return
        inbox = key(worker, "inbox")
        limit = ("NOMKSTREAM", "MAXLEN", "~", INBOX_LENGTH)  # none of a worker that is dead
        once = secrets.token_hex(8)  # it may be sent twice, and must be heard once
        self._pipe.tell("XADD", inbox, *limit, "*", "s", encode(signal), "k", once)

    def _hold(self, connection: str, epoch: str, run: str = "", worker: str = "") -> RedisLog:
        self._held.add(connection)
        log = self._log(connection)
        log.epoch = epoch
        if run and worker == self.worker:
            log.writers.add(run)
        return log

    def _log(self, connection: str) -> RedisLog:
        log = self._logs.get(connection)
        if log is None or log.is_gone:

            def tell(worker: str, handed: int | None) -> None:
                signal = Readable(connection) if handed is None else Room(connection, handed)
                self.signal(worker, signal)

            log = RedisLog(self._pipe, log_keys(connection), self.worker, self._limits, tell)
            self._logs[connection] = log
        return log

    async def _run(self, script: str, connection: str, *args: bytes | str | int) -> Any:
        return await self._pipe.run(script, log_keys(connection), *args)

    def _hear(self, signal: Signal) -> None:
        match signal:
            case Readable(connection) | Room(connection, _):
                log = self._logs.get(connection)
                if log is not None and isinstance(signal, Room):
                    log.on_room(signal.handed)
                elif log is not None:
                    log.wake()
            case Moved(connection):
                self._held.discard(connection)
                self._on_signal(signal)
            case _:
                self._on_signal(signal)

    def _on_forgotten(self) -> None:
        """Redis has lost what it knew of us, so probably the rest, too."""
        logger.warning("Redis was emptied; streams whose logs are gone end as lost.")
        self._records.renew()
        for log in self._logs.values():
            log.wake()

    async def _watch(self) -> None:
        """Looks for workers that have died, and keeps alive what is ours."""
        renewed = remembered = time.monotonic()
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            try:
                await self._look_for_the_dead()
                if time.monotonic() - renewed > RENEW_SECONDS:
                    renewed = time.monotonic()
                    await self._renew()
                if time.monotonic() - remembered > RECORDS_SECONDS:
                    remembered = time.monotonic()
                    self._records.renew()
            except Exception:  # whatever it was: who no longer watches loses all that is held
                logger.exception("The watch over workers and logs has stumbled")

    async def _look_for_the_dead(self) -> None:
        """A worker counts as dead when its lease is missing twice while Redis answers."""
        workers = {
            worker
            for connection in self._held
            for worker in self._log(connection).runs.values()
            if worker not in (self.worker, QUEUED)
        }
        self._missing = {worker: n for worker, n in self._missing.items() if worker in workers}
        for worker in workers:
            is_there = await self._pipe.call("EXISTS", key(worker, "lease"))
            self._missing[worker] = 0 if is_there else self._missing.get(worker, 0) + 1
            if self._missing[worker] == 2:
                logger.warning("Another worker has died; its runs are lost.")
                self._on_worker_lost(worker)

    async def _renew(self) -> None:
        for connection, log in list(self._logs.items()):
            if connection in self._held:
                if not await self._run(scripts.RENEW, connection, self.worker, self._ttl_ms):
                    log.wake()  # it reads, and finds out
            elif log.is_unused:
                del self._logs[connection]
            elif not await self._pipe.call("EXISTS", log_keys(connection)[1]):
                log.close()
                self._on_signal(Gone(connection))
