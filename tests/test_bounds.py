"""Every buffer has a limit in bytes, and a query leaves no state behind."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from dash import Input

from flash_events import Settings, Update, bridge, stream_props
from flash_events.brokers import ConnectionId, PageId, RunId, RunRecord
from flash_events.brokers.expiring import Expiring
from flash_events.brokers.log import SNAPSHOT_BYTES
from flash_events.brokers.memory import MemoryBroker
from flash_events.brokers.messages import Attach
from flash_events.callbacks import event_callback_in
from flash_events.errors import TooManyWaiting
from flash_events.registration import EventCallback
from flash_events.runs.local import LocalRuns
from flash_events.runs.pushed import PushedUpdates
from flash_events.testing.clock import fake_clock
from flash_events.wire.events import Ended, Reason, Updated
from tests.support.busy_app import Asking, app_of_all_kinds, collections_of, server_of
from tests.support.harness import LIMITS, Reader, body
from tests.support.server import until

MIB = 2**20
TEXT = "x" * 2**19


class Kept:
    """Kept runs that stream `count` texts of half a MiB each and end on request."""

    def __init__(self, count: int, **settings: Any) -> None:
        registry = bridge.Registry([], {})
        self.may_end = asyncio.Event()

        @event_callback_in(registry, Input("a", "n"), on_disconnect="finish")
        async def texts(_n: int) -> AsyncIterator[Update]:
            for n in range(count):
                yield stream_props(f"out {n}", {"children": TEXT})
            await self.may_end.wait()
            yield stream_props("out", {"children": "last"})

        [callback] = registry
        assert isinstance(callback, EventCallback)
        self.callback = callback
        self.broker = MemoryBroker(LIMITS)
        self.all = LocalRuns(None, Settings(**settings), self.broker)

    def start(self, run: str) -> Any:
        record = RunRecord(RunId(run), self.broker.here, ConnectionId(""), "", "page")
        call = bridge.Call([1], {}, bridge.as_context({}))
        return self.all.start(record, PageId("page"), self.callback, call, None)

    async def attach(self, run: str, connection: str) -> Reader:
        log = await self.broker.logs.open(
            ConnectionId(connection), "", RunId(run), self.broker.here
        )
        assert log is not None
        self.all.on_attach(Attach(RunId(run), ConnectionId(connection), 0, connection))
        return Reader(log)


async def test_s7_a_snapshot_waits_for_capacity_in_every_worker() -> None:
    runs = Kept(14)
    output = runs.start("run").output
    await until(lambda: bool(output.updates == 14))
    readers = [await runs.attach("run", f"connection {n}") for n in range(40)]
    await asyncio.sleep(0)
    piece = len(TEXT) + 1000
    assert sum(reader.log.waiting for reader in readers) <= 40 * max(SNAPSHOT_BYTES, piece)
    runs.may_end.set()
    last = readers[-1]
    await last.until_end()
    told = [event for event in last.events if isinstance(event, Updated)]
    assert [event.number for event in told] == [14] * 14 + [15]
    assert [event.is_snapshot for event in told] == [True] * 14 + [False]
    shown = [target for event in told for target, _ in body(event.body)]
    assert shown == [*(f"out {n}" for n in range(14)), "out"]


async def test_s7_a_run_that_ends_while_its_snapshot_waits_is_delivered_completely() -> None:
    runs = Kept(4)
    run = runs.start("run")
    await until(lambda: bool(run.output.updates == 4))
    reader = await runs.attach("run", "connection")
    run.stop()
    await until(lambda: len(runs.all) == 0)
    await reader.until_end()
    assert [event.number for event in reader.events if isinstance(event, Updated)] == [4] * 4
    assert isinstance(reader.events[-1], Ended)
    assert (reader.events[-1].number, reader.events[-1].reason) == (4, Reason.CANCELLED)


async def test_s9_snapshots_of_ended_runs_are_kept_once_and_only_the_newest() -> None:
    runs = Kept(2, max_ended_bytes=5 * MIB)
    runs.may_end.set()
    for n in range(10):
        run = runs.start(f"run {n}")
        await run.ended()
        assert run.output.updates == 3
    await until(lambda: len(runs.all) == 0)
    assert 4 * MIB < runs.all._ended.total <= 5 * MIB
    assert len(runs.all._ended) == 4
    early = await runs.attach("run 0", "early")
    await early.until_end()
    assert [event.reason for event in early.events if isinstance(event, Ended)] == [Reason.LOST]
    readers = [await runs.attach("run 9", f"late {n}") for n in range(3)]
    for reader in readers:
        await reader.until_end()
        assert isinstance(reader.events[-1], Ended)
        assert reader.events[-1].reason == Reason.DONE
        assert len(reader.events) == 4


async def test_pending_set_props_have_a_limit_in_bytes() -> None:
    updates = PushedUpdates(lambda _: False, 1000, 100)
    updates.add(b"x" * 500)  # a single one may exceed the limit
    with pytest.raises(TooManyWaiting, match="500 bytes"):
        updates.add(b"x")
    assert list(updates.drain()) == [b"x" * 500]
    for _ in range(10):
        updates.add(b"x" * 10)
    with pytest.raises(TooManyWaiting, match="100 bytes"):
        updates.add(b"x")


class TestExpiring:
    """A dict whose entries expire, and whose oldest entries are dropped above a size."""

    async def test_each_entry_expires_by_itself(self) -> None:
        known: Expiring[int, str] = Expiring(10, 100)
        with fake_clock():
            for n in range(5):
                known.add(n, str(n))
                await asyncio.sleep(4)
            assert [known.get(n) for n in range(5)] == [None, None, None, "3", "4"]
            known.add(3, "again")
            await asyncio.sleep(7)
            assert [known.get(n) for n in range(5)] == [None, None, None, "again", None]
            await asyncio.sleep(4)
        assert (len(known), known.total, known._timer) == (0, 0, None)

    async def test_its_size_has_a_limit(self) -> None:
        dropped: list[int] = []
        known: Expiring[int, bytes] = Expiring(10, 10, len, dropped.append)
        for n in range(6):
            known.add(n, b"x" * n)
        assert (known.total, dropped) == (9, [0, 1, 2, 3])
        known.add(9, b"x" * 11)
        assert (9 in known, 5 in known, dropped[-1]) == (False, True, 9)


async def test_s18_an_hour_after_the_last_page_has_left_all_collections_are_empty() -> None:
    app = app_of_all_kinds()
    server = server_of(app)
    asking = Asking(app)
    await server.start()
    before = collections_of(server)
    with fake_clock():
        for _ in range(20):
            await asking.everything()
        during = collections_of(server)
        assert during["server._broker.directory._ended"] > 0
        await asyncio.sleep(3600)
    after = {path: size for path, size in collections_of(server).items() if size}
    assert after.pop("server._runs._ends") <= len(Reason)  # counters
    assert after == {path: size for path, size in before.items() if size}
    await server.drain()


async def test_s18_many_short_runs_leave_bounded_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """tests/soak runs 50,000 of them."""
    monkeypatch.setattr("flash_events.brokers.memory.directory.MOST_ENDED", 100)
    app = app_of_all_kinds()
    server = server_of(app)
    asking = Asking(app)
    sizes = []
    with fake_clock():
        for _ in range(4):
            for _ in range(60):
                assert await asking.start("brief") == 200
            await asyncio.sleep(40)  # grace period of their connections
            sizes.append(collections_of(server))
    assert server._broker.directory._ended.total == 100
    assert sizes[-1] == sizes[1]
    await server.drain()
