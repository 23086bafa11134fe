"""Messages from tasks to the run that streams them: updates and state changes, as bytes.

An update is `<part> <attempt> <body>`, where the body is encoded by `events.encode_update`. A state
change is JSON.
"""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from kombu.utils.json import dumps, loads

from flash_events import sse
from flash_events.wire import events


class TaskState(StrEnum):
    """State of a task."""

    QUEUED = "queued"
    STARTED = "started"
    RETRY = "retry"
    SUCCESS = "success"
    FAILURE = "failure"
    REVOKED = "revoked"
    IGNORED = "ignored"
    LOST = "lost"

    @property
    def is_final(self) -> bool:
        """Whether no other state can follow."""
        return self not in (TaskState.QUEUED, TaskState.STARTED, TaskState.RETRY)


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """Status of one streamed task.

    Attributes:
        part: index of the task among those that are streamed together, from 0.
        name: name of the task.
        state: see `TaskState`.
        attempt: number of starts; 0 while the task is queued, 2 or more after a retry, after a
            redelivery, and in a task by which it has replaced itself. Each attempt streams its
            updates anew, so the page must reset whatever accumulates.
        waiting: approximate number of tasks before it in its queue; None if the broker cannot
            tell.
        task_id: Celery's id of the task.
        error: the exception with which it failed.
    """

    part: int
    name: str
    state: TaskState = TaskState.QUEUED
    attempt: int = 0
    waiting: int | None = None
    task_id: str = ""
    error: Exception | None = None


def key_of_part(feed: str, part: int) -> str:
    """Return the key of a streamed task in a worker's list of refusals."""
    return f"{feed}/{part}"


@dataclass(frozen=True, slots=True)
class TaskUpdate(events.Encoded):
    """An update that a task has emitted.

    Attributes:
        part: index of the task among those that are streamed together, from 0.
        attempt: attempt of the task, from 1; larger after a retry or a redelivery.
    """

    part: int = 0
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Changed:
    """A change of a task's state.

    Attributes:
        part: index of the task among those that are streamed together, from 0.
        attempt: attempt of the task, from 1; 0 if the sender does not know it.
        state: the new state.
        task_id: Celery's id of the task.
        pool: the worker's pool, in state `STARTED`.
        result: the result as kombu's JSON, in state `SUCCESS`; None if JSON would change it.
        is_kept: whether Celery's result backend has the result, in state `SUCCESS`.
        error: the exception in the form of Celery's result backends, in state `FAILURE`.
    """

    part: int
    attempt: int
    state: TaskState
    task_id: str = ""
    pool: str = ""
    result: str | None = None
    is_kept: bool = False
    error: dict[str, Any] = field(default_factory=dict)


def encode_update(part: int, attempt: int, body: bytes) -> bytes:
    """Return the message of an update that a task has emitted."""
    return b"%d %d %b%b" % (part, attempt, body, sse.END)


def encode(change: Changed) -> bytes:
    """Return the message of a change of a task's state."""
    text: str = dumps(asdict(change))
    return text.encode() + sse.END


def decode(message: bytes) -> TaskUpdate | Changed:
    """Return the content of a message, which has no line ends any more."""
    if message.startswith(b"{"):
        fields = loads(message)
        return Changed(**{**fields, "state": TaskState(fields["state"])})
    part, attempt, body = message.split(b" ", 2)
    update = events.decode_update(body)
    return TaskUpdate(update.targets, update.alone, update.body, int(part), int(attempt))
