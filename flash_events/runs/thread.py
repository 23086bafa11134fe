"""A thread that runs a plain generator from start to end and passes its items to the event loop.

It is always the same thread, because many resources that a generator may open, such as a sqlite3
cursor, must not change threads.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Generator
from typing import Any, Generic, NoReturn, Self, TypeVar

from flash_events.context import Opened, Stopping, opened, stopping

T = TypeVar("T")
U = TypeVar("U")

AHEAD = 64
"""Maximum number of items that wait for the event loop. As many again may be in the batch that the
loop has taken last."""


class GeneratorThread(Generic[T, U]):
    """An async iterator over batches of a plain generator's converted items.

    A batch holds all items since the last batch; none waits for a batch to fill. The generator and
    `convert` run in the thread, with the context variables of the caller.

    Args:
        generator: a plain generator; it is closed in the thread, so its `finally` runs there.
        convert: returns the value to pass on for an item, or None to skip the item.
        name: the name of the thread, for debuggers.
    """

    def __init__(
        self, generator: Generator[T, Any, Any], convert: Callable[[T], U | None], name: str
    ) -> None:
        self._generator = generator
        self._convert = convert
        self._items: list[U] = []
        self._changed = threading.Condition()
        self._stopping = Stopping()
        self._error: BaseException | None = None
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._finished = asyncio.Event()
        context = contextvars.copy_context()
        context.run(stopping.set, self._stopping)
        self._thread = threading.Thread(
            target=context.run, args=(self._drive,), name=name, daemon=True
        )

    def push(self, item: U) -> None:
        """Add an item from the generator's code, in order with the yielded ones.

        It blocks while AHEAD items wait, so it must not be called in the event loop's thread.
        """
        with self._changed:
            while len(self._items) >= AHEAD and not self._stopping.is_stopped:
                self._changed.wait()
            if self._stopping.is_stopped:
                return
            self._items.append(item)
            is_first = len(self._items) == 1
        if is_first:
            self._loop.call_soon_threadsafe(self._ready.set)

    async def __aenter__(self) -> Self:
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the generator at its next yield, and wait until its `finally` has run."""
        with self._changed:
            self._stopping.stop()
            self._changed.notify_all()
        cancelled: asyncio.CancelledError | None = None
        while not self._finished.is_set():
            try:
                await self._finished.wait()
            except asyncio.CancelledError as error:  # a thread cannot be interrupted
                cancelled = error
        if self._error is not None:  # raised by the generator's `finally`
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
        if isinstance(error, StopAsyncIteration):  # raised as it is, it would end the iteration
            raise RuntimeError("generator raised StopAsyncIteration") from error
        raise error

    def _drive(self) -> None:
        items = _with_returned(self._generator)
        here = Opened()
        opened.set(here)
        try:
            try:
                for item in items:
                    converted = self._convert(item)
                    if converted is not None:
                        self.push(converted)
                    if self._stopping.is_stopped:
                        break
            finally:
                try:
                    items.close()  # the garbage collector would hide exceptions of its `finally`
                finally:
                    here.close()
        except BaseException as error:  # raised again in the event loop
            if not (self._stopping.is_stopped and isinstance(error, GeneratorExit)):
                self._error = error
        self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._finished.set()
        self._ready.set()


def _with_returned(generator: Generator[T, Any, Any]) -> Generator[T, Any, None]:
    """Yield the items of a generator, then its return value unless that is None."""
    returned = yield from generator
    if returned is not None:
        yield returned
