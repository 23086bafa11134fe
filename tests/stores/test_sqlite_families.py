"""The private store of the workers of one server."""

import asyncio
import multiprocessing
import os
import signal
import tempfile
from pathlib import Path

import pytest

from flash_events.brokers import family as family_module
from flash_events.brokers.family import family
from flash_events.errors import ConfigurationError
from flash_events.stores import LARGE_BYTES, START, Quota, Slot
from flash_events.stores.sqlite import SqliteStore, private
from tests.support.sqlite_files import names, opened
from tests.support.store_process import store_process
from tests.support.stores import append, new_log

SLOT = Slot("group", "name")

QUOTA = Quota(10, 2**30)


@pytest.fixture
def home(short: Path) -> Path:
    """The path of a private store."""
    return short / f"{private.STORE_PREFIX}{os.getuid()}-1-a" / private.FILE


async def test_a_crashed_family_revives_nothing(home: Path) -> None:
    with store_process(home, is_private=True) as first, store_process(home, is_private=True) as two:
        first.ask("append", log="log", count=5)
        assert two.ask("heads", log="log")["offset"] == 5
        first.kill()
        assert two.ask("append", log="log", count=1) == 6
        with store_process(home, is_private=True) as third:
            assert third.ask("heads", log="log")["offset"] == 6
            third.kill()
        two.kill()
    assert names(home.parent.parent) == [home.parent.name]
    with store_process(home, is_private=True) as process:
        assert process.ask("heads", log="log") == {"offset": 0, "nonce": ""}


async def test_the_last_of_a_family_removes_its_directory(home: Path) -> None:
    async with opened(home, is_private=True):
        async with opened(home, is_private=True) as store:
            await append(store, new_log(), b"x" * (LARGE_BYTES + 1))
        assert names(home.parent.parent) == [home.parent.name]
    assert names(home.parent.parent) == []


async def test_the_directory_of_a_dead_family_is_removed(home: Path, short: Path) -> None:
    dead = home.parent.with_name(f"{home.parent.name}b") / private.FILE
    with store_process(dead, is_private=True) as process:
        process.ask("append", log="log", count=5)
        async with opened(home, is_private=True):
            assert dead.exists()
        process.kill()
    async with opened(home, is_private=True):
        assert names(short) == [home.parent.name]


async def test_workers_that_come_and_go_at_once_share_one_file(home: Path) -> None:
    """The last one that leaves removes the directory that the next one makes."""
    log = new_log()

    async def come_and_go(n: int) -> None:
        for _ in range(10):
            async with opened(home, is_private=True) as store:
                position = await append(store, log, str(n))
                [entry] = (await store.logs.read_last(log, 1)).entries
                assert entry.offset >= position.offset

    await asyncio.gather(*(come_and_go(n) for n in range(4)))
    assert not home.parent.exists()


async def test_a_directory_that_others_can_reach_is_refused(home: Path) -> None:
    home.parent.mkdir(mode=0o755)
    with pytest.raises(ConfigurationError, match="only this user can reach"):
        await SqliteStore(home, is_private=True).open()
    home.parent.rmdir()
    elsewhere = home.parent.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    home.parent.symlink_to(elsewhere)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        await SqliteStore(home, is_private=True).open()


@pytest.fixture
def worker(short: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The /proc of a process that is a worker."""
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: object())
    monkeypatch.setattr(family_module, "PROC", short / "proc")
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    (short / "proc/self/ns").mkdir(parents=True)
    return short / "proc"


def write_proc(proc: Path, namespace: int, started: int) -> None:
    (proc / "self/ns/pid").unlink(missing_ok=True)
    (proc / "self/ns/pid").symlink_to(f"pid:[{namespace}]")
    parent = proc / f"{os.getppid()}"
    parent.mkdir(exist_ok=True)
    before = " ".join("0" for _ in range(18))
    (parent / "stat").write_text(f"{os.getppid()} (py) thon) S {before} {started} 0 0\n")


async def test_s20_families_with_the_same_parent_id_do_not_meet(worker: Path) -> None:
    """S20: containers that share a directory, or a process id that is used again."""
    found = []
    for namespace, started in ((1, 1), (2, 1), (1, 2), (1, 1)):
        write_proc(worker, namespace, started)
        found.append((family(), private.private_path()))
    assert found[0] == found[3]
    assert len(set(found)) == 3
    log = new_log()
    first, second = found[0][1], found[1][1]
    assert first
    assert second
    async with opened(first, is_private=True) as one, opened(second, is_private=True) as other:
        await append(one, log, "a")
        assert await other.logs.heads([log]) == [START]
        assert (await one.logs.heads([log]))[0].offset == 1


def test_without_proc_a_family_is_named_after_its_parent(worker: Path) -> None:
    assert family() == f"flash-events-{os.getuid()}-{os.getppid()}"


def test_a_process_of_its_own_has_no_private_store() -> None:
    assert private.private_path() is None


async def test_a_forked_child_does_not_live_for_its_parent(home: Path) -> None:
    child = 0
    try:
        with store_process(home, is_private=True) as process:
            process.ask("append", log="log", count=1)
            process.ask("lead", group=SLOT.group, name=SLOT.name)
            async with opened(home, is_private=True) as store:
                child = process.ask("fork")
                process.kill()
                assert await store.values.lead(SLOT)
        assert not home.parent.exists()
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
