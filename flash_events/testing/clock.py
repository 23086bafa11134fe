"""A fake clock for asyncio's own event loops."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LIMIT_SECONDS = 5.0
"""Timeout of waits in tests, in real time."""

_CLOCK = "_flash_events_clock"
"""The attribute of a loop that holds its fake clock."""


class Clock:
    """A fake clock.

    Attributes:
        seconds: seconds that have passed on this clock.
    """

    def __init__(self) -> None:
        self.seconds = 0.0


@contextmanager
def fake_clock() -> Iterator[Clock]:
    """Skip the running event loop's waiting times in the block, and yield the clock.

    When all tasks wait for time to pass, `asyncio.sleep` and timeouts end at once, in their usual
    order. While a task waits for a socket or for `asyncio.to_thread`, time passes at its real
    speed. `time.time()` is not changed.

    Raises:
        TypeError: if the event loop is not one of asyncio's own.
        AssertionError: if all tasks wait for something that cannot happen.
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
        waits_outside = in_threads or len(selector.get_map()) > 1  # one socket is the loop's own
        if timeout is None:
            found = select(None if waits_outside else LIMIT_SECONDS)
            assert found, (
                "All tasks wait for something that does not happen; check the generator's `await`s."
            )
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
    """Return whether `fake_clock` is active in the running event loop."""
    return hasattr(asyncio.get_running_loop(), _CLOCK)
