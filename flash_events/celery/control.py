"""What the web's workers ask of Celery, each in a thread, as Celery waits for its broker."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from celery import Celery
from celery.canvas import Signature
from celery.result import AsyncResult

logger = logging.getLogger(__name__)

REFUSED = "flash_events_refused"
"""The remote control command by which workers tell what they have taken and cannot do."""

REFUSED_SECONDS = 1.0
"""Timeout for the answers of workers."""


class Control:
    """Sends and revokes tasks of one Celery app."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    async def send(self, canvas: Signature, **options: Any) -> AsyncResult:
        """Sends a task or a canvas."""
        return await asyncio.to_thread(canvas.apply_async, **options)

    async def revoke(self, task_ids: Iterable[str], terminate: bool = False) -> None:
        """Has tasks not started any more or, with `terminate`, their processes end."""
        ids = list(task_ids)
        if ids:
            await asyncio.to_thread(self._app.control.revoke, ids, terminate=terminate)

    async def waiting(self, part: Signature) -> int | None:
        """How many tasks wait in the queue of one, where the broker can tell."""
        return await asyncio.to_thread(self._count, part)

    async def refused(self, keys: Iterable[str]) -> dict[str, str]:
        """Which of these a worker has taken and cannot do, each with the reason."""
        return await asyncio.to_thread(self._ask, list(keys))

    def _ask(self, keys: list[str]) -> dict[str, str]:
        try:
            answers = self._app.control.broadcast(
                REFUSED, {"keys": keys}, reply=True, timeout=REFUSED_SECONDS
            )
        except Exception as error:  # each driver raises its own, and some have no remote control
            logger.debug("The workers cannot be asked: %s", error)
            return {}
        refused: dict[str, str] = {}
        for answer in answers:
            for told in answer.values():
                if "error" not in told:  # of a worker that does not know the command, say
                    refused |= told
        return refused

    def _count(self, part: Signature) -> int | None:
        try:
            queue = self._app.amqp.router.route(part.options, part.task)["queue"]
            with self._app.connection_for_write() as connection:
                found = connection.default_channel.queue_declare(
                    getattr(queue, "name", queue), passive=True
                )
        except Exception as error:  # each driver raises its own, and a length is a courtesy
            if str(getattr(error, "reply_code", "")) == "404":
                return 0  # a queue that is empty may not be there
            logger.debug("The length of a queue is not known: %s", error)
            return None
        return int(found.message_count)


def redelivers(task: Any) -> bool:
    """Whether Celery runs a task again whose process has died."""
    is_rejected = task.acks_late and task.reject_on_worker_lost
    return bool(is_rejected or getattr(task, "retry_on_worker_lost", False))
