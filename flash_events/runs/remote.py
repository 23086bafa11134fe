"""Runs that task queue workers drive: the web worker's side (queue, stop, attach, fail)."""

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

REFUSAL_POLL_SECONDS = 5.0
"""Time between two polls of the task queue for queued runs that its workers have refused."""

QUEUE_TEXT = (
    "The task queue did not accept the run. Check that Celery's message broker (broker_url) is "
    "reachable from the web server."
)

LOST_TEXT = "The worker process of the run has died."

_ERRORS: dict[str, type[Exception]] = {
    "worker_lost": WorkerLost,
    "timeout": RunTimeout,
    "configuration": ConfigurationError,
}
"""Exception classes that `on_error` gets, by the error code that the page gets."""

TERMINATE_SECONDS = 2.0
"""Maximum wait until a terminated process has ended its run itself."""

TERMINATE_POLLS = 20
"""Number of polls in this time."""


class RemoteRuns:
    """The runs that this worker has sent to task queues.

    Args:
        app: the app that owns the callbacks.
        settings: the settings: whether the browser gets error details.
        broker: the broker that holds the runs' records; these runs need a shared one.
    """

    def __init__(self, app: Dash, settings: Settings, broker: Broker) -> None:
        self._app = app
        self._settings = settings
        self._broker = broker
        self._background = Background()
        self._waiting: set[RunId] = set()
        """Runs that no worker has started yet, as far as this worker knows."""
        self._watch: asyncio.Task[None] | None = None

    def check(self) -> None:
        """Raise `ConfigurationError` if callbacks need a task queue, but the broker is not shared.

        This includes callbacks without an app: Dash binds them to this app at its first request.
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
        """Send a run to its task queue.

        Args:
            record: the run's record in the run directory.
            callback: the event callback, which has a queue.
            call: the arguments and the context of the call.
            before: awaited first; waits until the runs that this one replaces have stopped.
        """
        assert callback.queue is not None
        order = Order(
            record.run,
            callback.id,
            bridge.dump_context(call),
            shows_errors(self._app, self._settings),
        )
        self._background.start(self._send(record, callback, callback.queue, order, before))

    def terminate_unless_stopped(self, runs: Iterable[RunId], owner: str) -> None:
        """Terminate the worker processes of runs that have not stopped STOP_SECONDS from now."""
        asked = list(runs)
        if asked and any(callback.queue for callback in bridge.app_registry(self._app)):
            self._background.start(self._terminate_unless_stopped(asked, owner))

    def on_failed(self, signal: Failed) -> None:
        """End a run that has failed outside its own process, as a worker reports."""
        self._background.start(self._on_failed(signal))

    async def finish(self) -> None:
        """Stop polling, and wait for the background tasks."""
        if self._watch is not None:
            self._watch.cancel()
        await self._background.finish()

    async def on_gone(self, runs: Iterable[RunId]) -> None:
        """Stop the runs of a vanished connection; kept runs go on without it."""
        for record, _ in await self._find(runs):
            if not record.kept_by:
                self._background.start(self.stop(Stop((record.run,), record.owner)))
                self.terminate_unless_stopped([record.run], record.owner)

    async def show(self, record: RunRecord, attach: Attach, log: EventLog) -> RunRecord | None:
        """Attach a page to a run that is queued or has ended.

        Returns:
            None if the page is attached. The record if the run is live: the caller must send
            `attach` to its worker.
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
            self._background.start(self._deliver_ending(record.run, attach.connection, log))
            return None
        return record

    async def _deliver_ending(self, run: RunId, connection: ConnectionId, log: EventLog) -> None:
        """Append the stored snapshot and end event of an ended run, one by one as there is room."""
        position = 0
        while len(found := await self._broker.directory.snapshot(run, position)) > 1:
            try:
                # Without a run id: the log still counts the run to its own worker, which is gone.
                await log.append(NO_RUN, found[0], SNAPSHOT_BYTES)
            except LogGone:
                return
            position += 1
        end = found[0] if found else events.encode(events.Ended(run, 0, Reason.LOST))
        await log.sent()
        await self._broker.logs.end_run(connection, run, None, end)

    async def last_event(self, run: RunId) -> bytes | None:
        """Return the end event of a run whose worker has died.

        None if the task queue delivers the run again, to another worker.
        """
        for record, callback in await self._find([run]):
            assert callback.queue is not None
            if callback.queue.redelivers:
                return None
            return await self._fail(record, callback, "worker_lost", LOST_TEXT)
        return events.encode(events.Ended(run, 0, Reason.LOST))

    async def _fail(
        self, record: RunRecord, callback: EventCallback, code: str, text: str
    ) -> bytes:
        """Fail a run that no worker drives, and return its end event."""
        self._broker.directory.retire(record)  # first, or another worker could fail it, too
        error = _ERRORS.get(code, RuntimeError)(text)
        failure, body = await handle(error, code, callback, self._app, self._settings)
        return events.encode(events.Ended(record.run, 0, Reason.ERROR, failure, body))

    async def _fail_and_send(
        self, record: RunRecord, callback: EventCallback, code: str, text: str
    ) -> None:
        event = await self._fail(record, callback, code, text)
        await self._broker.logs.end_run(record.connection, record.run, record.place, event)

    async def _on_failed(self, signal: Failed) -> None:
        for record, callback in await self._find([signal.run]):
            await self._fail_and_send(record, callback, signal.code, signal.message)

    def _watch_for_refusal(self, run: RunId) -> None:
        """Poll the task queue until a worker starts or refuses a run."""
        self._waiting.add(run)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._poll(), context=contextvars.Context())

    async def _poll(self) -> None:
        while self._waiting:
            await asyncio.sleep(REFUSAL_POLL_SECONDS)
            try:
                await self._fail_refused()
            except Exception:  # each queue driver raises its own; the next poll is a retry
                logger.exception("The task queue could not be polled for refused runs")

    async def _fail_refused(self) -> None:
        runs_of: dict[RunQueue, dict[RunId, tuple[RunRecord, EventCallback]]] = {}
        for record, callback in await self._find(self._waiting):
            if record.place == QUEUED and callback.queue is not None:
                runs_of.setdefault(callback.queue, {})[record.run] = record, callback
        self._waiting &= {run for runs in runs_of.values() for run in runs}
        for queue, runs in runs_of.items():
            for run, why in (await queue.refused(runs)).items():
                await self._fail_and_send(*runs[RunId(run)], "configuration", why)

    def _queue_of(self, record: RunRecord) -> RunQueue | None:
        callback = bridge.find(bridge.app_registry(self._app), record.callback)
        return callback.queue if callback is not None else None

    async def _find(self, runs: Iterable[RunId]) -> list[tuple[RunRecord, EventCallback]]:
        """Return record and callback of those runs that are live and belong to a task queue."""
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
            self._watch_for_refusal(record.run)
        except Exception as error:  # each queue driver raises its own
            app, settings = self._app, self._settings
            refused = RunRefused("queue", QUEUE_TEXT)
            refused.__cause__ = error
            failure, body = await handle(refused, "queue", callback, app, settings)
            end = events.encode(events.Ended(record.run, 0, Reason.ERROR, failure, body))
            await self._broker.logs.end_run(record.connection, record.run, QUEUED, end)
            self._broker.directory.retire(record)

    async def stop(self, signal: Stop) -> None:
        """Cancel queued runs, and stop those that a worker has started meanwhile."""
        signals, stops = self._broker.signals, []
        for record, callback in await self._find(signal.runs):
            if record.owner != signal.owner:
                continue
            if record.place == QUEUED and await self._end(record):
                assert callback.queue is not None
                self._background.start(callback.queue.revoke(record.run))
                continue
            for begun, _ in await self._find([record.run]):
                if isinstance(begun.place, At):
                    stop = replace(signal, runs=(record.run,))
                    stops.append(signals.ask(begun.place.worker, stop, STOP_SECONDS))
        # Errors do not matter here: `terminate_unless_stopped` ends the runs of a silent worker.
        await asyncio.gather(*stops, return_exceptions=True)

    async def _terminate_unless_stopped(self, runs: list[RunId], owner: str) -> None:
        await asyncio.sleep(STOP_SECONDS)
        found = [pair for pair in await self._find(runs) if pair[0].owner == owner]
        await asyncio.gather(*(self._terminate(record, callback) for record, callback in found))

    async def _terminate(self, record: RunRecord, callback: EventCallback) -> None:
        """Terminate the worker process of a run; end the run if the process does not."""
        logger.warning(
            "%s is still running %.0f s after it was cancelled; its process is terminated.",
            callback.name,
            STOP_SECONDS,
        )
        assert callback.queue is not None
        try:
            await callback.queue.terminate(record.run)
        except Exception:  # each queue driver raises its own; the run still ends below
            logger.exception("The process of a run could not be terminated")
        if not await self._has_ended(record.run):
            await self._end(record)

    async def _has_ended(self, run: RunId) -> bool:
        """Wait, TERMINATE_SECONDS at most, for a process whose `finally` may end its run.

        Return whether the run has ended.
        """
        for _ in range(TERMINATE_POLLS):
            await asyncio.sleep(TERMINATE_SECONDS / TERMINATE_POLLS)
            if not await self._find([run]):
                return True
        return False

    async def _end(self, record: RunRecord) -> bool:
        """End a run in place of its worker.

        Return whether it has ended; False if a worker has started the queued run meanwhile.
        """
        end = events.encode(events.Ended(record.run, 0, Reason.CANCELLED))
        logs, directory = self._broker.logs, self._broker.directory
        is_sent = await logs.end_run(record.connection, record.run, record.place, end)
        if not is_sent and record.place == QUEUED:
            [now] = await directory.find([record.run])
            if now is not None and now.place != QUEUED:
                return False
        self._broker.directory.retire(record)
        return True
