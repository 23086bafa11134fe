"""In a Celery worker: drives whole runs, in an event loop of the task's own."""

import asyncio
import logging
import os
import secrets
from contextlib import suppress
from dataclasses import replace
from typing import Any

from celery import signals
from celery.exceptions import WorkerLostError

from flash_events import bridge, current, protocol
from flash_events.brokers import RunRecord, open_broker
from flash_events.brokers.base import SharedBroker
from flash_events.brokers.signals import Attach, Signal
from flash_events.callbacks import EventCallback
from flash_events.celery.control import redelivers
from flash_events.celery.tasks import beside, process_of, worker_settings
from flash_events.errors import ConfigurationError
from flash_events.feeds import Feeds, feeds
from flash_events.live import LiveRuns
from flash_events.protocol import Failure, Reason
from flash_events.queues import Order

logger = logging.getLogger(__name__)

TASK = "flash_events.run"
"""The name of the task that drives a run, for Celery's own options and routes."""

RETRY_SECONDS = 1.0
FINISH_SECONDS = 2.0
"""For so long tasks that the run has streamed, and left, may take to stop."""


def drive(order: Order, callback: EventCallback, indices: Any) -> None:
    """Drives a run from its start to its end."""
    asyncio.run(_Drive(order, callback, indices).run())


def attempt() -> int:
    """How often the current run has begun: 2 and more after its worker has died.

    A run begins anew then, so what the page must not get twice is to be reset first.
    """
    return current.attempt.get()


def _on_failure(sender: Any, exception: Any, **_: Any) -> None:
    """The task itself has failed, which says nothing of the generator, and does not come again."""
    if sender.name == TASK:
        is_lost = isinstance(exception, WorkerLostError) and not redelivers(sender)
        _end(sender.request.id, Reason.ERROR, is_lost)


def _on_revoked(sender: Any, request: Any, terminated: bool, **_: Any) -> None:
    """The task has expired, or somebody has revoked it before it could begin."""
    if sender.name == TASK and not terminated:
        _end(request.id, Reason.CANCELLED)


def _end(run: str, reason: Reason, is_lost: bool = False) -> None:
    failure = None
    if reason is Reason.ERROR:
        failure = Failure("worker_lost" if is_lost else "task_failed", secrets.token_hex(4))
        logger.error("A run ends as its task has failed (ref %s)", failure.ref)
    event = protocol.encode(protocol.Ended(run, 0, reason, failure))
    process = process_of(os.getpid())
    beside(lambda: process.end_run(run, event, is_lost))


signals.task_failure.connect(_on_failure, weak=False)
signals.task_revoked.connect(_on_revoked, weak=False)


class _Drive:
    """One attempt of one run; what other workers tell before it has begun is kept for then."""

    def __init__(self, order: Order, callback: EventCallback, indices: Any) -> None:
        self._order = order
        self._callback = callback
        self._indices = indices
        settings = worker_settings()
        broker = open_broker(settings.broker, settings.log_limits)
        assert isinstance(broker, SharedBroker)
        self._broker = broker
        self._feeds = Feeds(broker)
        self._runs = LiveRuns(bridge.current_app(), settings, broker)
        self._early: list[Signal] = []
        self._has_begun = False

    async def run(self) -> None:
        """From the start to the end."""
        while True:
            try:
                await self._broker.start(self._on_signal, self._feeds.on_worker_lost)
                break
            except ConfigurationError as error:
                logger.warning("%s Trying on.", error)
                await asyncio.sleep(RETRY_SECONDS)
        try:
            [record] = await self._broker.find([self._order.run])
            if record is not None and record.worker and not record.is_ended:
                mine = replace(record, worker=self._broker.worker)
                if await self._broker.move(mine, record.worker) == mine:
                    await self._take(mine)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(FINISH_SECONDS):
                    await self._feeds.finish()
            await self._broker.close()

    async def _take(self, record: RunRecord) -> None:
        self._record = record
        adopted = await self._broker.adopt(record.connection, record.run)
        if adopted is None and not self._callback.is_kept:
            self._broker.retire(record)  # nobody waits for it any more
            await self._broker.find([record.run])
            return
        log, attempt = adopted or (None, 1)
        current.attempt.set(attempt)
        feeds.set(self._feeds)
        call = bridge.load_call(self._order.context, self._indices)
        run = self._runs.start(record, "", self._callback, call, log, (), attempt > 1)
        self._has_begun = True
        for signal in self._early:
            self._on_signal(signal)
        await run.ended()
        await run.outlet.delivered()
        ending = run.outlet.ending()
        if ending is not None:
            await self._broker.leave_testament(record.run, ending.events, ending.end)
        await self._broker.find([record.run])  # so what was told before is told

    def _on_signal(self, signal: Signal) -> None:
        if not self._has_begun:
            self._early.append(signal)
            return
        self._runs.on_signal(signal)
        if isinstance(signal, Attach):
            self._record = replace(self._record, connection=signal.connection)
            self._feeds.later(self._move(self._record))

    async def _move(self, record: RunRecord) -> None:
        """Has the next attempt, if there must be one, go on where the page is now."""
        await self._broker.move(record, self._broker.worker)
