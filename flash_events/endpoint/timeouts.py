"""A timeout that is cheap to use again and again."""

import asyncio
import contextvars
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class ReusedTimeout:
    """Timeout of what one task at a time awaits again and again.

    `asyncio.timeout` sets and cancels a timer each time. Here the timer stays: when it fires before
    the current deadline, it is set again.
    """

    __slots__ = ("_deadline", "_is_over", "_loop", "_task", "_timer")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._task: asyncio.Task[object] | None = None
        """Who waits now."""
        self._is_over = False

    async def wait(self, work: Awaitable[T], seconds: float) -> T:
        """Await something.

        Raises:
            TimeoutError: if it takes longer; it is cancelled.
        """
        task = asyncio.current_task()
        assert task is not None
        cancels = task.cancelling()
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._set_timer()
        self._task = task
        try:
            return await work
        except asyncio.CancelledError as error:
            if self._is_over and task.cancelling() <= cancels + 1:  # nobody else has cancelled it
                raise TimeoutError from error
            raise
        finally:
            if self._is_over:
                task.uncancel()
            self._task, self._is_over = None, False

    def close(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self.close()
        # A copy of the current context would keep the request alive.
        context = contextvars.Context()
        self._timer = self._loop.call_at(self._deadline, self._on_time, context=context)

    def _on_time(self) -> None:
        self._timer = None
        if self._task is None:
            return
        if self._loop.time() < self._deadline:
            self._set_timer()
        else:
            self._is_over = True
            self._task.cancel()
