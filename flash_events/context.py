"""Context variables of the current run, or of the current streamed task in a worker."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol
from weakref import WeakSet

from flash_events.updates import Update

stream_aside: ContextVar[Callable[[Update], None] | None] = ContextVar(
    "flash_events_stream_aside", default=None
)
"""Function that streams an update without `yield`, in order; None outside a run or task."""

attempt: ContextVar[int] = ContextVar("flash_events_attempt", default=1)
"""Number of starts of the current run; 2 or more if a task queue has delivered it again."""

page: ContextVar[str] = ContextVar("flash_events_page", default="")
"""Hash of the id of the page that has started the current run; "" outside a run."""


class Stopping:
    """Whether the run of a plain generator is stopped, for calls that wait in its thread."""

    def __init__(self) -> None:
        self.is_stopped = False
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []

    def stop(self) -> None:
        """Note that the run is stopped, and call back who waits."""
        with self._lock:
            self.is_stopped = True
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    @contextmanager
    def calls(self, callback: Callable[[], object]) -> Iterator[None]:
        """Call back in the block when the run is stopped; at once if it is stopped already."""
        with self._lock:
            self._callbacks.append(callback)
            is_stopped = self.is_stopped
        if is_stopped:
            callback()
        try:
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)


stopping: ContextVar[Stopping | None] = ContextVar("flash_events_stopping", default=None)
"""Set in the thread of a plain generator; None elsewhere."""


class Closable(Protocol):
    def close(self) -> None: ...


class Opened:
    """Objects that the body of a run has opened and that are closed when the run ends.

    Objects that are opened by tasks and threads of the body are not included, because these may
    outlive the run. Create it in the task or thread of the body.
    """

    __slots__ = ("_all", "_owner")

    def __init__(self) -> None:
        self._owner = _current_task_or_thread()
        self._all: WeakSet[Closable] | None = None

    def add(self, one: Closable) -> None:
        """Close something at the end of the run, if the body itself has opened it."""
        if _current_task_or_thread() is self._owner:
            self._all = self._all or WeakSet()
            self._all.add(one)

    def close(self) -> None:
        """Close all that is still used."""
        for one in list(self._all or ()):
            one.close()


def _current_task_or_thread() -> object:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no event loop runs here
        return threading.current_thread()


opened: ContextVar[Opened | None] = ContextVar("flash_events_opened", default=None)
"""Objects that the current run has opened; None outside a run."""
