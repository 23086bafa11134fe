"""Tasks that nobody awaits."""

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any

from flash_events.errors import BrokerError

logger = logging.getLogger(__name__)


class Background:
    """Tasks whose starter does not wait for them.

    Each is kept until it is done, and logged if it fails. Each has a context of its own: the
    current one refers to the request, which would be kept as long.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Starts a task."""
        task = asyncio.create_task(work, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    async def finish(self) -> None:
        """Waits for all tasks, and for those that they start."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _on_done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        level = logging.WARNING if isinstance(error, BrokerError) else logging.ERROR
        logger.log(level, "%s failed: %s", task.get_coro(), error, exc_info=error)
