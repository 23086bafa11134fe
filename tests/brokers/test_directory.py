"""The contract of the run directory; every broker must pass it."""

import asyncio
import secrets
from dataclasses import replace
from typing import Any

import pytest

from flash_events.brokers import (
    NOWHERE,
    QUEUED,
    At,
    Broker,
    CallbackId,
    ConnectionId,
    EventLog,
    Place,
    RunId,
    RunRecord,
    WorkerId,
    broker_of,
)
from flash_events.brokers.memory import MemoryBroker
from flash_events.brokers.memory.directory import MOST_GIVEN_UP
from tests.support.broker import CALLBACK, LIMITS, RUN, event, new_connection, new_run


async def test_s6_a_start_that_is_withdrawn_leaves_neither_claim_nor_place(
    broker: Broker, connection: ConnectionId, log: EventLog
) -> None:
    run, page = new_run(), secrets.token_hex(8)
    record = RunRecord(run, broker.here, connection, "owner", page, CALLBACK)
    assert await broker.logs.join(connection, "owner", run, broker.here, 9) is log
    assert await broker.directory.claim(record) is None
    broker.directory.withdraw(record, [new_connection(), connection])
    assert await broker.directory.find([run]) == [None]
    assert await broker.directory.kept(page, [CALLBACK]) == ()
    log.offer(RUN, event(1))
    assert set((await log.read("")).runs) == {"run"}
    assert await broker.directory.claim(record) is None


async def test_s6_what_another_start_has_claimed_is_not_withdrawn(
    broker: Broker, connection: ConnectionId, log: EventLog
) -> None:
    run = new_run()
    record = RunRecord(run, broker.here, connection, "owner")
    await broker.logs.join(connection, "owner", run, broker.here, 9)
    await broker.directory.claim(record)
    other = RunRecord(run, broker.here, new_connection(), "owner")
    assert await broker.directory.claim(other) == record
    broker.directory.withdraw(other, [other.connection, connection])
    assert await broker.directory.find([run]) == [record]
    log.offer(RUN, event(1))
    assert set((await log.read("")).runs) == {"run", run}


async def test_a_run_is_claimed_once(broker: Broker, connection: ConnectionId) -> None:
    page = secrets.token_hex(8)
    record = RunRecord(new_run(), broker.here, connection, "owner", page, CALLBACK)
    assert await broker.directory.claim(record) is None
    assert await broker.directory.claim(record) == record
    assert await broker.directory.find([record.run, RunId("unknown")]) == [record, None]
    assert await broker.directory.kept(page, [CALLBACK]) == (record.run,)
    assert await broker.directory.kept(page, [CallbackId("other")]) == ()
    broker.directory.retire(record)
    assert await broker.directory.kept(page, [CALLBACK]) == ()
    again = await broker.directory.claim(record)
    assert again is not None


async def test_a_run_that_is_stopped_before_its_start_is_given_up(broker: Broker) -> None:
    run = new_run()
    assert await broker.directory.locate((run,), "owner") == {}
    given_up = await broker.directory.claim(
        RunRecord(run, broker.here, ConnectionId("connection"), "owner")
    )
    assert given_up == RunRecord(run, NOWHERE, ConnectionId(""), "owner")


async def test_a_run_that_is_given_up_leaves_its_log(
    broker: Broker, connection: ConnectionId, log: EventLog
) -> None:
    run = new_run()
    await broker.logs.join(connection, "owner", run, broker.here, 9)
    await broker.directory.locate((run,), "owner")
    record = RunRecord(run, broker.here, connection, "owner")
    assert await broker.directory.claim(record) == RunRecord(
        run, NOWHERE, ConnectionId(""), "owner"
    )
    broker.directory.withdraw(record, [connection])
    assert await broker.directory.find([run]) == [None]
    log.offer(RUN, event(1))
    assert set((await log.read("")).runs) == {"run"}


async def test_runs_are_located_at_their_workers(broker: Broker) -> None:
    """Queued ones at the worker that asks, which can take them back."""
    places: list[Place] = [broker.here, broker.here, QUEUED]
    records = [RunRecord(new_run(), place, new_connection(), "owner") for place in places]
    for record in records:
        assert await broker.directory.claim(record) is None
    runs = [record.run for record in records]
    located = await broker.directory.locate(runs, "owner")
    assert located.keys() == {broker.worker}
    assert sorted(located[broker.worker]) == sorted(runs)
    broker.directory.retire(records[0])
    assert runs[0] not in (await broker.directory.locate(runs, "owner"))[broker.worker]


async def test_a_record_moves_from_the_place_that_is_expected(broker: Broker) -> None:
    elsewhere = At(WorkerId("elsewhere"))
    queued = RunRecord(new_run(), QUEUED, new_connection(), "owner")
    assert await broker.directory.move(queued, QUEUED) is None
    assert await broker.directory.claim(queued) is None
    moved = replace(queued, place=broker.here)
    assert await broker.directory.move(moved, elsewhere) == queued
    assert await broker.directory.move(moved, QUEUED) == moved
    attached = replace(moved, connection=new_connection())
    assert await broker.directory.move(attached) == attached
    broker.directory.retire(attached)
    assert await broker.directory.move(moved, broker.here) == replace(attached, is_ended=True)


async def test_the_record_of_an_ended_run_says_where_it_was(broker: Broker) -> None:
    record = RunRecord(new_run(), broker.here, new_connection(), "owner")
    assert await broker.directory.claim(record) is None
    broker.directory.retire(record)
    assert await broker.directory.find([record.run]) == [replace(record, is_ended=True)]


async def test_a_snapshot_is_read_piece_by_piece(broker: Broker) -> None:
    run = new_run()
    assert await broker.directory.snapshot(run, 0) == []
    await broker.directory.keep_snapshot(run, [b"1", b"2"], b"end")
    assert await broker.directory.snapshot(run, 0) == [b"1", b"2"]
    assert await broker.directory.snapshot(run, 1) == [b"2", b"end"]
    assert await broker.directory.snapshot(run, 2) == [b"end"]
    await broker.directory.keep_snapshot(run, [], b"other end")
    assert await broker.directory.snapshot(run, 0) == [b"other end"]


async def test_a_claim_and_a_stop_at_once_find_out_about_each_other(broker: Broker) -> None:
    """However their steps are interleaved, a run that goes on is one that the stop has found."""
    for turns in range(8):
        record = RunRecord(new_run(), broker.here, new_connection(), "owner")
        claiming = asyncio.create_task(broker.directory.claim(record))
        for _ in range(turns):
            await asyncio.sleep(0)
        located = await broker.directory.locate([record.run], "owner")
        given_up = await claiming
        assert given_up is not None or record.run in located[broker.worker]


class TestStops:
    """S8: stops of unknown runs."""

    async def test_they_leave_no_record_and_are_bounded(self, broker: Broker) -> None:
        owner = secrets.token_hex(8)
        asked = [tuple(new_run() for _ in range(512)) for _ in range(12)]
        before = await keys(broker)
        for runs in asked:
            assert await broker.directory.locate(runs, owner) == {}
        assert await broker.directory.find(asked[-1]) == [None] * 512
        assert await keys(broker) - before <= 1
        if isinstance(broker, MemoryBroker):
            assert len(broker.directory._given_up) == MOST_GIVEN_UP
        else:
            assert await ask(broker, "ZCARD", stopped_key(owner)) == 1024

    async def test_a_start_that_comes_later_is_given_up_for_its_owner_only(
        self, broker: Broker
    ) -> None:
        run = new_run()
        await broker.directory.locate((run,), "owner")
        earlier = await broker.directory.claim(
            RunRecord(run, broker.here, new_connection(), "owner")
        )
        assert earlier == RunRecord(run, NOWHERE, ConnectionId(""), "owner")
        assert (
            await broker.directory.claim(RunRecord(run, broker.here, new_connection(), "other"))
            is None
        )

    async def test_a_known_run_leaves_nothing(self, broker: Broker) -> None:
        record = RunRecord(new_run(), broker.here, new_connection(), secrets.token_hex(8))
        assert await broker.directory.claim(record) is None
        before = await keys(broker)
        await broker.directory.locate((record.run,), record.owner)
        assert await keys(broker) == before


async def keys(broker: Broker) -> int:
    if isinstance(broker, MemoryBroker):
        return len(broker.directory._records) + len(broker.directory._ended)
    return int(await ask(broker, "DBSIZE"))


def stopped_key(owner: str) -> str:
    from flash_events.brokers.redis.keys import key

    return key(owner, "stopped")


async def ask(broker: Any, *command: str) -> Any:
    return await broker._pipe.call(*command)


async def test_ended_records_are_bounded_in_redis(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flash_events.brokers.redis import directory

    monkeypatch.setattr(directory, "MOST_ENDED", 10)
    broker = broker_of(redis_url, LIMITS)
    await broker.open(lambda _: None, lambda _: None)
    records = [RunRecord(new_run(), broker.here, new_connection(), "") for _ in range(30)]
    for record in records:
        assert await broker.directory.claim(record) is None
        broker.directory.retire(record)
    found = await broker.directory.find([record.run for record in records])
    assert [one is not None for one in found] == [False] * 20 + [True] * 10
    await broker.close()


async def test_s9_snapshots_are_bounded_in_redis(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flash_events.brokers.redis import directory

    monkeypatch.setattr(directory, "SNAPSHOTS_BYTES", 5_000)
    broker = broker_of(redis_url, LIMITS)
    await broker.open(lambda _: None, lambda _: None)
    await ask(broker, "FLUSHALL")
    runs = [new_run() for _ in range(10)]
    for run in runs:
        await broker.directory.keep_snapshot(run, [b"a" * 600, b"b" * 390], b"end" * 3)
    assert [len(await broker.directory.snapshot(run, 0)) for run in runs] == [0] * 5 + [2] * 4 + [2]
    assert await broker.directory.snapshot(runs[-1], 1) == [b"b" * 390, b"end" * 3]
    assert await broker.directory.snapshot(runs[-1], 2) == [b"end" * 3]
    await broker.directory.keep_snapshot(runs[0], [b"c" * 6_000], b"end")
    assert await broker.directory.snapshot(runs[0], 0) == []
    await broker.close()
