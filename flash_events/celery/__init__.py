"""Celery: tasks that stream to pages, and event callbacks that run in Celery workers."""

from flash_events.extras import how_to_install

try:
    import flash_events.celery.refusals  # noqa: F401 - it connects handlers to Celery's signals
    from flash_events.celery.messages import TaskState, TaskStatus, TaskUpdate
    from flash_events.celery.streams import TaskStream, stream_task
    from flash_events.celery.tasks import TaskStopped, emit
    from flash_events.celery.worker_runs import attempt
except ImportError as error:
    raise ImportError(
        f"flash_events.celery needs Celery and redis-py ({error}). {how_to_install('celery')}"
    ) from error

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
