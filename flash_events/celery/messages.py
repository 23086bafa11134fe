"""What tasks tell the run that streams them: updates and changes of their state, as bytes.

An update is `<part> <attempt> <what events.encode_update makes>`, the change of a state is JSON.
"""

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from kombu.utils.json import dumps, loads

from flash_events import sse
from flash_events.wire import events


class TaskState(StrEnum):
    """Where a task is in its life."""

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
        """Whether nothing follows."""
        return self not in (TaskState.QUEUED, TaskState.STARTED, TaskState.RETRY)


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """Where one task is.

    Attributes:
        part: which task it is, of those that are streamed together; counts from 0.
        name: of the task.
        state: see `TaskState`.
        attempt: counts from 1; 0 while it has not started. Larger after a retry or a redelivery:
            what it streams then comes a second time, so reset what must not double. Larger, too,
            in the task by which it has replaced itself.
        waiting: about how many tasks wait before it in its queue, where the broker can tell.
        task_id: as Celery knows it.
        error: why it has failed.
    """

    part: int
    name: str
    state: TaskState = TaskState.QUEUED
    attempt: int = 0
    waiting: int | None = None
    task_id: str = ""
    error: Exception | None = None


def key_of_part(feed: str, part: int) -> str:
    """Name of a streamed task in the list of refusals of a worker."""
    return f"{feed}/{part}"


@dataclass(frozen=True, slots=True)
class TaskUpdate(events.Encoded):
    """An update that a task has emitted.

    Attributes:
        part: which task it is, of those that are streamed together; counts from 0.
        attempt: of the task; counts from 1, and is larger after a retry or a redelivery.
    """

    part: int = 0
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class Changed:
    """A task has got into another state.

    Attributes:
        part: which task.
        attempt: of the task; 0 where who tells does not know.
        state: the new one.
        task_id: as Celery knows the task.
        pool: of the worker, in state `STARTED`.
        result: in state `SUCCESS`, as kombu's JSON; None where that says something else.
        is_kept: in state `SUCCESS`, whether Celery's result backend has the result.
        error: in state `FAILURE`, as Celery's backends keep it.
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
    """An update that a task has emitted."""
    return b"%d %d %b%b" % (part, attempt, body, sse.END)


def encode(change: Changed) -> bytes:
    """The change of a task's state."""
    text: str = dumps(asdict(change))
    return text.encode() + sse.END


def decode(message: bytes) -> TaskUpdate | Changed:
    """What a task has told, without the line ends."""
    if message.startswith(b"{"):
        fields = loads(message)
        return Changed(**{**fields, "state": TaskState(fields["state"])})
    part, attempt, body = message.split(b" ", 2)
    update = events.decode_update(body)
    return TaskUpdate(update.targets, update.alone, update.body, int(part), int(attempt))
