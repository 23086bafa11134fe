"""Celery's soft time limit, raised inside the generator of a run.

Celery's signal interrupts the main thread, which runs an event loop. An exception raised there
would hit the loop rather than the generator, which may be suspended or run in another thread.
"""

import asyncio
import ctypes
import functools
import signal
import threading
import types
from collections.abc import AsyncIterator, Generator
from dataclasses import replace
from types import FrameType
from typing import Any, Self

from billiard.pool import SIG_SOFT_TIMEOUT, soft_timeout_sighandler
from celery.exceptions import SoftTimeLimitExceeded

from flash_events.registration import EventCallback


class SoftLimit:
    """Context manager around the event loop of a Celery process.

    It does nothing outside the main thread of a prefork process, since Celery has soft time limits
    only there.
    """

    def __init__(self) -> None:
        self._is_due = False
        """Whether the limit is over and was not raised in the generator yet."""
        self._is_stepping = False
        """Whether an async generator runs right now, in the main thread."""
        self._waiting: asyncio.Task[Any] | None = None
        """The task of an async generator, while that awaits something."""
        self._thread: int | None = None
        """The id of the thread in which a plain generator runs right now."""
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._is_used = SIG_SOFT_TIMEOUT is not None and (
            signal.getsignal(SIG_SOFT_TIMEOUT) is soft_timeout_sighandler
        )
        if self._is_used:
            signal.signal(SIG_SOFT_TIMEOUT, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_used:
            signal.signal(SIG_SOFT_TIMEOUT, soft_timeout_sighandler)

    def watch(self, callback: EventCallback) -> EventCallback:
        """Return the event callback with a function that raises the limit in its generator."""
        if not self._is_used:
            return callback
        wrap = self._wrap_async if callback.is_async else self._wrap_plain
        return replace(callback, function=wrap(callback.function))

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_stepping:
            raise SoftTimeLimitExceeded
        with self._lock:
            if self._thread is not None:
                _raise_in(self._thread)
                return
            self._is_due = True
        if self._waiting is not None:
            self._waiting.get_loop().call_soon_threadsafe(self._interrupt)

    def _interrupt(self) -> None:
        if self._is_due and self._waiting is not None:
            self._waiting.cancel()  # `_step` turns it into SoftTimeLimitExceeded

    def _take(self) -> bool:
        """Return whether to raise the limit now, and clear the flag: it is raised only once."""
        is_due, self._is_due = self._is_due, False
        return is_due

    def _wrap_async(self, function: Any) -> Any:
        @functools.wraps(function)
        async def body(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            generator = function(*args, **kwargs)
            try:
                while True:
                    is_due = self._take()
                    step = (
                        generator.athrow(SoftTimeLimitExceeded())
                        if is_due
                        else generator.__anext__()
                    )
                    try:
                        item = await self._step(step)
                    except StopAsyncIteration:
                        return
                    yield item
            finally:
                await generator.aclose()

        return body

    @types.coroutine
    def _step(self, step: Any) -> Generator[Any, Any, Any]:
        """Await a step of a generator; raise SoftTimeLimitExceeded if `_interrupt` cancels it."""
        task = asyncio.current_task()
        assert task is not None
        resume, value = step.send, None
        while True:
            self._is_stepping = True
            try:
                future = resume(value)
            except StopIteration as done:
                return done.value
            finally:
                self._is_stepping = False
            self._waiting = task
            try:
                resume, value = step.send, (yield future)
            except BaseException as error:  # passed on to the generator
                resume, value = step.throw, error
                if isinstance(error, asyncio.CancelledError) and self._take():
                    task.uncancel()
                    value = SoftTimeLimitExceeded()
            finally:
                self._waiting = None

    def _wrap_plain(self, function: Any) -> Any:
        @functools.wraps(function)
        def body(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            generator = function(*args, **kwargs)
            try:
                while True:
                    try:
                        item = self._step_in_thread(generator)
                    except StopIteration as done:
                        return done.value
                    yield item
            finally:
                generator.close()

        return body

    def _step_in_thread(self, generator: Generator[Any, Any, Any]) -> Any:
        with self._lock:
            is_due = self._take()
            self._thread = None if is_due else threading.get_ident()
        try:
            return generator.throw(SoftTimeLimitExceeded()) if is_due else next(generator)
        finally:
            with self._lock:
                self._thread = None


def _raise_in(thread: int) -> None:
    """Raise SoftTimeLimitExceeded in another thread, as soon as it runs Python code."""
    kind = ctypes.py_object(SoftTimeLimitExceeded)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), kind)
