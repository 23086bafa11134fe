"""Runs without a browser or a server, and their streams of updates."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

from flash_events import bridge, context
from flash_events.brokers.ids import RunId
from flash_events.brokers.memory.log import MemoryLog
from flash_events.registration import EventFunction, registered
from flash_events.runs.output import Output
from flash_events.runs.run import Run
from flash_events.runs.snapshot import Snapshot
from flash_events.settings import Settings
from flash_events.sharing.process import is_isolated, namespace_of
from flash_events.testing.clock import LIMIT_SECONDS, fake_clock, has_fake_clock
from flash_events.testing.decoding import events_of, update_in, values_of
from flash_events.times import STOP_SECONDS
from flash_events.updates import ComponentId, Update, is_no_update
from flash_events.wire import events
from flash_events.wire.events import Reason
from flash_events.wire.json import to_json

_RUN = RunId("test")

_PAGE = "test"
"""Origin of the messages that the run publishes, so that they are its own."""


@dataclass(frozen=True, slots=True)
class End:
    """The end of a run.

    Attributes:
        reason: `done`, `cancelled`, `error` or `lost`.
        updates: number of updates that the run has sent.
        error: class and text of the exception, with reason `error`.
        answer: the update of `on_error` or of the app's error handler.
    """

    reason: str
    updates: int
    error: str | None = None
    answer: Update | None = None


class Stream:
    """The stream of a run's updates, read on demand.

    A run whose stream is not read waits when its event log is full, as it does for a slow browser.

    Attributes:
        updates: the updates that were read so far.
        props: the last value of each prop, by id and prop, as the page would show it: with
            `running` and, at the end, `reset_props`. Ids are strings, as Dash writes them.
        end: the end of the run; None until it was read.
    """

    def __init__(self, run: Run, log: MemoryLog, spec: dict[str, Any]) -> None:
        self.updates: list[Update] = []
        self.props: dict[str, dict[str, Any]] = {}
        self.end: End | None = None
        self._run = run
        self._log = log
        self._spec = spec
        self._after = ""
        self._unread: deque[events.Event] = deque()
        for component, prop, value, _ in spec["running"]:
            self._set_running(component, prop, value)

    def values(self, component_id: ComponentId, prop: str) -> list[Any]:
        """Return all values read so far that the run has streamed to a prop, in order."""
        return values_of(self.updates, component_id, prop)

    async def next(self) -> Update:
        """Wait for the next update and return it.

        Raises:
            AssertionError: if the run ends before, or the timeout (5 s) is over.
        """
        async with _limit(self):
            update = await self._read()
        assert update is not None, f"The run ends after {len(self.updates)} updates: {self.end}"
        return update

    async def take(self, count: int) -> list[Update]:
        """Wait for the next `count` updates and return them.

        Raises:
            AssertionError: if the run ends before, or an update does not come within 5 s.
        """
        return [await self.next() for _ in range(count)]

    async def ended(self) -> End:
        """Wait until the run has ended by itself, and return its end.

        Raises:
            AssertionError: if it has not ended within 5 s.
        """
        ends = time.monotonic() + LIMIT_SECONDS
        async with _limit(self):
            while await self._read() is not None:
                assert time.monotonic() < ends, _late(self)
        assert self.end is not None
        return self.end

    async def stop(self) -> End:
        """Cancel the run, as a cancel trigger does, and wait until its `finally` has run.

        Updates that were not read are dropped, as in the page, unless the run had ended before.

        Returns:
            The end of the run.

        Raises:
            AssertionError: if it has not stopped within one second.
        """
        self._run.stop()
        has_stopped = await self._run.stopped(STOP_SECONDS)
        assert has_stopped, "The generator is still running 1 s after it was cancelled."
        while not any(isinstance(event, events.Ended) for event in self._unread):
            await self._receive()
        ended = self._unread[-1]
        if isinstance(ended, events.Ended) and ended.reason is Reason.CANCELLED:
            self._unread = deque([ended])
        return await self.ended()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update:
        async with _limit(self):
            update = await self._read()
        if update is None:
            raise StopAsyncIteration
        return update

    async def _read(self) -> Update | None:
        while self.end is None:
            update = await self._next_event()
            if update is not None:
                return update
        return None

    async def _next_event(self) -> Update | None:
        while not self._unread:
            await self._receive()
        match self._unread.popleft():
            case events.Updated(_, _, body):
                update = update_in(body)
                self.updates.append(update)
                self._apply(update)
                return update
            case events.Ended() as ended:
                self._finish(ended)
        return None

    async def _receive(self) -> None:
        batch = await self._log.read(self._after)
        self._after = batch.last or self._after
        self._unread.extend(events_of(batch.data))

    def _finish(self, ended: events.Ended) -> None:
        if ended.reason is not Reason.DONE:
            for component, props in self._spec["reset"]:
                self._set(component, json.loads(to_json(props)))
        for component, prop, _, value in self._spec["running"]:
            self._set_running(component, prop, value)
        answer = update_in(ended.body) if ended.body is not None else None
        if answer is not None:
            self._apply(answer)
        message = ended.failure.message if ended.failure is not None else None
        self.end = End(str(ended.reason), ended.number, message, answer)

    def _apply(self, update: Update) -> None:
        for component_id, props in update.targets:
            self._set(bridge.wire_id(component_id), dict(props))

    def _set_running(self, component: str, prop: str, value: Any) -> None:
        if not is_no_update(value):
            self._set(component, {prop: value})

    def _set(self, component: str, props: dict[str, Any]) -> None:
        self.props.setdefault(component, {}).update(props)


@asynccontextmanager
async def run(
    callback: EventFunction, /, *args: object, triggered: str = "", **kwargs: object
) -> AsyncIterator[Stream]:
    """Start a run of an event callback and yield its stream; stop the run when the block ends.

    Args:
        callback: the decorated function.
        args: positional arguments of the function: the values of its Inputs and States.
        triggered: the trigger in `dash.ctx`, as `id.property`.
        kwargs: keyword arguments of the function.

    Raises:
        TypeError: if `callback` is not an event callback, or if it is a plain generator function
            and `fake_clock` is active.
    """
    found, spec = registered(callback)
    if not found.is_async and has_fake_clock():
        raise TypeError(
            f"{found.name} is a plain generator, which runs in a thread, so fake_clock cannot skip "
            "its time.sleep. Test it without fake_clock."
        )
    settings = Settings(debug=True)
    log = MemoryLog(settings.log_limits)
    snapshot = Snapshot(settings.max_kept_bytes) if found.is_kept else None
    if is_isolated():
        namespace_of(settings).hub()  # of this loop, so that the run's thread finds it
    call = bridge.Call(list(args), kwargs, _context(triggered))
    driven = Run(found, call, Output(_RUN, log, snapshot), bridge.current_app(), settings)
    before = context.page.set(_PAGE)  # the run's task inherits it
    driven.start(lambda _: None)
    context.page.reset(before)
    try:
        yield Stream(driven, log, spec)
    finally:
        log.drop()
        driven.stop()
        await driven.ended()


def record(
    callback: EventFunction,
    /,
    *args: object,
    at_most: int | None = None,
    triggered: str = "",
    **kwargs: object,
) -> Stream:
    """Run an event callback to its end, and return its stream; for tests that are plain functions.

    An async generator runs with `fake_clock`, so its sleeps take no time.

    Args:
        callback: the decorated function.
        args: positional arguments of the function.
        at_most: number of updates after which the run is stopped, as by a cancel trigger.
        triggered: the `id.property` of the trigger in `dash.ctx`.
        kwargs: keyword arguments of the function.

    Raises:
        AssertionError: if the run has not ended within 5 s.
    """

    async def drive() -> Stream:
        ends = time.monotonic() + LIMIT_SECONDS
        async with run(callback, *args, triggered=triggered, **kwargs) as stream:
            while at_most is None or len(stream.updates) < at_most:
                assert time.monotonic() < ends, _late(stream)
                async with _limit(stream):
                    if await stream._read() is None:
                        return stream
            await stream.stop()
            return stream

    async def drive_fast() -> Stream:
        with fake_clock():
            return await drive()

    return asyncio.run(drive_fast() if registered(callback)[0].is_async else drive())


def _context(triggered: str) -> Any:
    changed = [{"prop_id": triggered, "value": None}] if triggered else []
    return bridge.as_context({"triggered_inputs": changed, "inputs_list": [], "states_list": []})


@asynccontextmanager
async def _limit(stream: Stream) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(None if has_fake_clock() else LIMIT_SECONDS):
            yield
    except TimeoutError:
        raise AssertionError(_late(stream)) from None


def _late(stream: Stream) -> str:
    return (
        f"Timeout of {LIMIT_SECONDS:.0f} s, after {len(stream.updates)} updates. If the stream is "
        "endless, use take() or at_most=; if the generator sleeps, use fake_clock."
    )
