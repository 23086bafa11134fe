"""The files of a store in SQLite: what is kept, deleted, refused and explained."""

import asyncio
import os
import socket
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

from flash_events.errors import ConfigurationError, StoreUnavailable
from flash_events.stores import LARGE_BYTES, START, Quota, Slot
from flash_events.stores.sqlite import SqliteStore, bells, sweeper
from tests.support.server import until
from tests.support.sqlite_files import count, large_files, names, opened, rows
from tests.support.stores import KEEP, Watcher, append, new_log

SLOT = Slot("group", "name")

QUOTA = Quota(10, 2**30)


@pytest.fixture
def path(short: Path) -> Path:
    return short / "store.db"


async def test_a_named_store_lasts(path: Path) -> None:
    log, large = new_log(), b"x" * (LARGE_BYTES + 1)
    async with opened(path) as store:
        position = await append(store, log, large)
        await store.values.put(SLOT, b"value", QUOTA, ttl_seconds=None)
        await store.members.enter("room", "a", b"")
    async with opened(path) as store:
        assert await store.logs.heads([log]) == [position]
        assert await store.logs.load(log, 1) == large
        assert await store.values.get(SLOT) == b"value"
        assert await store.members.of("room") == []
    left = {one.name for one in path.parent.rglob("*") if one.is_file()}
    assert left - {one.name for one in large_files(path)} == {"store.db"}


async def test_the_files_of_large_data_go_with_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "PASSING_SECONDS", 0.0)
    monkeypatch.setattr(sweeper, "ENTRIES_SECONDS", 0.0)
    log, large = new_log(), b"x" * (LARGE_BYTES + 1)
    async with opened(path) as store:
        for _ in range(3):
            await append(store, log, large, replace(KEEP, history=1), nonce="same")
            await append(store, log, large, replace(KEEP, history=1))
            await store.values.put(SLOT, large, QUOTA, ttl_seconds=None)
        assert not await store.values.put(SLOT, large, QUOTA, ttl_seconds=None, fence="no")
        await append(store, log, "small", replace(KEEP, history=1))
        await until(lambda: len(large_files(path)) == 1)
        assert await store.values.get(SLOT) == large
        await store.values.drop(SLOT.group)
        assert large_files(path) == []


async def test_the_files_of_killed_writers_are_removed(path: Path) -> None:
    async with opened(path) as store:
        await append(store, new_log(), b"x" * (LARGE_BYTES + 1))
        [needed] = large_files(path)
        for name, age in (("old", 100), ("new", 0)):
            leftover = needed.with_name(name)
            leftover.write_bytes(b"")
            os.utime(leftover, (time.time() - age,) * 2)
        os.utime(needed, (0, 0))
    async with opened(path):
        await until(lambda: {one.name for one in large_files(path)} == {needed.name, "new"})


async def test_entries_that_are_not_kept_are_deleted(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "PASSING_SECONDS", 0.0)
    monkeypatch.setattr(sweeper, "AT_ONCE", 10)
    async with opened(path) as store:
        for keep in (replace(KEEP, history=0), replace(KEEP, history=3)):
            log = new_log()
            await asyncio.gather(*(append(store, log, "a", keep) for _ in range(30)))
        await until(lambda: count(path, "entries") == 3)


async def test_expired_logs_are_emptied_and_forgotten_after_a_week(path: Path) -> None:
    old, used, kept = new_log(), new_log(), new_log()
    async with opened(path) as store:
        for log in (old, used):
            await append(store, log, "a", replace(KEEP, ttl_seconds=60))
        await append(store, kept, "a", replace(KEEP, ttl_seconds=None), key="key")
        rows(path, "update logs set head_time = 0, first_time = 0, used_at = 0")
        rows(path, "update entries set time = 0")
        rows(path, "update keys set time = 0")
        assert [head.offset for head in await store.logs.heads([used, kept])] == [1, 1]
        assert (await store.logs.read(used, START)).entries == ()
    async with opened(path) as store:
        await until(lambda: count(path, "entries") == 1)
        assert count(path, "keys") == 0
        assert (await append(store, used, "b")).offset == 2
    async with opened(path) as store:
        await until(lambda: count(path, "logs") == 2)
        assert [head.offset for head in await store.logs.heads([old, used, kept])] == [0, 2, 1]


async def test_expired_values_are_deleted(path: Path) -> None:
    async with opened(path) as store:
        await store.values.put(SLOT, b"x" * (LARGE_BYTES + 1), QUOTA, ttl_seconds=0.01)
    async with opened(path):
        await until(lambda: count(path, "slots") == 0)
        await until(lambda: large_files(path) == [])


async def test_nonces_are_remembered_over_the_end_of_a_period(path: Path) -> None:
    log = new_log()
    async with opened(path) as store:
        first = await append(store, log, "a", nonce="same")
        rows(path, "update meta set value = value - 1")  # time has gone on
        rows(path, "create table swap as select * from nonces_0")
        for statement in (
            "delete from nonces_0",
            "insert into nonces_0 select * from nonces_1",
            "delete from nonces_1",
            "insert into nonces_1 select * from swap",
        ):
            rows(path, statement)
        assert await append(store, log, "a", nonce="same") == first
        rows(path, "update meta set value = value - 5")
        assert (await append(store, log, "a", nonce="same")).offset == 2


async def test_a_full_store_refuses_writers_and_serves_readers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeper, "PASSING_SECONDS", 0.5)
    log, passing = new_log(), new_log()
    async with opened(path, max_bytes=2**20) as store:
        await append(store, log, "kept")
        passed = (
            append(store, passing, b"x" * LARGE_BYTES, replace(KEEP, history=0)) for _ in range(100)
        )
        results = await asyncio.gather(*passed, return_exceptions=True)
        errors = [one for one in results if isinstance(one, StoreUnavailable)]
        assert 50 < len(errors) < 100
        assert "full" in str(errors[0])
        assert [one.data for one in (await store.logs.read(log, START)).entries] == [b"kept"]
        async with asyncio.timeout(5):  # what has passed makes room
            while True:
                try:
                    await append(store, log, b"x" * LARGE_BYTES, replace(KEEP, history=3))
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.05)


async def test_a_full_disk_refuses_large_data(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = new_log()
    async with opened(path) as store:
        data = path.parent / "store.db-files/data"
        data.rmdir()
        with pytest.raises(StoreUnavailable, match="No such file"):
            await append(store, log, b"x" * (LARGE_BYTES + 1))
        assert (await append(store, log, "small")).offset == 1


async def test_a_locked_store_is_unavailable_to_writers_only(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = new_log()
    async with opened(path) as store:
        await append(store, log, "a")
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("begin immediate")
        monkeypatch.setattr("flash_events.stores.sqlite.database.LOCK_SECONDS", 0.3)
        with pytest.raises(StoreUnavailable, match="locked"):
            await append(store, log, "b")
        assert len((await store.logs.read(log, START)).entries) == 1
        holder.execute("rollback")
        holder.close()
        assert (await append(store, log, "c")).offset == 2


async def test_a_file_that_is_replaced_counts_as_lost_memory(path: Path) -> None:
    log = new_log()
    async with opened(path) as store, opened(path) as other:
        watcher = Watcher(other, log)
        position = await append(store, log, "a")
        await watcher.until(1)
        for name in ("store.db", "store.db-wal", "store.db-shm"):
            (path.parent / name).unlink()
        again = await append(store, log, "b")
        assert again.offset == 1
        read = await other.logs.read(log, position)
        assert (read.head, read.is_known) == (again, False)
        await until(lambda: None in watcher.calls)


async def test_a_long_path_works(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path of a Unix socket has about 100 characters; without /proc the clients poll."""
    path = short / ("x" * 100) / "store.db"
    path.parent.mkdir()
    for sockets in (1, 0):
        log = new_log()
        async with opened(path) as store, opened(path) as other:
            watcher = Watcher(other, log)
            assert len(names(path.parent, "*/live/*.sock")) == sockets
            await append(store, log, "a")
            await watcher.until(1)
        monkeypatch.setattr(bells, "DESCRIPTORS", short / "nowhere")


async def test_a_closed_store_refuses(path: Path) -> None:
    async with opened(path) as store:
        pass
    for refused in (append(store, new_log(), "a"), store.logs.heads([new_log()])):
        with pytest.raises(StoreUnavailable, match="closed"):
            await refused


async def test_paths_that_cannot_be_opened_are_explained(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database, but long enough to be read as one" * 100)
    rows(tmp_path / "other.db", "create table mine (a)")
    rows(tmp_path / "new.db", "pragma user_version = 7")
    async with opened(tmp_path / "later.db"):
        pass
    rows(tmp_path / "later.db", "pragma user_version = 99")
    for path, message in (
        (Path("store.db"), "to be absolute, got 'store.db'"),
        (tmp_path / "nowhere" / "store.db", "No such file or directory"),
        (tmp_path / "text" / "store.db", "Not a directory"),
        (tmp_path, "unable to open database file"),
        (tmp_path / "text", "file is not a database"),
        (tmp_path / "other.db", "of another program"),
        (tmp_path / "later.db", "another version"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            await SqliteStore(path).open()


async def test_without_unix_sockets_the_error_says_what_to_do(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "AF_UNIX")
    with pytest.raises(ConfigurationError, match="does not work on Windows"):
        await SqliteStore(path).open()
