"""`emit` for Celery tasks, and handlers of Celery's signals that report the states of tasks."""

import functools
import logging
import os
import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

from billiard import current_process
from celery import signals, states
from celery.app.task import get_actual_ignore_result
from celery.backends.base import DisabledBackend
from celery.exceptions import Ignore, WorkerLostError
from kombu.utils.json import dumps, loads

from flash_events import context
from flash_events.brokers.ids import RunId
from flash_events.brokers.redis.process import RedisProcess
from flash_events.brokers.redis.task_writer import TaskWriter
from flash_events.celery.messages import Changed, TaskState, encode, encode_update
from flash_events.errors import ConfigurationError, GoneCause, LogGone
from flash_events.settings import Settings
from flash_events.updates import Answer, Update, as_update
from flash_events.wire import events

logger = logging.getLogger(__name__)

HEADER = "flash_events"
"""The header of a streamed task's message: the id of its log ("feed") and its number ("part")."""

PREFORK = "prefork"
"""The pool in `Changed.pool` for tasks whose process can be terminated."""


class TaskStopped(Ignore):  # type: ignore[misc] # Celery has no types
    """The run that streams this task is over, so the task should stop.

    Raised by `emit`. Let it pass and clean up in `finally`: Celery then counts the task as revoked.
    It is a subclass of Celery's `Ignore`, not of `FlashEventsError`.
    """


class _Stream:
    """One attempt of a task that is streamed."""

    def __init__(self, note: dict[str, Any], task: Any) -> None:
        self.task = task
        self.note = note
        self.part = int(note["part"])
        self.settings = worker_settings()
        process = process_of(os.getpid())
        self.writer = TaskWriter(process, note["feed"], RunId(str(self.part)))
        self.is_wanted = self.writer.adopt()
        self.was_stopped = False
        self.is_handed_on = False
        """Whether the task has sent a retry or a replacement of itself."""

    def emit(self, update: Update) -> None:
        body = events.encode_update(update, self.settings.max_event_bytes)
        self._write(self.writer.emit, encode_update(self.part, self.writer.attempt, body))

    def report(self, state: TaskState, **details: Any) -> None:
        if state is TaskState.SUCCESS and self.writer.error is not None:
            state, details = TaskState.FAILURE, _error(self.task, self.writer.error)
        change = Changed(self.part, self.writer.attempt, state, self.task.request.id, **details)
        if state.is_final:
            self.writer.end(encode(change))
        else:
            write = partial(self.writer.tell, hand_back=state is not TaskState.STARTED)
            self._write(write, encode(change))

    def _write(self, write: Callable[[bytes], None], event: bytes) -> None:
        try:
            if not self.is_wanted:
                raise LogGone(GoneCause.DROPPED)
            write(event)
        except LogGone as error:
            self.was_stopped = True
            raise TaskStopped(str(error)) from None


_stream: ContextVar[tuple[str, _Stream | ConfigurationError] | None] = ContextVar(
    "flash_events_stream", default=None
)
"""The id of the current task, and its stream or the reason why it has none."""


def _stream_of(task: Any) -> _Stream | ConfigurationError | None:
    """Return the stream of a task, unless it is the stream of another task that calls this one."""
    task_id, stream = _stream.get() or ("", None)
    return stream if task_id == task.request.id else None


def emit(update: Answer) -> None:
    """Send an update from a Celery task to the run that streams the task.

    The update is sent in the background. `emit` blocks only while many updates wait, because the
    run is far behind or Redis restarts. It does nothing, apart from one warning, in a task that is
    not streamed and in a thread that the task has started without a copy of its context
    (`contextvars.copy_context`).

    Args:
        update: `stream_props(...)`, or a list of them that belong together. None and `no_update`
            emit nothing.

    Raises:
        TaskStopped: if the run is over. Do not catch it; clean up in `finally`.
        UpdateError: if `update` is not an update, or cannot be sent.
        ConfigurationError: if this worker has no Redis broker configured.
    """
    _, stream = _stream.get() or ("", None)
    if stream is None:
        warn_once("emit() does nothing here: this task is not streamed by stream_task().")
    elif isinstance(stream, _Stream):
        made = as_update(update, "emit")
        if made.targets:
            stream.emit(made)
    else:
        raise stream


@functools.cache
def warn_once(message: str) -> None:
    """Log a warning the first time it is called with a message."""
    logger.warning(message)


@functools.cache
def worker_settings() -> Settings:
    """Return the settings of this worker's environment.

    Raises:
        ConfigurationError: if the broker is not Redis.
    """
    settings = Settings.load()
    if settings.broker == "memory://":
        raise ConfigurationError(
            "A Celery worker that streams needs Redis, but its setting broker is 'memory://'. Set "
            "FLASH_EVENTS_BROKER=redis://host:port/db for the workers and for the web server."
        )
    return settings


@functools.cache
def process_of(_pid: int) -> RedisProcess:
    """Return the Redis connections of a process; a child must not use those of its parent."""
    settings = worker_settings()
    return RedisProcess(settings.broker, settings.log_limits)


def _note_of(request: Any) -> dict[str, Any] | None:
    note = (request.headers or {}).get(HEADER)
    return note if isinstance(note, dict) else None


def _on_prerun(task: Any, **_: Any) -> None:
    note = _note_of(task.request)
    if note is None:
        return
    try:
        stream = _Stream(note, task)
        _stream.set((task.request.id, stream))
        context.stream_aside.set(stream.emit)
        if stream.is_wanted:
            stream.report(TaskState.STARTED, pool=pool())
    except TaskStopped:
        pass  # the first `emit` raises it again
    except ConfigurationError as error:
        _stream.set((task.request.id, error))


def _on_postrun(task: Any, retval: Any, state: str, **_: Any) -> None:
    stream = _stream_of(task)
    if stream is None:
        return
    _stream.set(None)
    context.stream_aside.set(None)
    if isinstance(stream, _Stream) and stream.is_wanted:
        try:
            _report_end(stream, retval, state)
        except TaskStopped:
            pass  # the run is over
        except Exception as error:  # any; without an end the run would wait forever
            logger.exception("The end of a task could not be reported; it is reported as failed")
            stream.report(TaskState.FAILURE, **_error(task, RuntimeError(repr(error))))


def _report_end(stream: _Stream, retval: Any, state: str) -> None:
    task = stream.task
    match state:
        case states.SUCCESS:
            stream.report(TaskState.SUCCESS, result=_json(task, retval), is_kept=_is_kept(task))
        case states.FAILURE:
            stream.report(TaskState.FAILURE, **_error(task, retval))
        case states.RETRY:
            stream.report(TaskState.RETRY)
        case states.REJECTED if retval.requeue:
            stream.report(TaskState.QUEUED)
        case states.REJECTED:
            stream.report(TaskState.FAILURE, **_error(task, retval))
        case states.IGNORED if stream.was_stopped:
            task.backend.mark_as_revoked(task.request.id, "stopped", task.request)
            stream.report(TaskState.REVOKED)
        case states.IGNORED if stream.is_handed_on:
            stream.report(TaskState.QUEUED)
        case states.IGNORED:
            stream.report(TaskState.IGNORED)


def _error(task: Any, error: Exception) -> dict[str, Any]:
    return {"error": task.backend.prepare_exception(error, "json")}


def _is_kept(task: Any) -> bool:
    """Return whether Celery's result backend keeps the task's result."""
    is_ignored = get_actual_ignore_result(task, task.request)
    return not is_ignored and not isinstance(task.backend, DisabledBackend)


def _json(task: Any, result: Any) -> str | None:
    """Return a result as JSON; None if it is too large, or JSON would change it."""
    try:
        text: str = dumps(result)
    except (TypeError, ValueError, RecursionError):
        return None
    if len(text) > worker_settings().max_event_bytes:
        return None
    is_same = task.backend.serializer == "json" or repr(loads(text)) == repr(result)
    return text if is_same else None


def pool() -> str:
    """Return PREFORK in a child process of Celery's prefork pool, which can be terminated."""
    return "" if current_process().name == "MainProcess" else PREFORK


def _on_publish(headers: dict[str, Any], body: Any, **_: Any) -> None:
    """Make the retry or the replacement of a streamed task stream to the same log.

    The flush puts the task's updates before those of its successor.
    """
    task_id, stream = _stream.get() or ("", None)
    if not isinstance(stream, _Stream):
        return
    if headers.get("id") == task_id:
        headers[HEADER] = stream.note
    elif (last := _sent_with(body, task_id)) is not None:
        options = last["options"]
        options["headers"] = {**(options.get("headers") or {}), HEADER: stream.note}
    else:
        return
    stream.is_handed_on = True
    stream.writer.flush()


def _sent_with(body: Any, task_id: str) -> Any:
    """Return the signature with this id in the rest of a chain or chord that a message carries."""
    embed = body[2] if isinstance(body, list | tuple) and len(body) == 3 else {}
    for signature in (*(embed.get("chain") or ()), embed.get("chord")):
        while signature and signature.get("subtask_type") in ("chain", "chord"):
            inner = signature["kwargs"]
            signature = inner.get("body") or inner["tasks"][-1]
        if signature and signature["options"].get("task_id") == task_id:
            return signature
    return None


def _on_revoked(request: Any, **_: Any) -> None:
    """Report a task that the main process has discarded, or whose process it has terminated."""
    _end_from_outside(request, TaskState.REVOKED)


def _on_failure(sender: Any, exception: Any, **_: Any) -> None:
    """Report a task whose process has died; `_on_postrun` reports what a task itself raises."""
    if _stream_of(sender) is None:
        is_lost = isinstance(exception, WorkerLostError)
        error = {} if is_lost else _error(sender, exception)
        _end_from_outside(sender.request, TaskState.LOST if is_lost else TaskState.FAILURE, **error)


def _end_from_outside(request: Any, state: TaskState, **details: Any) -> None:
    note = _note_of(request)
    if note is not None:
        part = int(note["part"])
        event = encode(Changed(part, 0, state, request.id, **details))

        def report() -> None:
            writer = TaskWriter(process_of(os.getpid()), note["feed"], RunId(str(part)))
            writer.end(event, anyone=True)

        in_thread(report)


def in_thread(function: Callable[[], object]) -> None:
    """Call a function in a thread: the main process of a worker must not wait for Redis."""
    threading.Thread(target=function, daemon=True).start()


for _signal, _handler in (
    (signals.task_prerun, _on_prerun),
    (signals.task_postrun, _on_postrun),
    (signals.before_task_publish, _on_publish),
    (signals.task_revoked, _on_revoked),
    (signals.task_failure, _on_failure),
):
    _signal.connect(_handler, weak=False)
