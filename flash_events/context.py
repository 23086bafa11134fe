"""Context variables of the current run, or of the current streamed task in a worker."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

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
