"""Celery: tasks stream into the page, and whole event callbacks run in workers."""

from flash_events.celery.messages import TaskState, TaskStatus, TaskUpdate
from flash_events.celery.streams import TaskStream, stream_task
from flash_events.celery.tasks import TaskStopped, emit
from flash_events.celery.worker_runs import attempt

__all__ = [
    "TaskState",
    "TaskStatus",
    "TaskStopped",
    "TaskStream",
    "TaskUpdate",
    "attempt",
    "emit",
    "stream_task",
]
