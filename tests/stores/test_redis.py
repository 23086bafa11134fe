"""The store in Redis when Redis, its connections or its clients are in trouble."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.connection import AbstractConnection

from flash_events.brokers.redis.keys import key
from flash_events.errors import ConfigurationError, StoreUnavailable
from flash_events.stores import LARGE_BYTES, START, LogId, Position, Quota, Slot
from flash_events.stores.logs import KEY_SECONDS, NONCE_SECONDS, OFFSET_SECONDS
from flash_events.stores.redis import RedisStore
from tests.support.redis_server import RedisServer, dump, redis_server
from tests.support.server import free_port, until
from tests.support.store_troubles import (
    Publishing,
    eventually,
    kill_connections,
    opened,
    restart,
    stall,
)
from tests.support.stores import KEEP, Reader, Watcher, append, new_log, offsets

WEEK_MS = OFFSET_SECONDS * 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis of this module's own."""
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with opened(server.url) as store:
        yield store


@pytest.fixture
async def other(server: RedisServer) -> AsyncIterator[RedisStore]:
    async with opened(server.url) as store:
        yield store


async def test_a_reader_gets_everything_once_while_its_connection_is_killed(
    server: RedisServer,
) -> None:
    await kill_connections(server, times=20)


async def test_what_is_published_while_redis_stalls_is_late_and_not_lost(
    server: RedisServer,
) -> None:
    await stall(server, seconds=3)


async def test_a_reader_gets_everything_once_over_a_restart_that_keeps_the_log(
    tmp_path: Path,
) -> None:
    with redis_server(tmp_path, appendonly=True) as server:
        await restart(server)


async def test_a_reader_is_told_that_redis_was_set_back_to_an_older_snapshot(
    tmp_path: Path, log: LogId
) -> None:
    """The numbers after the snapshot are given again, to other messages."""
    with redis_server(tmp_path) as server:
        async with opened(server.url) as store, Reader(store, log) as reader:
            positions = [await append(store, log, f"kept {n}") for n in range(5)]
            server.client.save()
            shutil.copy(tmp_path / "dump.rdb", tmp_path / "older.rdb")
            positions += [await append(store, log, f"lost {n}") for n in range(5)]
            await reader.until(10)
            await asyncio.to_thread(server.stop)
            shutil.copy(tmp_path / "older.rdb", tmp_path / "dump.rdb")
            await asyncio.to_thread(server.start)
            again = [await append(store, log, f"again {n}") for n in range(10)]
            assert [position.offset for position in again] == list(range(6, 16))
            for position in positions:
                read = await store.logs.read(log, position)
                assert read.is_known == (position.offset <= 5)
            await reader.until(10 + 15)
            assert reader.resets == 1


async def test_a_reader_is_told_that_redis_has_lost_everything(tmp_path: Path, log: LogId) -> None:
    with redis_server(tmp_path) as server:
        async with opened(server.url) as store, Reader(store, log) as reader:
            for n in range(3):
                await append(store, log, f"lost {n}")
            await reader.until(3)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            for n in range(4):
                assert (await append(store, log, f"new {n}")).offset == n + 1
            assert (await reader.until(7))[3:] == [b"new 0", b"new 1", b"new 2", b"new 3"]
            assert reader.resets == 1


async def test_an_append_waits_for_redis_and_its_retry_appends_once(
    tmp_path: Path, log: LogId
) -> None:
    with redis_server(tmp_path, appendonly=True) as server:
        async with opened(server.url) as store:
            await append(store, log, "before")
            await asyncio.to_thread(server.stop)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await append(store, log, "a", nonce="same")
            await asyncio.to_thread(server.start)
            position = await append(store, log, "a", nonce="same")
            assert position == Position(2, "same")
            server.freeze()
            with pytest.raises(TimeoutError):  # Redis has got it, and will carry it out
                async with asyncio.timeout(0.3):
                    await append(store, log, "b", nonce="other")
            server.thaw()
            assert await append(store, log, "b", nonce="other") == Position(3, "other")
            read = await store.logs.read(log, START)
            assert [entry.data for entry in read.entries] == [b"before", b"a", b"b"]


async def test_a_store_that_stays_away_is_unavailable(tmp_path: Path, log: LogId) -> None:
    with redis_server(tmp_path) as server:
        async with opened(server.url, outage_seconds=0.02) as store:
            await asyncio.to_thread(server.stop)
            for asked in (
                append(store, log, "a"),
                store.logs.heads([log, new_log()]),
                store.values.get(Slot("group", "name")),
                store.members.of("group"),
            ):
                with pytest.raises(StoreUnavailable, match="does not answer"):
                    await asked


async def test_a_refused_command_is_unavailable(
    server: RedisServer, store: RedisStore, log: LogId
) -> None:
    server.client.set(key(log, "head"), "not a hash")
    with pytest.raises(StoreUnavailable, match="WRONGTYPE"):
        await append(store, log, "a")


async def test_scripts_that_redis_has_forgotten_are_loaded_again(
    server: RedisServer, store: RedisStore, log: LogId
) -> None:
    await append(store, log, "a")
    server.client.script_flush()
    appends = await asyncio.gather(*(append(store, log, str(n)) for n in range(20)))
    assert [position.offset for position in appends] == list(range(2, 22))
    assert len((await store.logs.read(log, START)).entries) == 21


async def test_a_redis_that_cannot_be_reached_names_the_setting() -> None:
    store = RedisStore(f"redis://:secret@127.0.0.1:{free_port()}")
    with pytest.raises(ConfigurationError, match=r"store \(FLASH_EVENTS_STORE\)") as error:
        await store.open()
    assert "secret" not in str(error.value)
    await store.close()


async def test_a_user_of_redis_needs_only_our_keys_and_channels(
    server: RedisServer, log: LogId
) -> None:
    client: Any = server.client  # untyped in parts
    rights = ("~flash_events:*", "&flash_events:*", "+@all")
    client.execute_command("ACL", "SETUSER", "app", "on", ">secret", *rights)
    async with opened(server.url.replace("//", "//app:secret@")) as store:
        watcher = Watcher(store, log)
        await append(store, log, "a")
        await watcher.until(1)
        assert await store.values.lead(Slot(log, "name"))
        await store.members.enter(log, "mine", b"")
        assert len(await store.members.of(log)) == 1


async def test_news_of_another_version_make_the_watcher_read(
    server: RedisServer, store: RedisStore, log: LogId
) -> None:
    watcher = Watcher(store, log)
    await append(store, log, "a")
    server.client.publish(key(log, "news"), b"\x93 something else")
    await append(store, log, "b")
    await watcher.until(2)
    assert watcher.calls[-2] is None


async def test_a_watch_begins_at_once_where_another_one_has_just_ended(
    store: RedisStore, log: LogId
) -> None:
    keep = replace(KEEP, history=0)
    for n in range(3):
        watcher = Watcher(store, log)
        await append(store, log, str(n), keep)
        assert [entry.data for entry in await watcher.until(1)] == [b"%d" % n]
        watcher.end()
    watcher = Watcher(store, log)
    watcher.end()
    await append(store, log, "to nobody", keep)
    assert watcher.calls == []


async def head_of(store: RedisStore, log: LogId) -> Position:
    [head] = await store.logs.heads([log])
    return head


async def head_of_read(store: RedisStore, log: LogId) -> Position:
    return (await store.logs.read(log, START)).head


async def test_between_what_is_read_after_a_watch_and_its_news_is_no_gap(
    server: RedisServer, store: RedisStore, log: LogId, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log without history, to which another process appends while the watch begins."""
    send: Any = AbstractConnection.send_command

    async def send_late(connection: Any, *command: Any, **options: Any) -> None:
        if command[0] == "SUBSCRIBE":
            await asyncio.sleep(0.05)
        await send(connection, *command, **options)

    async with opened(server.url) as other:
        publishing = Publishing(other, log, replace(KEEP, history=0))
        await until(lambda: publishing.done > 0)
        monkeypatch.setattr(AbstractConnection, "send_command", send_late)
        for ask in (head_of, head_of_read):
            watcher = Watcher(store, log)
            head = await ask(store, log)
            [first, *_] = await watcher.until(1)
            assert first.offset <= head.offset + 1
            watcher.end()
        await publishing.stop()


async def test_a_watcher_that_fails_does_not_keep_others_from_their_news(
    store: RedisStore, log: LogId, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    store.logs.watch(failing := new_log(), fail)
    watcher = Watcher(store, log)
    await append(store, failing, "a")
    await append(store, log, "b")
    await watcher.until(1)
    assert "were not handled" in caplog.text


def ttls(server: RedisServer, log: LogId) -> dict[str, int]:
    """Returns the time in ms for which Redis keeps what it has of a log, by kind of key."""
    tag = key(log, "")
    found = [entry for entry in dump(server.client) if entry.key.startswith(tag)]
    return {entry.key.removeprefix(tag).partition(":")[0]: entry.ttl_ms for entry in found}


async def test_everything_of_a_log_with_a_ttl_expires(
    server: RedisServer, store: RedisStore, log: LogId
) -> None:
    keep = replace(KEEP, ttl_seconds=100.0)
    await append(store, log, b"x" * (LARGE_BYTES + 1), keep, key="mine")
    found = ttls(server, log)
    for kind, seconds in {
        "entries": 100.0,
        "large": 100.0,
        "head": 100.0 + OFFSET_SECONDS,
        "nonce": NONCE_SECONDS,
        "key": KEY_SECONDS,
    }.items():
        assert 0 < found.pop(kind) <= seconds * 1000
    assert found == {}


async def test_a_log_without_a_ttl_is_kept_but_not_what_recognises_retries(
    server: RedisServer, store: RedisStore, log: LogId
) -> None:
    await append(store, log, b"x" * (LARGE_BYTES + 1))
    for keep in (replace(KEEP, ttl_seconds=None), replace(KEEP, ttl_seconds=None, history=0)):
        await append(store, log, b"x" * (LARGE_BYTES + 1), keep, key=str(keep.history))
        found = ttls(server, log)
        assert found.pop("nonce") > 0
        assert found.pop("key") > 0
        assert set(found.values()) == {-1}
    assert set(found) == {"head"}


async def test_nonces_and_keys_are_forgotten(
    server: RedisServer, store: RedisStore, log: LogId, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NONCE_SECONDS", "KEY_SECONDS"):
        monkeypatch.setattr(f"flash_events.stores.redis.logs.{name}", 0.05)
    await append(store, log, "a", key="mine")
    await until(lambda: set(ttls(server, log)) == {"entries", "head"})
    assert (await append(store, log, "b", key="mine")).offset == 2


async def test_who_asks_for_heads_has_them_remembered(
    server: RedisServer, store: RedisStore, log: LogId
) -> None:
    forever = new_log()
    await append(store, log, "a", replace(KEEP, ttl_seconds=60.0))
    await append(store, forever, "a", replace(KEEP, ttl_seconds=None))
    server.client.pexpire(key(log, "head"), 5000)
    await store.logs.heads([log, forever])
    assert WEEK_MS - 5000 < ttls(server, log)["head"] <= WEEK_MS
    assert ttls(server, forever)["head"] == -1


async def test_a_log_of_which_redis_has_evicted_a_part_goes_on(
    server: RedisServer, store: RedisStore, log: LogId
) -> None:
    large = b"x" * (LARGE_BYTES + 1)
    positions = [await append(store, log, large) for _ in range(3)]
    server.client.delete(key(log, "large"))
    assert await store.logs.load(log, 2) is None
    server.client.delete(key(log, "entries"))
    read = await store.logs.read(log, positions[0])
    assert (read.entries, read.first, read.is_known) == ((), 4, True)
    assert (await append(store, log, "a")).offset == 4
    server.client.delete(key(log, "head"))
    assert not (await store.logs.read(log, positions[0])).is_known
    assert (await append(store, log, "b")).offset == 1
    assert offsets((await store.logs.read(log, START)).entries) == [1]


async def test_a_group_whose_values_all_expire_leaves_nothing(
    server: RedisServer, store: RedisStore, log: LogId
) -> None:
    quota = Quota(10, 1000)
    for name, ttl_seconds in (("a", 50.0), ("b", 20.0)):
        await store.values.put(Slot(log, name), b"1", quota, ttl_seconds=ttl_seconds)
    found = ttls(server, log)
    assert set(found) == {"values", "used", "expiring", "bytes"}
    assert all(45_000 < ttl < 50_010 for ttl in found.values())
    await store.values.put(Slot(log, "c"), b"1", quota, ttl_seconds=None)
    assert set(ttls(server, log).values()) == {-1}
    await store.values.drop(log, "c", "a")
    await store.values.put(Slot(log, "b"), b"2", quota, ttl_seconds=1.0)
    assert all(0 < ttl < 1010 for ttl in ttls(server, log).values())
    await store.values.drop(log, "b")
    assert ttls(server, log) == {}


def die(store: RedisStore) -> None:
    """Has a client give no more signs of life, as if its process were killed."""
    store._life._lease.stop()


async def is_alone(store: RedisStore, group: str) -> bool:
    return [member.worker for member in await store.members.of(group)] == [store.worker]


@pytest.fixture
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flash_events.brokers.redis.lease.LEASE_MS", 1000)


@pytest.mark.usefixtures("short_lease")
async def test_a_dead_worker_leads_nothing_and_its_members_are_gone(
    server: RedisServer, store: RedisStore, other: RedisStore, log: LogId
) -> None:
    slot = Slot(log, "name")
    fence = await other.values.lead(slot)
    assert fence
    await other.members.enter(log, "theirs", b"")
    await store.members.enter(log, "mine", b"")
    assert await store.values.lead(slot) is None
    die(other)
    mine = await eventually(lambda: store.values.lead(slot))
    await eventually(lambda: is_alone(store, log))
    assert not await other.values.put(slot, b"late", Quota(1, 9), ttl_seconds=None, fence=fence)
    assert mine
    assert await store.values.put(slot, b"new", Quota(1, 9), ttl_seconds=None, fence=mine)
    await until(lambda: server.client.hlen(key(log, "members")) == 1)


async def test_members_whose_worker_was_only_taken_for_dead_come_back(
    server: RedisServer, store: RedisStore, other: RedisStore, log: LogId
) -> None:
    await other.members.enter(log, "theirs", b"data")
    server.client.delete(key(other.worker, "lease"), key(log, "members"))
    assert await store.members.of(log) == []
    members = await eventually(lambda: store.members.of(log))
    assert [(member.id, member.worker, member.data) for member in members] == [
        ("theirs", other.worker, b"data")
    ]


async def test_nobody_is_taken_for_dead_while_leases_may_be_missing(
    server: RedisServer, store: RedisStore, other: RedisStore, log: LogId
) -> None:
    """After an outage, the leases of all workers have expired."""
    await store.members.enter(log, "mine", b"")
    await other.members.enter(log, "theirs", b"")
    die(other)
    server.client.delete(key(other.worker, "lease"), key(store.worker, "lease"))
    await until(lambda: store._life._lease.is_disturbed)
    assert [member.id for member in await store.members.of(log)] == ["mine", "theirs"]


async def test_what_a_worker_uses_is_renewed(
    server: RedisServer, log: LogId, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flash_events.stores.redis.store.RENEW_SECONDS", 0.05)
    async with opened(server.url) as store:
        await store.values.lead(Slot(log, "name"))
        await store.members.enter(log, "mine", b"")
        kinds = ("leads", "members", "entered")
        client: Any = server.client  # untyped in parts
        for kind in kinds:
            client.expire(key(log, kind), 10)
        await until(lambda: all(client.ttl(key(log, kind)) > 1000 for kind in kinds))
    assert ttls(server, log) == {}
