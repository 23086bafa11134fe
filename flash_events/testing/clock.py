"""A fake clock for asyncio's own event loops."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_current: ContextVar["Clock | None"] = ContextVar("flash_events_clock", default=None)


class Clock:
    """A fake clock.

    Attributes:
        seconds: that have passed on it.
    """

    def __init__(self) -> None:
        self.seconds = 0.0


@contextmanager
def fake_clock() -> Iterator[Clock]:
    """Lets the running event loop's time pass at once whenever all of its tasks wait for it.

    `asyncio.sleep` and time-outs take no time then, in the order that they would have.
    `time.time()` and threads are as ever.

    Raises:
        TypeError: the event loop is not asyncio's own.
    """
    loop: Any = asyncio.get_running_loop()
    selector = getattr(loop, "_selector", None)
    if selector is None:
        raise TypeError(f"Expected an event loop of asyncio, got {type(loop).__module__}.")
    clock = Clock()
    select = selector.select

    def select_now(timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return select(timeout)
        found = select(0)
        if not found:
            clock.seconds += timeout
        return found

    begun = loop.time()
    loop.time, selector.select = (lambda: begun + clock.seconds), select_now
    token = _current.set(clock)
    try:
        yield clock
    finally:
        _current.reset(token)
        del loop.time, selector.select


def has_fake_clock() -> bool:
    """Whether `fake_clock` is in force."""
    return _current.get() is not None
