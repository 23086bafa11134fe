"""In a run: `stream_task` sends a task, and is what the task emits, as it emits it."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from time import monotonic
from types import TracebackType
from typing import Any, Self

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
from flash_events.celery.tasks import HEADER, PREFORK, say_once
from flash_events.errors import ConfigurationError
from flash_events.runs.task_log import TaskLog, task_logs
from flash_events.times import STOP_SECONDS
from flash_events.updates import Update, as_update

LOOK_SECONDS = 1.0
"""So often the length of the queue is looked at, and the log is read although nothing was told."""

ASK_SECONDS = 5.0
"""So often workers are asked whether they have refused a task that waits."""

RESULT_SECONDS = 10.0

TERMINATE_SECONDS = 5.0

_GOOD = {TaskState.SUCCESS, TaskState.IGNORED}

OnState = Callable[[TaskStatus], Any]


def stream_task(
    task: Any, *args: Any, on_state: OnState | None = None, **kwargs: Any
) -> "TaskStream":
    """Sends a task to Celery, and streams what it emits.

    Use it in an async event callback: `async with stream_task(crunch, 10_000) as task:` and, in
    it, `async for update in task: yield update`. Who leaves early, for instance because the run is
    cancelled, stops the task: its next `emit` raises, so that its `finally` runs; what has not
    ended after a second is terminated.

    Args:
        task: a Celery task, or a signature, group, chain or chord.
        args: of the task; none for a signature, which has its own.
        on_state: called with a `TaskStatus` whenever a task gets into another state; what it
            returns (an update, a list of them, None) is streamed in order with the rest.
        kwargs: of the task.

    Raises:
        ConfigurationError: outside a run, or without Redis as the broker of events.
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
        self._look_due = monotonic() + LOOK_SECONDS
        self._ask_due = monotonic() + ASK_SECONDS
        self._refused: dict[int, str] = {}
        """Parts that a worker has taken and cannot do, with the reason."""
        self._in_processes: set[str] = set()
        """Ids of tasks that have a process of Celery's own, which can be terminated."""

    @property
    def parts(self) -> tuple[TaskStatus, ...]:
        """Where each task is: of one that was sent alone, the only one."""
        return tuple(self._status)

    @property
    def state(self) -> TaskState:
        """Where the whole is: that of its task, or of the part that says most."""
        states = {status.state for status in self._status}
        for state in (TaskState.FAILURE, TaskState.LOST, TaskState.REVOKED, TaskState.STARTED):
            if state in states:
                return state
        if states <= _GOOD:
            return TaskState.IGNORED if TaskState.IGNORED in states else TaskState.SUCCESS
        return TaskState.RETRY if TaskState.RETRY in states else TaskState.QUEUED

    @property
    def attempt(self) -> int:
        """Of the task that has begun most often; counts from 1, and is 0 while none has started."""
        return max(status.attempt for status in self._status)

    @property
    def waiting(self) -> int | None:
        """About how many tasks wait before the first one, where the broker can tell."""
        return self._status[0].waiting

    async def result(self) -> Any:
        """What the task returns; for a group the list of results, for a chain the last one.

        Waits for the end. Updates that nobody has iterated until then are dropped. A task that
        raises Celery's `Ignore` has None.

        Raises:
            ConfigurationError: the result cannot travel as JSON, and Celery does not keep it.
            Exception: what the task has raised, as the same class where it can be imported here.
            TaskRevokedError: somebody else has revoked it.
            WorkerLostError: its process has died.
        """
        async for _ in self:
            pass
        return await self._fetch(result_of(self._canvas, range(len(self._parts))))

    async def _fetch(self, numbers: int | list[Any]) -> Any:
        """The results of parts, in place of their numbers."""
        if isinstance(numbers, list):
            return [await self._fetch(one) for one in numbers]
        told = self._successes.get(numbers)
        if told is not None and numbers not in self._fetched:
            self._fetched[numbers] = await self._result_of(told)
        return self._fetched.get(numbers)

    async def __aenter__(self) -> Self:
        if self._task_logs is None:
            raise ConfigurationError(
                "stream_task works in an event callback whose app has Redis as its broker: set "
                "FLASH_EVENTS_BROKER=redis://host:port/db for the web server and for the workers."
            )
        if self._canvas.app.conf.task_always_eager:
            raise ConfigurationError(
                "stream_task sends its task to a worker, and task_always_eager keeps it here. "
                "Set task_always_eager=False and start a worker."
            )
        numbers = [RunId(str(status.part)) for status in self._status]
        log = self._log = await self._task_logs.open(numbers, self._on_lost)
        label(self._canvas, HEADER, {"feed": log.id})
        try:
            waiting = await self._control.waiting(self._parts[0])
            self._sent = await self._control.send(self._canvas)
        except BaseException:  # also of a run that is cancelled meanwhile; it is raised again
            self._task_logs.background.start(self._call_off(log))
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
            self._task_logs.background.start(self._call_off(log))

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
            async with asyncio.timeout(self._look_due - monotonic()):
                messages = await self._log.read()
        except TimeoutError:
            self._look_due = monotonic() + LOOK_SECONDS
            if self._queued():
                await self._look()
            self._look_for_refused()
            return
        for message in messages:
            told = decode(message)
            if isinstance(told, TaskUpdate):
                self._ready.append(told)
            else:
                await self._on_changed(told)

    def _look_for_refused(self) -> None:
        """Fails what a worker has taken and cannot do, and has that asked now and then."""
        assert self._task_logs is not None
        while self._refused:
            part, why = self._refused.popitem()
            if self._status[part].state in (TaskState.QUEUED, TaskState.RETRY):
                self._change(part, state=TaskState.FAILURE, error=ConfigurationError(why))
        if monotonic() > self._ask_due:
            self._ask_due = monotonic() + ASK_SECONDS
            self._task_logs.background.start(self._ask())

    async def _ask(self) -> None:
        log = self._log
        waiting = [
            one.part for one in self._status if one.state in (TaskState.QUEUED, TaskState.RETRY)
        ]
        if log is not None and waiting:
            parts = {key_of_part(log.id, part): part for part in waiting}
            for key, why in (await self._control.refused(parts)).items():
                self._refused[parts[key]] = why

    def _queued(self) -> list[TaskStatus]:
        """Those that wait in a queue, in its order."""
        first = [self._status[part] for part in self._first]
        return [status for status in first if status.state is TaskState.QUEUED]

    async def _look(self) -> None:
        """How far the queue has moved."""
        length = await self._control.waiting(self._parts[0])
        queued = self._queued()
        for n, status in enumerate(queued):
            if length is not None and status.waiting is not None:
                waiting = min(status.waiting, max(0, length - len(queued) + n))
                if waiting != status.waiting:
                    self._change(status.part, waiting=waiting)

    async def _on_changed(self, told: Changed) -> None:
        part, state = told.part, told.state
        error: Exception | None = None
        self._note_pool(told)
        match state:
            case TaskState.SUCCESS:
                self._successes[part] = told
            case TaskState.FAILURE:
                error = self._canvas.app.backend.exception_to_python(told.error)
            case TaskState.REVOKED:
                error = TaskRevokedError("revoked")
            case TaskState.IGNORED:
                for follower in followers_of(self._canvas).get(part, ()):
                    self._change(follower, state=TaskState.IGNORED, waiting=None)
            case TaskState.LOST:
                error = WorkerLostError("The process that ran the task has died.")
        attempt = told.attempt or self._status[part].attempt
        ident = told.task_id or self._status[part].task_id
        self._change(part, state=state, attempt=attempt, task_id=ident, waiting=None, error=error)

    def _note_pool(self, told: Changed) -> None:
        if told.pool == PREFORK:
            self._in_processes.add(told.task_id)

    async def _result_of(self, told: Changed) -> Any:
        if told.result is not None:
            return loads(told.result)
        if not told.is_kept:
            raise ConfigurationError(
                f"The result of {self._parts[told.part].task} is large, or is not the same as "
                "JSON, and Celery does not keep it (ignore_result=True, or no result backend). "
                "Have Celery keep it, or do not ask for it."
            )
        result = self._canvas.app.AsyncResult(told.task_id)
        get = partial(result.get, RESULT_SECONDS, disable_sync_subtasks=False)  # not in a task
        return await asyncio.to_thread(get)

    def _change(self, part: int, **changes: Any) -> None:
        status = self._status[part] = replace(self._status[part], **changes)
        update = as_update(self._on_state(status) if self._on_state is not None else None, "return")
        if update.targets:
            self._ready.append(update)

    def _on_lost(self, part: str) -> bytes | None:
        """A process has died; its task comes again if it says so."""
        task = self._canvas.app.tasks.get(self._parts[int(part)].task)
        if task is not None and redelivers(task):
            self._change(int(part), state=TaskState.QUEUED)
            return None
        return encode(Changed(int(part), 0, TaskState.LOST))

    async def _call_off(self, log: TaskLog) -> None:
        """The tasks are wanted no more: they stop at their next `emit`, or are terminated."""
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
                say_once(
                    "A task goes on that nobody wants any more: only Celery's prefork pool can "
                    "terminate one. It stops at its next emit()."
                )
            await self._control.revoke(running & self._in_processes, terminate=True)
            await self._ended(log, TERMINATE_SECONDS)

    async def _ended(self, log: TaskLog, seconds: float) -> bool:
        """Waits until no task runs any more; says whether that is so."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._running(log):
                    for message in await log.read():
                        told = decode(message)
                        if isinstance(told, Changed):
                            status = replace(self._status[told.part], state=told.state)
                            self._status[told.part] = replace(status, task_id=told.task_id)
                            self._note_pool(told)
                return True
        return False

    def _running(self, log: TaskLog) -> list[str]:
        """Those that a process has begun and not ended."""
        assert self._task_logs is not None
        return [
            part
            for part, place in log.places.items()
            if place not in (self._task_logs.here, QUEUED)
            and not self._status[int(part)].state.is_final
        ]
