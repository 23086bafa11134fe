"""A fake clock for asyncio's own event loops."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LIMIT_SECONDS = 5.0
"""In a test, what has not happened after this time, in reality, does not happen."""

_CLOCK = "_flash_events_clock"
"""The attribute of a loop that holds its fake clock."""


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

    `asyncio.sleep` and time-outs take no time then, in the order that they would have. While
    something is waited for outside of the loop, a socket or `asyncio.to_thread`, time passes as
    ever. `time.time()` is not touched.

    Raises:
        TypeError: the event loop is not asyncio's own.
        AssertionError: all wait, and for nothing that could come.
    """
    loop: Any = asyncio.get_running_loop()
    if has_fake_clock():
        yield getattr(loop, _CLOCK)
        return
    selector = getattr(loop, "_selector", None)
    if selector is None:
        raise TypeError(f"Expected an event loop of asyncio, got {type(loop).__module__}.")
    clock = Clock()
    begun = loop.time()
    select, run_in_executor = selector.select, loop.run_in_executor
    in_threads: set[asyncio.Future[Any]] = set()

    def select_now(timeout: float | None = None) -> Any:
        found = select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        waits_outside = in_threads or len(selector.get_map()) > 1  # the loop has a socket itself
        if timeout is None:
            found = select(None if waits_outside else LIMIT_SECONDS)
            assert found, "All wait for something that does not come. Does the generator, too?"
            return found
        if waits_outside:
            found = select(timeout)
        if not found:
            clock.seconds += timeout
        return found

    def run_counted(*args: Any) -> asyncio.Future[Any]:
        future: asyncio.Future[Any] = run_in_executor(*args)
        in_threads.add(future)
        future.add_done_callback(in_threads.discard)
        return future

    setattr(loop, _CLOCK, clock)
    loop.time, selector.select, loop.run_in_executor = (
        lambda: begun + clock.seconds,
        select_now,
        run_counted,
    )
    try:
        yield clock
    finally:
        del loop.time, selector.select, loop.run_in_executor
        delattr(loop, _CLOCK)


def has_fake_clock() -> bool:
    """Whether `fake_clock` is in force."""
    return hasattr(asyncio.get_running_loop(), _CLOCK)
