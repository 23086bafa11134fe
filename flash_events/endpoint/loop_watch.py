"""Says in the log who blocks the event loop: every stream of the worker waits for it.

Dash on Quart runs ordinary `def` callbacks on the loop, so this is what a slow one looks like.
"""

import asyncio
import inspect
import linecache
import logging
import os
import sys
import threading
import time
from pathlib import Path
from types import CodeType, FrameType

from flash_events.registration import is_event_callback

logger = logging.getLogger(__name__)

BLOCKED_SECONDS = 1.0
"""A loop that takes longer for one step is worth a line."""

LOOK_SECONDS = 0.25

_BELOW = (
    asyncio.Handle._run.__code__,
    asyncio.BaseEventLoop.run_forever.__code__,
    asyncio.Runner.run.__code__,
)
"""Where a step of the loop begins; what has started the loop is not to blame for a step."""

_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_OTHERS = (_PACKAGE, "/site-packages/", "/dist-packages/", f"{sys.base_prefix}/lib/", "<frozen")
"""Parts of the paths of code that is not the app's own."""


_AWAIT = "await what waits (`await asyncio.sleep(...)`, not `time.sleep(...)`)"
_TO_THREAD = "write `await asyncio.to_thread(function, ...)`"

_IN_EVENT_CALLBACK = (
    "It is an `async def`: write a plain `def` with `yield`, which has a thread of its own, "
    f"or {_AWAIT}, and for what cannot be awaited {_TO_THREAD}."
)
_IN_COROUTINE = f"In an `async def`, {_AWAIT}, and for what cannot be awaited {_TO_THREAD}."
_IN_FUNCTION = (
    "A `def` without `yield` is run on the event loop. Write a callback with `yield` under "
    "@event_callback: then it has a thread of its own. Or write `async def`, and in it "
    "`await asyncio.to_thread(function, ...)` for what blocks."
)


class LoopWatch:
    """Looks from a thread whether the running loop still turns, until it is closed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._turned = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="flash_events loop", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops looking."""
        self._closed.set()

    def _turn(self) -> None:
        self._turned = time.monotonic()

    def _watch(self) -> None:
        reported = 0.0
        while not self._closed.wait(LOOK_SECONDS):
            turned = self._turned
            if time.monotonic() - turned > BLOCKED_SECONDS:
                if turned != reported:
                    reported = turned
                    self._report()
                continue
            try:
                self._loop.call_soon_threadsafe(self._turn)
            except RuntimeError:  # the loop is closed
                return

    def _report(self) -> None:
        frame = sys._current_frames().get(self._thread_id)
        logger.warning(
            "The event loop has been blocked for more than %.0f s by %s; all streams of this "
            "worker wait. %s",
            BLOCKED_SECONDS,
            *_culprit(frame),
        )


def _culprit(frame: FrameType | None) -> tuple[str, str]:
    """The outermost function of a step of the loop that is the app's own, and the cure.

    That is a callback, likely.
    """
    found, cure = "code that is not the app's own", _IN_COROUTINE
    while frame is not None and frame.f_code not in _BELOW:
        code = frame.f_code
        is_own = code.co_name != "<module>"  # below the loop, where that is written in C
        if is_own and not any(part in code.co_filename for part in _OTHERS):
            found = f"{frame.f_globals.get('__name__')}.{code.co_qualname}, line {frame.f_lineno}"
            line = linecache.getline(code.co_filename, frame.f_lineno).strip()
            found += f" (`{line}`)" if line else ""
            cure = _cure(code)
        frame = frame.f_back
    return found, cure


def _cure(code: CodeType) -> str:
    """What to write in the place of a function with this code."""
    if is_event_callback(code):
        return _IN_EVENT_CALLBACK
    is_async = code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR)
    return _IN_COROUTINE if is_async else _IN_FUNCTION
