"""Learns early that a worker is to stop: servers tell applications only when all clients have left.

Hypercorn's workers get no signal, but an event that a task of the worker polls; when a sibling has
exited, they get SIGTERM and die of it. Both are watched here. Other servers are only asked through
SIGTERM, and not where they handle it themselves.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from weakref import WeakKeyDictionary

EXIT_SECONDS = 4.0
"""After so long a stopping worker ends itself: a client that does not read keeps hypercorn."""

LOOK_SECONDS = 0.5
LOOKS = 40
"""How often we look for hypercorn's tasks, which begin after the application, and at requests."""

_HYPERCORNS_TASKS = frozenset(("raise_shutdown",))
"""Private: `hypercorn/utils.py`; the tests of fault 11 break when they are renamed."""


Drain = Callable[[], Awaitable[None]]


class ShutdownWatch:
    """Drains all apps of a worker once, when it is about to stop.

    The worker goes on serving meanwhile. One per event loop: see `watch_shutdown`.
    """

    def __init__(self) -> None:
        self._drains: list[Drain] = []
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.Task[None] | None = None
        self._exit: asyncio.TimerHandle | None = None
        self._look_again: asyncio.TimerHandle | None = None
        self._has_signal = False
        self._looks_left = LOOKS
        if _is_unhandled(self._loop):
            with suppress(NotImplementedError, ValueError):  # Windows, or not the main thread
                self._loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)
                self._has_signal = True
        self._look_now_and_then()

    def add(self, drain: Drain) -> None:
        """Has another app drained, too."""
        self._drains.append(drain)

    def look(self) -> None:
        """Looks for hypercorn's tasks, unless they were found or are not there at all."""
        if not self._looks_left:
            return
        self._looks_left -= 1
        for task in asyncio.all_tasks(self._loop):
            if _name(task) in _HYPERCORNS_TASKS:
                self._looks_left = 0
                task.add_done_callback(lambda _: self._begin())

    def close(self) -> None:
        """The worker has stopped serving."""
        for timer in (self._exit, self._look_again):
            if timer is not None:
                timer.cancel()
        if self._has_signal:
            self._loop.remove_signal_handler(signal.SIGTERM)
            self._has_signal = False
        _of_loop.pop(self._loop, None)

    def _look_now_and_then(self) -> None:
        self.look()
        if self._looks_left:
            self._look_again = self._loop.call_later(LOOK_SECONDS, self._look_now_and_then)

    def _on_sigterm(self) -> None:
        draining = self._begin()
        draining.add_done_callback(lambda _: self._die_unless_serving_ends())

    def _begin(self) -> asyncio.Task[None]:
        if self._draining is None:
            self._draining = self._loop.create_task(self._drain())
            self._exit = self._loop.call_later(EXIT_SECONDS, self._die)
        return self._draining

    async def _drain(self) -> None:
        await asyncio.gather(*(drain() for drain in self._drains))

    def _die_unless_serving_ends(self) -> None:
        """Without hypercorn's own shutdown nobody else would end this worker."""
        if any(_name(task) in _HYPERCORNS_TASKS for task in asyncio.all_tasks(self._loop)):
            self._die()

    def _die(self) -> None:
        if self._has_signal:
            self._loop.remove_signal_handler(signal.SIGTERM)
            self._has_signal = False
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, ShutdownWatch] = WeakKeyDictionary()


def watch_shutdown(drain: Drain) -> ShutdownWatch:
    """Has `drain()` awaited when this worker is about to stop."""
    loop = asyncio.get_running_loop()
    watch = _of_loop.get(loop)
    if watch is None:
        watch = _of_loop[loop] = ShutdownWatch()
    watch.add(drain)
    return watch


def _is_unhandled(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether nobody but Dash, whose handler ends the process at once, handles SIGTERM."""
    if signal.SIGTERM in getattr(loop, "_signal_handlers", {}):
        return False
    handler = signal.getsignal(signal.SIGTERM)
    return handler is signal.SIG_DFL or hasattr(handler, "_dash_stream_shutdown")


def _name(task: asyncio.Task[object]) -> str:
    return getattr(task.get_coro(), "__name__", "")
