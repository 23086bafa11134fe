"""`redis://`: event logs and signals that all workers on all machines share.

Each worker has one connection for all that it asks (`Pipe`), one on which it waits for signals (its
inbox, a stream), and one in a thread that renews its lease, so that a worker that is only busy is
not taken for dead. Every key begins with `flash_events:`; ids are hashed, never copied into a key.
"""

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from flash_events.brokers import redis_scripts as scripts
from flash_events.brokers.base import Broker, EventLog, LogLimits, RunRecord
from flash_events.brokers.lease import Lease
from flash_events.brokers.redis_log import RedisLog
from flash_events.brokers.redis_pipe import Pipe
from flash_events.brokers.signals import (
    Alive,
    Gone,
    Moved,
    Readable,
    Room,
    Signal,
    Stop,
    decode,
    encode,
)
from flash_events.errors import BrokerDown, ConfigurationError, LogFull

logger = logging.getLogger(__name__)

CONNECT_SECONDS = 3.0
SOCKET_SECONDS = 10.0
"""Without an answer for so long, a connection is given up and made anew."""

CLOSE_SECONDS = 0.5
BLOCK_MS = 4000
WATCH_SECONDS = 0.5
RENEW_SECONDS = 5.0
REMEMBER_MS = 300_000
"""For so long after its end a run is known; while it lives, this is renewed."""

INBOX_LENGTH = 100_000


class RedisBroker(Broker):
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
        options: dict[str, Any] = {
            "socket_connect_timeout": CONNECT_SECONDS,
            "socket_timeout": SOCKET_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            "protocol": 2,
        }
        self._client: Redis = Redis.from_url(url, **options)
        self._inbox_client: Redis = Redis.from_url(url, **options)
        self._pipe = Pipe(self._client)
        self._lease = Lease(url, _key(self.worker, "lease"), _key(self.worker, "inbox"))
        self._logs: dict[str, RedisLog] = {}
        self._held: set[str] = set()
        self._claimed: dict[str, RunRecord] = {}
        self._missing: dict[str, int] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._on_signal: Callable[[Signal], None] = lambda _: None
        self._on_worker_lost: Callable[[str], None] = lambda _: None

    async def start(
        self, on_signal: Callable[[Signal], None], on_worker_lost: Callable[[str], None]
    ) -> None:
        self._on_signal, self._on_worker_lost = on_signal, on_worker_lost
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                info = await self._client.info("server")
        except (RedisError, OSError, TimeoutError) as error:
            raise ConfigurationError(
                f"Redis at {_without_password(self._url)} does not answer ({error}). Start it, or "
                "correct the setting broker (FLASH_EVENTS_BROKER)."
            ) from None
        if int(str(info["redis_version"]).partition(".")[0]) < 7:
            raise ConfigurationError(f"Expected Redis 7 or newer, got {info['redis_version']}.")
        for client in (self._client, self._inbox_client):
            client.response_callbacks.clear()  # answers as they come
        self._lease.start(self._on_forgotten)
        self._tasks = [
            asyncio.create_task(self._listen(), name="flash_events inbox"),
            asyncio.create_task(self._watch(), name="flash_events watch"),
        ]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._lease.stop()
        if self._tasks:
            self._pipe.call("DEL", _key(self.worker, "lease"))
            self._pipe.call("DEL", _key(self.worker, "inbox"))
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
        answer = await self._run(scripts.TAKE, connection, owner, self.worker)
        if answer is None:
            return None
        epoch, before = answer[0].decode(), answer[1].decode()
        if before != self.worker:
            self.signal(before, Moved(connection))
        return self._hold(connection, epoch)

    async def touch(self, connection: str, owner: str) -> bool:
        known = await self._call("HMGET", _keys(connection)[1], "holder", "owner")
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

    def writer(self, connection: str, run: str) -> EventLog:
        log = self._log(connection)
        log.writers.add(run)
        return log

    async def claim(self, record: RunRecord) -> RunRecord | None:
        fields = {**asdict(record), "nonce": secrets.token_hex(8)}  # ours, if it is sent twice
        earlier = await self._register(record.run, fields, REMEMBER_MS)
        if earlier is not None and earlier.get("nonce") != fields["nonce"]:
            return _record(earlier)
        self._claimed[record.run] = record
        if record.kept_by:
            self._tell("HSET", _key(record.kept_by, "kept"), record.run, record.callback)
            self._tell("PEXPIRE", _key(record.kept_by, "kept"), REMEMBER_MS)
        return None

    async def find(self, runs: Sequence[str]) -> list[RunRecord | None]:
        found = await asyncio.gather(*(self._call("GET", _key(run, "run")) for run in runs))
        return [None if text is None else _record(json.loads(text)) for text in found]

    async def kept(self, kept_by: str, callbacks: Sequence[str]) -> tuple[str, ...]:
        names = [part.decode() for part in await self._call("HGETALL", _key(kept_by, "kept"))]
        runs = zip(names[::2], names[1::2], strict=True)
        return tuple(run for run, callback in runs if callback in callbacks)

    def retire(self, record: RunRecord) -> None:
        self._claimed.pop(record.run, None)
        ended = json.dumps(asdict(replace(record, is_ended=True)))
        self._tell("SET", _key(record.run, "run"), ended, "PX", REMEMBER_MS)
        if record.kept_by:
            self._tell("HDEL", _key(record.kept_by, "kept"), record.run)

    async def stop(self, signal: Stop) -> tuple[str, ...]:
        orphan_ms = int(self._limits.orphan_seconds * 1000)
        found = await asyncio.gather(
            *(
                self._register(run, asdict(RunRecord(run, "", "", signal.owner)), orphan_ms)
                for run in signal.runs
            )
        )
        runs_of: dict[str, list[str]] = {}
        for fields in found:
            if fields is not None and fields["worker"] and not fields["is_ended"]:
                runs_of.setdefault(fields["worker"], []).append(fields["run"])
        for worker, runs in runs_of.items():
            self.signal(worker, replace(signal, runs=tuple(runs)))
        return tuple(run for runs in runs_of.values() for run in runs)

    def signal(self, worker: str, signal: Signal) -> None:
        if worker == self.worker:
            self._on_signal(signal)
            return
        inbox = _key(worker, "inbox")
        limit = ("NOMKSTREAM", "MAXLEN", "~", INBOX_LENGTH)  # none of a worker that is dead
        self._tell("XADD", inbox, *limit, "*", "s", encode(signal))

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

            log = RedisLog(self._pipe, _keys(connection), self.worker, self._limits, tell)
            self._logs[connection] = log
        return log

    async def _run(self, script: str, connection: str, *args: str | int) -> Any:
        return await self._answered(self._pipe.run(script, _keys(connection), *args))

    async def _call(self, *command: str | int) -> Any:
        return await self._answered(self._pipe.call(*command))

    async def _answered(self, asked: "asyncio.Future[Any]") -> Any:
        try:
            return await asked
        except RedisError as error:
            logger.exception("Redis has refused a command")
            raise BrokerDown(str(error)) from error

    async def _register(self, run: str, fields: dict[str, Any], ttl_ms: int) -> Any:
        """Writes a run's record unless there is one; returns that."""
        key, text = _key(run, "run"), json.dumps(fields)
        earlier = await self._call("SET", key, text, "NX", "GET", "PX", ttl_ms)
        return None if earlier is None else json.loads(earlier)

    def _tell(self, *command: str | int | bytes) -> None:
        """Sends a command whose answer does not matter."""
        self._pipe.call(*command).add_done_callback(_log_refusal)

    async def _listen(self) -> None:
        inbox = _key(self.worker, "inbox")
        last: Any = "0"
        while True:
            try:
                answer = await self._inbox_client.execute_command(  # type: ignore[no-untyped-call]
                    "XREAD", "BLOCK", BLOCK_MS, "COUNT", 512, "STREAMS", inbox, last
                )
            except (RedisError, OSError, TimeoutError):
                await asyncio.sleep(WATCH_SECONDS)
                continue
            for entry_id, fields in _entries(answer):
                last = entry_id
                if b"s" in fields:
                    self._hear(decode(fields[fields.index(b"s") + 1]))

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
                if time.monotonic() - remembered > REMEMBER_MS / 5000:
                    remembered = time.monotonic()
                    for run in self._claimed:
                        self._tell("PEXPIRE", _key(run, "run"), REMEMBER_MS)
            except BrokerDown:
                continue

    async def _look_for_the_dead(self) -> None:
        """A worker counts as dead when its lease is missing twice while Redis answers."""
        workers = {
            worker
            for connection in self._held
            for worker in self._log(connection).runs.values()
            if worker != self.worker
        }
        self._missing = {worker: n for worker, n in self._missing.items() if worker in workers}
        for worker in workers:
            is_there = await self._call("EXISTS", _key(worker, "lease"))
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
            elif not await self._call("EXISTS", _keys(connection)[1]):
                log.close()
                self._on_signal(Gone(connection))


def _key(name: str, kind: str) -> str:
    digest = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    return f"flash_events:{{{digest}}}:{kind}"


def _keys(connection: str) -> tuple[str, str, str, str]:
    return (
        _key(connection, "log"),
        _key(connection, "meta"),
        _key(connection, "runs"),
        _key(connection, "blocked"),
    )


def _record(fields: dict[str, Any]) -> RunRecord:
    fields.pop("nonce", None)
    return RunRecord(**fields)


def _entries(answer: Any) -> list[tuple[bytes, list[bytes]]]:
    return [(entry_id, fields) for _, entries in answer or () for entry_id, fields in entries]


def _log_refusal(asked: "asyncio.Future[Any]") -> None:
    if not asked.cancelled() and asked.exception() is not None:
        logger.error("Redis has refused a command: %s", asked.exception())


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
