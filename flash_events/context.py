"""What the code that runs now is part of: a run, or a streamed task of a worker."""

from collections.abc import Callable
from contextvars import ContextVar

from flash_events.updates import Update

stream_aside: ContextVar[Callable[[Update], None] | None] = ContextVar(
    "flash_events_stream_aside", default=None
)
"""Streams an update that does not come by `yield`, in order; None where nothing is streamed."""

attempt: ContextVar[int] = ContextVar("flash_events_attempt", default=1)
"""How often the run has begun; more than once only where a task queue delivers it again."""
