"""The store in SQLite, shared by processes that are stopped or killed."""

import asyncio
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from flash_events.stores import Quota, Slot
from flash_events.stores.sqlite import SqliteStore, follower
from tests.support.killed_writers import kill_writers
from tests.support.server import until
from tests.support.sqlite_files import count, opened
from tests.support.store_process import store_process
from tests.support.stores import Watcher, append, new_log, offsets

SLOT = Slot("group", "name")

QUOTA = Quota(10, 2**30)


@pytest.fixture
def path(short: Path) -> Path:
    return short / "store.db"


async def test_killed_writers_leave_no_hole_and_nothing_twice(path: Path) -> None:
    async with opened(path) as store:
        await kill_writers(store, path, count=6, seed=1)


async def test_processes_that_write_at_once_agree_on_one_order(path: Path) -> None:
    log, count = new_log(), 500
    with ExitStack() as stack:
        processes = [stack.enter_context(store_process(path)) for _ in range(4)]
        for process in processes:
            process.ask("watch", log=log)
        for process in processes:
            process.tell("append", log=log, count=count)
        assert max(process.answer() for process in processes) == 4 * count
        nonces = processes[0].ask("read", log=log)
        assert len(set(nonces)) == 4 * count
        for process in processes:
            assert process.ask("seen", count=4 * count) == nonces


async def test_news_are_found_though_their_writer_could_not_tell(path: Path) -> None:
    """A writer that is killed between its commit and the datagram."""
    log = new_log()
    async with opened(path) as store:
        watcher = Watcher(store, log)
        [bell] = (tmp for tmp in path.parent.rglob("*.sock"))
        bell.unlink()
        for n in range(3):
            await append(store, log, str(n))
            await watcher.until(n + 1)


async def test_who_stood_still_for_too_long_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries that are not kept may have gone meanwhile."""
    log = new_log()
    async with opened(path) as store:
        monkeypatch.setattr(follower, "PASSING_SECONDS", 0.4)
        watcher = Watcher(store, log)
        await append(store, log, "a")
        await watcher.until(1)
        assert None not in watcher.calls
        with store_process(path) as process:
            process.tell("append", log=log, count=1)
            time.sleep(1)  # noqa: ASYNC251 - the loop stands still
            process.answer()
            await append(store, log, "b")
            await watcher.until(3)
            await until(lambda: None in watcher.calls)


async def test_the_lead_and_the_members_of_a_killed_worker_are_free(path: Path) -> None:
    async with opened(path) as store:
        await store.members.enter("room", "here", b"")
        with store_process(path) as process:
            assert process.ask("lead", group=SLOT.group, name=SLOT.name)
            assert process.ask("enter", group="room", member="there") == 2
            assert await store.values.lead(SLOT) is None
            assert len(await store.members.of("room")) == 2
            process.kill()
        assert await store.values.lead(SLOT)
        assert [one.id for one in await store.members.of("room")] == ["here"]
        async with opened(path):
            await until(lambda: count(path, "members") == 1)


async def next_lead(store: SqliteStore) -> str:
    """Leads as soon as nobody else does."""
    async with asyncio.timeout(5):
        while True:
            fence = await store.values.lead(SLOT)
            if fence:
                return fence
            await asyncio.sleep(0.02)


async def test_a_stopped_leader_loses_its_lead_and_its_late_value_is_refused(path: Path) -> None:
    async with opened(path, lease_seconds=1.2) as store:
        with store_process(path, lease_seconds=1.2) as process:
            fence = process.ask("lead", group=SLOT.group, name=SLOT.name)
            process.ask("enter", group="room", member="there")
            await asyncio.sleep(1.4)  # longer than the lease, which is renewed
            assert await store.values.lead(SLOT) is None
            process.send(signal.SIGSTOP)
            mine = await next_lead(store)
            assert await store.members.of("room") == []
            process.send(signal.SIGCONT)
            late = {"group": SLOT.group, "name": SLOT.name, "text": "late", "fence": fence}
            assert process.ask("put", **late) is False
            assert await store.values.put(SLOT, b"mine", QUOTA, ttl_seconds=None, fence=mine)
            assert process.ask("of", group="room") == ["there"]
        assert await store.values.get(SLOT) == b"mine"


FORKING = """
import asyncio, os, sys
from flash_events.stores import Keep, LogId
from flash_events.stores.sqlite import SqliteStore

async def append(nonce):
    await store.open()
    position = await store.logs.append(LogId("log"), b"", Keep(9, None, 9), nonce=nonce)
    await store.close()
    return position.offset

store = SqliteStore(sys.argv[1])
child = os.fork()
if child == 0:
    os._exit(asyncio.run(append("child")))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
assert asyncio.run(append("parent")) == 2
"""


def test_a_store_can_be_made_before_a_process_forks(path: Path) -> None:
    subprocess.run([sys.executable, "-c", FORKING, path], check=True)


async def test_the_loops_of_one_process_hear_of_each_other(path: Path) -> None:
    log, started, ended = new_log(), threading.Event(), threading.Event()
    seen: list[int] = []

    async def other() -> None:
        async with opened(path) as store:
            watcher = Watcher(store, log)
            started.set()
            seen.extend(offsets(await watcher.until(1)))
            await append(store, log, "b")
            ended.set()

    async with opened(path) as store:
        watcher = Watcher(store, log)
        thread = threading.Thread(target=lambda: asyncio.run(other()))
        thread.start()
        await until(started.is_set)
        await append(store, log, "a")
        assert offsets(await watcher.until(2)) == [1, 2]
        await asyncio.to_thread(thread.join)
    assert ended.is_set()
    assert seen[0] == 1
