"""Delivery of a run's snapshot to a page that attaches to the run."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Iterable

from flash_events.brokers.ids import RunId
from flash_events.brokers.log import SNAPSHOT_BYTES, EventLog
from flash_events.errors import LogGone


class Delivery:
    """Events of a run that wait, in order, for room in one log.

    A snapshot may be many times larger than the log's limit, so it is appended in pieces: each
    piece waits until the earlier ones have been handed over.

    Args:
        log: the log that the events are appended to.
        run: the id of the run.
        events: the snapshot's events, encoded.
        on_done: called when all events are in the log, or when the log is gone.
    """

    def __init__(
        self,
        log: EventLog,
        run: RunId,
        events: Iterable[bytes],
        on_done: Callable[["Delivery"], object] = lambda _: None,
    ) -> None:
        self._log = log
        self._run = run
        self._events = deque(events)
        self._on_done = on_done
        self._end: bytes | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Append as many events as there is room for; a task appends the rest."""
        while self._events and self._log.offer(self._run, self._events[0], SNAPSHOT_BYTES):
            self._events.popleft()
        if self._events:
            # An own context: a copy of the current one would keep the request alive.
            self._task = asyncio.create_task(self._work(), context=contextvars.Context())
        else:
            self._finish()

    def add(self, event: bytes) -> None:
        """Append another event after the waiting ones."""
        self._events.append(event)

    def end(self, event: bytes) -> None:
        """Append the run's end event after the waiting ones, and detach the run from the log."""
        self._end = event

    def cancel(self) -> None:
        """Drop the waiting events."""
        self._events.clear()  # the task keeps them in a reference cycle until it is collected
        if self._task is not None:
            self._task.cancel()

    async def finished(self) -> None:
        """Wait until all events are in the log, or the delivery is cancelled."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def _work(self) -> None:
        try:
            while self._events:
                await self._log.append(self._run, self._events[0], SNAPSHOT_BYTES)
                self._events.popleft()
        except LogGone:
            self._events.clear()
        self._finish()

    def _finish(self) -> None:
        if self._end is not None:
            self._log.leave(self._run, self._end)
        self._on_done(self)
