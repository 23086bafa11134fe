"""Early notice of a worker's shutdown, to end its streams.

Servers notify the application only after all clients have left, but streams keep their clients.

- Hypercorn: workers get no signal, but a task of each worker polls an event for the shutdown. When
  a sibling has exited, they get SIGTERM, whose default action kills them. Both are watched here.
- Uvicorn: its signal handlers are replaced with ones that drain and then call the original ones.
- A server that handles SIGTERM in the event loop keeps its handler.
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
"""Timeout after which a stopping worker kills itself, since hypercorn waits for silent clients."""

POLL_SECONDS = 0.5
"""Time between two searches for hypercorn's tasks, which start after the application."""

MAX_POLLS = 40
"""Maximum number of these searches, including those that requests trigger."""

_HYPERCORNS_TASKS = frozenset(("raise_shutdown",))
"""Private names in `hypercorn/utils.py`; the tests of fault 11 fail if they change."""


Drain = Callable[[], Awaitable[bool]]
"""Function that ends the streams of an app, and returns whether their clients have left."""

_Handler = Callable[[int, FrameType | None], Any]


class ShutdownWatch:
    """Drains all apps of a worker once, when the worker is about to stop.

    The worker goes on serving meanwhile. There is one instance per event loop: see
    `watch_shutdown`.
    """

    def __init__(self) -> None:
        self._drains: list[Drain] = []
        self._loop = asyncio.get_running_loop()
        self._draining: asyncio.Task[None] | None = None
        self._exit: asyncio.TimerHandle | None = None
        self._next_poll: asyncio.TimerHandle | None = None
        self._has_signal = False
        self._polls_left = MAX_POLLS
        self._servers: dict[int, _Handler] = {}
        if signal.SIGTERM not in getattr(self._loop, "_signal_handlers", {}):
            # Windows has no such handlers, and only the main thread may set them: then the worker
            # is not drained early.
            with suppress(NotImplementedError, RuntimeError, ValueError):
                self._watch_signals()
        self._poll()

    def add(self, drain: Drain) -> None:
        """Add another app to drain."""
        self._drains.append(drain)

    def look(self) -> None:
        """Search for hypercorn's tasks, until they are found or MAX_POLLS is reached."""
        if not self._polls_left:
            return
        self._polls_left -= 1
        for task in asyncio.all_tasks(self._loop):
            if _name(task) in _HYPERCORNS_TASKS:
                self._polls_left = 0
                task.add_done_callback(lambda _: self._begin())

    def close(self) -> None:
        """Restore the signal handlers and stop the timers, as the worker has stopped serving."""
        for timer in (self._exit, self._next_poll):
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
            # Only Dash handles the signal, if anyone, and its handler ends the process at once.
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

    def _poll(self) -> None:
        self.look()
        if self._polls_left:
            self._next_poll = self._loop.call_later(POLL_SECONDS, self._poll)

    def _on_sigterm(self) -> None:
        draining = self._begin()
        draining.add_done_callback(lambda _: self._exit_unless_stopped())

    def _begin(self) -> asyncio.Task[None]:
        if self._draining is None:
            self._draining = self._loop.create_task(self._drain())
            self._exit = self._loop.call_later(EXIT_SECONDS, self._kill)
        return self._draining

    async def _drain(self) -> None:
        have_left = all(await asyncio.gather(*(drain() for drain in self._drains)))
        if have_left and self._servers and self._exit is not None:
            self._exit.cancel()  # other requests may take as long as the server lets them

    def _exit_unless_stopped(self) -> None:
        """End the worker if hypercorn's shutdown has not begun: SIGTERM would have killed it."""
        if any(_name(task) in _HYPERCORNS_TASKS for task in asyncio.all_tasks(self._loop)):
            self._kill()

    def _kill(self) -> None:
        if self._has_signal:
            self._loop.remove_signal_handler(signal.SIGTERM)
            self._has_signal = False
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


_of_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, ShutdownWatch] = WeakKeyDictionary()


def watch_shutdown(drain: Drain) -> ShutdownWatch:
    """Await `drain()` when this worker is about to stop.

    Return the watch of the running event loop, which must be closed when the worker has stopped.
    """
    loop = asyncio.get_running_loop()
    watch = _of_loop.get(loop)
    if watch is None:
        watch = _of_loop[loop] = ShutdownWatch()
    watch.add(drain)
    return watch


def _name(task: asyncio.Task[object]) -> str:
    return getattr(task.get_coro(), "__name__", "")
