"""What the code that runs now is part of: a run, or a streamed task of a worker."""

from collections.abc import Callable
from contextvars import ContextVar

from flash_events.updates import Update

stream_aside: ContextVar[Callable[[Update], None] | None] = ContextVar(
    "flash_events_stream_aside", default=None
)
"""Streams an update that does not come by `yield`, in order; None where nothing is streamed."""
