"""`redis://`: event logs and signals that all workers on all machines share.

Each worker has one connection for all that it asks (`Pipe`), one on which it waits for signals (its
inbox, a stream), and one in a thread that renews its lease, so that a worker that is only busy is
not taken for dead.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from redis.exceptions import RedisError

from flash_events.brokers import redis_scripts as scripts
from flash_events.brokers.base import (
    OVERFULL,
    QUEUED,
    EventLog,
    LogLimits,
    RunRecord,
    SharedBroker,
)
from flash_events.brokers.lease import INBOX_MS, Lease
from flash_events.brokers.redis_client import async_client, require_redis
from flash_events.brokers.redis_inbox import Inbox
from flash_events.brokers.redis_keys import key, log_keys
from flash_events.brokers.redis_log import RedisLog
from flash_events.brokers.redis_pipe import AT_ONCE, Pipe
from flash_events.brokers.redis_records import RunRecords
from flash_events.brokers.signals import (
    Alive,
    Gone,
    Lost,
    Moved,
    Readable,
    Room,
    Signal,
    Stop,
    encode,
)
from flash_events.errors import BrokerError, LogFull

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 0.5
WATCH_SECONDS = 0.4
"""How long a worker waits for a reason to look for dead workers, before it looks anyway."""

LOOK_SECONDS = 0.1
"""Shortest time between two looks, as many connections may be taken over together."""

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
        kept_seconds = max(limits.orphan_seconds, limits.outage_seconds) + 2 * RENEW_SECONDS
        self._ttl_ms = int(kept_seconds * 1000)
        self._client = async_client(url)
        self._inbox_client = async_client(url)
        self._inbox = Inbox(self._inbox_client, key(self.worker, "inbox"), self._hear)
        self._pipe = Pipe(self._client, limits.outage_seconds, self._on_outage)
        inbox_ms = max(self._ttl_ms, INBOX_MS)
        self._lease = Lease(url, key(self.worker, "lease"), key(self.worker, "inbox"), inbox_ms)
        self._logs: dict[str, RedisLog] = {}
        self._held: set[str] = set()
        self._records = RunRecords(self._pipe, int(limits.orphan_seconds * 1000))
        self._dead: set[str] = set()
        """Workers that matter here and whose lease has ended."""
        self._must_look = asyncio.Event()
        self._orphaned: dict[str, float] = {}
        """Logs held elsewhere, by a worker that is dead, and since when that is known."""
        self._tasks: list[asyncio.Task[None]] = []
        self._on_signal: Callable[[Signal], None] = lambda _: None
        self._on_worker_lost: Callable[[str], None] = lambda _: None

    @property
    def is_away(self) -> bool:
        return self._pipe.is_away

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
        keys = (*log_keys(connection), key(run, "run"))
        answer = await self._pipe.run(scripts.OPEN, keys, *args)
        if answer is None:
            return None
        log = self._hold(connection, answer.decode())
        self._join(log, run, worker)
        return log

    async def take(self, connection: str, owner: str) -> EventLog | None:
        answer = await self._run(scripts.TAKE, connection, owner, self.worker, self._ttl_ms)
        if answer is None:
            return None
        epoch, before = answer[0].decode(), answer[1].decode()
        if before != self.worker:
            self.signal(before, Moved(connection))
        log = self._hold(connection, epoch)
        log.know(answer[2])
        self._must_look.set()
        return log

    async def touch(self, connection: str, owner: str) -> bool:
        known = await self._pipe.call("HMGET", log_keys(connection)[1], "holder", "owner")
        if known[0] is None or known[1].decode() != owner:
            return False
        self.signal(known[0].decode(), Alive(connection))
        return True

    async def drop(self, connection: str) -> Mapping[str, str]:
        self._held.discard(connection)
        log = self._log(connection)
        try:
            log.know(await self._run(scripts.DROP, connection, self.worker))
        except BrokerError as error:
            log.give_up(error)  # its runs are as of the last read
        if self._logs.get(connection) is log:
            del self._logs[connection]
        log.close()
        return log.runs

    async def join(
        self, connection: str, owner: str, run: str, worker: str, max_runs: int
    ) -> EventLog | None:
        most = OVERFULL * self._limits.waiting_bytes
        answer = await self._run(scripts.JOIN, connection, owner, run, worker, max_runs, most)
        if answer is None:
            return None
        if answer == b"full":
            raise LogFull
        log = self._log(connection)
        self._join(log, run, worker)
        return log

    def withdraw(self, record: RunRecord, connections: Sequence[str]) -> None:
        asked = self._records.withdraw(record, connections)
        for connection, answer in zip(connections, asked, strict=True):
            answer.add_done_callback(partial(self._on_withdrawn, connection))
            if (log := self._logs.get(connection)) is not None:
                log.writers.discard(record.run)

    async def lives(self, worker: str) -> bool:
        return bool(await self._pipe.call("EXISTS", key(worker, "lease")))

    def mute(self) -> None:
        self._pipe.mute()

    async def adopt(self, connection: str, run: str) -> tuple[EventLog, int] | None:
        nonce = secrets.token_hex(8)
        answer = await self._run(scripts.ADOPT, connection, run, self.worker, nonce)
        if answer is None or not int(answer[1]):
            return None
        attempt = int(answer[1])
        log = self._log(connection)
        log.register(run, attempt)
        return log, attempt

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
        log.register(run)
        return log

    async def claim(self, record: RunRecord) -> RunRecord | None:
        return await self._records.claim(record)

    async def move(self, record: RunRecord, before: str = "") -> RunRecord | None:
        return await self._records.move(record, before)

    async def leave_testament(self, run: str, events: Sequence[bytes], end: bytes) -> None:
        await self._records.leave_testament(run, events, end)

    async def testament(self, run: str, position: int) -> list[bytes]:
        return await self._records.testament(run, position)

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

    def _on_withdrawn(self, connection: str, asked: "asyncio.Future[Any]") -> None:
        """A run has left a log, which may be idle now."""
        if not asked.cancelled() and not asked.exception() and asked.result() is not None:
            self.signal(asked.result().decode(), Readable(connection))

    def _hold(self, connection: str, epoch: str) -> RedisLog:
        self._held.add(connection)
        log = self._log(connection)
        log.epoch = epoch
        return log

    def _join(self, log: RedisLog, run: str, worker: str) -> None:
        log.runs = {**log.runs, run: worker}
        if worker == self.worker:
            log.register(run)

    def _log(self, connection: str) -> RedisLog:
        log = self._logs.get(connection)
        if log is None or log.is_gone:

            def tell(worker: str, handed: int | None) -> None:
                signal = Readable(connection) if handed is None else Room(connection, handed)
                self.signal(worker, signal)

            on_given_up = partial(self._on_given_up, connection)
            log = RedisLog(
                self._pipe, log_keys(connection), self.worker, self._limits, tell, on_given_up
            )
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
        """Redis no longer has our lease: it was emptied, or away for longer than that lasts."""
        logger.warning("Redis has forgotten this worker; streams whose logs are gone are lost.")
        self._records.renew()
        for log in self._logs.values():
            log.wake()

    def _on_outage(self) -> None:
        """Redis was away for too long: all that it had is lost, whether it has it still or not."""
        error = BrokerError(f"Redis does not answer for {self._limits.outage_seconds:.0f} s.")
        for log in list(self._logs.values()):
            log.give_up(error)

    def _on_given_up(self, connection: str) -> None:
        """A log is lost. Others must not believe in it, and its runs shall learn it."""
        if connection in self._held:
            self._pipe.tell_at_last(scripts.DROP, log_keys(connection), self.worker)
        self._on_signal(Lost(connection))

    async def _watch(self) -> None:
        """Looks for workers that have died, and keeps alive what is ours."""
        renewed = remembered = time.monotonic()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(WATCH_SECONDS):
                    await self._must_look.wait()
            await asyncio.sleep(LOOK_SECONDS)  # many connections may be taken over together
            self._must_look.clear()
            try:
                await self._look_for_the_dead()
                if time.monotonic() - renewed > RENEW_SECONDS:
                    renewed = time.monotonic()
                    await self._renew()
                if time.monotonic() - remembered > RECORDS_SECONDS:
                    remembered = time.monotonic()
                    self._records.renew()
            except BrokerError as error:
                logger.warning("The watch over workers and logs is interrupted. %s", error)
            except Exception:  # whatever it was: who no longer watches loses all that is held
                logger.exception("The watch over workers and logs has stumbled")

    async def _look_for_the_dead(self) -> None:
        """Asks again and again whether the workers live that matter here.

        A worker counts as dead when its lease is missing while Redis takes renewals.
        """
        held = [self._logs[connection] for connection in self._held if connection in self._logs]
        owners = {worker for log in held for worker in log.runs.values()}
        holders = {log.holder for log in self._logs.values() if log.writers}
        workers = sorted((owners | holders) - {self.worker, QUEUED, ""})
        leases = [self._pipe.call("EXISTS", key(worker, "lease")) for worker in workers]
        answers = await asyncio.gather(*leases)
        if not self._lease.is_steady:
            self._dead.clear()
            return
        dead = {worker for worker, lives in zip(workers, answers, strict=True) if not lives}
        for _ in dead - self._dead:
            logger.warning("Another worker has died.")
        self._dead = dead
        for worker in dead & owners:
            self._on_worker_lost(worker)

    async def _renew(self) -> None:
        """Keeps the logs that are held here; looks after those that are written only."""
        for connections in _bunches(list(self._logs)):
            await asyncio.gather(*(self._renew_one(connection) for connection in connections))

    async def _renew_one(self, connection: str) -> None:
        log = self._logs.get(connection)
        if log is None:
            return
        if connection in self._held:
            runs = await self._run(scripts.RENEW, connection, self.worker, self._ttl_ms)
            if runs is None:
                log.wake()  # it reads, and finds out
            else:
                log.know(runs)
        elif log.is_unused:
            self._logs.pop(connection, None)
        else:
            await self._look_for_holder(connection, log)

    async def _look_for_holder(self, connection: str, log: RedisLog) -> None:
        """Ends the runs of a log that is gone, or whose holder has died and has no successor."""
        holder = await self._pipe.call("HGET", log_keys(connection)[1], "holder")
        log.holder = holder.decode() if holder is not None else ""
        is_orphan = log.holder in self._dead
        now = time.monotonic()
        since = self._orphaned.setdefault(connection, now) if is_orphan else now
        if not is_orphan:
            self._orphaned.pop(connection, None)
            log.ask_for_room()  # what was told may have been lost
        if holder is None or now - since > self._limits.orphan_seconds:
            self._orphaned.pop(connection, None)
            log.close()
            self._on_signal(Gone(connection))


def _bunches(connections: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(connections), AT_ONCE):
        yield connections[start : start + AT_ONCE]
