"""The function that blocks the event loop is named in the log."""

import asyncio
import logging
import selectors
import sys
import time

import pytest

from flash_events.endpoint.loop_watch import BLOCKED_SECONDS, LoopWatch, _culprit


async def slow_callback() -> None:
    time.sleep(BLOCKED_SECONDS + 1)  # noqa: ASYNC251 - that is what is watched for


async def test_a_blocked_loop_is_reported_once_with_the_name_of_the_function(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "flash_events")
    watch = LoopWatch()
    await asyncio.sleep(0.5)
    await asyncio.create_task(slow_callback())
    await asyncio.sleep(0.5)
    watch.close()
    [record] = caplog.records
    assert "slow_callback" in record.getMessage()


async def test_a_responsive_loop_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    watch = LoopWatch()
    await asyncio.sleep(BLOCKED_SECONDS + 0.5)
    watch.close()
    assert not caplog.records


def test_the_code_that_has_started_the_loop_is_not_reported() -> None:
    said = []

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            said.append(_culprit(sys._getframe().f_back))
            return super().select(timeout)

    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(Selector())) as runner:
        runner.run(asyncio.sleep(0.01))
    assert {culprit for culprit, _ in said} == {"code that is not the app's own"}
