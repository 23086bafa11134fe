"""The contract of event logs; every broker must pass it."""

import asyncio
import re
from contextlib import AsyncExitStack
from typing import Any

import pytest
from redis import Redis

from flash_events.brokers import (
    QUEUED,
    At,
    Broker,
    ConnectionId,
    EventLog,
    LogLimits,
    RunId,
    WorkerId,
    broker_of,
)
from flash_events.brokers.memory.log import MemoryLog
from flash_events.brokers.redis.scripts import END_RUN
from flash_events.errors import LogFull, LogGone
from tests.support.broker import LIMITS, RUN, event, new_connection, new_run, numbers
from tests.support.server import until


async def read_all(log: EventLog, count: int, after: str = "") -> tuple[list[int], str]:
    got: list[int] = []
    while len(got) < count:
        batch = await log.read(after)
        got += numbers(batch.data)
        after = batch.last
    return got, after


async def test_what_is_appended_is_read_in_order(log: EventLog) -> None:
    for n in range(50):
        assert log.offer(RUN, event(n))
    got, _ = await read_all(log, 50)
    assert got == list(range(50))


async def test_a_reader_waits_for_what_comes(log: EventLog) -> None:
    reader = asyncio.create_task(log.read(""))
    await asyncio.sleep(0)
    assert not reader.done()
    log.offer(RUN, event(1))
    assert numbers((await reader).data) == [1]


async def test_a_full_log_refuses_until_something_is_handed_over(log: EventLog) -> None:
    taken = sum(log.offer(RUN, event(n)) for n in range(200))
    assert taken == LIMITS.waiting_events
    batch = await log.read("")
    assert not log.offer(RUN, event(1000))  # read, but perhaps not yet written to the socket
    reader = asyncio.create_task(log.read(batch.last))
    await until(lambda: log.offer(RUN, event(1000)))
    assert numbers((await reader).data) == [1000]


async def test_a_writer_waits_for_room(log: EventLog) -> None:
    while log.offer(RUN, event(0)):
        pass
    writer = asyncio.create_task(log.append(RUN, event(7)))
    await asyncio.sleep(0)
    assert not writer.done()
    _, last = await read_all(log, LIMITS.waiting_events)
    got, _ = await read_all(log, 1, last)
    assert got == [7]
    await writer


async def test_bytes_bound_the_log_too(log: EventLog) -> None:
    assert sum(log.offer(RUN, event(n, size=3_000)) for n in range(10)) == 3


async def test_an_empty_log_takes_any_event(log: EventLog) -> None:
    assert log.offer(RUN, event(1, size=50_000))
    assert not log.offer(RUN, event(2))


async def test_an_end_is_never_refused(log: EventLog) -> None:
    while log.offer(RUN, event(0)):
        pass
    log.append_now(event(9))
    got, _ = await read_all(log, LIMITS.waiting_events + 1)
    assert got[-1] == 9


async def test_a_cancelled_writer_leaves_no_trace(log: EventLog) -> None:
    while log.offer(RUN, event(0)):
        pass
    writer = asyncio.create_task(log.append(RunId("other"), event(7)))
    await asyncio.sleep(0)
    writer.cancel()
    await asyncio.gather(writer, return_exceptions=True)
    _, last = await read_all(log, LIMITS.waiting_events)
    reader = asyncio.create_task(log.read(last))
    await until(lambda: log.waiting == 0)
    assert sum(log.offer(RUN, event(1)) for _ in range(200)) == LIMITS.waiting_events
    assert 7 not in numbers((await reader).data)


async def test_a_hot_run_does_not_keep_others_out(log: EventLog) -> None:
    async def hot() -> None:
        while True:
            if not log.offer(RunId("hot"), event(0)):
                await log.append(RunId("hot"), event(0))

    writer = asyncio.create_task(hot())
    await asyncio.sleep(0)
    others = [asyncio.create_task(log.append(RunId(f"run {n}"), event(n))) for n in range(1, 4)]
    await asyncio.sleep(0)
    got, _ = await read_all(log, 3 * LIMITS.waiting_events)
    assert {1, 2, 3} <= set(got)
    await asyncio.wait_for(asyncio.gather(*others), 1)
    writer.cancel()


async def test_what_was_handed_over_can_be_read_again(log: EventLog) -> None:
    for n in range(20):
        log.offer(RUN, event(n))
    _, last = await read_all(log, 20)
    again, last_again = await read_all(log, 20)
    assert (again, last_again) == (list(range(20)), last)


async def test_every_position_can_be_resumed_without_gap_or_double(log: EventLog) -> None:
    for n in range(60):
        log.offer(RUN, event(n))
    ids = re.findall(rb"id: (\S+)", (await log.read("")).data)
    for n, event_id in enumerate(ids[:-1]):
        got, _ = await read_all(log, 59 - n, after=event_id.decode())
        assert got == list(range(n + 1, 60))


@pytest.mark.deadline
@pytest.mark.parametrize("turns", range(12))
async def test_a_read_that_is_cancelled_at_any_moment_loses_nothing(
    log: EventLog, turns: int
) -> None:
    log.offer(RUN, event(0))
    _, last = await read_all(log, 1)
    impatient = asyncio.create_task(log.read(last))
    await asyncio.sleep(0)
    log.offer(RUN, event(1))
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
        log.offer(RUN, event(n, size=5_000))
        ids.append((await log.read(ids[-1] if ids else "")).last)
    await log.check(ids[1])  # its last two were handed over long ago, in the eyes of the log
    got, _ = await read_all(log, 2, ids[1])
    assert got == [2, 3]


async def test_an_id_that_was_guessed_costs_nobody_an_event() -> None:
    log = MemoryLog(LIMITS)
    log.offer(RUN, event(0))
    epoch = (await log.read("")).last.rpartition("-")[0]
    log.offer(RUN, event(1))
    reader = asyncio.create_task(log.read(f"{epoch}-2"))
    await asyncio.sleep(0)
    log.offer(RUN, event(2))
    assert numbers((await reader).data) == [2]
    got, _ = await read_all(log, 3)
    assert got == [0, 1, 2]


async def test_a_gap_is_admitted(log: EventLog) -> None:
    after = ""
    first = ""
    for n in range(10):
        log.offer(RUN, event(n, size=1_000))
        batch = await log.read(after)
        after = batch.last
        first = first or after
    for n in range(10, 13):
        log.offer(RUN, event(n))
        after = (await log.read(after)).last
    with pytest.raises(LogGone):
        await log.check(first)
    with pytest.raises(LogGone):
        await log.read(first)
    await log.check(after)


async def test_many_small_reads_leave_no_trace_of_their_times(log: EventLog) -> None:
    after = ""
    for n in range(2_000):
        log.offer(RUN, event(n))
        after = (await log.read(after)).last
    sizes = [len(value) for value in vars(log).values() if hasattr(value, "__len__")]
    assert max(sizes) < 1_000


async def test_what_was_read_in_many_small_pieces_can_be_resumed_everywhere(log: EventLog) -> None:
    after = ""
    ids: list[str] = []
    for n in range(100):
        log.offer(RUN, event(n))
        after = (await log.read(after)).last
        ids.append(after)
    for n in range(0, 99, 7):
        got, _ = await read_all(log, 99 - n, after=ids[n])
        assert got == list(range(n + 1, 100))


@pytest.mark.parametrize("foreign", ["other-1", "nonsense", "1", "-", "x-99999"])
async def test_an_id_of_another_log_is_refused(log: EventLog, foreign: str) -> None:
    log.offer(RUN, event(1))
    with pytest.raises(LogGone):
        await log.check(foreign)


async def test_a_number_that_was_never_given_is_refused(log: EventLog) -> None:
    log.offer(RUN, event(1))
    epoch = (await log.read("")).last.rpartition("-")[0]
    with pytest.raises(LogGone):
        await log.check(f"{epoch}-2")


async def test_a_log_finishes_when_no_run_uses_it(log: EventLog) -> None:
    assert not await log.finish_if_idle(event(2))
    log.leave(RUN, event(1))
    first = await log.read("")
    assert (numbers(first.data), first.finished, dict(first.runs)) == ([1], False, {})
    assert await log.finish_if_idle(event(2))
    last = await log.read(first.last)
    assert (numbers(last.data), last.finished) == ([2], True)
    assert await log.finish_if_idle(event(2))  # said twice, sent once
    assert numbers((await log.read("")).data) == [1, 2]


async def test_a_run_joins_and_is_seen(
    broker: Broker, connection: ConnectionId, log: EventLog
) -> None:
    assert await broker.logs.join(connection, "owner", RunId("second"), broker.here, 2) is log
    log.offer(RunId("second"), event(1))
    assert set((await log.read("")).runs) == {"run", "second"}
    with pytest.raises(LogFull):
        await broker.logs.join(connection, "owner", RunId("third"), broker.here, 2)


async def test_a_run_that_is_in_joins_again_though_the_log_is_full(
    broker: Broker, connection: ConnectionId, log: EventLog
) -> None:
    """Its start was repeated, as the answer was lost."""
    assert await broker.logs.join(connection, "owner", RUN, broker.here, 1) is log
    with pytest.raises(LogFull):
        await broker.logs.join(connection, "owner", RunId("second"), broker.here, 1)


async def test_what_is_foreign_or_unknown_cannot_be_joined_or_taken(
    broker: Broker, connection: ConnectionId, log: EventLog
) -> None:
    for name, owner in ((connection, "other"), (new_connection(), "owner")):
        assert await broker.logs.join(name, owner, RUN, broker.here, 9) is None
        assert await broker.logs.take(name, owner) is None
    assert await broker.logs.open(connection, "other", RUN, broker.here) is None
    assert await broker.logs.take(connection, "owner") is log


async def test_a_finished_log_takes_no_run(
    broker: Broker, connection: ConnectionId, log: EventLog
) -> None:
    log.leave(RUN, event(1))
    await log.read("")
    assert await log.finish_if_idle(event(2))
    assert await broker.logs.join(connection, "owner", RunId("second"), broker.here, 9) is None


async def test_a_run_whose_worker_died_ends_once(
    log: EventLog, broker: Broker, connection: ConnectionId
) -> None:
    log.offer(RUN, event(1))
    await log.sent()
    end = broker.logs.end_run
    assert not await end(connection, RUN, At(WorkerId("another worker")), event(2))
    assert not await end(connection, RunId("unknown"), None, event(2))
    assert not await end(new_connection(), RUN, None, event(2))
    assert await end(connection, RUN, broker.here, event(3))
    assert not await end(connection, RUN, broker.here, event(4))
    got, _ = await read_all(log, 2)
    assert got == [1, 3]


async def test_an_end_that_is_sent_twice_to_redis_is_told_to_the_reader(cluster_url: str) -> None:
    """All commands after one whose script Redis has lost are sent again, in the same batch."""
    broker = broker_of(cluster_url, LIMITS)
    await broker.open(lambda _: None, lambda _: None)
    connection = new_connection()
    log = await broker.logs.open(connection, "owner", RUN, At(WorkerId("dead")))
    assert log is not None
    with Redis.from_url(cluster_url) as redis:
        redis.script_flush()
        redis.script_load(END_RUN.text)
    reading = asyncio.create_task(read_all(log, 1))
    _, has_ended = await asyncio.gather(
        broker.logs.join(new_connection(), "owner", RUN, broker.here, 9),  # whose script is lost
        broker.logs.end_run(connection, RUN, At(WorkerId("dead")), event(1)),
    )
    assert has_ended
    async with asyncio.timeout(2):
        assert (await reading)[0] == [1]
    await broker.close()


async def test_a_run_that_waits_in_a_queue_is_adopted_attempt_by_attempt(
    broker: Broker, connection: ConnectionId
) -> None:
    log = await broker.logs.open(connection, "", RUN, QUEUED)
    assert log is not None
    log.append_now(event(1))
    batch = await log.read("")
    assert dict(batch.runs) == {"run": QUEUED}
    for attempt in (1, 2):
        adopted = await broker.logs.adopt(connection, RUN)
        assert adopted is not None
        writer, number = adopted
        assert number == attempt
    writer.leave(RUN, event(2))
    await writer.sent()
    assert numbers((await log.read(batch.last)).data) == [2]
    assert await broker.logs.adopt(connection, RUN) is None
    assert await broker.logs.adopt(new_connection(), RUN) is None


async def test_a_log_whose_writers_were_cancelled_has_no_run_adopted(
    broker: Broker, connection: ConnectionId
) -> None:
    log = await broker.logs.open(connection, "", RUN, QUEUED)
    assert log is not None
    await broker.logs.cancel_writers(connection)
    await broker.logs.cancel_writers(new_connection())
    assert await broker.logs.adopt(connection, RUN) is None
    assert await log.finish_if_idle(event(1))


async def test_a_log_that_is_opened_again_keeps_what_it_has(
    broker: Broker, connection: ConnectionId, log: EventLog
) -> None:
    """Its start was repeated, as the answer was lost."""
    log.offer(RUN, event(1))
    await log.sent()
    assert await broker.logs.open(connection, "owner", RUN, broker.here) is log
    assert numbers((await log.read("")).data) == [1]


async def test_a_dropped_log_is_gone_for_readers_and_writers(
    broker: Broker, connection: ConnectionId, log: EventLog
) -> None:
    while log.offer(RUN, event(0)):
        pass
    last = (await log.read("")).last
    blocked = asyncio.create_task(log.append(RUN, event(1)))
    await asyncio.sleep(0)
    assert await broker.logs.drop(connection) == {"run": broker.here}
    with pytest.raises(LogGone):
        await log.read(last)
    with pytest.raises(LogGone):
        await log.append(RUN, event(2))
    with pytest.raises(LogGone):
        await blocked
    assert await broker.logs.take(connection, "owner") is None
    assert await broker.logs.drop(connection) == {}


@pytest.mark.deadline
async def test_a_writer_elsewhere_that_waits_for_room_gets_it_from_a_new_holder(
    redis_url: str, connection: ConnectionId
) -> None:
    async with AsyncExitStack() as stack:
        here, there = [broker_of(redis_url, LIMITS) for _ in range(2)]
        for broker in (here, there):
            await broker.open(lambda _: None, lambda _: None)
            stack.push_async_callback(broker.close)
        written = await here.logs.open(connection, "owner", RUN, here.here)
        assert written is not None
        while written.offer(RUN, event(0)):
            pass
        writer = asyncio.create_task(written.append(RUN, event(1)))
        await written.sent()
        taken = await there.logs.take(connection, "owner")
        assert taken is not None
        async with asyncio.timeout(2):
            got, _ = await read_all(taken, LIMITS.waiting_events + 1)
        assert got[-1] == 1
        await writer


async def test_a_slow_stream_asks_redis_twice_for_each_event(redis_url: str) -> None:
    """Once to append and once to read, and not again to hear that there is no more."""
    broker = broker_of(redis_url, LIMITS)
    await broker.open(lambda _: None, lambda _: None)
    log = await broker.logs.open(new_connection(), "owner", RUN, broker.here)
    assert log is not None
    redis: Redis = Redis.from_url(redis_url)
    before = scripts_run(redis)
    after = ""
    for n in range(50):
        reader = asyncio.create_task(log.read(after))
        log.offer(RUN, event(n))
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
            if not log.offer(RUN, event(n)):
                await log.append(RUN, event(n))
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


END = b"event: end\ndata: {}\n\n"


async def test_a_log_that_is_overfull_takes_no_further_run(broker: Broker) -> None:
    """Ends do not wait for room, so starts must."""
    connection = new_connection()
    log = await broker.logs.open(connection, "", RunId("first"), broker.here)
    assert log is not None
    joined = 0
    while await has_joined(broker, connection, log):
        joined += 1
        assert joined <= 250  # twice the 100 events that may wait, and what is on its way
    assert joined >= 150
    after = (await log.read("")).last
    log.append_now(END)  # who reads on says what was handed over
    await log.read(after)
    assert await has_joined(broker, connection, log)


async def has_joined(broker: Broker, connection: ConnectionId, log: EventLog) -> bool:
    """Has another run join and leave at once; returns whether it could."""
    run = new_run()
    try:
        assert await broker.logs.join(connection, "", run, broker.here, 256) is not None
    except LogFull:
        return False
    log.leave(run, END)
    await log.sent()
    return True
