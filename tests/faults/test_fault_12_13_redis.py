"""Rows 12 and 13: Redis that is restarted, emptied, cut off or stalled."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from flash_events.brokers import (
    Broker,
    ConnectionId,
    EventLog,
    LogLimits,
    RunId,
    RunRecord,
    broker_of,
)
from flash_events.brokers.messages import Signal, Stop
from tests.support.broker import CALLBACK, RUN, new_connection
from tests.support.machines import connection_of, machines, take_updates
from tests.support.page import new_id, opened
from tests.support.proxy import Proxy, proxied
from tests.support.redis_server import RedisServer, dump, redis_server
from tests.support.server import serving, until, wait_until


def test_fault_12_it_is_missed_at_start_up(tmp_path: Path) -> None:
    with (
        pytest.raises(AssertionError) as raised,
        serving(
            "tests.apps.kitchen:server",
            tmp_path,
            FLASH_EVENTS_BROKER="redis://user:secret@127.0.0.1:9/0",
        ),
    ):
        pass
    assert "Redis at redis://127.0.0.1:9/0 does not answer" in str(raised.value)
    assert "secret" not in str(raised.value).split("does not answer")[1][:200]


@pytest.mark.deadline
def test_fault_12_starts_are_refused_soon_and_streams_go_on_when_it_is_back(tmp_path: Path) -> None:
    with (
        redis_server(tmp_path, appendonly=True) as redis,
        machines(tmp_path, redis.url, count=1) as [served],
        opened(served) as page,
    ):
        body = page.body("start")
        numbers = []
        with page.stream("start", body) as events:
            numbers += take_updates(events, 5)
            redis.stop()
            began = time.monotonic()
            refused = httpx.post(page.url("start"), json=page.body("start"), timeout=5)
            assert refused.status_code == 503
            assert time.monotonic() - began < 2
            redis.start()
            numbers += take_updates(events, 100)
        assert numbers == list(range(1, 106))
        page.stop(body["flash_events"]["run"])
        served.wait_for_mark("ticks finally", seconds=5)


def test_fault_12_streams_whose_log_is_gone_end_and_say_so(tmp_path: Path) -> None:
    with (
        redis_server(tmp_path) as redis,
        machines(tmp_path, redis.url, count=1) as [served],
        opened(served) as page,
    ):
        body = page.body("start")
        with page.stream("start", body) as events:
            take_updates(events, 5)
            redis.client.flushall()
            list(events)  # the body ends
        assert page.post("resume", page.resume(connection_of(body))).status_code == 404
        served.wait_for_mark("ticks finally", seconds=5)
        with page.stream("start", page.body("fail")) as events:
            assert [event.event for event in events][-1] == "close"


APPENDS = 2_000
LIMITS = LogLimits(100_000, 100, 16 * 1024 * 1024, 60)


def has_cut(proxy: Proxy, count: int) -> bool:
    return proxy.cuts >= count


@asynccontextmanager
async def started(
    url: str, on_signal: Callable[[Signal], None] = lambda _: None
) -> AsyncIterator[Broker]:
    broker = broker_of(url, LIMITS)
    await broker.open(on_signal, lambda _: None)
    try:
        yield broker
    finally:
        await broker.close()


async def streamed(broker: Broker, at: Callable[[int], object]) -> list[int]:
    """Appends many events, calls `at` with the number of each, and reads them all."""
    log = await broker.logs.open(new_connection(), "", RUN, broker.here)
    assert log is not None

    async def write(log: EventLog) -> None:
        for n in range(APPENDS):
            at(n)
            await log.append(RUN, b"data: %d\n\n" % n)
        log.leave(RUN, b"data: %d\n\n" % APPENDS)

    writing = asyncio.create_task(write(log))
    got: list[int] = []
    after = ""
    async with asyncio.timeout(60):
        while not got or got[-1] != APPENDS:
            batch = await log.read(after)
            got += [int(n) for n in re.findall(rb"data: (\d+)", batch.data)]
            after = batch.last or after
    await writing
    return got


def test_fault_12_a_run_that_finishes_is_found_again_when_redis_was_emptied(tmp_path: Path) -> None:
    with (
        redis_server(tmp_path) as redis,
        machines(tmp_path, redis.url, count=1) as [served],
        opened(served) as page,
    ):
        body = page.body("keep")
        run = body["flash_events"]["run"]
        with page.stream("start", body) as events:
            take_updates(events, 5)
            redis.client.flushall()
            list(events)  # the body ends

        def found() -> bool:
            fields = {"connection": new_id(), "connections": [], "runs": [{"run": run, "seen": 0}]}
            attach = {"flash_events": {"version": 1, "page": page.page, **fields}}
            with page.stream("attach", attach) as events:
                return next(event for event in events if event.event != "open").event == "update"

        wait_until(found, 5, "the run")
        assert not served.marks("keep finally")
        page.stop(run)
        served.wait_for_mark("keep finally", seconds=1)


async def test_fault_12_what_was_not_answered_is_sent_again_in_order_and_applied_once(
    tmp_path: Path,
) -> None:
    with redis_server(tmp_path) as redis, proxied(redis.url) as proxy:
        cuts = [0, 0]

        def cut(n: int) -> None:
            if n % 100 == 50:
                cuts[0] += bool(proxy.cut())
            elif n % 100 == 99:  # what was sent is done, and its answer lost
                proxy.cut_after(0)
                cuts[1] += 1

        async with started(f"redis://{urlsplit(proxy.url).netloc}/0") as broker:
            assert await streamed(broker, cut) == list(range(APPENDS + 1))
        assert cuts[0] > 10
        assert proxy.cuts > 10


async def test_fault_12_scripts_that_were_flushed_in_the_middle_are_loaded_again(
    tmp_path: Path,
) -> None:
    with redis_server(tmp_path) as redis:

        def flush(n: int) -> None:
            if n % 100 == 50:
                redis.client.script_flush()

        async with started(redis.url) as broker:
            assert await streamed(broker, flush) == list(range(APPENDS + 1))


async def test_fault_12_a_signal_whose_answer_was_lost_is_heard_once(tmp_path: Path) -> None:
    heard: list[Signal] = []
    with redis_server(tmp_path) as redis, proxied(redis.url) as proxy:
        async with (
            started(redis.url, heard.append) as here,
            started(f"redis://{urlsplit(proxy.url).netloc}/0") as there,
        ):
            signals = [Stop((RunId(f"run {n}"),), "") for n in range(20)]
            for n, signal in enumerate(signals):
                if n % 4 == 0:
                    proxy.cut_after(0)
                there.signals.send(here.worker, signal)
                await until(partial(has_cut, proxy, n // 4 + 1))
            await until(lambda: signals[-1] in heard)
    assert heard == signals


async def test_fault_12_what_lives_longer_than_it_is_remembered_is_still_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a kept run could no longer be cancelled after five minutes."""
    monkeypatch.setattr("flash_events.brokers.redis.directory.REMEMBER_MS", 3_000)
    monkeypatch.setattr("flash_events.brokers.redis.watch.RECORDS_SECONDS", 0.6)
    with redis_server(tmp_path) as redis:
        async with started(redis.url) as broker:
            record = RunRecord(
                RUN,
                broker.here,
                ConnectionId("connection"),
                "owner",
                "page",
                CALLBACK,
            )
            await broker.directory.claim(record)
            await broker.directory.find([RUN])  # all before it was done
            keys = {entry.kind: entry.key for entry in dump(redis.client)}

            def left(kind: str) -> int:
                return int(redis.client.pttl(keys[kind]))

            def is_ageing(kind: str) -> bool:
                return left(kind) < 2_500

            def is_renewed(kind: str) -> bool:
                return left(kind) > 2_500

            for kind in ("run", "kept"):
                await until(partial(is_ageing, kind))
                await until(partial(is_renewed, kind))
            assert await broker.directory.kept("page", [CALLBACK]) == ("run",)


async def test_fault_12_a_log_that_is_taken_late_lives_on(tmp_path: Path) -> None:
    """Its holder has died, and nobody has renewed it since."""
    with redis_server(tmp_path) as redis:
        async with started(redis.url) as died, started(redis.url) as takes:
            log = await died.logs.open(ConnectionId("connection"), "", RUN, died.here)
            assert log is not None
            await log.append(RUN, b"data: 1\n\n")
            await log.read("")
            kinds = ("log", "meta", "runs")
            entries = [entry for entry in dump(redis.client) if entry.kind in kinds]
            for entry in entries:
                redis.client.pexpire(entry.key, 2_000)
            assert await takes.logs.take(ConnectionId("connection"), "") is not None
            for entry in entries:
                assert int(redis.client.pttl(entry.key)) > 10_000


STALL_SECONDS = 2.5
HEARTBEAT_SECONDS = 0.5


def freeze(redis: RedisServer) -> None:
    redis.freeze()
    threading.Timer(STALL_SECONDS, redis.thaw).start()


def pause(redis: RedisServer) -> None:
    redis.client.client_pause(int(STALL_SECONDS * 1000))


@pytest.mark.notice
@pytest.mark.parametrize("stall", [freeze, pause])
def test_fault_13_while_redis_stalls_heartbeats_go_on_and_updates_are_late_not_lost(
    tmp_path: Path, stall: Callable[[RedisServer], None]
) -> None:
    with (
        redis_server(tmp_path) as redis,
        machines(
            tmp_path, redis.url, FLASH_EVENTS_HEARTBEAT_SECONDS=str(HEARTBEAT_SECONDS), count=2
        ) as [
            served,
            other,
        ],
        opened(served) as page,
        opened(other) as there,
    ):
        first = page.body("start")
        second = there.body("endless1", connections=[connection_of(first)])
        with page.client.stream("POST", page.url("start"), json=first) as response:
            chunks = response.iter_bytes()
            seen = next(chunks)
            assert there.post("start", second).status_code == 202
            while seen.count(b"event: update") < 20:
                seen += next(chunks)
            heard = seen.count(b": heartbeat")
            stall(redis)
            stalled = time.monotonic()
            while time.monotonic() - stalled < STALL_SECONDS - 0.5:
                seen += next(chunks)
            assert 3 <= seen.count(b": heartbeat") - heard <= 5
            before = seen.count(b"event: update")
            while seen.count(b"event: update") < before + 200:
                seen += next(chunks)
        assert b"event: end" not in seen
        for body in (first, second):
            run = body["flash_events"]["run"].encode()
            pattern = b'event: update\ndata: {"run":"' + run + rb'","n":(\d+)'
            numbers = [int(n) for n in re.findall(pattern, seen)]
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) > 50
            page.stop(run.decode())
        assert "has died" not in served.log() + other.log()
