"""Runs in Celery workers: each is driven in its own event loop, inside a Celery task."""

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
from flash_events.celery.tasks import PREFORK, in_thread, pool, process_of, worker_settings
from flash_events.errors import ConfigurationError
from flash_events.registration import EventCallback
from flash_events.runs.local import LocalRuns
from flash_events.runs.task_log import TaskLogs
from flash_events.task_queue import Order
from flash_events.wire import events
from flash_events.wire.events import Failure, Reason

logger = logging.getLogger(__name__)

TASK = "flash_events.run"
"""The name of the task that drives a run, for Celery's options and routes."""

RETRY_SECONDS = 1.0
"""Time between two attempts to connect to the broker."""

FINISH_SECONDS = 2.0
"""Maximum wait, at the end of a run, for cancelled tasks that it has streamed."""


def drive(order: Order, callback: EventCallback, indices: Any) -> None:
    """Drive a run from start to end.

    Args:
        order: the message from the web server.
        callback: the event callback.
        indices: Dash's grouping of its arguments.
    """
    with SoftLimit() as limit:
        drive = _Drive(order, limit.watch(callback), indices)
        with _termination(drive.on_terminated):
            asyncio.run(drive.run())


@contextmanager
def _termination(on_terminated: Callable[[], object]) -> Iterator[None]:
    """Call `on_terminated` if Celery terminates this process of its prefork pool in the block."""
    before = signal.getsignal(signal.SIGTERM)
    if pool() != PREFORK or not callable(before):
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        on_terminated()
        before(number, frame)

    signal.signal(signal.SIGTERM, on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def attempt() -> int:
    """Return the number of starts of the current run; it is 2 or more if its worker has died.

    Such a run starts from the beginning, so it must first reset whatever accumulates in the page.
    """
    return context.attempt.get()


def _on_failure(sender: Any, exception: Any, **_: Any) -> None:
    """End a run whose task has failed outside its generator, and is not delivered again."""
    if sender.name == TASK:
        is_lost = isinstance(exception, WorkerLostError) and not redelivers(sender)
        _end(RunId(sender.request.id), Reason.ERROR, exception, is_lost)


def _on_revoked(sender: Any, request: Any, terminated: bool, **_: Any) -> None:
    """End a run whose task has expired, or was revoked before it started."""
    if sender.name == TASK and not terminated:
        _end(RunId(request.id), Reason.CANCELLED)


def _end(run: RunId, reason: Reason, error: Exception | None = None, is_lost: bool = False) -> None:
    try:
        process = process_of(os.getpid())
    except ConfigurationError:
        return  # the web server learns it when it polls for refusals
    failure = failed = None
    if error is not None:
        failed = Failed(run, _code_of(error), _text_of(error))
        failure = Failure(failed.code, secrets.token_hex(4))
        logger.error("A run ends because its task failed: %s (ref %s)", failed.message, failure.ref)
    event = events.encode(events.Ended(run, 0, reason, failure))
    in_thread(lambda: process.end_run(run, event, is_lost, failed))


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
    """One attempt of one run; signals that arrive before its start are handled when it starts."""

    def __init__(self, order: Order, callback: EventCallback, indices: Any) -> None:
        self._order = order
        self._callback = callback
        self._indices = indices
        settings = worker_settings()
        if settings.debug is None:  # unset means the web server's mode, as the worker has none
            settings = replace(settings, debug=order.debug)
        broker = self._broker = broker_of(settings.broker, settings.log_limits)
        self._task_logs = TaskLogs(broker)
        self._runs = LocalRuns(bridge.current_app(), settings, broker, self._task_logs)
        self._early: list[Signal] = []
        self._begun = asyncio.Event()
        self._was_stopped = False

    def on_terminated(self) -> None:
        """Send no end event if the process is terminated before the run was stopped.

        The main process of the worker ends the run, as it knows the reason.
        """
        if not self._was_stopped:
            self._broker.mute()

    async def run(self) -> None:
        """Drive the run from start to end."""
        while True:
            try:
                await self._broker.open(
                    self._on_signal, self._task_logs.on_worker_lost, self._on_request
                )
                break
            except ConfigurationError as error:
                logger.warning("%s Next attempt in %.0f s.", error, RETRY_SECONDS)
                await asyncio.sleep(RETRY_SECONDS)
        try:
            record = await self._wait_until_free()
            if record is not None:
                mine = replace(record, place=self._broker.here)
                if await self._broker.directory.move(mine, record.place) == mine:
                    await self._take(mine)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(FINISH_SECONDS):
                    await self._task_logs.background.finish()
            await self._broker.close()

    async def _wait_until_free(self) -> RunRecord | None:
        """Wait until no other worker drives the run; return its record, or None if it has ended.

        Celery's broker delivers a run a second time if it wrongly assumes that a worker is dead.
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
            self._broker.directory.retire(record)  # its page is gone
            await self._broker.directory.find([record.run])
            return
        log, attempt = adopted or (None, 1)
        call = bridge.load_call(self._order.context, self._indices)
        run = self._runs.start(record, NO_PAGE, self._callback, call, log, attempt=attempt)
        self._begun.set()
        for early in self._early:
            self._on_signal(early)
        await run.ended()
        await run.output.delivered()
        ending = run.output.ending()
        if ending is not None:
            await self._broker.directory.keep_snapshot(record.run, ending.events, ending.end)
        await self._broker.directory.find([record.run])  # answered when earlier commands are done

    def _on_signal(self, received: Signal) -> None:
        if not self._begun.is_set():
            self._early.append(received)
            return
        self._was_stopped = self._was_stopped or isinstance(received, Stop | Gone)
        self._runs.on_signal(received)
        if isinstance(received, Attach):
            self._record = replace(self._record, connection=received.connection)
            self._task_logs.background.start(self._move(self._record))

    async def _on_request(self, request: Signal) -> None:
        """Stop the run at the request of a web worker; returning is the answer."""
        if not isinstance(request, Stop):
            raise NotImplementedError(f"A run cannot answer {type(request).__name__}.")
        self._on_signal(request)
        await self._begun.wait()
        await self._runs.stop_here(request)

    async def _move(self, record: RunRecord) -> None:
        """Store the run's new connection, so that a later attempt continues there."""
        await self._broker.directory.move(record, self._broker.here)
