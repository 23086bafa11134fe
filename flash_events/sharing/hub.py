"""The hub: one client of a store on one event loop, shared by all readers on that loop."""

import asyncio
import concurrent.futures
import contextvars
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from flash_events.errors import ConfigurationError, StoreUnavailable
from flash_events.sharing.codecs import is_known_kind
from flash_events.sharing.watched import OnNews, WatchedLog, Watcher
from flash_events.stores import Entry, Keep, LogId, Position, Store

logger = logging.getLogger(__name__)

T = TypeVar("T")

ENDED = "The server has ended, or the event loop of the topics. Ask again in a running one."

MAX_HISTORY = 100_000
"""Maximum number of messages that a log keeps."""

RETRY_SECONDS = 1.0
"""Time until a store is opened again that could not be reached."""

FORKED = "This process was forked after it had subscribed. Subscribe again in the new process."

COMPARE_SECONDS = 25.0
"""Time between two comparisons of all watched logs with the store, which find lost news."""


class Hub:
    """Publishes and reads for all that runs on one event loop.

    Args:
        store: a client of the store, not yet open.
        publish_seconds: maximum wait for the store when publishing.

    Attributes:
        store: the client of the store.
        loop: the event loop.
        published: number of messages published.
        missed: number of messages that readers have missed.
    """

    def __init__(self, store: Store, publish_seconds: float = 5.0) -> None:
        self.store = store
        self.loop = asyncio.get_running_loop()
        self.published = 0
        self.missed = 0
        self._publish_seconds = publish_seconds
        self._watched: dict[LogId, WatchedLog] = {}
        self._locks: dict[LogId, tuple[asyncio.Lock, int]] = {}
        """A lock, and the number of its users, by log."""
        self._opening: asyncio.Task[None] | None = None
        self._comparing: asyncio.Task[None] | None = None
        self._unconnected: list[WatchedLog] = []
        """Watched logs until the store is open."""
        self._connecting: asyncio.Task[None] | None = None
        self._is_closed = False
        self._process = os.getpid()

    @property
    def origin(self) -> str:
        """The origin of what is published outside a page."""
        return self.store.worker

    @property
    def topics(self) -> int:
        """Number of watched logs."""
        return len(self._watched)

    @property
    def readers(self) -> int:
        """Number of readers and subscriptions."""
        return len(self.watchers())

    def watchers(self) -> list[Watcher]:
        """Return the readers and subscriptions, from any thread."""
        return [watcher for log in list(self._watched.values()) for watcher in log.watchers]

    @property
    def is_here(self) -> bool:
        """Whether the running event loop is the hub's."""
        try:
            return asyncio.get_running_loop() is self.loop
        except RuntimeError:
            return False

    async def open(self) -> None:
        """Open the store, unless that was done; only on the hub's loop.

        Raises:
            ConfigurationError: if the store cannot be reached.
            StoreUnavailable: if the hub was closed.
        """
        if self._is_closed:
            raise StoreUnavailable(ENDED)
        opening = self._opening
        if opening is None or _has_failed(opening):
            context = contextvars.Context()  # its own, or the current request would be kept
            opening = self._opening = asyncio.create_task(self._open(), context=context)
        await asyncio.shield(opening)

    async def close(self) -> None:
        """Close the store; only on the hub's loop."""
        self._is_closed = True
        for task in (self._comparing, self._connecting):
            if task is not None:
                task.cancel()
        self.end_watches()
        if self._opening is not None:
            await asyncio.wait({self._opening})
            await self.store.close()

    def end_watches(self) -> None:
        """End all readers; only on the hub's loop."""
        for log in list(self._watched.values()):
            log.close()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work on the hub's loop, from any loop.

        Raises:
            ConfigurationError: if the store cannot be reached.
            StoreUnavailable: if the hub was closed, or its loop has ended.
        """
        if self.is_here:
            return await self._when_open(work)
        future = self.start(work)
        try:
            return await asyncio.wrap_future(future)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            raise StoreUnavailable(ENDED) from None  # who waits here was not cancelled

    def start(self, work: Coroutine[Any, Any, T]) -> "concurrent.futures.Future[T]":
        """Start work on the hub's loop, from another loop or a thread.

        Raises:
            StoreUnavailable: if the hub's loop has ended, or runs in the process that this one was
                forked from.
        """
        if self._process != os.getpid():
            work.close()
            raise StoreUnavailable(FORKED)
        opened = self._when_open(work)
        try:
            return asyncio.run_coroutine_threadsafe(opened, self.loop)
        except RuntimeError as error:  # the loop is closed
            opened.close()
            work.close()
            raise StoreUnavailable(ENDED) from error

    async def _when_open(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            await self.open()
        except BaseException:  # a cancellation, too: `work` will never be awaited
            work.close()
            raise
        return await work

    async def publish(
        self,
        log: LogId,
        data: bytes,
        keep: Keep,
        *,
        origin: str = "",
        key: str = "",
        expect: int | None = None,
        clear: bool = False,
    ) -> Position:
        """Append a message; see `Logs.append`.

        Raises:
            Conflict: if the last offset is not `expect`.
            StoreUnavailable: if the store refuses it, or does not answer in time.
        """
        nonce = secrets.token_hex(8)
        try:
            async with asyncio.timeout(self._publish_seconds):
                if (watched := self._watched.get(log)) is not None:
                    await watched.ready()  # who has subscribed here before must get it
                position = await self.store.logs.append(
                    log,
                    data,
                    keep,
                    nonce=nonce,
                    origin=origin or self.origin,
                    key=key,
                    expect=expect,
                    clear=clear,
                )
        except TimeoutError:
            raise StoreUnavailable(
                f"The store has not answered within publish_timeout={self._publish_seconds:g} s. "
                "The message may have been stored. To publish it exactly once, repeat it with "
                "the same key: publish(..., key=...)."
            ) from None
        self.published += 1
        if (watched := self._watched.get(log)) is not None:
            watched.note(position)
        return position

    async def last(self, log: LogId) -> tuple[int, bytes | None]:
        """Return the last offset, and the data of the last entry if it is kept."""
        while True:
            read = await self.store.logs.read_last(log, 1)
            if not read.entries:
                return read.head.offset, None
            [entry] = read.entries
            data = entry.data if entry.data is not None else await self._load(log, entry)
            if data is not None:  # it was not replaced meanwhile
                return entry.offset, data

    @asynccontextmanager
    async def lock(self, log: LogId) -> AsyncIterator[None]:
        """Hold a lock of this process; only on the hub's loop."""
        lock, users = self._locks.get(log, (asyncio.Lock(), 0))
        self._locks[log] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(log)
            if users > 1:
                self._locks[log] = lock, users - 1

    async def latest(self, log: LogId, count: int) -> list[tuple[Entry, bytes]]:
        """Return the newest entries with their data, oldest first."""
        found: list[tuple[Entry, bytes]] = []
        read = await self.store.logs.read_last(log, min(count, MAX_HISTORY), most_bytes=2**62)
        for entry in read.entries:
            data = entry.data if entry.data is not None else await self._load(log, entry)
            if data is not None and is_known_kind(data):
                found.append((entry, data))
        return found

    async def _load(self, log: LogId, entry: Entry) -> bytes | None:
        return await self.store.logs.load(log, entry.offset)

    def watched(self, log: LogId) -> WatchedLog | None:
        """Return a log if it is watched here."""
        return self._watched.get(log)

    def watch(
        self, log: LogId, watcher: Watcher, on_news: OnNews
    ) -> tuple[WatchedLog, Callable[[], None]]:
        """Watch a log; only on the hub's loop.

        Args:
            log: the log.
            watcher: who watches it.
            on_news: called with new entries.

        Returns:
            The log, and a function that ends the watch.
        """
        watched = self._watched.get(log)
        if watched is None:
            watched = WatchedLog(self.store, log, lambda: self._watched.pop(log, None))
            self._watched[log] = watched
            self._connect(watched)
        return watched, watched.watch(watcher, on_news)

    def _connect(self, watched: WatchedLog) -> None:
        if self._is_closed:
            watched.close()
        elif self._opening is not None and _has_succeeded(self._opening):
            watched.connect()
        else:
            self._unconnected.append(watched)
            if self._connecting is None:
                context = contextvars.Context()  # its own, or the current request would be kept
                self._connecting = asyncio.create_task(self._connect_all(), context=context)

    async def _connect_all(self) -> None:
        """Connect the logs that are watched already, when the store is open."""
        while True:
            try:
                await self.open()
                break
            except ConfigurationError as error:  # who asks for something now gets it as well
                logger.warning("Watched topics wait for the store. %s", error)
                await asyncio.sleep(RETRY_SECONDS)
        self._connecting = None
        unconnected, self._unconnected = self._unconnected, []
        for watched in unconnected:
            watched.connect()

    async def _open(self) -> None:
        await self.store.open()
        if self.store.is_shared:  # within a process, no news are lost
            self._comparing = asyncio.create_task(self._compare(), name="flash_events topics")

    async def _compare(self) -> None:
        """Find news that were lost: a lost wake-up costs time, but no message."""
        while True:
            await asyncio.sleep(COMPARE_SECONDS)
            logs = list(self._watched.values())
            try:
                heads = await self.store.logs.heads([log.id for log in logs])
            except StoreUnavailable as error:
                logger.warning("The watched topics could not be compared. %s", error)
                continue
            except Exception:  # whatever it was: lost news must be found later
                logger.exception("The watched topics could not be compared")
                continue
            for log, head in zip(logs, heads, strict=True):
                log.compare(head)


def _has_failed(task: asyncio.Task[None]) -> bool:
    """Return whether a task is done without a result."""
    return task.done() and not _has_succeeded(task)


def _has_succeeded(task: asyncio.Task[None]) -> bool:
    """Return whether a task is done and has not failed."""
    return task.done() and not task.cancelled() and task.exception() is None
