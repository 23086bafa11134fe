"""A timeout that is cheap to use again and again."""

import asyncio
import contextvars
from types import TracebackType
from typing import Self


class ReusedTimeout:
    """Timeout of what one task at a time awaits again and again.

    `asyncio.timeout` makes and cancels a timer each time. Here the timer stays: when it fires
    before the current deadline, it is set again.

        with timeout.within(seconds):  # raises TimeoutError
            await ...
    """

    __slots__ = ("_cancels", "_deadline", "_is_over", "_loop", "_task", "_timer")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._task: asyncio.Task[object] | None = None
        """The task that waits now; None between two waits."""
        self._cancels = 0
        """Number of cancels of the task when it began to wait."""
        self._is_over = False

    def within(self, seconds: float) -> Self:
        """Set the deadline of the block that follows."""
        self._deadline = self._loop.time() + seconds
        return self

    def __enter__(self) -> None:
        task = self._task = asyncio.current_task()
        assert task is not None
        self._cancels = task.cancelling()
        if self._timer is None or self._timer.when() > self._deadline:
            self._set_timer()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self._task = self._task, None
        if not self._is_over or task is None:
            return
        self._is_over = False
        is_only_cancel = task.uncancel() <= self._cancels
        if is_only_cancel and kind is asyncio.CancelledError:
            raise TimeoutError from error

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
