"""Learns early that a worker is to stop: servers tell applications only when all clients have left.

Hypercorn's workers get no signal, but an event that a task of the worker polls; when a sibling has
exited, they get SIGTERM and die of it. Both are watched here. Uvicorn's handlers of signals are
called after ours. Where a server has the event loop handle SIGTERM, it stays with that.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import FrameType
from typing import Any
from weakref import WeakKeyDictionary

EXIT_SECONDS = 4.0
"""After so long a stopping worker ends itself: a client that does not read keeps hypercorn."""

LOOK_SECONDS = 0.5
LOOKS = 40
"""How often we look for hypercorn's tasks, which begin after the application, and at requests."""

_HYPERCORNS_TASKS = frozenset(("raise_shutdown",))
"""Private: `hypercorn/utils.py`; the tests of fault 11 break when they are renamed."""


Drain = Callable[[], Awaitable[bool]]
"""Ends the streams of an app; says whether their clients have left."""

_Handler = Callable[[int, FrameType | None], Any]


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
        self._servers: dict[int, _Handler] = {}
        if signal.SIGTERM not in getattr(self._loop, "_signal_handlers", {}):
            # Windows has no such handlers, and threads may set none: the app streams all the same.
            with suppress(NotImplementedError, RuntimeError, ValueError):
                self._watch_signals()
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
        for number, handler in self._servers.items():
            if signal.getsignal(number) == self._on_servers_signal:
                signal.signal(number, handler)
        _of_loop.pop(self._loop, None)

    def _watch_signals(self) -> None:
        handler = signal.getsignal(signal.SIGTERM)
        if handler is signal.SIG_DFL or hasattr(handler, "_dash_stream_shutdown"):
            # Nobody but Dash handles it, whose handler ends the process at once.
            self._loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)
            self._has_signal = True
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            handler = signal.getsignal(number)
            if callable(handler) and handler is not signal.default_int_handler:
                self._servers[number] = handler
                signal.signal(number, self._on_servers_signal)

    def _on_servers_signal(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._begin)
        self._servers[number](number, frame)

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
        have_left = all(await asyncio.gather(*(drain() for drain in self._drains)))
        if have_left and self._servers and self._exit is not None:
            self._exit.cancel()  # the server waits for what is not ours, as long as it likes

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


def _name(task: asyncio.Task[object]) -> str:
    return getattr(task.get_coro(), "__name__", "")
