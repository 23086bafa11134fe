"""Runs that the workers of a task queue drive, as the web's workers see them."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from dash import Dash

from flash_events import bridge
from flash_events.background import Background
from flash_events.brokers.broker import Broker
from flash_events.brokers.directory import RunRecord
from flash_events.brokers.ids import NO_RUN, ConnectionId, RunId
from flash_events.brokers.log import SNAPSHOT_BYTES, EventLog
from flash_events.brokers.messages import Attach, Failed, Stop
from flash_events.brokers.place import NOWHERE, QUEUED, At
from flash_events.errors import ConfigurationError, LogGone, RunRefused, RunTimeout, WorkerLost
from flash_events.registration import EventCallback
from flash_events.runs.errors import handle, shows_errors
from flash_events.settings import Settings
from flash_events.task_queue import Order, RunQueue
from flash_events.times import STOP_SECONDS
from flash_events.wire import events
from flash_events.wire.events import Reason

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""So often workers are asked whether they have refused a run that waits."""

QUEUE_TEXT = (
    "The task queue has not taken the run. Look whether Celery's message broker (broker_url) is "
    "reachable from the web server."
)

LOST_TEXT = "The process that drove the run has died."

_ERRORS: dict[str, type[Exception]] = {
    "worker_lost": WorkerLost,
    "timeout": RunTimeout,
    "configuration": ConfigurationError,
}
"""The exceptions that `on_error` gets, by the code that the page gets."""

TERMINATE_SECONDS = 2.0
TERMINATE_TRIES = 20
"""So often and for so long it is looked whether a terminated process has told its end itself."""


class RemoteRuns:
    """Sends runs to task queues and sees to it that they end.

    Args:
        app: whose callbacks are run.
        settings: whether errors show their text.
        broker: where the runs' records are; without a shared one there are no such runs.
    """

    def __init__(self, app: Dash, settings: Settings, broker: Broker) -> None:
        self._app = app
        self._settings = settings
        self._broker = broker
        self._background = Background()
        self._waiting: set[RunId] = set()
        """Runs that no worker has begun, as far as is known."""
        self._watch: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raises `ConfigurationError` where callbacks run in workers that cannot reach us.

        Those of no app yet count, too: Dash binds them to this app with its first request.
        """
        if self._broker.is_shared:
            return
        for callback in (*bridge.app_registry(self._app), *bridge.global_registry()):
            if callback.queue is not None:
                raise ConfigurationError(
                    f"{callback.name} runs in a worker, so events must travel over Redis. Set "
                    "FLASH_EVENTS_BROKER=redis://host:port/db for the web server and the workers."
                )

    def start(
        self,
        record: RunRecord,
        callback: EventCallback,
        call: bridge.Call,
        before: Callable[[], Awaitable[object]],
    ) -> None:
        """Queues a run, once those that it replaces have stopped (`before`)."""
        assert callback.queue is not None
        order = Order(
            record.run,
            callback.id,
            bridge.dump_context(call),
            shows_errors(self._app, self._settings),
        )
        self._background.start(self._send(record, callback, callback.queue, order, before))

    def insist(self, runs: Iterable[RunId], owner: str) -> None:
        """Has runs terminated that were asked to stop and do not."""
        asked = list(runs)
        if asked and any(callback.queue for callback in bridge.app_registry(self._app)):
            self._background.start(self._insist(asked, owner))

    def on_failed(self, signal: Failed) -> None:
        """A worker says that a run has failed which it does not drive."""
        self._background.start(self._on_failed(signal))

    async def finish(self) -> None:
        """Waits for all that has begun."""
        if self._watch is not None:
            self._watch.cancel()
        await self._background.finish()

    async def on_gone(self, runs: Iterable[RunId]) -> None:
        """The viewer of these runs has vanished."""
        for record, _ in await self._find(runs):
            if not record.kept_by:
                self._background.start(self.stop(Stop((record.run,), record.owner)))
                self.insist([record.run], record.owner)

    async def show(self, record: RunRecord, attach: Attach, log: EventLog) -> RunRecord | None:
        """A page wants to see a run that may not have begun, or be over.

        Returns the record of one that has begun, whose worker must be told; None where all is done.
        """
        if not self._broker.is_shared or self._queue_of(record) is None:
            return record
        if record.place == QUEUED and not record.is_ended:
            moved = replace(record, connection=attach.connection)
            now = await self._broker.directory.move(moved, QUEUED)
            if now == moved:
                return None
            record = now or record
        if record.is_ended:
            self._background.start(self._tell_snapshot(record.run, attach.connection, log))
            return None
        return record

    async def _tell_snapshot(self, run: RunId, connection: ConnectionId, log: EventLog) -> None:
        """Appends the kept snapshot of an ended run to a log, one event at a time."""
        position = 0
        while len(found := await self._broker.directory.snapshot(run, position)) > 1:
            try:
                # In nobody's name: the run's own worker, which has it still, is gone.
                await log.append(NO_RUN, found[0], SNAPSHOT_BYTES)
            except LogGone:
                return
            position += 1
        end = found[0] if found else events.encode(events.Ended(run, 0, Reason.LOST))
        await log.sent()
        await self._broker.logs.end_run(connection, run, None, end)

    async def last_event(self, run: RunId) -> bytes | None:
        """What is told of a run whose worker has died; None where another one will have it."""
        for record, callback in await self._find([run]):
            assert callback.queue is not None
            if callback.queue.redelivers:
                return None
            return await self._fail(record, callback, "worker_lost", LOST_TEXT)
        return events.encode(events.Ended(run, 0, Reason.LOST))

    async def _fail(
        self, record: RunRecord, callback: EventCallback, code: str, text: str
    ) -> bytes:
        """Fails a run that nobody drives; returns its last event."""
        self._broker.directory.retire(record)  # first, or it would be failed twice
        error = _ERRORS.get(code, RuntimeError)(text)
        failure, body = await handle(error, code, callback, self._app, self._settings)
        return events.encode(events.Ended(record.run, 0, Reason.ERROR, failure, body))

    async def _fail_from_here(
        self, record: RunRecord, callback: EventCallback, code: str, text: str
    ) -> None:
        event = await self._fail(record, callback, code, text)
        await self._broker.logs.end_run(record.connection, record.run, record.place, event)

    async def _on_failed(self, signal: Failed) -> None:
        for record, callback in await self._find([signal.run]):
            await self._fail_from_here(record, callback, signal.code, signal.message)

    def _watch_over(self, run: RunId) -> None:
        """Looks now and then whether a worker has refused a run."""
        self._waiting.add(run)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look(), context=contextvars.Context())

    async def _look(self) -> None:
        while self._waiting:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._look_once()
            except Exception:  # whatever the queue's driver raises; it is looked again
                logger.exception("The runs that wait in a queue could not be looked after")

    async def _look_once(self) -> None:
        runs_of: dict[RunQueue, dict[RunId, tuple[RunRecord, EventCallback]]] = {}
        for record, callback in await self._find(self._waiting):
            if record.place == QUEUED and callback.queue is not None:
                runs_of.setdefault(callback.queue, {})[record.run] = record, callback
        self._waiting &= {run for runs in runs_of.values() for run in runs}
        for queue, runs in runs_of.items():
            for run, why in (await queue.refused(runs)).items():
                await self._fail_from_here(*runs[RunId(run)], "configuration", why)

    def _queue_of(self, record: RunRecord) -> RunQueue | None:
        callback = bridge.find(bridge.app_registry(self._app), record.callback)
        return callback.queue if callback is not None else None

    async def _find(self, runs: Iterable[RunId]) -> list[tuple[RunRecord, EventCallback]]:
        """Those of these runs that live, and that a queue brings to its workers."""
        found = []
        for record in await self._broker.directory.find(list(runs)):
            if record is not None and record.place != NOWHERE and not record.is_ended:
                callback = bridge.find(bridge.app_registry(self._app), record.callback)
                if callback is not None and callback.queue is not None:
                    found.append((record, callback))
        return found

    async def _send(
        self,
        record: RunRecord,
        callback: EventCallback,
        queue: RunQueue,
        order: Order,
        before: Callable[[], Awaitable[object]],
    ) -> None:
        await before()
        try:
            await queue.send(order)
            self._watch_over(record.run)
        except Exception as error:  # whatever the queue's driver raises
            app, settings = self._app, self._settings
            refused = RunRefused("queue", QUEUE_TEXT)
            refused.__cause__ = error
            failure, body = await handle(refused, "queue", callback, app, settings)
            end = events.encode(events.Ended(record.run, 0, Reason.ERROR, failure, body))
            await self._broker.logs.end_run(record.connection, record.run, QUEUED, end)
            self._broker.directory.retire(record)

    async def stop(self, signal: Stop) -> None:
        """Takes runs back that wait in a queue; has those that have just begun stopped."""
        signals, stops = self._broker.signals, []
        for record, callback in await self._find(signal.runs):
            if record.owner != signal.owner:
                continue
            if record.place == QUEUED and await self._end(record):
                assert callback.queue is not None
                self._background.start(callback.queue.take_back(record.run))
                continue
            for begun, _ in await self._find([record.run]):
                if isinstance(begun.place, At):
                    stop = replace(signal, runs=(record.run,))
                    stops.append(signals.ask(begun.place.worker, stop, STOP_SECONDS))
        # Whatever keeps a worker from an answer, what it does not stop is terminated (`insist`).
        await asyncio.gather(*stops, return_exceptions=True)

    async def _insist(self, runs: list[RunId], owner: str) -> None:
        await asyncio.sleep(STOP_SECONDS)
        for record, callback in await self._find(runs):
            if record.owner == owner:
                logger.warning(
                    "%s goes on %.0f s after it was cancelled; its process is terminated.",
                    callback.name,
                    STOP_SECONDS,
                )
                assert callback.queue is not None
                try:
                    await callback.queue.terminate(record.run)
                except Exception:  # whatever the queue's driver raises; its run ends all the same
                    logger.exception("A process could not be terminated")
                if not await self._has_ended(record.run):
                    await self._end(record)

    async def _has_ended(self, run: RunId) -> bool:
        """Waits a little for a process that is terminated, whose `finally` may run."""
        for _ in range(TERMINATE_TRIES):
            await asyncio.sleep(TERMINATE_SECONDS / TERMINATE_TRIES)
            if not await self._find([run]):
                return True
        return False

    async def _end(self, record: RunRecord) -> bool:
        """Ends a run for its worker; says whether it is over now."""
        end = events.encode(events.Ended(record.run, 0, Reason.CANCELLED))
        logs, directory = self._broker.logs, self._broker.directory
        has_told = await logs.end_run(record.connection, record.run, record.place, end)
        if not has_told and record.place == QUEUED:
            [now] = await directory.find([record.run])
            if now is not None and now.place != QUEUED:
                return False  # a worker has just taken it
        self._broker.directory.retire(record)
        return True
