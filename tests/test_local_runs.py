"""The runs of a worker: who they belong to, and what a start costs beside them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Literal

import pytest
from dash import Input
from dash._utils import AttributeDict

from flash_events import Settings, Update, bridge, stream_props
from flash_events.brokers.base import EventLog, RunRecord
from flash_events.brokers.memory import MemoryBroker
from flash_events.brokers.signals import Attach, Gone, Stop, Stopped
from flash_events.callbacks import event_callback_in
from flash_events.errors import Refused
from flash_events.registration import EventCallback
from flash_events.runs.local import LocalRuns
from flash_events.times import STOP_SECONDS
from tests.support.harness import LIMITS
from tests.support.server import until


class Runs:
    """Runs of one callback, each of which waits until it is stopped."""

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
        log = await self.broker.open(connection, "", run, self.broker.worker)
        assert log is not None
        return log

    async def start(
        self, run: str, page: str, connection: str = "C", replaces: tuple[str, ...] = ()
    ) -> None:
        call = bridge.Call([1], {}, AttributeDict(updated_props={}))
        record = RunRecord(run, self.broker.worker, connection, "")
        log = await self.log(connection, run)
        self.all.start(record, page, self.callback, call, log, replaces)

    def refused(self, page: str, *replaces: str) -> bool:
        try:
            self.all.check_limits(self.callback, page, replaces)
        except Refused:
            return True
        return False

    async def stop(self, *runs: str) -> None:
        left = len(self.all) - len(runs)
        await self.all.stop(runs, "")
        await until(lambda: len(self.all) == left)


class Elsewhere(MemoryBroker):
    """Has every run that it does not know in another worker."""

    def __init__(self) -> None:
        super().__init__(LIMITS)
        self.asked: list[Stop] = []

    async def stop(self, signal: Stop) -> tuple[str, ...]:
        self.asked.append(signal)
        return signal.runs


async def test_s16_two_runs_replace_one_of_another_worker_and_name_it_twice() -> None:
    runs = Runs()
    runs.broker = runs.all._broker = broker = Elsewhere()
    for run in ("1", "2"):
        await runs.start(run, "P", replaces=("there", "there"))
    await until(lambda: len(broker.asked) == 2)
    assert [signal.runs for signal in broker.asked] == [("there",)] * 2
    runs.all.on_signal(Stopped(("there",)))
    log = await broker.take("C", "")
    assert log is not None
    data = b""
    async with asyncio.timeout(STOP_SECONDS / 2):  # neither waits in vain
        while data.count(b"event: start") < 2:
            data = (await log.read("")).data
    assert b"event: end" not in data
    await runs.stop("1", "2")


async def test_a_page_has_room_again_when_one_of_its_runs_has_ended() -> None:
    runs = Runs(max_runs_per_page=2)
    await runs.start("1", "P")
    assert not runs.refused("P")
    await runs.start("2", "P")
    assert runs.refused("P")
    assert not runs.refused("Q")
    await runs.stop("1")
    assert not runs.refused("P")
    await runs.stop("2")


async def test_what_is_replaced_leaves_room_only_where_it_is() -> None:
    runs = Runs(max_runs_per_page=1)
    await runs.start("1", "P")
    await runs.start("2", "Q")
    assert not runs.refused("P", "1", "1", "unknown")
    assert runs.refused("P", "2", "unknown")
    await runs.stop("1", "2")


async def test_runs_stop_with_the_connection_that_carries_them_and_no_others() -> None:
    runs = Runs()
    for run, connection in (("1", "C"), ("2", "C"), ("3", "D")):
        await runs.start(run, "P", connection)
    runs.all.on_signal(Gone("C"))
    await until(lambda: len(runs.all) == 1)
    assert runs.all.has("3")
    runs.all.on_signal(Gone("C"))
    await runs.stop("3")


async def test_a_kept_run_leaves_the_connection_that_it_has_moved_away_from() -> None:
    runs = Runs("finish")
    await runs.start("1", "P", "C")
    await runs.log("D", "1")
    runs.all.on_signal(Attach("1", "D", 0, ""))
    [live] = runs.all
    assert live.connection == "D"
    runs.all.on_signal(Gone("C"))
    runs.all.on_signal(Gone("D"))
    assert runs.all.has("1")
    await runs.stop("1")


async def test_p22_a_run_that_a_closed_connection_should_carry_is_lost() -> None:
    """P22: the broker has forgotten it; a kept one goes on for a page that attaches."""
    runs, kept = Runs(), Runs("finish")
    await runs.start("1", "P")
    runs.all.on_closed("D")
    assert runs.all.has("1")
    runs.all.on_closed("C")
    await until(lambda: not runs.all.has("1"))
    assert runs.all.counters()["ends_lost"] == 1
    await kept.start("2", "P")
    kept.all.on_closed("C")
    await asyncio.sleep(0)
    assert kept.all.has("2")
    await kept.stop("2")


async def test_a_start_visits_no_other_run(monkeypatch: pytest.MonkeyPatch) -> None:
    runs = Runs()
    await runs.start("1", "P")

    def visit(_runs: LocalRuns) -> Iterator[object]:
        raise AssertionError("A start costs more with each run that lives.")

    with monkeypatch.context() as patched:
        patched.setattr(LocalRuns, "__iter__", visit)
        assert not runs.refused("P")
        await runs.start("2", "P", "D")
        runs.all.on_signal(Gone("D"))
        await until(lambda: not runs.all.has("2"))
    await runs.stop("1")
