"""The event logs of all workers, in Redis."""

import json
import secrets
import time
from asyncio import Future
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from flash_events.brokers.ids import ConnectionId, RunId, WorkerId
from flash_events.brokers.log import OVERFULL, EventLog, EventLogs, LogLimits
from flash_events.brokers.messages import Alive, Gone, Lost, Moved, Readable, Room, Signal
from flash_events.brokers.place import Place, decode_place, encode_place
from flash_events.brokers.redis.keys import key, log_keys
from flash_events.brokers.redis.log import RedisLog
from flash_events.brokers.redis.pipe import Pipe
from flash_events.brokers.redis.script import Script
from flash_events.brokers.redis.scripts import (
    ADOPT,
    CANCEL_WRITERS,
    DROP,
    END_RUN,
    JOIN,
    OPEN,
    OWN,
    RENEW,
    TAKE,
    WITHDRAW,
)
from flash_events.brokers.redis.signals import RedisSignals
from flash_events.errors import BrokerError, LogFull


class RedisLogs(EventLogs):
    """The logs that this worker holds or writes to.

    Args:
        pipe: to Redis.
        signals: wake readers and writers of other workers.
        limits: of each log.
        ttl_ms: how long a log is kept that its holder does not renew.
    """

    def __init__(self, pipe: Pipe, signals: RedisSignals, limits: LogLimits, ttl_ms: int) -> None:
        self._pipe = pipe
        self._signals = signals
        self._worker = signals.worker
        self._limits = limits
        self._ttl_ms = ttl_ms
        self._logs: dict[ConnectionId, RedisLog] = {}
        self._held: set[ConnectionId] = set()
        self._orphaned: dict[ConnectionId, float] = {}
        """Logs held elsewhere, by a worker that is dead, and since when that is known."""
        self.on_taken: Callable[[], object] = lambda: None
        """Called when this worker has taken over a log, because its runs may be at dead workers."""

    def __iter__(self) -> Iterator[ConnectionId]:
        return iter(list(self._logs))

    async def open(
        self, connection: ConnectionId, owner: str, run: RunId, place: Place
    ) -> EventLog | None:
        epoch = str(time.time_ns() // 1_000_000)
        args = (epoch, owner, self._worker, self._ttl_ms, run, encode_place(place))
        answer = await self._run(OPEN, connection, *args, 0)
        if answer == b"held":  # by another worker, where the same start was cut or is under way
            if await self._is_claimed_elsewhere(run, place):
                return None
            answer = await self._run(OPEN, connection, *args, 1)
        if answer is None:
            return None
        log = self._hold(connection, answer.decode())
        self._join(log, run, place)
        return log

    async def take(self, connection: ConnectionId, owner: str) -> EventLog | None:
        answer = await self._run(TAKE, connection, owner, self._worker, self._ttl_ms)
        if answer is None:
            return None
        epoch, before = answer[0].decode(), WorkerId(answer[1].decode())
        if before != self._worker:
            self._signals.send(before, Moved(connection))
        log = self._hold(connection, epoch)
        log.know(answer[2])
        self.on_taken()
        return log

    async def join(
        self, connection: ConnectionId, owner: str, run: RunId, place: Place, max_runs: int
    ) -> EventLog | None:
        most = OVERFULL * self._limits.waiting_bytes
        args = (owner, run, encode_place(place), max_runs, most)
        answer = await self._run(JOIN, connection, *args)
        if answer is None:
            return None
        if answer == b"full":
            raise LogFull
        log = self._log(connection)
        self._join(log, run, place)
        return log

    async def adopt(self, connection: ConnectionId, run: RunId) -> tuple[EventLog, int] | None:
        nonce = secrets.token_hex(8)
        answer = await self._run(ADOPT, connection, run, self._worker, nonce)
        if answer is None or not int(answer[1]):
            return None
        attempt = int(answer[1])
        log = self._log(connection)
        log.register(run, attempt)
        return log, attempt

    def writer(self, connection: ConnectionId, run: RunId) -> EventLog:
        log = self._log(connection)
        log.register(run)
        return log

    async def touch(self, connection: ConnectionId, owner: str) -> bool:
        known = await self._pipe.call("HMGET", log_keys(connection)[1], "holder", "owner")
        if known[0] is None or known[1].decode() != owner:
            return False
        self._signals.send(WorkerId(known[0].decode()), Alive(connection))
        return True

    async def drop(self, connection: ConnectionId) -> Mapping[RunId, Place]:
        self._held.discard(connection)
        log = self._log(connection)
        try:
            log.know(await self._run(DROP, connection, self._worker))
        except BrokerError as error:
            log.give_up(error)  # its runs are as of the last read
        if self._logs.get(connection) is log:
            del self._logs[connection]
        log.close()
        return log.runs

    async def end_run(
        self, connection: ConnectionId, run: RunId, place: Place | None, event: bytes
    ) -> bool:
        expected = encode_place(place) if place is not None else ""
        args = (run, expected, self._limits.cost(event), event, secrets.token_hex(8))
        holder = await self._run(END_RUN, connection, *args)
        if (log := self._logs.get(connection)) is not None:
            log.forget(run)
        self._tell_holder(connection, holder)
        return holder is not None

    async def cancel_writers(self, connection: ConnectionId) -> None:
        for worker in await self._run(CANCEL_WRITERS, connection):
            self._signals.send(WorkerId(worker.decode()), Room(connection, 0))

    def own(self, connection: ConnectionId, run: RunId, place: Place, nonce: str) -> None:
        """Enter a claimed run in its log, before any later command."""
        self._pipe.tell_script(OWN, log_keys(connection), run, encode_place(place), nonce)

    def withdraw(
        self,
        connections: Sequence[ConnectionId],
        run: RunId,
        place: Place,
        owner: str,
        nonce: str,
    ) -> None:
        """Remove a run from logs, unless it was claimed with another nonce."""
        args = (run, encode_place(place), owner, nonce, self._worker)
        for connection in connections:
            removed = self._pipe.tell_at_last(WITHDRAW, log_keys(connection), *args)
            removed.add_done_callback(partial(self._on_withdrawn, connection))
            if (log := self._logs.get(connection)) is not None:
                log.writers.discard(run)

    def hear(self, signal: Signal) -> bool:
        """Handle a signal about a log; return whether no other part needs it."""
        match signal:
            case Readable(connection):
                if (log := self._logs.get(connection)) is not None:
                    log.wake()
            case Room(connection, handed):
                if (log := self._logs.get(connection)) is not None:
                    log.on_room(handed)
            case Moved(connection):
                self._held.discard(connection)
                return False
            case _:
                return False
        return True

    def wake(self) -> None:
        """Make all readers check for events again."""
        for log in self._logs.values():
            log.wake()

    def give_up(self, error: BrokerError) -> None:
        """Give up all logs."""
        for log in list(self._logs.values()):
            log.give_up(error)

    def places(self) -> set[Place]:
        """Return the places of the runs that write to logs held here."""
        held = [self._logs[connection] for connection in self._held if connection in self._logs]
        return {place for log in held for place in log.runs.values()}

    def holders(self) -> set[WorkerId]:
        """Return the workers that hold the logs that runs of this worker write to."""
        found = {log.holder for log in self._logs.values() if log.writers}
        return {holder for holder in found if holder is not None}

    async def renew(self, connection: ConnectionId, dead: set[WorkerId]) -> None:
        """Renew a log that is held here; check the holder of a log that is only written to."""
        log = self._logs.get(connection)
        if log is None:
            return
        if connection in self._held:
            runs = await self._run(RENEW, connection, self._worker, self._ttl_ms)
            if runs is None:
                log.wake()  # it reads, and finds out
            else:
                log.know(runs)
        elif log.is_unused:
            self._logs.pop(connection, None)
        else:
            await self._look_for_holder(connection, log, dead)

    async def _look_for_holder(
        self, connection: ConnectionId, log: RedisLog, dead: set[WorkerId]
    ) -> None:
        """End the runs of a log that is gone, or whose holder has died without a successor."""
        holder = await self._pipe.call("HGET", log_keys(connection)[1], "holder")
        log.holder = WorkerId(holder.decode()) if holder is not None else None
        is_orphan = log.holder in dead
        now = time.monotonic()
        since = self._orphaned.setdefault(connection, now) if is_orphan else now
        if not is_orphan:
            self._orphaned.pop(connection, None)
            log.ask_for_room()  # what was told may have been lost
        if holder is None or now - since > self._limits.orphan_seconds:
            self._orphaned.pop(connection, None)
            log.close()
            self._signals.send(self._worker, Gone(connection))

    async def _is_claimed_elsewhere(self, run: RunId, place: Place) -> bool:
        record = await self._pipe.call("GET", key(run, "run"))
        return record is not None and decode_place(json.loads(record)["worker"]) != place

    def _tell_holder(self, connection: ConnectionId, holder: bytes | None) -> None:
        if holder is not None:
            self._signals.send(WorkerId(holder.decode()), Readable(connection))

    def _on_withdrawn(self, connection: ConnectionId, asked: "Future[Any]") -> None:
        """Check whether a log is idle after a run has left it."""
        if not asked.cancelled() and not asked.exception():
            self._tell_holder(connection, asked.result())

    def _hold(self, connection: ConnectionId, epoch: str) -> RedisLog:
        self._held.add(connection)
        log = self._log(connection)
        log.epoch = epoch
        return log

    def _join(self, log: RedisLog, run: RunId, place: Place) -> None:
        log.note(run, place)
        if place == log.here:
            log.register(run)

    def _log(self, connection: ConnectionId) -> RedisLog:
        log = self._logs.get(connection)
        if log is None or log.is_gone:

            def tell(worker: WorkerId, handed: int | None) -> None:
                signal = Readable(connection) if handed is None else Room(connection, handed)
                self._signals.send(worker, signal)

            on_given_up = partial(self._on_given_up, connection)
            log = RedisLog(
                self._pipe, log_keys(connection), self._worker, self._limits, tell, on_given_up
            )
            self._logs[connection] = log
        return log

    def _run(
        self, script: Script, connection: ConnectionId, *args: bytes | str | int
    ) -> "Future[Any]":
        return self._pipe.run(script, log_keys(connection), *args)

    def _on_given_up(self, connection: ConnectionId) -> None:
        """Tell other workers, and the runs of a log, that the log is lost."""
        if connection in self._held:
            self._pipe.tell_at_last(DROP, log_keys(connection), self._worker)
        self._signals.send(self._worker, Lost(connection))
