"""In a Celery worker: drives whole runs, in an event loop of the task's own."""

import asyncio
import logging
import math
import os
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from time import monotonic
from types import FrameType
from typing import Any

from celery import signals
from celery.exceptions import TimeLimitExceeded, WorkerLostError

from flash_events import bridge, context
from flash_events.brokers import NOWHERE, At, RunId, RunRecord, broker_of
from flash_events.brokers.ids import NO_PAGE
from flash_events.brokers.messages import Attach, Failed, Gone, Signal, Stop
from flash_events.brokers.redis.task_writer import (
    AGAIN,
    LEASE_SECONDS,
    MAX_LOOK_SECONDS,
    MISSED_TIMES,
)
from flash_events.celery.control import redelivers
from flash_events.celery.soft_limit import SoftLimit
from flash_events.celery.tasks import PREFORK, beside, pool, process_of, worker_settings
from flash_events.errors import ConfigurationError
from flash_events.registration import EventCallback
from flash_events.runs.local import LocalRuns
from flash_events.runs.task_log import TaskLogs
from flash_events.task_queue import Order
from flash_events.wire import events
from flash_events.wire.events import Failure, Reason

logger = logging.getLogger(__name__)

TASK = "flash_events.run"
"""The name of the task that drives a run, for Celery's own options and routes."""

RETRY_SECONDS = 1.0
FINISH_SECONDS = 2.0
"""For so long tasks that the run has streamed, and left, may take to stop."""


def drive(order: Order, callback: EventCallback, indices: Any) -> None:
    """Drives a run from its start to its end."""
    with SoftLimit() as limit:
        drive = _Drive(order, limit.watch(callback), indices)
        with _termination(drive.on_terminated):
            asyncio.run(drive.run())


@contextmanager
def _termination(tell: Callable[[], object]) -> Iterator[None]:
    """Calls `tell` when this process, one of Celery's prefork pool, is about to be ended."""
    before = signal.getsignal(signal.SIGTERM)
    if pool() != PREFORK or not callable(before):
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        tell()
        before(number, frame)

    signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def attempt() -> int:
    """How often the current run has begun: 2 and more after its worker has died.

    A run begins anew then, so what the page must not get twice is to be reset first.
    """
    return context.attempt.get()


def _on_failure(sender: Any, exception: Any, **_: Any) -> None:
    """The task itself has failed, which says nothing of the generator, and does not come again."""
    if sender.name == TASK:
        is_lost = isinstance(exception, WorkerLostError) and not redelivers(sender)
        _end(RunId(sender.request.id), Reason.ERROR, exception, is_lost)


def _on_revoked(sender: Any, request: Any, terminated: bool, **_: Any) -> None:
    """The task has expired, or somebody has revoked it before it could begin."""
    if sender.name == TASK and not terminated:
        _end(RunId(request.id), Reason.CANCELLED)


def _end(run: RunId, reason: Reason, error: Exception | None = None, is_lost: bool = False) -> None:
    try:
        process = process_of(os.getpid())
    except ConfigurationError:
        return  # the web asks, and is told so
    failure = failed = None
    if error is not None:
        failed = Failed(run, _code_of(error), _text_of(error))
        failure = Failure(failed.code, secrets.token_hex(4))
        logger.error("A run ends as its task has failed: %s (ref %s)", failed.message, failure.ref)
    event = events.encode(events.Ended(run, 0, reason, failure))
    beside(lambda: process.end_run(run, event, is_lost, failed))


def _code_of(error: Exception) -> str:
    match error:
        case WorkerLostError():
            return "worker_lost"
        case TimeLimitExceeded():
            return "timeout"
        case ConfigurationError():
            return "configuration"
    return "task_failed"


def _text_of(error: Exception) -> str:
    if isinstance(error, TimeLimitExceeded):
        return f"It ran longer than Celery's time limit of {error.args[0]} seconds."
    return str(error) if isinstance(error, ConfigurationError) else repr(error)


signals.task_failure.connect(_on_failure, weak=False)
signals.task_revoked.connect(_on_revoked, weak=False)


class _Drive:
    """One attempt of one run; what other workers tell before it has begun is kept for then."""

    def __init__(self, order: Order, callback: EventCallback, indices: Any) -> None:
        self._order = order
        self._callback = callback
        self._indices = indices
        settings = worker_settings()
        if settings.debug is None:  # the worker itself has no dev tools
            settings = replace(settings, debug=order.debug)
        broker = self._broker = broker_of(settings.broker, settings.log_limits)
        self._task_logs = TaskLogs(broker)
        self._runs = LocalRuns(bridge.current_app(), settings, broker, self._task_logs)
        self._early: list[Signal] = []
        self._begun = asyncio.Event()
        self._was_stopped = False

    def on_terminated(self) -> None:
        """The process ends before the run. Who has it ended knows why, and says so to the page."""
        if not self._was_stopped:
            self._broker.mute()

    async def run(self) -> None:
        """From the start to the end."""
        while True:
            try:
                await self._broker.open(
                    self._on_signal, self._task_logs.on_worker_lost, self._on_request
                )
                break
            except ConfigurationError as error:
                logger.warning("%s Trying on.", error)
                await asyncio.sleep(RETRY_SECONDS)
        try:
            record = await self._turn()
            if record is not None:
                mine = replace(record, place=self._broker.here)
                if await self._broker.directory.move(mine, record.place) == mine:
                    await self._take(mine)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(FINISH_SECONDS):
                    await self._task_logs.background.finish()
            await self._broker.close()

    async def _turn(self) -> RunRecord | None:
        """Waits until nobody else drives the run; None where it is over.

        A run is delivered twice when Celery's broker takes a worker for dead that lives.
        """
        missed, since = 0, monotonic()
        while True:
            [record] = await self._broker.directory.find([RunId(self._order.run)])
            if record is None or record.place == NOWHERE or record.is_ended:
                return None
            if not isinstance(record.place, At) or missed >= MISSED_TIMES:
                return record
            if await self._broker.signals.lives(record.place.worker):
                missed = 0
            else:
                missed += 1
            if monotonic() - since > LEASE_SECONDS:
                logger.warning(AGAIN, f"A run of {self._callback.name}")
                since = math.inf
            await asyncio.sleep(MAX_LOOK_SECONDS)

    async def _take(self, record: RunRecord) -> None:
        self._record = record
        adopted = await self._broker.logs.adopt(record.connection, record.run)
        if adopted is None and not self._callback.is_kept:
            self._broker.directory.retire(record)  # nobody waits for it any more
            await self._broker.directory.find([record.run])
            return
        log, attempt = adopted or (None, 1)
        call = bridge.load_call(self._order.context, self._indices)
        run = self._runs.start(record, NO_PAGE, self._callback, call, log, attempt=attempt)
        self._begun.set()
        for told in self._early:
            self._on_signal(told)
        await run.ended()
        await run.output.delivered()
        ending = run.output.ending()
        if ending is not None:
            await self._broker.directory.keep_snapshot(record.run, ending.events, ending.end)
        await self._broker.directory.find([record.run])  # so what was told before is told

    def _on_signal(self, told: Signal) -> None:
        if not self._begun.is_set():
            self._early.append(told)
            return
        self._was_stopped = self._was_stopped or isinstance(told, Stop | Gone)
        self._runs.on_signal(told)
        if isinstance(told, Attach):
            self._record = replace(self._record, connection=told.connection)
            self._task_logs.background.start(self._move(self._record))

    async def _on_request(self, request: Signal) -> None:
        """A worker of the web asks for the run to be stopped; the answer says that it has."""
        if not isinstance(request, Stop):
            raise NotImplementedError(f"A run answers no {type(request).__name__}.")
        self._on_signal(request)
        await self._begun.wait()
        await self._runs.stop_here(request)

    async def _move(self, record: RunRecord) -> None:
        """Has the next attempt, if there must be one, go on where the page is now."""
        await self._broker.directory.move(record, self._broker.here)
