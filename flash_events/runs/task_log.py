"""Task logs: event logs that Celery tasks write to and a run reads."""

import secrets
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar

from flash_events import sse
from flash_events.background import Background
from flash_events.brokers.broker import Broker
from flash_events.brokers.ids import ConnectionId, RunId, WorkerId
from flash_events.brokers.log import EventLog
from flash_events.brokers.place import At, Place


class TaskLog:
    """One log that a run reads; its writers ("parts") are tasks.

    Args:
        broker: the shared broker that stores the log.
        log: the event log, held by this worker.
        log_id: the id of the log.
        on_lost: called with a part whose worker has died; returns the part's end event, or None
            if the task queue may deliver the task again.
    """

    def __init__(
        self,
        broker: Broker,
        log: EventLog,
        log_id: ConnectionId,
        on_lost: Callable[[RunId], bytes | None],
    ) -> None:
        self.id = log_id
        self._broker = broker
        self._log = log
        self._on_lost = on_lost
        self._after = ""
        self._awaiting_retry: set[tuple[RunId, WorkerId]] = set()
        """(part, dead worker) of the tasks that the task queue may deliver again."""

    @property
    def places(self) -> Mapping[RunId, Place]:
        """The place of each part that has not ended, as far as it is known."""
        return self._log.runs

    async def read(self) -> list[bytes]:
        """Wait for the next events and return them; the list may be empty.

        Raises:
            LogGone: if the log was lost.
        """
        batch = await self._log.read(self._after)
        self._after = batch.last or self._after
        return [sse.without_id(event) for event in sse.split(batch.data)]

    async def cancel_writers(self) -> None:
        """Cancel the log's writers."""
        await self._broker.logs.cancel_writers(self.id)
        self._log.wake()

    async def close(self) -> None:
        """Delete the log."""
        await self._broker.logs.drop(self.id)

    async def lose(self, worker: WorkerId) -> None:
        """End the parts of a worker that has died, except those that may be delivered again.

        The broker reports a dead worker repeatedly, as long as parts belong to it.
        """
        for part, place in list(self._log.runs.items()):
            if place != At(worker) or (part, worker) in self._awaiting_retry:
                continue
            event = self._on_lost(part)
            if event is None:
                self._awaiting_retry.add((part, worker))
            else:
                await self._broker.logs.end_run(self.id, part, At(worker), event)
        self._log.wake()


class TaskLogs:
    """The task logs that this worker holds.

    Args:
        broker: the shared broker that stores the logs.

    Attributes:
        background: cleanup tasks that outlive the readers of the logs.
    """

    def __init__(self, broker: Broker) -> None:
        self.background = Background()
        self._broker = broker
        self._logs: dict[ConnectionId, TaskLog] = {}

    @property
    def here(self) -> At:
        """The place of this worker's runs."""
        return self._broker.here

    async def open(
        self, parts: Sequence[RunId], on_lost: Callable[[RunId], bytes | None]
    ) -> TaskLog:
        """Open a log that these parts may write to.

        Args:
            parts: the ids of the parts, one at least.
            on_lost: see `TaskLog`.
        """
        log_id, first, *more = ConnectionId(secrets.token_urlsafe(16)), *parts
        log = await self._broker.logs.open(log_id, "", first, self.here)
        assert log is not None  # the id is new
        task_log = self._logs[log_id] = TaskLog(self._broker, log, log_id, on_lost)
        try:
            for part in more:
                await self._broker.logs.join(log_id, "", part, self.here, len(parts))
        except BaseException:  # the run may be cancelled meanwhile
            self.background.start(self.close(task_log))
            raise
        return task_log

    async def close(self, task_log: TaskLog) -> None:
        """Delete a log."""
        self._logs.pop(task_log.id, None)
        await task_log.close()

    def on_worker_lost(self, worker: WorkerId) -> None:
        """End the parts of a worker that has died, in all logs."""
        for task_log in list(self._logs.values()):
            self.background.start(task_log.lose(worker))


task_logs: ContextVar[TaskLogs | None] = ContextVar("flash_events_task_logs", default=None)
"""The task logs of the worker that drives the current run; None outside a run or without Redis."""
