"""Warnings about code that blocks the event loop, and with it all streams of the worker.

Dash on Quart runs ordinary `def` callbacks on the loop, so a slow one shows up here.
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
"""Duration of one step of the loop above which a warning is logged."""

POLL_SECONDS = 0.25
"""Time between two checks of the loop."""

_BELOW = (
    asyncio.Handle._run.__code__,
    asyncio.BaseEventLoop.run_forever.__code__,
    asyncio.Runner.run.__code__,
)
"""Functions that call a step of the loop; the frames below them have only started the loop."""

_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_OTHERS = (_PACKAGE, "/site-packages/", "/dist-packages/", f"{sys.base_prefix}/lib/", "<frozen")
"""Path fragments of code that is not the app's own."""


_AWAIT = (
    "use calls that can be awaited (`await asyncio.sleep(...)`, not `time.sleep(...)`), and "
    "`await asyncio.to_thread(function, ...)` for calls that block"
)

_IN_EVENT_CALLBACK = (
    "It is an `async def`: write a plain `def` with `yield`, which runs in its own thread, "
    f"or {_AWAIT}."
)
_IN_COROUTINE = f"In an `async def`, {_AWAIT}."
_IN_FUNCTION = (
    "A `def` without `yield` runs on the event loop. Write a callback with `yield` under "
    "@event_callback, which runs in its own thread, or an `async def` that uses "
    "`await asyncio.to_thread(function, ...)` for calls that block."
)


class LoopWatch:
    """A thread that checks, until `close`, whether the running event loop is blocked."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread_id = threading.get_ident()
        self._turned = time.monotonic()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="flash_events loop", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop checking."""
        self._closed.set()

    def _turn(self) -> None:
        self._turned = time.monotonic()

    def _watch(self) -> None:
        reported = 0.0
        while not self._closed.wait(POLL_SECONDS):
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
    """Return the app's outermost function in the current step of the loop, and the cure.

    The outermost function is most likely a callback.
    """
    found, cure = "code that is not the app's own", _IN_COROUTINE
    while frame is not None and frame.f_code not in _BELOW:
        code = frame.f_code
        is_own = code.co_name != "<module>"  # with a loop written in C, a module starts the step
        if is_own and not any(part in code.co_filename for part in _OTHERS):
            found = f"{frame.f_globals.get('__name__')}.{code.co_qualname}, line {frame.f_lineno}"
            line = linecache.getline(code.co_filename, frame.f_lineno).strip()
            found += f" (`{line}`)" if line else ""
            cure = _cure(code)
        frame = frame.f_back
    return found, cure


def _cure(code: CodeType) -> str:
    """Return the advice for a function with this code."""
    if is_event_callback(code):
        return _IN_EVENT_CALLBACK
    is_async = code.co_flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR)
    return _IN_COROUTINE if is_async else _IN_FUNCTION
