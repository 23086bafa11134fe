"""Feeds: logs that tasks of a task queue write to, and that a run reads."""

import asyncio
import contextvars
import logging
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from flash_events.brokers.broker import Broker
from flash_events.brokers.ids import ConnectionId, RunId, WorkerId
from flash_events.brokers.log import EventLog
from flash_events.brokers.place import At, Place

logger = logging.getLogger(__name__)


class Feed:
    """One log with the runs, here called parts, that write to it.

    Args:
        broker: where it lives.
        log: held by this worker.
        feed_id: its id.
        on_lost: called with a part whose worker has died; returns the part's last event, or None
            where it may come again.
    """

    def __init__(
        self,
        broker: Broker,
        log: EventLog,
        feed_id: ConnectionId,
        on_lost: Callable[[RunId], bytes | None],
    ) -> None:
        self.id = feed_id
        self._broker = broker
        self._log = log
        self._on_lost = on_lost
        self._after = ""
        self._told: set[tuple[RunId, WorkerId]] = set()
        """Parts that come again, each with its worker that has died."""

    @property
    def places(self) -> Mapping[RunId, Place]:
        """The parts that have not ended, each with its place, as far as is known."""
        return self._log.runs

    async def read(self) -> list[bytes]:
        """Waits for what comes next; may be empty. Raises `LogGone` where it was lost."""
        batch = await self._log.read(self._after)
        self._after = batch.last or self._after
        return [event.partition(b"\n")[2] for event in batch.data.split(b"\n\n")[:-1]]

    async def call_off(self) -> None:
        """Cancels the writers: nobody wants any more what comes."""
        await self._broker.logs.cancel_writers(self.id)
        self._log.wake()

    async def close(self) -> None:
        """Forgets it."""
        await self._broker.logs.drop(self.id)

    async def lose(self, worker: WorkerId) -> None:
        """A worker has died; it is told so again until no part is left there."""
        for part, place in list(self._log.runs.items()):
            if place != At(worker) or (part, worker) in self._told:
                continue
            event = self._on_lost(part)
            if event is None:
                self._told.add((part, worker))
            else:
                await self._broker.logs.end_run(self.id, part, At(worker), event)
        self._log.wake()


class Feeds:
    """The feeds that this worker holds, and what must still be done when their readers have left.

    Args:
        broker: where they live.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._feeds: dict[str, Feed] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def here(self) -> At:
        """The place of what this worker drives."""
        return self._broker.here

    async def open(self, parts: Sequence[RunId], on_lost: Callable[[RunId], bytes | None]) -> Feed:
        """A new feed that these parts may write to."""
        feed_id, first, *more = ConnectionId(secrets.token_urlsafe(16)), *parts
        log = await self._broker.logs.open(feed_id, "", first, self.here)
        assert log is not None  # the id is new
        feed = self._feeds[feed_id] = Feed(self._broker, log, feed_id, on_lost)
        try:
            for part in more:
                await self._broker.logs.join(feed_id, "", part, self.here, len(parts))
        except BaseException:  # the run is cancelled meanwhile, say
            self.later(self.close(feed))
            raise
        return feed

    async def close(self, feed: Feed) -> None:
        """Forgets one."""
        self._feeds.pop(feed.id, None)
        await feed.close()

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Does something that the reader does not wait for."""
        task = asyncio.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def finish(self) -> None:
        """Waits for all that was to be done later."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def on_worker_lost(self, worker: WorkerId) -> None:
        """A worker has died."""
        for feed in list(self._feeds.values()):
            self.later(feed.lose(worker))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A streamed task could not be ended", exc_info=error)


feeds: ContextVar[Feeds | None] = ContextVar("flash_events_feeds", default=None)
"""Those of the worker that drives the current run; None outside a run, or without Redis."""
