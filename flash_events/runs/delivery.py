"""Brings the snapshot of a run to a page that attaches to it, as the page's log gets room."""

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Iterable

from flash_events.brokers.ids import RunId
from flash_events.brokers.log import SNAPSHOT_BYTES, EventLog
from flash_events.errors import LogGone


class Delivery:
    """Events of a run that wait for room in one log, in order, and then perhaps its end.

    A snapshot may be many times larger than what may wait in a log, so it enters in pieces: the
    next one when those before were handed over.

    Args:
        log: where they go.
        run: whose events they are.
        events: of the snapshot.
        on_done: called when all are in the log, or the log is gone.
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
        """Appends what there is room for; the rest follows by itself."""
        while self._events and self._log.offer(self._run, self._events[0], SNAPSHOT_BYTES):
            self._events.popleft()
        if self._events:
            # In a context of its own, or the request would be kept.
            self._task = asyncio.create_task(self._work(), context=contextvars.Context())
        else:
            self._finish()

    def add(self, event: bytes) -> None:
        """Appends another event after those that wait."""
        self._events.append(event)

    def end(self, event: bytes) -> None:
        """Has the run leave the log with its last event, after those that wait."""
        self._end = event

    def cancel(self) -> None:
        """Appends no more."""
        self._events.clear()  # what was cancelled is in a cycle with its task until it is collected
        if self._task is not None:
            self._task.cancel()

    async def finished(self) -> None:
        """Waits until all is in the log, or nothing more will come."""
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
