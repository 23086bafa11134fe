"""Task logs: tasks of a task queue write to them, and a run reads them."""

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
    """One log with the parts that write to it, each a task.

    Args:
        broker: where it lives.
        log: held by this worker.
        log_id: its id.
        on_lost: called with a part whose worker has died; returns the part's last event, or None
            where it may come again.
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
        return [sse.without_id(event) for event in sse.split(batch.data)]

    async def cancel_writers(self) -> None:
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


class TaskLogs:
    """The task logs that this worker holds.

    Args:
        broker: where they live.

    Attributes:
        background: what must still be done when their readers have left.
    """

    def __init__(self, broker: Broker) -> None:
        self.background = Background()
        self._broker = broker
        self._logs: dict[ConnectionId, TaskLog] = {}

    @property
    def here(self) -> At:
        """The place of what this worker drives."""
        return self._broker.here

    async def open(
        self, parts: Sequence[RunId], on_lost: Callable[[RunId], bytes | None]
    ) -> TaskLog:
        """Opens a log that these parts may write to."""
        log_id, first, *more = ConnectionId(secrets.token_urlsafe(16)), *parts
        log = await self._broker.logs.open(log_id, "", first, self.here)
        assert log is not None  # the id is new
        task_log = self._logs[log_id] = TaskLog(self._broker, log, log_id, on_lost)
        try:
            for part in more:
                await self._broker.logs.join(log_id, "", part, self.here, len(parts))
        except BaseException:  # the run is cancelled meanwhile, say
            self.background.start(self.close(task_log))
            raise
        return task_log

    async def close(self, task_log: TaskLog) -> None:
        """Forgets one."""
        self._logs.pop(task_log.id, None)
        await task_log.close()

    def on_worker_lost(self, worker: WorkerId) -> None:
        """A worker has died."""
        for task_log in list(self._logs.values()):
            self.background.start(task_log.lose(worker))


task_logs: ContextVar[TaskLogs | None] = ContextVar("flash_events_task_logs", default=None)
"""Those of the worker that drives the current run; None outside a run, or without Redis."""
