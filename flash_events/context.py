"""Context variables of the current run, or of the current streamed task in a worker."""

from collections.abc import Callable
from contextvars import ContextVar

from flash_events.updates import Update

stream_aside: ContextVar[Callable[[Update], None] | None] = ContextVar(
    "flash_events_stream_aside", default=None
)
"""Function that streams an update without `yield`, in order; None outside a run or task."""

attempt: ContextVar[int] = ContextVar("flash_events_attempt", default=1)
"""Number of starts of the current run; 2 or more if a task queue has delivered it again."""
