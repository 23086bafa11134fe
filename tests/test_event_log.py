"""The contract of an event log; every broker must pass it."""

import asyncio
import re

import pytest

from flash_events.brokers.base import EventLog, LogLimits
from flash_events.brokers.memory import MemoryBroker
from flash_events.errors import LogGone

LIMITS = LogLimits(waiting_bytes=10_000, waiting_events=100, replay_bytes=4_000, replay_seconds=60)


@pytest.fixture(params=["memory"])
def log() -> EventLog:
    return MemoryBroker(LIMITS).log("connection")


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
    await asyncio.sleep(0)
    assert log.offer("run", event(1000))
    assert numbers((await reader).data) == [1000]


async def test_a_writer_waits_for_room(log: EventLog) -> None:
    while log.offer("run", event(0)):
        pass
    writer = asyncio.create_task(log.append("run", event(7)))
    await asyncio.sleep(0)
    assert not writer.done()
    _, last = await read_all(log, LIMITS.waiting_events)
    assert numbers((await log.read(last)).data) == [7]
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
    await asyncio.sleep(0)
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


async def test_a_gap_is_admitted(log: EventLog) -> None:
    after = ""
    first = ""
    for n in range(10):
        log.offer("run", event(n, size=1_000))
        batch = await log.read(after)
        after = batch.last
        first = first or after
    log.offer("run", event(10))
    await log.read(after)
    with pytest.raises(LogGone):
        log.check(first)
    with pytest.raises(LogGone):
        await log.read(first)
    log.check(after)


async def test_many_small_reads_leave_no_trace_of_their_times(log: EventLog) -> None:
    after = ""
    for n in range(5_000):
        log.offer("run", event(n))
        after = (await log.read(after)).last
    sizes = [len(value) for value in vars(log).values() if hasattr(value, "__len__")]
    assert max(sizes) < 1_000


@pytest.mark.parametrize("foreign", ["other-1", "nonsense", "1", "-", "x-99999"])
def test_an_id_of_another_log_is_refused(log: EventLog, foreign: str) -> None:
    log.offer("run", event(1))
    with pytest.raises(LogGone):
        log.check(foreign)


async def test_a_number_that_was_never_given_is_refused(log: EventLog) -> None:
    log.offer("run", event(1))
    epoch = (await log.read("")).last.rpartition("-")[0]
    with pytest.raises(LogGone):
        log.check(f"{epoch}-2")


async def test_a_finished_log_says_so_with_its_last_event(log: EventLog) -> None:
    log.offer("run", event(1))
    log.finish()
    assert (await log.read("")).finished


async def test_a_woken_reader_returns_with_nothing(log: EventLog) -> None:
    reader = asyncio.create_task(log.read(""))
    await asyncio.sleep(0)
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
