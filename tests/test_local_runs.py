"""The runs of a worker: their owners, limits and lookups."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import pytest
from dash import Input
from dash._utils import AttributeDict

from flash_events import Settings, Update, bridge, stream_props
from flash_events.brokers import ConnectionId, EventLog, PageId, RunId, RunRecord, WorkerId
from flash_events.brokers.memory import MemoryBroker
from flash_events.brokers.messages import Attach, Gone, Stop
from flash_events.callbacks import event_callback_in
from flash_events.errors import Refused
from flash_events.registration import EventCallback
from flash_events.runs.local import LocalRuns
from flash_events.times import STOP_SECONDS
from tests.support.harness import LIMITS
from tests.support.server import until


class Runs:
    """Starts runs of one callback, each of which waits until it is stopped."""

    def __init__(
        self, on_disconnect: Literal["cancel", "finish"] = "cancel", **limits: int
    ) -> None:
        registry = bridge.Registry([], {})

        @event_callback_in(registry, Input("a", "n"), on_disconnect=on_disconnect)
        async def waits(_n: int) -> AsyncIterator[Update]:
            await asyncio.get_running_loop().create_future()
            yield stream_props("out", {})

        [callback] = registry
        assert isinstance(callback, EventCallback)
        self.callback = callback
        self.broker = MemoryBroker(LIMITS)
        self.all = LocalRuns(None, Settings(**limits), self.broker)  # type: ignore[arg-type] # asks no app

    async def log(self, connection: str, run: str) -> EventLog:
        log = await self.broker.logs.open(
            ConnectionId(connection), "", RunId(run), self.broker.here
        )
        assert log is not None
        return log

    async def start(
        self,
        run: str,
        page: str,
        connection: str = "C",
        replaces: tuple[str, ...] = (),
    ) -> None:
        call = bridge.Call([1], {}, AttributeDict(updated_props={}))
        record = RunRecord(RunId(run), self.broker.here, ConnectionId(connection), "")
        log = await self.log(connection, run)
        self.all.start(record, PageId(page), self.callback, call, log, tuple(map(RunId, replaces)))

    def refused(self, page: str, *replaces: str) -> bool:
        try:
            self.all.check_limits(self.callback, PageId(page), map(RunId, replaces))
        except Refused:
            return True
        return False

    async def stop(self, *runs: str) -> None:
        left = len(self.all) - len(runs)
        await self.all.stop(tuple(map(RunId, runs)), "")
        await until(lambda: len(self.all) == left)


async def test_s16_two_runs_can_replace_the_same_run_of_another_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = Runs()
    asked: list[object] = []
    has_stopped = asyncio.Event()

    async def locate(wanted: tuple[RunId, ...], _: str) -> dict[WorkerId, tuple[RunId, ...]]:
        return {WorkerId("elsewhere"): wanted}

    async def ask(worker: WorkerId, request: Stop, _: float) -> None:
        asked.append((worker, request))
        await has_stopped.wait()

    monkeypatch.setattr(runs.broker.directory, "locate", locate)
    monkeypatch.setattr(runs.broker.signals, "ask", ask)
    for run in ("1", "2"):
        await runs.start(RunId(run), PageId("P"), replaces=("there", "there"))
    await until(lambda: len(asked) == 2)
    assert asked == [("elsewhere", Stop((RunId("there"),), ""))] * 2
    has_stopped.set()
    log = await runs.broker.logs.take(ConnectionId("C"), "")
    assert log is not None
    data = b""
    async with asyncio.timeout(STOP_SECONDS / 2):  # neither waits forever
        while data.count(b"event: start") < 2:
            data = (await log.read("")).data
    assert b"event: end" not in data
    await runs.stop("1", "2")


async def test_a_page_below_its_limit_again_can_start_a_run() -> None:
    runs = Runs(max_runs_per_page=2)
    await runs.start(RunId("1"), PageId("P"))
    assert not runs.refused("P")
    await runs.start(RunId("2"), PageId("P"))
    assert runs.refused("P")
    assert not runs.refused("Q")
    await runs.stop("1")
    assert not runs.refused("P")
    await runs.stop("2")


async def test_a_replaced_run_frees_capacity_only_in_its_own_worker() -> None:
    runs = Runs(max_runs_per_page=1)
    await runs.start(RunId("1"), PageId("P"))
    await runs.start(RunId("2"), PageId("Q"))
    assert not runs.refused("P", "1", "1", "unknown")
    assert runs.refused("P", "2", "unknown")
    await runs.stop("1", "2")


async def test_runs_stop_with_their_own_connection_only() -> None:
    runs = Runs()
    for run, connection in (("1", "C"), ("2", "C"), ("3", "D")):
        await runs.start(RunId(run), PageId("P"), ConnectionId(connection))
    runs.all.on_signal(Gone(ConnectionId("C")))
    await until(lambda: len(runs.all) == 1)
    assert runs.all.has(RunId("3"))
    runs.all.on_signal(Gone(ConnectionId("C")))
    await runs.stop("3")


async def test_a_kept_run_leaves_its_old_connection() -> None:
    runs = Runs("finish")
    await runs.start(RunId("1"), PageId("P"), ConnectionId("C"))
    await runs.log("D", "1")
    runs.all.on_signal(Attach(RunId("1"), ConnectionId("D"), 0, ""))
    [live] = runs.all
    assert live.connection == "D"
    runs.all.on_signal(Gone(ConnectionId("C")))
    runs.all.on_signal(Gone(ConnectionId("D")))
    assert runs.all.has(RunId("1"))
    await runs.stop("1")


async def test_p22_a_run_on_a_closed_connection_is_lost() -> None:
    """P22: the broker has forgotten it; a kept run continues for a page that attaches."""
    runs, kept = Runs(), Runs("finish")
    await runs.start(RunId("1"), PageId("P"))
    runs.all.on_closed(ConnectionId("D"))
    assert runs.all.has(RunId("1"))
    runs.all.on_closed(ConnectionId("C"))
    await until(lambda: not runs.all.has(RunId("1")))
    assert runs.all.counters()["ends_lost"] == 1
    await kept.start(RunId("2"), PageId("P"))
    kept.all.on_closed(ConnectionId("C"))
    await asyncio.sleep(0)
    assert kept.all.has(RunId("2"))
    await kept.stop("2")


async def test_a_start_iterates_over_no_other_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs()
    await runs.start(RunId("1"), PageId("P"))

    def visit(_runs: LocalRuns) -> Iterator[object]:
        raise AssertionError("A start costs more with each run that lives.")

    with monkeypatch.context() as patched:
        patched.setattr(LocalRuns, "__iter__", visit)
        assert not runs.refused("P")
        await runs.start(RunId("2"), PageId("P"), ConnectionId("D"))
        runs.all.on_signal(Gone(ConnectionId("D")))
        await until(lambda: not runs.all.has(RunId("2")))
    await runs.stop("1")
