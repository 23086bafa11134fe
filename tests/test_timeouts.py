"""A reused timeout cancels only what takes too long, and leaves other cancels alone."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import pytest

from flash_events.endpoint.timeouts import ReusedTimeout

T = TypeVar("T")


async def wait(reused: ReusedTimeout, work: Awaitable[T], seconds: float) -> T:
    with reused.within(seconds):
        return await work


async def test_what_is_quick_is_returned_and_what_is_slow_times_out() -> None:
    timeout = ReusedTimeout()
    for _ in range(3):
        assert await wait(timeout, asyncio.sleep(0, "quick"), 10) == "quick"
        with pytest.raises(TimeoutError):
            await wait(timeout, asyncio.Event().wait(), 0.01)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    timeout.close()


async def test_a_timer_that_fires_before_the_deadline_is_set_again() -> None:
    timeout = ReusedTimeout()
    await wait(timeout, asyncio.sleep(0), 0.01)
    assert await wait(timeout, asyncio.sleep(0.03, "later"), 10) == "later"
    await wait(timeout, asyncio.sleep(0), 0.01)
    with pytest.raises(TimeoutError):
        await wait(timeout, asyncio.Event().wait(), 0.03)
    timeout.close()


async def test_a_cancelled_wait_is_no_timeout() -> None:
    timeout = ReusedTimeout()
    task = asyncio.create_task(wait(timeout, asyncio.Event().wait(), 10))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    timeout.close()


async def test_a_cancel_at_the_deadline_stays_a_cancel() -> None:
    timeout = ReusedTimeout()

    async def cancel_at_the_deadline() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            task.cancel()

    async def work() -> None:
        await wait(timeout, cancel_at_the_deadline(), 0.01)

    task = asyncio.create_task(work())
    with pytest.raises(asyncio.CancelledError):
        await task
    timeout.close()
