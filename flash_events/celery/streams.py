"""`stream_task` for event callbacks: send a Celery task and iterate over the updates it emits."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any, Self

from celery import Task
from celery.canvas import Signature
from celery.exceptions import TaskRevokedError, WorkerLostError
from celery.result import AsyncResult, GroupResult
from kombu.utils.json import loads

from flash_events.brokers.ids import RunId
from flash_events.brokers.place import QUEUED
from flash_events.celery.canvas import (
    canvas_of,
    first_of,
    followers_of,
    ids_of,
    label,
    parts_of,
    result_of,
)
from flash_events.celery.control import Control, redelivers
from flash_events.celery.messages import (
    Changed,
    TaskState,
    TaskStatus,
    TaskUpdate,
    decode,
    encode,
    key_of_part,
)
from flash_events.celery.tasks import HEADER, PREFORK, warn_once
from flash_events.errors import ConfigurationError
from flash_events.runs.task_log import TaskLog, task_logs
from flash_events.times import STOP_SECONDS
from flash_events.updates import Answer, Update, as_update

QUEUE_POLL_SECONDS = 1.0
"""Time between two polls of the queue's length while no message comes."""

REFUSAL_POLL_SECONDS = 5.0
"""Time between two polls of the workers for queued tasks that they have refused."""

RESULT_SECONDS = 10.0
"""Timeout for the result backend."""

TERMINATE_SECONDS = 5.0
"""Maximum wait until the processes of terminated tasks have ended."""

_GOOD = {TaskState.SUCCESS, TaskState.IGNORED}

OnState = Callable[[TaskStatus], Answer]
"""Called when a task changes its state; may return updates."""


def stream_task(
    task: Task | Signature, *args: object, on_state: OnState | None = None, **kwargs: object
) -> "TaskStream":
    """Return a stream that sends a task to Celery and yields the updates it emits.

    Use it in an async event callback:

        async with stream_task(crunch, 10_000) as task:
            async for update in task:
                yield update

    When the block is left early, because the run is cancelled for example, the task is stopped: its
    next `emit` raises `TaskStopped`, so its `finally` runs. A task that has not ended after one
    second is terminated.

    Args:
        task: a Celery task, or a signature, group, chain or chord.
        args: positional arguments of the task; a signature must have none, as it has its own.
        on_state: called with a `TaskStatus` whenever the state of a task changes; its return value
            (an update, a list of updates, or None) is streamed in order with the task's updates.
        kwargs: keyword arguments of the task.

    Raises:
        ConfigurationError: on entering the block, outside a run or without a Redis broker.
        TypeError: if `task` is neither a Celery task nor a signature.
    """
    return TaskStream(canvas_of(task, args, kwargs), on_state)


class TaskStream:
    """The updates of a task, or of several, as an async iterator; use it with `async with`."""

    def __init__(self, canvas: Signature, on_state: OnState | None = None) -> None:
        self._canvas = canvas
        self._on_state = on_state
        self._parts = list(parts_of(canvas))
        self._status = [TaskStatus(n, part.task) for n, part in enumerate(self._parts)]
        self._first = first_of(canvas)
        self._successes: dict[int, Changed] = {}
        self._fetched: dict[int, Any] = {}
        self._ready: deque[Update] = deque()
        self._control = Control(canvas.app)
        self._task_logs = task_logs.get()
        self._log: TaskLog | None = None
        self._sent: AsyncResult | GroupResult | None = None
        self._queue_poll_due = monotonic() + QUEUE_POLL_SECONDS
        self._refusal_poll_due = monotonic() + REFUSAL_POLL_SECONDS
        self._refused: dict[int, str] = {}
        """Parts that a worker has refused, with the reason."""
        self._in_processes: set[str] = set()
        """Ids of tasks in processes of a prefork pool, which can be terminated."""

    @property
    def parts(self) -> tuple[TaskStatus, ...]:
        """The status of each task, in the order in which they are written."""
        return tuple(self._status)

    @property
    def state(self) -> TaskState:
        """The state of the whole.

        With several tasks, the first of these that any of them has: failure, lost, revoked,
        started. Otherwise success or ignored if all have ended, else retry or queued.
        """
        states = {status.state for status in self._status}
        for state in (TaskState.FAILURE, TaskState.LOST, TaskState.REVOKED, TaskState.STARTED):
            if state in states:
                return state
        if states <= _GOOD:
            return TaskState.IGNORED if TaskState.IGNORED in states else TaskState.SUCCESS
        return TaskState.RETRY if TaskState.RETRY in states else TaskState.QUEUED

    @property
    def attempt(self) -> int:
        """The highest number of starts of any task; 0 while none has started."""
        return max(status.attempt for status in self._status)

    @property
    def waiting(self) -> int | None:
        """Approximate number of tasks before the first one in its queue; None if unknown."""
        return self._status[0].waiting

    async def result(self) -> Any:
        """Wait until the task has ended, and return its result.

        Updates that were not iterated until then are dropped.

        Returns:
            The task's return value; for a group the list of results, for a chain the last result.
            None for a task that raises Celery's `Ignore`.

        Raises:
            ConfigurationError: if the result has no JSON form and Celery does not keep it.
            Exception: the exception of the task, of the same class if that can be imported here.
            TaskRevokedError: if someone else has revoked the task.
            WorkerLostError: if the task's process has died.
        """
        async for _ in self:
            pass
        return await self._fetch(result_of(self._canvas, range(len(self._parts))))

    async def _fetch(self, numbers: int | list[Any]) -> Any:
        """Return a structure of part numbers with each number replaced by the part's result."""
        if isinstance(numbers, list):
            return [await self._fetch(one) for one in numbers]
        success = self._successes.get(numbers)
        if success is not None and numbers not in self._fetched:
            self._fetched[numbers] = await self._result_of(success)
        return self._fetched.get(numbers)

    async def __aenter__(self) -> Self:
        if self._task_logs is None:
            raise ConfigurationError(
                "stream_task needs an event callback of an app whose broker is Redis. Set "
                "FLASH_EVENTS_BROKER=redis://host:port/db for the web server and for the workers."
            )
        if self._canvas.app.conf.task_always_eager:
            raise ConfigurationError(
                "stream_task needs a worker, but task_always_eager runs tasks in this process. "
                "Set task_always_eager=False and start a worker."
            )
        numbers = [RunId(str(status.part)) for status in self._status]
        log = self._log = await self._task_logs.open(numbers, self._on_lost)
        label(self._canvas, HEADER, {"feed": log.id})
        try:
            waiting = await self._control.waiting(self._parts[0])
            self._sent = await self._control.send(self._canvas)
        except BaseException:  # the run may be cancelled meanwhile
            self._task_logs.background.start(self._cancel(log))
            raise
        for n, part in enumerate(self._first):
            self._change(part, waiting=None if waiting is None else waiting + n)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        log, self._log = self._log, None
        if log is None or self._task_logs is None:
            return
        if all(status.state.is_final for status in self._status):
            self._task_logs.background.start(self._task_logs.close(log))
        else:
            self._task_logs.background.start(self._cancel(log))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Update:
        while not self._ready:
            for status in self._status:
                if status.error is not None:
                    raise status.error
            if all(status.state in _GOOD for status in self._status):
                raise StopAsyncIteration
            await self._read()
        return self._ready.popleft()

    async def _read(self) -> None:
        if self._log is None:
            raise RuntimeError("Expected the task to be iterated inside its `async with` block.")
        try:
            async with asyncio.timeout(self._queue_poll_due - monotonic()):
                messages = await self._log.read()
        except TimeoutError:
            self._queue_poll_due = monotonic() + QUEUE_POLL_SECONDS
            if self._queued():
                await self._poll_queue()
            self._fail_refused()
            return
        for encoded in messages:
            message = decode(encoded)
            if isinstance(message, TaskUpdate):
                self._ready.append(message)
            else:
                await self._on_changed(message)

    def _fail_refused(self) -> None:
        """Fail the tasks that a worker has refused, and start the next poll if it is due."""
        assert self._task_logs is not None
        while self._refused:
            part, why = self._refused.popitem()
            if self._status[part].state in (TaskState.QUEUED, TaskState.RETRY):
                self._change(part, state=TaskState.FAILURE, error=ConfigurationError(why))
        if monotonic() > self._refusal_poll_due:
            self._refusal_poll_due = monotonic() + REFUSAL_POLL_SECONDS
            self._task_logs.background.start(self._poll_refusals())

    async def _poll_refusals(self) -> None:
        log = self._log
        waiting = [
            one.part for one in self._status if one.state in (TaskState.QUEUED, TaskState.RETRY)
        ]
        if log is not None and waiting:
            parts = {key_of_part(log.id, part): part for part in waiting}
            for key, why in (await self._control.refused(parts)).items():
                self._refused[parts[key]] = why

    def _queued(self) -> list[TaskStatus]:
        """Return the status of the queued tasks, in the queue's order."""
        first = [self._status[part] for part in self._first]
        return [status for status in first if status.state is TaskState.QUEUED]

    async def _poll_queue(self) -> None:
        """Update the number of tasks that wait before each queued one."""
        length = await self._control.waiting(self._parts[0])
        queued = self._queued()
        for n, status in enumerate(queued):
            if length is not None and status.waiting is not None:
                waiting = min(status.waiting, max(0, length - len(queued) + n))
                if waiting != status.waiting:
                    self._change(status.part, waiting=waiting)

    async def _on_changed(self, change: Changed) -> None:
        part, state = change.part, change.state
        error: Exception | None = None
        self._note_pool(change)
        match state:
            case TaskState.SUCCESS:
                self._successes[part] = change
            case TaskState.FAILURE:
                error = self._canvas.app.backend.exception_to_python(change.error)
            case TaskState.REVOKED:
                error = TaskRevokedError("revoked")
            case TaskState.IGNORED:
                for follower in followers_of(self._canvas).get(part, ()):
                    self._change(follower, state=TaskState.IGNORED, waiting=None)
            case TaskState.LOST:
                error = WorkerLostError("The process that ran the task has died.")
        attempt = change.attempt or self._status[part].attempt
        task_id = change.task_id or self._status[part].task_id
        self._change(part, state=state, attempt=attempt, task_id=task_id, waiting=None, error=error)

    def _note_pool(self, change: Changed) -> None:
        if change.pool == PREFORK:
            self._in_processes.add(change.task_id)

    async def _result_of(self, success: Changed) -> Any:
        if success.result is not None:
            return loads(success.result)
        if not success.is_kept:
            raise ConfigurationError(
                f"The result of {self._parts[success.part].task} is too large or changes as JSON, "
                "and Celery does not keep it (ignore_result=True, or no result backend). Configure "
                "a result backend, or do not call result()."
            )
        result = self._canvas.app.AsyncResult(success.task_id)
        # Celery's guard against tasks that wait for tasks would also refuse a run in a worker.
        get = partial(result.get, RESULT_SECONDS, disable_sync_subtasks=False)
        return await asyncio.to_thread(get)

    def _change(self, part: int, **changes: Any) -> None:
        status = self._status[part] = replace(self._status[part], **changes)
        update = as_update(self._on_state(status) if self._on_state is not None else None, "return")
        if update.targets:
            self._ready.append(update)

    def _on_lost(self, part: str) -> bytes | None:
        """Handle the death of a task's process: return the end event, or None if it is redelivered.

        See `TaskLog`.
        """
        task = self._canvas.app.tasks.get(self._parts[int(part)].task)
        if task is not None and redelivers(task):
            self._change(int(part), state=TaskState.QUEUED)
            return None
        return encode(Changed(int(part), 0, TaskState.LOST))

    async def _cancel(self, log: TaskLog) -> None:
        """Stop the tasks at their next `emit`, terminate the others, and delete the log."""
        assert self._task_logs is not None
        self._on_state = None
        try:
            await self._stop(log)
        finally:
            await self._task_logs.close(log)

    async def _stop(self, log: TaskLog) -> None:
        await log.cancel_writers()
        await self._control.revoke(ids_of(self._sent))
        if not await self._ended(log, STOP_SECONDS):
            running = {self._status[int(part)].task_id for part in self._running(log)}
            if running - self._in_processes:
                warn_once(
                    "A cancelled task is still running: only Celery's prefork pool can terminate "
                    "tasks. It stops at its next emit()."
                )
            await self._control.revoke(running & self._in_processes, terminate=True)
            await self._ended(log, TERMINATE_SECONDS)

    async def _ended(self, log: TaskLog, seconds: float) -> bool:
        """Wait until no task runs, or the timeout is over; return whether none runs."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._running(log):
                    for encoded in await log.read():
                        message = decode(encoded)
                        if isinstance(message, Changed):
                            status = replace(self._status[message.part], state=message.state)
                            self._status[message.part] = replace(status, task_id=message.task_id)
                            self._note_pool(message)
                return True
        return False

    def _running(self, log: TaskLog) -> list[str]:
        """Return the parts that a process has started and not ended."""
        assert self._task_logs is not None
        return [
            part
            for part, place in log.places.items()
            if place not in (self._task_logs.here, QUEUED)
            and not self._status[int(part)].state.is_final
        ]
