"""Who owns a run: a lease that is asked for again and again, and a fence around what is written."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from flash_events.brokers import (
    QUEUED,
    CallbackId,
    ConnectionId,
    EventLog,
    LogLimits,
    RunId,
    RunRecord,
    WorkerId,
)
from flash_events.brokers.messages import Gone, Lost, Signal
from flash_events.brokers.redis import RedisBroker
from flash_events.brokers.redis.keys import key, log_keys
from flash_events.errors import BrokerError, LogGone
from tests.support.broker import RUN, new_connection, new_run
from tests.support.redis_server import RedisServer, dump, redis_server
from tests.support.refusing import refusing
from tests.support.server import until

LIMITS = LogLimits(100_000, 100, 1024 * 1024, 60, orphan_seconds=1, outage_seconds=60)
LEASE_SECONDS = 1.0


@pytest.fixture
def short_clocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The logic is the same with shorter times."""
    times = {
        "brokers.redis.lease.LEASE_MS": int(LEASE_SECONDS * 1000),
        "brokers.redis.lease.RENEW_SECONDS": 0.1,
        "brokers.redis.lease.GAP_SECONDS": 0.5,
        "brokers.redis.lease.SETTLE_SECONDS": 0.5,
        "brokers.redis.watch.WATCH_SECONDS": 0.1,
        "brokers.redis.watch.RENEW_SECONDS": 0.3,
    }
    for name, value in times.items():
        monkeypatch.setattr(f"flash_events.{name}", value)


class Worker:
    """A worker of its own, with what it was told."""

    def __init__(self, url: str, limits: LogLimits = LIMITS) -> None:
        self.broker = RedisBroker(url, limits)
        self.heard: list[Signal] = []
        self.lost: list[WorkerId] = []

    async def start(self) -> None:
        await self.broker.open(self.heard.append, self.lost.append)

    def kill(self) -> None:
        """Has it do nothing any more, and leave everything as it is."""
        self.broker._lease.stop()
        for task in self.broker._tasks:
            task.cancel()

    async def open(self, connection: ConnectionId, run: RunId = RUN) -> EventLog:
        log = await self.broker.logs.open(connection, "", run, self.broker.here)
        assert log is not None
        return log

    async def join(self, connection: ConnectionId, run: RunId) -> EventLog:
        log = await self.broker.logs.join(connection, "", run, self.broker.here, 9)
        assert log is not None
        return log


@asynccontextmanager
async def workers(url: str, count: int, limits: LogLimits = LIMITS) -> AsyncIterator[list[Worker]]:
    async with AsyncExitStack() as stack:
        started = [Worker(url, limits) for _ in range(count)]
        for worker in started:
            await worker.start()
            stack.push_async_callback(worker.broker.close)
        yield started


@pytest.fixture
def connection() -> ConnectionId:
    return new_connection()


def event(text: str) -> bytes:
    return b"data: %b\n\n" % text.encode()


async def texts(log: EventLog, after: str = "") -> list[str]:
    async with asyncio.timeout(5):
        return re.findall(r"data: (\S+)", (await log.read(after)).data.decode())


@pytest.mark.usefixtures("short_clocks")
async def test_s1_whether_a_worker_lives_is_asked_until_its_runs_have_ended(
    redis_url: str, connection: ConnectionId
) -> None:
    async with workers(redis_url, 2) as [holds, dies]:
        log = await holds.open(connection, RunId("own"))
        await dies.join(connection, RunId("foreign"))
        dies.kill()
        await until(lambda: holds.lost.count(dies.broker.worker) >= 3)
        assert await holds.broker.logs.end_run(
            connection, RunId("foreign"), dies.broker.here, event("lost")
        )
        told = len(holds.lost)
        assert log.runs == {"own": holds.broker.here}
        assert await texts(log) == ["lost"]
        assert await holds.broker._watch.look() == set()
        assert len(holds.lost) == told


@pytest.mark.usefixtures("short_clocks")
async def test_s1_who_takes_a_connection_over_learns_its_runs(
    redis_url: str, connection: ConnectionId
) -> None:
    async with workers(redis_url, 2) as [dies, takes]:
        await dies.open(connection)
        dies.kill()
        log = await takes.broker.logs.take(connection, "")
        assert log is not None
        assert log.runs == {"run": dies.broker.here}
        await until(lambda: dies.broker.worker in takes.lost)


@pytest.mark.usefixtures("short_clocks")
async def test_s1_runs_whose_holder_has_died_end_when_nobody_takes_it_over(
    redis_url: str, connection: ConnectionId
) -> None:
    async with workers(redis_url, 2) as [dies, writes]:
        await dies.open(connection, RunId("own"))
        log = await writes.join(connection, RunId("run"))
        dies.kill()
        await until(lambda: Gone(connection) in writes.heard, 10)
        with pytest.raises(LogGone):
            await log.append(RUN, event("1"))


async def test_s1_a_run_that_was_declared_lost_writes_nothing_more(
    redis_url: str, connection: ConnectionId
) -> None:
    """Its worker was only slow: what it sends comes after the end, and is refused."""
    async with workers(redis_url, 2) as [holds, slow]:
        log = await holds.open(connection, RunId("own"))
        late = await slow.join(connection, RunId("run"))
        await slow.join(connection, RunId("other"))
        await late.append(RUN, event("1"))
        await late.sent()
        assert await holds.broker.logs.end_run(connection, RUN, slow.broker.here, event("lost"))
        late.offer(RUN, event("2"))
        late.offer(RunId("other"), event("3"))  # travels together
        late.append_now(event("4"), RUN)
        await late.sent()
        with pytest.raises(LogGone):
            await late.append(RUN, event("5"))
        late.leave(RUN, event("6"))
        await late.sent()
        assert await texts(log) == ["1", "lost", "3"]
        assert late.offer(RunId("other"), event("7"))


async def test_s1_what_an_earlier_attempt_writes_is_refused(
    redis_url: str, connection: ConnectionId
) -> None:
    async with workers(redis_url, 3) as [holds, first, second]:
        log = await holds.broker.logs.open(connection, "", RUN, QUEUED)
        assert log is not None
        attempts = []
        for worker in (first, second):
            adopted = await worker.broker.logs.adopt(connection, RUN)
            assert adopted is not None
            attempts.append(adopted)
        assert [number for _, number in attempts] == [1, 2]
        attempts[0][0].offer(RUN, event("first"))
        await attempts[0][0].sent()
        attempts[1][0].leave(RUN, event("second"))
        await attempts[1][0].sent()
        with pytest.raises(LogGone):
            await attempts[0][0].append(RUN, event("first"))
        attempts[0][0].append_now(event("first"), RUN)
        await attempts[0][0].sent()
        assert await texts(log) == ["second"]


async def test_s1_the_record_of_a_run_that_was_taken_over_is_not_overwritten(
    redis_url: str,
) -> None:
    async with workers(redis_url, 2) as [first, second]:
        run = new_run()
        record = RunRecord(run, first.broker.here, ConnectionId("connection"), "")
        assert await first.broker.directory.claim(record) is None
        moved = RunRecord(run, second.broker.here, ConnectionId("connection"), "")
        assert await second.broker.directory.move(moved, first.broker.here) == moved
        first.broker.directory.renew()
        first.broker.directory.retire(record)
        assert await first.broker.directory.find([run]) == [moved]


async def test_p22_a_run_that_redis_has_forgotten_is_written_down_again(
    redis_url: str, connection: ConnectionId
) -> None:
    async with workers(redis_url, 1) as [worker]:
        log = await worker.open(connection)
        await worker.broker._client.delete(log_keys(connection)[2])
        await log.append(RUN, event("1"))
        await log.sent()
        assert not await log.finish_if_idle(event("close"))


def is_answered(redis: RedisServer) -> bool:
    try:
        return bool(redis.client.set("probe", 1))
    except RedisError:
        return False


def run_out_of_memory(redis: RedisServer) -> Callable[[], object]:
    redis.client.config_set("maxmemory", 1)
    return lambda: redis.client.config_set("maxmemory", 0)


def become_read_only(redis: RedisServer) -> Callable[[], object]:
    redis.client.config_set("replica-serve-stale-data", "yes")
    redis.client.replicaof("127.0.0.1", "1")
    return lambda: redis.client.replicaof("NO", "ONE")


def miss_replicas(redis: RedisServer) -> Callable[[], object]:
    redis.client.config_set("min-replicas-to-write", 1)
    return lambda: redis.client.config_set("min-replicas-to-write", 0)


@pytest.mark.usefixtures("short_clocks")
@pytest.mark.parametrize("trouble", [run_out_of_memory, become_read_only, miss_replicas])
async def test_s4_while_redis_refuses_writes_no_live_worker_is_declared_dead(
    tmp_path: Path, connection: ConnectionId, trouble: Callable[[RedisServer], Callable[[], object]]
) -> None:
    with redis_server(tmp_path) as redis:
        async with workers(redis.url, 2) as [holds, writes]:
            log = await holds.open(connection, RunId("own"))
            other = await writes.join(connection, RunId("foreign"))
            await other.append(RunId("foreign"), event("1"))
            await other.sent()
            mend = trouble(redis)
            assert not is_answered(redis)
            assert other.offer(RunId("foreign"), event("2"))
            await asyncio.sleep(2 * LEASE_SECONDS)  # for longer than every lease lasts
            mend()
            await until(lambda: holds.broker._lease.is_steady)
            await other.sent()
            for _ in range(2):
                assert await holds.broker._watch.look() == set()
            assert holds.lost == []
            assert await texts(log) == ["1", "2"]


async def test_s3_a_log_that_redis_refuses_is_lost_for_all(
    redis_url: str, connection: ConnectionId
) -> None:
    with refusing(redis_url) as proxy:
        async with workers(proxy.url, 1) as [writes], workers(redis_url, 1) as [holds]:
            log = await holds.open(connection, RunId("own"))
            late = await writes.join(connection, RunId("run"))
            proxy.refusal = "WRONGTYPE Operation against a key"
            late.offer(RUN, event("1"))
            await until(lambda: Lost(connection) in writes.heard)
            late.leave(RUN, event("end"))  # as the run does when it hears that
            with pytest.raises(BrokerError):
                await writes.broker.directory.find([RUN])
            proxy.refusal = ""
            assert await texts(log) == ["end"]


async def test_s5_what_redis_keeps_lasts_for_longer_than_an_outage_may(
    redis_url: str, connection: ConnectionId
) -> None:
    async with workers(redis_url, 1, replace(LIMITS, outage_seconds=120)) as [worker]:
        log = await worker.open(connection)
        await log.append(RUN, event("1"))
        await log.sent()
        client = Redis.from_url(redis_url)
        for name in (*log_keys(connection)[:3], key(worker.broker.worker, "inbox")):
            assert int(client.pttl(name)) > 120_000


@pytest.mark.usefixtures("short_clocks")
async def test_s5_redis_is_given_up_after_the_set_time_and_all_are_told(
    tmp_path: Path, connection: ConnectionId
) -> None:
    limits = LogLimits(100_000, 100, 1024 * 1024, 60, outage_seconds=0.5)
    with redis_server(tmp_path) as redis:
        async with workers(redis.url, 2, limits) as [holds, writes]:
            log = await holds.open(connection, RunId("own"))
            late = await writes.join(connection, RunId("run"))
            redis.stop()
            assert log.offer(RunId("own"), event("1"))
            reading = asyncio.create_task(log.read(""))
            asked = asyncio.ensure_future(holds.broker.directory.find([RUN]))
            await until(lambda: all(Lost(connection) in one.heard for one in (holds, writes)))
            with pytest.raises(LogGone):
                await reading
            with pytest.raises(BrokerError):
                await asked
            assert log.is_given_up
            assert late.is_given_up
            redis.start()
            await until(lambda: not holds.broker.is_away)
            assert await holds.broker.directory.find([RUN]) == [None]


@pytest.mark.parametrize("at", range(1, 4))
async def test_s6_a_start_that_is_cut_at_any_await_leaves_nothing(
    redis_url: str, connection: ConnectionId, at: int
) -> None:
    """The commands were sent, and nobody waits for their answers any more."""
    run = new_run()
    async with workers(redis_url, 1) as [worker]:
        broker = worker.broker
        record = RunRecord(run, broker.here, connection, "", "page", CallbackId("callback"))
        client = Redis.from_url(redis_url)
        before = {entry.key for entry in dump(client)}

        async def start() -> None:
            await broker.logs.open(connection, "", run, broker.here)
            if at > 1:
                await broker.directory.claim(record)

        starting = asyncio.create_task(start())
        for _ in range(at):
            await asyncio.sleep(0)
        if at == 3:
            await until(lambda: run in broker.directory._claiming or starting.done())
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        broker.directory.withdraw(record, [connection])
        assert await broker.directory.find([run]) == [None]
        left = {entry.key for entry in dump(client)} - before
        assert left == set()
        assert await broker.logs.open(connection, "", run, broker.here) is not None
        assert await broker.directory.claim(record) is None
