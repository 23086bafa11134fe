"""The contract of an event log; every broker must pass it."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis import Redis

from flash_events.brokers import Broker, EventLog, LogLimits, RunRecord, open_broker
from flash_events.brokers.memory_log import MemoryLog
from flash_events.brokers.signals import Alive, Signal, Stop
from flash_events.errors import LogFull, LogGone
from tests.support.server import until

LIMITS = LogLimits(waiting_bytes=10_000, waiting_events=100, replay_bytes=4_000, replay_seconds=60)


@pytest.fixture
def heard() -> list[Signal]:
    return []


@pytest.fixture(params=["memory", "redis"])
async def broker(request: pytest.FixtureRequest, heard: list[Signal]) -> AsyncIterator[Broker]:
    is_memory = request.param == "memory"
    url = "memory://" if is_memory else request.getfixturevalue("redis_url")
    broker = open_broker(url, LIMITS)
    await broker.start(heard.append, lambda _: None)
    yield broker
    await broker.close()


@pytest.fixture
def connection() -> str:
    return secrets.token_urlsafe(16)


@pytest.fixture
async def log(broker: Broker, connection: str) -> EventLog:
    log = await broker.open(connection, "owner", "run", broker.worker)
    assert log is not None
    return log


def event(n: int, size: int = 0) -> bytes:
    return b"data: %d%s\n\n" % (n, b"." * size)


def numbers(data: bytes) -> list[int]:
    return [int(n) for n in re.findall(rb"data: (\d+)", data)]


async def read_all(log: EventLog, count: int, after: str = "") -> tuple[list[int], str]:
    got: list[int] = []
    while len(got) < count:
        batch = await log.read(after)
        got += numbers(batch.data)
        after = batch.last
    return got, after


async def test_what_is_appended_is_read_in_order(log: EventLog) -> None:
    for n in range(50):
        assert log.offer("run", event(n))
    got, _ = await read_all(log, 50)
    assert got == list(range(50))


async def test_a_reader_waits_for_what_comes(log: EventLog) -> None:
    reader = asyncio.create_task(log.read(""))
    await asyncio.sleep(0)
    assert not reader.done()
    log.offer("run", event(1))
    assert numbers((await reader).data) == [1]


async def test_a_full_log_refuses_until_something_is_handed_over(log: EventLog) -> None:
    taken = sum(log.offer("run", event(n)) for n in range(200))
    assert taken == LIMITS.waiting_events
    batch = await log.read("")
    assert not log.offer("run", event(1000))  # read, but perhaps not yet written to the socket
    reader = asyncio.create_task(log.read(batch.last))
    await until(lambda: log.offer("run", event(1000)))
    assert numbers((await reader).data) == [1000]


async def test_a_writer_waits_for_room(log: EventLog) -> None:
    while log.offer("run", event(0)):
        pass
    writer = asyncio.create_task(log.append("run", event(7)))
    await asyncio.sleep(0)
    assert not writer.done()
    _, last = await read_all(log, LIMITS.waiting_events)
    got, _ = await read_all(log, 1, last)
    assert got == [7]
    await writer


async def test_bytes_bound_the_log_too(log: EventLog) -> None:
    assert sum(log.offer("run", event(n, size=3_000)) for n in range(10)) == 3


async def test_an_empty_log_takes_any_event(log: EventLog) -> None:
    assert log.offer("run", event(1, size=50_000))
    assert not log.offer("run", event(2))


async def test_an_end_is_never_refused(log: EventLog) -> None:
    while log.offer("run", event(0)):
        pass
    log.append_now(event(9))
    got, _ = await read_all(log, LIMITS.waiting_events + 1)
    assert got[-1] == 9


async def test_a_cancelled_writer_leaves_no_trace(log: EventLog) -> None:
    while log.offer("run", event(0)):
        pass
    writer = asyncio.create_task(log.append("other", event(7)))
    await asyncio.sleep(0)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    _, last = await read_all(log, LIMITS.waiting_events)
    reader = asyncio.create_task(log.read(last))
    await until(lambda: log.waiting == 0)
    assert sum(log.offer("run", event(1)) for _ in range(200)) == LIMITS.waiting_events
    assert 7 not in numbers((await reader).data)


async def test_a_hot_run_does_not_keep_others_out(log: EventLog) -> None:
    async def hot() -> None:
        while True:
            if not log.offer("hot", event(0)):
                await log.append("hot", event(0))

    writer = asyncio.create_task(hot())
    await asyncio.sleep(0)
    others = [asyncio.create_task(log.append(f"run {n}", event(n))) for n in range(1, 4)]
    await asyncio.sleep(0)
    got, _ = await read_all(log, 3 * LIMITS.waiting_events)
    assert {1, 2, 3} <= set(got)
    await asyncio.wait_for(asyncio.gather(*others), 1)
    writer.cancel()


async def test_what_was_handed_over_can_be_read_again(log: EventLog) -> None:
    for n in range(20):
        log.offer("run", event(n))
    _, last = await read_all(log, 20)
    again, last_again = await read_all(log, 20)
    assert (again, last_again) == (list(range(20)), last)


async def test_every_position_can_be_resumed_without_gap_or_double(log: EventLog) -> None:
    for n in range(60):
        log.offer("run", event(n))
    ids = re.findall(rb"id: (\S+)", (await log.read("")).data)
    for n, event_id in enumerate(ids[:-1]):
        got, _ = await read_all(log, 59 - n, after=event_id.decode())
        assert got == list(range(n + 1, 60))


@pytest.mark.deadline
@pytest.mark.parametrize("turns", range(12))
async def test_a_read_that_is_cancelled_at_any_moment_loses_nothing(
    log: EventLog, turns: int
) -> None:
    log.offer("run", event(0))
    _, last = await read_all(log, 1)
    impatient = asyncio.create_task(log.read(last))
    await asyncio.sleep(0)
    log.offer("run", event(1))
    for _ in range(turns):
        await asyncio.sleep(0.0002)  # a moment of the reader's; any must do
    if not impatient.cancel():
        assert numbers(impatient.result().data) == [1]
        return
    await asyncio.gather(impatient, return_exceptions=True)
    async with asyncio.timeout(2):
        got, _ = await read_all(log, 1, last)
    assert got == [1]


async def test_what_a_reader_is_about_to_get_does_not_expire_under_it() -> None:
    log = MemoryLog(LogLimits(100_000, 100, 100_000, replay_seconds=0))
    ids: list[str] = []
    for n in range(4):
        log.offer("run", event(n, size=5_000))
        ids.append((await log.read(ids[-1] if ids else "")).last)
    await log.check(ids[1])  # its last two were handed over long ago, in the eyes of the log
    got, _ = await read_all(log, 2, ids[1])
    assert got == [2, 3]


async def test_an_id_that_was_guessed_costs_nobody_an_event() -> None:
    log = MemoryLog(LIMITS)
    log.offer("run", event(0))
    epoch = (await log.read("")).last.rpartition("-")[0]
    log.offer("run", event(1))
    reader = asyncio.create_task(log.read(f"{epoch}-2"))
    await asyncio.sleep(0)
    log.offer("run", event(2))
    assert numbers((await reader).data) == [2]
    got, _ = await read_all(log, 3)
    assert got == [0, 1, 2]


async def test_a_gap_is_admitted(log: EventLog) -> None:
    after = ""
    first = ""
    for n in range(10):
        log.offer("run", event(n, size=1_000))
        batch = await log.read(after)
        after = batch.last
        first = first or after
    for n in range(10, 13):
        log.offer("run", event(n))
        after = (await log.read(after)).last
    with pytest.raises(LogGone):
        await log.check(first)
    with pytest.raises(LogGone):
        await log.read(first)
    await log.check(after)


async def test_many_small_reads_leave_no_trace_of_their_times(log: EventLog) -> None:
    after = ""
    for n in range(2_000):
        log.offer("run", event(n))
        after = (await log.read(after)).last
    sizes = [len(value) for value in vars(log).values() if hasattr(value, "__len__")]
    assert max(sizes) < 1_000


async def test_what_was_read_in_many_small_pieces_can_be_resumed_everywhere(log: EventLog) -> None:
    after = ""
    ids: list[str] = []
    for n in range(100):
        log.offer("run", event(n))
        after = (await log.read(after)).last
        ids.append(after)
    for n in range(0, 99, 7):
        got, _ = await read_all(log, 99 - n, after=ids[n])
        assert got == list(range(n + 1, 100))


@pytest.mark.parametrize("foreign", ["other-1", "nonsense", "1", "-", "x-99999"])
async def test_an_id_of_another_log_is_refused(log: EventLog, foreign: str) -> None:
    log.offer("run", event(1))
    with pytest.raises(LogGone):
        await log.check(foreign)


async def test_a_number_that_was_never_given_is_refused(log: EventLog) -> None:
    log.offer("run", event(1))
    epoch = (await log.read("")).last.rpartition("-")[0]
    with pytest.raises(LogGone):
        await log.check(f"{epoch}-2")


async def test_a_log_finishes_when_no_run_uses_it(log: EventLog) -> None:
    assert not await log.finish_if_idle(event(2))
    log.leave("run", event(1))
    first = await log.read("")
    assert (numbers(first.data), first.finished, dict(first.runs)) == ([1], False, {})
    assert await log.finish_if_idle(event(2))
    last = await log.read(first.last)
    assert (numbers(last.data), last.finished) == ([2], True)
    assert await log.finish_if_idle(event(2))  # said twice, sent once
    assert numbers((await log.read("")).data) == [1, 2]


async def test_a_run_joins_and_is_seen(broker: Broker, connection: str, log: EventLog) -> None:
    assert await broker.join(connection, "owner", "second", broker.worker, 2) is log
    log.offer("second", event(1))
    assert set((await log.read("")).runs) == {"run", "second"}
    with pytest.raises(LogFull):
        await broker.join(connection, "owner", "third", broker.worker, 2)


async def test_a_run_that_is_in_joins_again_though_the_log_is_full(
    broker: Broker, connection: str, log: EventLog
) -> None:
    """Its start was repeated, as the answer was lost."""
    assert await broker.join(connection, "owner", "run", broker.worker, 1) is log
    with pytest.raises(LogFull):
        await broker.join(connection, "owner", "second", broker.worker, 1)


async def test_what_is_foreign_or_unknown_cannot_be_joined_or_taken(
    broker: Broker, connection: str, log: EventLog
) -> None:
    for name, owner in ((connection, "other"), (secrets.token_urlsafe(16), "owner")):
        assert await broker.join(name, owner, "run", broker.worker, 9) is None
        assert await broker.take(name, owner) is None
    assert await broker.open(connection, "other", "run", broker.worker) is None
    assert await broker.take(connection, "owner") is log


async def test_s6_a_start_that_is_withdrawn_leaves_neither_claim_nor_place(
    broker: Broker, connection: str, log: EventLog
) -> None:
    run = secrets.token_urlsafe(16)
    record = RunRecord(run, broker.worker, connection, "owner", "page", "callback")
    assert await broker.join(connection, "owner", run, broker.worker, 9) is log
    assert await broker.claim(record) is None
    broker.withdraw(record, [secrets.token_urlsafe(16), connection])
    assert await broker.find([run]) == [None]
    assert await broker.kept("page", ["callback"]) == ()
    log.offer("run", event(1))
    assert set((await log.read("")).runs) == {"run"}
    assert await broker.claim(record) is None


async def test_s6_what_another_start_has_claimed_is_not_withdrawn(
    broker: Broker, connection: str, log: EventLog
) -> None:
    run = secrets.token_urlsafe(16)
    record = RunRecord(run, broker.worker, connection, "owner")
    await broker.join(connection, "owner", run, broker.worker, 9)
    await broker.claim(record)
    other = RunRecord(run, broker.worker, secrets.token_urlsafe(16), "owner")
    assert await broker.claim(other) == record
    broker.withdraw(other, [other.connection, connection])
    assert await broker.find([run]) == [record]
    log.offer("run", event(1))
    assert set((await log.read("")).runs) == {"run", run}


async def test_a_finished_log_takes_no_run(broker: Broker, connection: str, log: EventLog) -> None:
    log.leave("run", event(1))
    await log.read("")
    assert await log.finish_if_idle(event(2))
    assert await broker.join(connection, "owner", "second", broker.worker, 9) is None


async def test_a_run_whose_worker_died_ends_once(log: EventLog, broker: Broker) -> None:
    log.offer("run", event(1))
    await log.lose("run", "another worker", event(2))
    await log.lose("run", broker.worker, event(3))
    await log.lose("run", broker.worker, event(4))
    got, _ = await read_all(log, 2)
    assert got == [1, 3]


async def test_a_dropped_log_is_gone_for_readers_and_writers(
    broker: Broker, connection: str, log: EventLog
) -> None:
    while log.offer("run", event(0)):
        pass
    last = (await log.read("")).last
    blocked = asyncio.create_task(log.append("run", event(1)))
    await asyncio.sleep(0)
    assert await broker.drop(connection) == {"run": broker.worker}
    with pytest.raises(LogGone):
        await log.read(last)
    with pytest.raises(LogGone):
        await log.append("run", event(2))
    with pytest.raises(LogGone):
        await blocked
    assert await broker.take(connection, "owner") is None
    assert await broker.drop(connection) == {}


async def test_a_run_is_claimed_once(broker: Broker, connection: str) -> None:
    record = RunRecord(secrets.token_urlsafe(16), broker.worker, connection, "owner", "page", "cb")
    assert await broker.claim(record) is None
    assert await broker.claim(record) == record
    assert await broker.find([record.run, "unknown"]) == [record, None]
    assert await broker.kept("page", ["cb"]) == (record.run,)
    assert await broker.kept("page", ["other"]) == ()
    broker.retire(record)
    assert await broker.kept("page", ["cb"]) == ()
    again = await broker.claim(record)
    assert again is not None


async def test_a_run_that_is_stopped_before_its_start_is_given_up(broker: Broker) -> None:
    run = secrets.token_urlsafe(16)
    assert await broker.stop(Stop((run,), "owner")) == ()
    given_up = await broker.claim(RunRecord(run, broker.worker, "connection", "owner"))
    assert given_up is not None
    assert given_up.worker == ""


@pytest.mark.deadline
async def test_a_writer_elsewhere_that_waits_for_room_gets_it_from_a_new_holder(
    redis_url: str, connection: str
) -> None:
    async with AsyncExitStack() as stack:
        here, there = [open_broker(redis_url, LIMITS) for _ in range(2)]
        for broker in (here, there):
            await broker.start(lambda _: None, lambda _: None)
            stack.push_async_callback(broker.close)
        written = await here.open(connection, "owner", "run", here.worker)
        assert written is not None
        while written.offer("run", event(0)):
            pass
        writer = asyncio.create_task(written.append("run", event(1)))
        await written.sent()
        taken = await there.take(connection, "owner")
        assert taken is not None
        async with asyncio.timeout(2):
            got, _ = await read_all(taken, LIMITS.waiting_events + 1)
        assert got[-1] == 1
        await writer


async def test_a_slow_stream_asks_redis_twice_for_each_event(redis_url: str) -> None:
    """Once to append and once to read, and not again to hear that there is no more."""
    broker = open_broker(redis_url, LIMITS)
    await broker.start(lambda _: None, lambda _: None)
    log = await broker.open(secrets.token_urlsafe(16), "owner", "run", broker.worker)
    assert log is not None
    redis: Redis = Redis.from_url(redis_url)
    before = scripts_run(redis)
    after = ""
    for n in range(50):
        reader = asyncio.create_task(log.read(after))
        log.offer("run", event(n))
        after = (await reader).last
    assert scripts_run(redis) - before < 2 * 50 + 10  # of lease and inbox, besides
    await broker.close()


def scripts_run(redis: Redis) -> int:
    info: Any = redis.info("commandstats")
    return int(info["cmdstat_evalsha"]["calls"])


async def test_a_woken_reader_returns_with_nothing(log: EventLog) -> None:
    reader = asyncio.create_task(log.read(""))
    await asyncio.sleep(0.02)
    log.wake()
    batch = await reader
    assert (batch.data, batch.finished) == (b"", False)


async def test_resuming_while_others_append_loses_nothing(log: EventLog) -> None:
    async def write() -> None:
        for n in range(1_000):
            if not log.offer("run", event(n)):
                await log.append("run", event(n))
            if n % 7 == 0:
                await asyncio.sleep(0)

    writer = asyncio.create_task(write())
    got: list[int] = []
    after = ""
    while len(got) < 1_000:  # every read is cut in the middle and resumed there
        batch = await log.read(after)
        frames = batch.data.split(b"\n\n")[:-1]
        kept = frames[: len(frames) // 2 + 1]
        got += numbers(b"\n\n".join(kept))
        ids = re.findall(rb"id: (\S+)", kept[-1]) if kept else []
        after = ids[-1].decode() if ids else after
    assert got == list(range(1_000))
    await writer


async def test_a_sign_of_life_is_heard_by_the_holder(
    broker: Broker, log: EventLog, connection: str, heard: list[Signal]
) -> None:
    assert await broker.touch(connection, "owner")
    assert not await broker.touch(connection, "somebody else")
    assert not await broker.touch(secrets.token_urlsafe(16), "owner")
    assert heard == [Alive(connection)]


async def test_a_sign_of_life_travels_to_the_holder(redis_url: str, connection: str) -> None:
    heard: asyncio.Queue[Signal] = asyncio.Queue()
    async with AsyncExitStack() as stack:
        holder, other = (open_broker(redis_url, LIMITS) for _ in range(2))
        for broker, hear in ((holder, heard.put_nowait), (other, print)):
            await broker.start(hear, lambda _: None)
            stack.push_async_callback(broker.close)
        await holder.open(connection, "owner", "run", holder.worker)
        assert await other.touch(connection, "owner")
        assert await asyncio.wait_for(heard.get(), 5) == Alive(connection)
