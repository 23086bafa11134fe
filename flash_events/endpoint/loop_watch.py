"""Says in the log who blocks the event loop: every stream of the worker waits for it.

Dash on Quart runs ordinary `def` callbacks on the loop, so this is what a slow one looks like.
"""

import asyncio
import logging
import sys
import threading
import time
from types import FrameType

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

_OTHERS = ("/site-packages/", "/dist-packages/", f"{sys.base_prefix}/lib/", "<frozen")
"""Parts of the paths of code that is not the app's own."""


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
            "worker wait. Write slow callbacks as `async def`, or as event callbacks.",
            BLOCKED_SECONDS,
            _culprit(frame),
        )


def _culprit(frame: FrameType | None) -> str:
    """The outermost function of a step of the loop that is the app's own: a callback, likely."""
    found = "code that is not the app's own"
    while frame is not None and frame.f_code not in _BELOW:
        code = frame.f_code
        is_own = code.co_name != "<module>"  # below the loop, where that is written in C
        if is_own and not any(part in code.co_filename for part in _OTHERS):
            found = f"{frame.f_globals.get('__name__')}.{code.co_qualname}, line {frame.f_lineno}"
        frame = frame.f_back
    return found
