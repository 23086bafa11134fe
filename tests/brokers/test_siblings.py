"""Workers of one server tell each other what to stop, and nobody else."""

import asyncio
import os
import socket
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flash_events.brokers import RunId, WorkerId
from flash_events.brokers.family import family
from flash_events.brokers.memory.siblings import WAITING_BYTES, Siblings
from flash_events.brokers.messages import Signal, Stop, decode


class Worker:
    """A sibling that remembers what it was told."""

    def __init__(self, name: str, worker: str = "worker") -> None:
        self.heard: asyncio.Queue[Signal] = asyncio.Queue()
        self.siblings = Siblings(name, WorkerId(worker), self.heard.put_nowait)


@pytest.fixture
def name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    return "family"


@pytest.fixture
async def workers(name: str) -> AsyncIterator[list[Worker]]:
    workers = [Worker(name, "a"), Worker(name, "b")]
    for worker in workers:
        await worker.siblings.join()
    yield workers
    for worker in workers:
        worker.siblings.leave()


async def test_a_sibling_hears_what_to_stop(workers: list[Worker]) -> None:
    workers[0].siblings.tell(Stop((RunId("run"),), "owner"))
    assert await asyncio.wait_for(workers[1].heard.get(), 1) == Stop((RunId("run"),), "owner")


async def test_a_sibling_that_is_busy_hears_all_of_it_later_in_order(workers: list[Worker]) -> None:
    told = [Stop((RunId(f"run {n}"),), "") for n in range(2_000)]  # more than a socket holds
    for signal in told:
        workers[0].siblings.tell(signal)
    async with asyncio.timeout(5):
        heard = [await workers[1].heard.get() for _ in told]
    assert heard == told


async def test_the_teller_hears_nothing(workers: list[Worker]) -> None:
    first, second = Stop((RunId("first"),), ""), Stop((RunId("second"),), "")
    workers[1].siblings.tell(first)
    workers[0].siblings.tell(second)
    assert await asyncio.wait_for(workers[0].heard.get(), 1) == first
    assert await asyncio.wait_for(workers[1].heard.get(), 1) == second
    assert workers[0].heard.empty()


async def test_one_sibling_can_be_told_alone(name: str, workers: list[Worker]) -> None:
    third = Worker(name, "c")
    await third.siblings.join()
    workers[0].siblings.tell(Stop((RunId("run"),), ""), WorkerId("c"))
    workers[0].siblings.tell(Stop((RunId("next"),), ""))
    assert await asyncio.wait_for(third.heard.get(), 1) == Stop((RunId("run"),), "")
    assert await asyncio.wait_for(workers[1].heard.get(), 1) == Stop((RunId("next"),), "")
    third.siblings.leave()


def bound(path: Path) -> socket.socket:
    """The socket of a sibling in another process."""
    sibling = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sibling.bind(str(path))
    return sibling


async def test_s20_a_socket_that_nobody_has_open_is_swept_whoever_has_its_process_id(
    workers: list[Worker], tmp_path: Path
) -> None:
    """As in a directory that an earlier server has left, or that a container has filled."""
    dead = tmp_path / "family" / f"{os.getppid()}-aaaaaa-1.sock"
    bound(dead).close()
    assert not workers[0].siblings.exist()  # the others are of this very process
    assert not dead.exists()
    bound(dead).close()
    workers[0].siblings.tell(Stop((RunId("run"),), ""))
    assert not dead.exists()
    assert await asyncio.wait_for(workers[1].heard.get(), 1) == Stop((RunId("run"),), "")


async def test_s20_a_worker_whose_process_id_is_unknown_here_is_a_sibling(
    workers: list[Worker], tmp_path: Path
) -> None:
    """As in another container that shares the directory, and has process ids of its own."""
    for pid in (2**22 + 1, os.getpid()):  # more than Linux gives; the same in both containers
        path = tmp_path / "family" / f"{pid}-aaaaaa-1.sock"
        with bound(path) as alive:
            alive.settimeout(1)
            assert workers[0].siblings.exist()
            workers[0].siblings.tell(Stop((RunId("run"),), ""))
            assert decode(alive.recv(1000)) == Stop((RunId("run"),), "")
            assert path.exists()
        path.unlink()


async def test_s8_what_waits_for_a_sibling_that_takes_nothing_is_bounded(
    workers: list[Worker], tmp_path: Path
) -> None:
    with bound(tmp_path / "family" / "1-aaaaaa-1.sock"):
        for n in range(200):
            workers[0].siblings.tell(Stop(tuple(RunId(f"{n} {one:20}") for one in range(512)), ""))
        waiting = workers[0].siblings._waiting
        assert 0 < sum(one.size for one in waiting.values()) <= 2 * WAITING_BYTES
        assert all(sum(map(len, one.messages)) == one.size for one in waiting.values())


async def test_a_directory_that_others_may_read_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="not private"):
        await Worker(name).siblings.join()


async def test_s18_the_last_worker_removes_the_directory(workers: list[Worker], name: str) -> None:
    directory = Path(tempfile.gettempdir()) / name
    killed = directory / "1-aaaaaa-1.sock"
    bound(killed).close()
    workers[0].siblings.leave()
    assert directory.exists()
    workers[1].siblings.leave()
    assert not directory.exists()


async def test_s18_a_worker_joins_while_the_last_one_removes_the_directory(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lstat = Path.lstat
    left: list[Path] = []

    def leaving(path: Path) -> os.stat_result:
        found = lstat(path)
        if path.name == name and len(left) < 3:
            left.append(path)
            path.rmdir()
        return found

    monkeypatch.setattr(Path, "lstat", leaving)
    worker = Worker(name)
    await worker.siblings.join()
    assert len(left) == 3
    worker.siblings.leave()


async def test_s18_a_worker_that_cannot_join_leaves_no_directory(tmp_path: Path) -> None:
    name = "n" * 120
    with pytest.raises(OSError, match="too long"):
        await Worker(str(tmp_path / name)).siblings.join()
    assert not (tmp_path / name).exists()


async def test_s18_what_killed_servers_have_left_is_removed(name: str, tmp_path: Path) -> None:
    homes = [tmp_path / f"flash-events-{os.getuid()}-{n}" for n in range(3)]
    for home in homes:
        home.mkdir(mode=0o700)
    bound(homes[1] / "1-aaaaaa-1.sock").close()
    with bound(homes[2] / "1-aaaaaa-1.sock"):
        worker = Worker(name)
        await worker.siblings.join()
        assert [home.exists() for home in homes] == [False, False, True]
        worker.siblings.leave()


def test_a_process_of_its_own_has_no_family() -> None:
    assert family() is None
