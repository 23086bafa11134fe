"""Workers of one server tell each other what to stop, and nobody else."""

import asyncio
import multiprocessing
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from flash_events.brokers.siblings import Siblings, family
from flash_events.brokers.signals import Signal, Stop


class Worker:
    """A sibling that remembers what it was told."""

    def __init__(self, name: str, worker: str = "worker") -> None:
        self.heard: asyncio.Queue[Signal] = asyncio.Queue()
        self.siblings = Siblings(name, worker, self.heard.put_nowait)


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
    workers[0].siblings.tell(Stop(("run",), "owner"))
    assert await asyncio.wait_for(workers[1].heard.get(), 1) == Stop(("run",), "owner")


async def test_a_sibling_that_is_busy_hears_all_of_it_later_in_order(workers: list[Worker]) -> None:
    told = [Stop((f"run {n}",), "") for n in range(2_000)]  # more than a socket holds
    for signal in told:
        workers[0].siblings.tell(signal)
    async with asyncio.timeout(5):
        heard = [await workers[1].heard.get() for _ in told]
    assert heard == told


async def test_the_teller_hears_nothing(workers: list[Worker]) -> None:
    first, second = Stop(("first",), ""), Stop(("second",), "")
    workers[1].siblings.tell(first)
    workers[0].siblings.tell(second)
    assert await asyncio.wait_for(workers[0].heard.get(), 1) == first
    assert await asyncio.wait_for(workers[1].heard.get(), 1) == second
    assert workers[0].heard.empty()


async def test_one_sibling_can_be_told_alone(name: str, workers: list[Worker]) -> None:
    third = Worker(name, "c")
    await third.siblings.join()
    workers[0].siblings.tell(Stop(("run",), ""), "c")
    workers[0].siblings.tell(Stop(("next",), ""))
    assert await asyncio.wait_for(third.heard.get(), 1) == Stop(("run",), "")
    assert await asyncio.wait_for(workers[1].heard.get(), 1) == Stop(("next",), "")
    third.siblings.leave()


async def test_the_socket_of_a_dead_worker_is_swept(workers: list[Worker], tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=int)
    process.start()
    process.join()
    dead = tmp_path / "family" / f"{process.pid}-1.sock"
    dead.touch()
    assert not workers[0].siblings.exist()  # the others are of this very process
    assert not dead.exists()
    alive = tmp_path / "family" / f"{os.getppid()}-1.sock"
    alive.touch()
    assert workers[0].siblings.exist()


async def test_a_directory_that_others_may_read_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).mkdir(mode=0o755)
    with pytest.raises(PermissionError, match="not private"):
        await Worker(name).siblings.join()


async def test_nothing_is_left_behind(name: str, tmp_path: Path) -> None:
    worker = Worker(name)
    await worker.siblings.join()
    worker.siblings.leave()
    assert list((tmp_path / name).iterdir()) == []


def test_a_process_of_its_own_has_no_family() -> None:
    assert family() is None
