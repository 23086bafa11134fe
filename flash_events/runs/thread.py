"""Drives a plain generator in one thread for its whole life, and hands its items to the loop.

One thread, because what a generator opens (a sqlite3 cursor, say) often may not change threads.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, NoReturn, Self, TypeVar

T = TypeVar("T")
U = TypeVar("U")

AHEAD = 64
"""Items that may wait for the loop, so that they are handed over in bunches. As many again may be
in the bunch that the loop has taken last."""


class GeneratorThread(Generic[T, U]):
    """An async iterator over what `convert` makes of a plain generator's items, in bunches.

    A bunch is what has come since the last one; nothing waits for a bunch to fill. The generator
    and `convert` run in the thread, with the context variables of the caller. `push` hands over
    something that was produced during a step, in order.

    Args:
        generator: a plain generator; closed in the thread, so that its `finally` runs there.
        convert: makes what is handed over from an item; None where there is nothing.
        name: of the thread, for debuggers.
    """

    def __init__(
        self, generator: Generator[T, Any, Any], convert: Callable[[T], U | None], name: str
    ) -> None:
        self._generator = generator
        self._convert = convert
        self._items: list[U] = []
        self._changed = threading.Condition()
        self._stopped = False
        self._error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._finished = asyncio.Event()
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._drive,), name=name, daemon=True
        )

    def push(self, item: U) -> None:
        """Hands an item over; waits while the loop is far behind. Not for the loop's thread."""
        with self._changed:
            while len(self._items) >= AHEAD and not self._stopped:
                self._changed.wait()
            if self._stopped:
                return
            self._items.append(item)
            is_first = len(self._items) == 1
        if is_first:
            self._loop.call_soon_threadsafe(self._ready.set)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stops the generator at its next yield and waits until its `finally` has run."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        cancelled: asyncio.CancelledError | None = None
        while not self._finished.is_set():
            try:
                await self._finished.wait()
            except asyncio.CancelledError as error:  # a thread cannot be interrupted
                cancelled = error
        if self._error is not None:  # of its `finally`
            self._raise()
        if cancelled is not None:
            raise cancelled

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[U]:
        while True:
            with self._changed:
                if self._items:
                    items, self._items = self._items, []
                    self._changed.notify_all()
                    return items
                self._ready.clear()
                is_over = self._finished.is_set()
            if is_over:
                if self._error is not None:
                    self._raise()
                raise StopAsyncIteration
            await self._ready.wait()

    def _raise(self) -> NoReturn:
        assert self._error is not None
        error, self._error = self._error, None
        if isinstance(error, StopAsyncIteration):  # it would only end the iteration
            raise RuntimeError("generator raised StopAsyncIteration") from error
        raise error

    def _drive(self) -> None:
        items = _with_returned(self._generator)
        try:
            try:
                for item in items:
                    converted = self._convert(item)
                    if converted is not None:
                        self.push(converted)
                    if self._stopped:
                        break
            finally:
                items.close()  # and not by losing it, which hides what its `finally` raises
        except BaseException as error:  # any: it is raised again in the loop, where it belongs
            self._error = error
        self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._finished.set()
        self._ready.set()


def _with_returned(generator: Generator[T, Any, Any]) -> Generator[T, Any, None]:
    """The items of a generator, and last what it returns, unless that is None."""
    returned = yield from generator
    if returned is not None:
        yield returned
