"""Calls of Celery from the event loop: each in a thread, as Celery blocks while it waits."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from celery import Celery
from celery.canvas import Signature
from celery.result import AsyncResult

logger = logging.getLogger(__name__)

REFUSED = "flash_events_refused"
"""The remote control command that asks workers which tasks they have refused."""

REFUSED_SECONDS = 1.0
"""Timeout for the answers of workers."""


class Control:
    """Async access to one Celery app: send and revoke tasks, and inspect its queues."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    async def send(self, canvas: Signature, **options: Any) -> AsyncResult:
        """Send a task or a canvas."""
        return await asyncio.to_thread(canvas.apply_async, **options)

    async def revoke(self, task_ids: Iterable[str], terminate: bool = False) -> None:
        """Cancel queued tasks; with `terminate`, terminate the processes of running ones."""
        ids = list(task_ids)
        if ids:
            await asyncio.to_thread(self._app.control.revoke, ids, terminate=terminate)

    async def waiting(self, part: Signature) -> int | None:
        """Return the length of a task's queue, or None if the broker cannot tell."""
        return await asyncio.to_thread(self._count, part)

    async def refused(self, keys: Iterable[str]) -> dict[str, str]:
        """Return the tasks that a worker has refused, each with the reason."""
        return await asyncio.to_thread(self._ask, list(keys))

    def _ask(self, keys: list[str]) -> dict[str, str]:
        try:
            answers = self._app.control.broadcast(
                REFUSED, {"keys": keys}, reply=True, timeout=REFUSED_SECONDS
            )
        except Exception as error:  # each driver raises its own, and some have no remote control
            logger.debug("The workers cannot be asked for refused tasks: %s", error)
            return {}
        refused: dict[str, str] = {}
        for answer in answers:
            for reasons in answer.values():
                if "error" not in reasons:  # the worker does not know the command, for example
                    refused |= reasons
        return refused

    def _count(self, part: Signature) -> int | None:
        try:
            queue = self._app.amqp.router.route(part.options, part.task)["queue"]
            with self._app.connection_for_write() as connection:
                found = connection.default_channel.queue_declare(
                    getattr(queue, "name", queue), passive=True
                )
        except Exception as error:  # each driver raises its own, and the length is optional
            if str(getattr(error, "reply_code", "")) == "404":
                return 0  # some brokers delete empty queues
            logger.debug("The length of a queue is unknown: %s", error)
            return None
        return int(found.message_count)


def redelivers(task: Any) -> bool:
    """Return whether Celery delivers a task again if its process dies."""
    is_rejected = task.acks_late and task.reject_on_worker_lost
    return bool(is_rejected or getattr(task, "retry_on_worker_lost", False))
