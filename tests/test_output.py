"""Output of a run: its events with a viewer, without one, and after an attach."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dash import Patch

from flash_events import Settings, Update, stream_props
from flash_events.brokers import QUEUED
from flash_events.brokers.log import LogLimits
from flash_events.brokers.memory.log import MemoryLog
from flash_events.runs.output import Output
from flash_events.runs.snapshot import Snapshot
from flash_events.wire import events
from flash_events.wire.events import Ended, Reason, Started, Updated
from tests.support.harness import LIMITS, RUN_ID, Reader, Streamed, body, running
from tests.support.server import until

MIB = 1024 * 1024
NARROW = LogLimits(2_000, 10, MIB, 60)
"""A log with a limit of ten updates."""


def encoded(value: object) -> bytes:
    return events.encode_update(stream_props("out", {"children": value}), MIB)


def appended(n: int) -> Patch:
    patch = Patch()
    patch.append(n)
    return patch


def shown(events: list[events.Event]) -> list[tuple[str, int, Any]]:
    """Returns kind, number and value of each update and end."""
    seen: list[tuple[str, int, Any]] = []
    for event in events:
        if isinstance(event, Updated):
            kind = "snapshot" if event.is_snapshot else "update"
            seen.append((kind, event.number, body(event.body)[0][1]["children"]))
        elif isinstance(event, Ended):
            seen.append(("end", event.number, event.reason))
    return seen


class Counter:
    """A generator that counts up to a number that the test sets, and exposes its state."""

    def __init__(self) -> None:
        self.count = 0
        self.has_finished = asyncio.Event()
        self._allowed = asyncio.Semaphore(0)
        self._rests = asyncio.Event()

    async def run(self, _n: int) -> AsyncIterator[Update]:
        try:
            while True:
                self._rests.set()
                await self._allowed.acquire()
                self.count += 1
                yield stream_props("out", {"children": self._value()})
        finally:
            self.has_finished.set()

    def _value(self) -> Any:
        return self.count

    async def go_on(self, count: int) -> None:
        """Lets it stream `count` values and waits until all were taken."""
        for _ in range(count):
            self._rests.clear()
            self._allowed.release()
            async with asyncio.timeout(5):
                await self._rests.wait()

    def let(self, count: int) -> None:
        """Lets it stream `count` values without waiting."""
        for _ in range(count):
            self._allowed.release()


class Appender(Counter):
    """Streams commands, which must not be applied twice."""

    def _value(self) -> Any:
        return appended(self.count)


async def settle() -> None:
    """Runs all tasks that can continue."""
    for _ in range(20):
        await asyncio.sleep(0)


def dropped(streamed: Streamed) -> None:
    """The viewer does not return."""
    assert isinstance(streamed.log, MemoryLog)
    streamed.log.drop()


KEPT: dict[str, Any] = {"on_disconnect": "finish"}


class TestWithoutViewer:
    """A kept run continues; any other one ends."""

    @pytest.mark.parametrize("is_told", [True, False])
    async def test_a_kept_run_continues_when_its_log_is_dropped(self, is_told: bool) -> None:
        counter = Counter()
        async with running(counter.run, 0, **KEPT) as streamed:
            await counter.go_on(3)
            dropped(streamed)
            if is_told:
                assert streamed.run.output.detach()
            await counter.go_on(2_000)
            assert not counter.has_finished.is_set()
            assert streamed.run.output.updates == 2_003

    async def test_a_kept_run_that_waits_for_capacity_continues_when_its_log_is_dropped(
        self,
    ) -> None:
        counter = Counter()
        async with running(counter.run, 0, limits=NARROW, **KEPT) as streamed:
            counter.let(100)
            await settle()
            assert counter.count == 10  # `start` uses capacity, too
            dropped(streamed)
            await until(lambda: streamed.run.output.updates == 100)

    async def test_another_run_ends_as_lost_and_runs_its_finally(self) -> None:
        counter = Counter()
        async with running(counter.run, 0) as streamed:
            await counter.go_on(3)
            dropped(streamed)
            counter.let(1)
            assert await streamed.run.stopped()
            assert counter.has_finished.is_set()
            assert streamed.run.output.reason == Reason.LOST

    async def test_another_run_that_waits_for_capacity_ends_as_lost_too(self) -> None:
        counter = Counter()
        async with running(counter.run, 0, limits=NARROW) as streamed:
            counter.let(100)
            await settle()
            dropped(streamed)
            assert await streamed.run.stopped()
            assert counter.has_finished.is_set()
            assert streamed.run.output.reason == Reason.LOST

    async def test_only_a_kept_run_can_continue_without_a_log(self) -> None:
        assert Output(RUN_ID, MemoryLog(LIMITS), Snapshot(MIB)).detach()
        assert not Output(RUN_ID, MemoryLog(LIMITS)).detach()

    async def test_a_kept_run_pauses_when_its_snapshot_is_full_and_continues_for_a_viewer(
        self,
    ) -> None:
        counter = Appender()
        settings = Settings(max_kept_bytes=5_000)
        async with running(counter.run, 0, settings=settings, **KEPT) as streamed:
            dropped(streamed)
            counter.let(1_000)
            await until(lambda: counter.count > 0)
            await settle()
            paused = counter.count
            await settle()
            assert counter.count == paused < 100
            log = MemoryLog(LIMITS)
            assert streamed.run.output.attach(log, 0)
            await until(lambda: counter.count > paused + 10)
            events = await Reader(log).available()
        told = [(kind, n) for kind, n, _ in shown(events)]
        assert told[0] == ("snapshot", paused - 1)
        assert [n for kind, n in told if kind == "update"] == list(
            range(paused, paused + len(told) - 1)
        )

    async def test_a_snapshot_over_its_limit_is_abandoned_while_there_is_a_viewer(self) -> None:
        counter = Appender()
        settings = Settings(max_kept_bytes=5_000)
        async with running(counter.run, 0, settings=settings, **KEPT) as streamed:
            await counter.go_on(200)
            assert streamed.run.output.updates == 200
            assert not streamed.run.output.attach(MemoryLog(LIMITS), 0)


class TestAttach:
    """A page that attaches gets the run's snapshot and all later updates."""

    async def test_it_is_a_snapshot_with_its_number_and_then_the_live_tail(self) -> None:
        counter = Counter()
        async with running(counter.run, 0, **KEPT) as streamed:
            await counter.go_on(5)
            streamed.run.output.detach()
            await counter.go_on(5)
            log = MemoryLog(LIMITS)
            assert streamed.run.output.attach(log, 0)
            await counter.go_on(3)
            events = await Reader(log).available()
        assert shown(events) == [
            ("snapshot", 10, 10),
            ("update", 11, 11),
            ("update", 12, 12),
            ("update", 13, 13),
        ]

    @pytest.mark.parametrize("after", [0, 1, 2, 3, 5, 9])
    async def test_it_is_sent_even_if_the_run_waits_for_capacity_in_its_old_log(
        self, after: int
    ) -> None:
        """The old log gets capacity, or not, after `after` turns of the loop."""
        counter = Appender()
        async with running(counter.run, 0, limits=NARROW, **KEPT) as streamed:
            counter.let(30)
            await settle()
            assert counter.count < 30
            old = Reader(streamed.log)
            await old.available()
            handing_over = asyncio.create_task(
                old.available()
            )  # events that were read count as handed over
            for _ in range(after):
                await asyncio.sleep(0)
            log = MemoryLog(LIMITS)
            assert streamed.run.output.attach(log, 0)
            await until(lambda: streamed.run.output.updates == 30)
            assert patches_of(await Reader(log).available()) == list(range(1, 31))
            handing_over.cancel()

    @pytest.mark.parametrize("after", range(12))
    async def test_it_is_sent_even_to_the_log_that_was_full(self, after: int) -> None:
        """As after a reload of a page whose tabs share their connection."""
        counter = Appender()
        async with running(counter.run, 0, limits=NARROW, **KEPT) as streamed:
            counter.let(100)
            await settle()
            reader = Reader(streamed.log)
            await reader.available()
            reading = asyncio.create_task(reader.until(lambda: has_come(reader, 100)))
            for _ in range(after):
                await asyncio.sleep(0)
            assert streamed.run.output.attach(streamed.log, 0)
            await reading
        assert patches_of(after_first_snapshot(reader.events)) == list(range(1, 101))

    async def test_a_repeated_request_sends_nothing_twice(self) -> None:
        counter = Counter()
        async with running(counter.run, 0, **KEPT) as streamed:
            await counter.go_on(5)
            log = MemoryLog(LIMITS)
            for _ in range(2):
                assert streamed.run.output.attach(log, 0, "request")
            await counter.go_on(1)
            assert shown(await Reader(log).available()) == [("snapshot", 5, 5), ("update", 6, 6)]
            assert streamed.run.output.attach(log, 0, "another")
            assert shown(await Reader(log).available())[-1] == ("snapshot", 6, 6)

    async def test_after_the_end_it_is_the_snapshot_and_the_end(self) -> None:
        async def brief(_n: int) -> AsyncIterator[Update]:
            for n in range(1, 4):
                yield stream_props("out", {"children": n})

        async with running(brief, 0, **KEPT) as streamed:
            streamed.run.output.detach()
            assert await streamed.run.stopped()
            for _ in range(2):  # on each request
                log = MemoryLog(LIMITS)
                assert streamed.run.output.attach(log, 0)
                events = await Reader(log).available()
                assert shown(events) == [("snapshot", 3, 3), ("end", 3, Reason.DONE)]

    async def test_a_page_that_has_part_of_the_updates_gets_state_props_again(self) -> None:
        counter = Counter()
        async with running(counter.run, 0, **KEPT) as streamed:
            await counter.go_on(5)
            log = MemoryLog(LIMITS)
            assert streamed.run.output.attach(log, 3)
            assert shown(await Reader(log).available()) == [("snapshot", 5, 5)]

    async def test_a_page_that_has_part_of_the_updates_gets_no_command_twice(self) -> None:
        counter = Appender()
        async with running(counter.run, 0, **KEPT) as streamed:
            await counter.go_on(5)
            log = MemoryLog(LIMITS)
            assert not streamed.run.output.attach(log, 3)
            assert streamed.run.output.attach(log, 0)

    async def test_a_run_that_is_not_kept_cannot_be_attached_to(self) -> None:
        counter = Counter()
        async with running(counter.run, 0) as streamed:
            assert not streamed.run.output.attach(MemoryLog(LIMITS), 0)

    async def test_the_run_leaves_the_old_log_so_that_its_connection_can_close(self) -> None:
        log = MemoryLog(LIMITS)
        log.runs[RUN_ID] = QUEUED
        output = Output(RUN_ID, log, Snapshot(MIB))
        assert output.attach(MemoryLog(LIMITS), 0)
        assert dict(log.runs) == {}

    async def test_a_cancel_during_a_wait_for_capacity_counts_the_sent_updates(self) -> None:
        """Otherwise the updates at the end would reuse numbers."""
        for turns in range(12):
            log = MemoryLog(NARROW)
            output = Output(RUN_ID, log, Snapshot(MIB))
            while output.offer(encoded("first")):
                pass
            sending = asyncio.create_task(output.send(encoded("waits")))
            await settle()
            reader = Reader(log)
            await reader.available()
            handing_over = asyncio.create_task(reader.available())
            for _ in range(turns):
                await asyncio.sleep(0)
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            output.end(Reason.CANCELLED, [encoded("late")])
            await handing_over
            await reader.until_end()
            told = [n for kind, n, _ in shown(reader.events)]
            assert told == [*range(1, len(told)), len(told) - 1], turns


def has_come(reader: Reader, number: int) -> bool:
    return any(isinstance(event, Updated) and event.number == number for event in reader.events)


def after_first_snapshot(events: list[events.Event]) -> list[events.Event]:
    """Returns the events that a page uses after an attach: it ignores earlier ones."""
    is_snapshot = [isinstance(event, Updated) and event.is_snapshot for event in events]
    return events[is_snapshot.index(True) :]


def patches_of(events: list[events.Event]) -> list[int]:
    """Returns a page's values after snapshots and later updates."""
    applied: list[int] = []
    seen = 0
    for event in events:
        if isinstance(event, Updated):
            assert event.is_snapshot or event.number <= seen + 1
            if event.is_snapshot or event.number == seen + 1:
                seen = event.number
                for _, props in body(event.body):
                    [operation] = props["children"]["operations"]
                    applied.append(operation["params"]["value"])
    return applied


async def test_an_end_is_sent_once() -> None:
    log = MemoryLog(LIMITS)
    output = Output(RUN_ID, log)
    await output.start()
    output.end(Reason.DONE)
    output.end(Reason.CANCELLED)
    assert output.offer(encoded("too late"))
    [start, end] = await Reader(log).available()
    assert isinstance(start, Started)
    assert shown([end]) == [("end", 0, Reason.DONE)]
