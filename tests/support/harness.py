"""Drives one run into a real event log and reads its events."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from dash import Dash
from dash._utils import AttributeDict

from flash_events import Settings, bridge
from flash_events.brokers import RunId
from flash_events.brokers.log import EventLog, LogLimits
from flash_events.brokers.memory.log import MemoryLog
from flash_events.callbacks import event_callback_in
from flash_events.runs.output import Output
from flash_events.runs.run import Run
from flash_events.runs.snapshot import Snapshot
from flash_events.wire.events import Ended, Event, Updated, decode
from tests.support.wire import parse

RUN_ID = RunId("R" * 22)
LIMITS = LogLimits(2**20, 1000, 2**20, 60)


@dataclass
class Reader:
    """Reads a log like the client of its connection, and keeps the events."""

    log: EventLog
    events: list[Event] = field(default_factory=list)
    _after: str = ""

    async def read(self) -> None:
        """Waits for the next events."""
        batch = await self.log.read(self._after)
        self._after = batch.last or self._after
        for event in parse(batch.data):
            decoded = decode(event.event, event.data)
            assert decoded is not None
            self.events.append(decoded)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Reads until a condition holds."""
        async with asyncio.timeout(5):
            while not condition():
                await self.read()

    async def available(self) -> list[Event]:
        """Returns all events so far, without waiting."""
        async with asyncio.timeout(5):
            await self.read()
        return self.events

    async def until_end(self) -> None:
        """Reads until a run has ended."""
        await self.until(lambda: any(isinstance(one, Ended) for one in self.events))


@dataclass
class Streamed(Reader):
    """A run and its events so far."""

    run: Run = field(kw_only=True)

    async def next(self) -> Event:
        """Returns the next event of the run."""
        if len(self.events) == self._taken:
            await self.read()
        self._taken += 1
        return self.events[self._taken - 1]

    _taken: int = 0

    async def to_end(self) -> Ended:
        """Reads until the run has ended."""
        while not (self.events and isinstance(self.events[-1], Ended)):
            await self.read()
        ended = self.events[-1]
        assert isinstance(ended, Ended)
        return ended

    @property
    def sets(self) -> list[Any]:
        """Returns the settings of the updates, `[[id, props], ...]` each."""
        return [body(event.body) for event in self.events if isinstance(event, Updated)]

    @property
    def ends(self) -> int:
        """Returns the number of `end` events."""
        return sum(isinstance(event, Ended) for event in self.events)


def body(encoded: bytes) -> Any:
    return json.loads(b"{%b}" % encoded)["set"]


_app = Dash("tests", backend="quart")


@asynccontextmanager
async def running(
    function: Callable[..., Any],
    *args: Any,
    app: Dash = _app,
    settings: Settings | None = None,
    limits: LogLimits = LIMITS,
    before: Callable[[], Awaitable[object]] | None = None,
    dependencies: tuple[Any, ...] = (),
    **options: Any,
) -> AsyncIterator[Streamed]:
    """Decorates a generator function, starts a run of it, and stops it at the end."""
    from dash import Input

    registry = bridge.Registry([], {})
    dependencies = dependencies or (Input("start", "n_clicks"),)
    event_callback_in(registry, *dependencies, **options)(function)
    [callback] = registry
    context = AttributeDict(updated_props={})
    log = MemoryLog(limits)
    settings = settings or Settings()
    snapshot = Snapshot(settings.max_kept_bytes) if callback.is_kept else None
    call = bridge.Call(list(args), {}, context)
    run = Run(callback, call, Output(RUN_ID, log, snapshot), app, settings, before)
    run.start(lambda _: None)
    try:
        yield Streamed(log, run=run)
    finally:
        run.stop()
        await run.stopped(5)
