"""Background tasks."""

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any

from flash_events.errors import BrokerError

logger = logging.getLogger(__name__)


class Background:
    """Tasks that their starter does not await.

    A task is referenced until it is done, and logged if it fails. It has an empty context, because
    a copy of the current one would keep the request alive.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Start a task."""
        task = asyncio.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    async def finish(self) -> None:
        """Wait for all tasks, including those that are started meanwhile."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        level = logging.WARNING if isinstance(error, BrokerError) else logging.ERROR
        logger.log(level, "%s failed: %s", task.get_coro(), error, exc_info=error)
