"""The hubs of this process: one per store, namespace and event loop.

A server's event loop has a hub of its own. Threads, scripts, Celery tasks and other event loops use
the hub of a background thread, which has a loop for it.
"""

import asyncio
import concurrent.futures
import os
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from flash_events import context
from flash_events.errors import ConfigurationError, StoreUnavailable
from flash_events.settings import Settings
from flash_events.sharing.hub import ENDED, Hub
from flash_events.stores import Store
from flash_events.stores.memory import MemoryData
from flash_events.stores.urls import MEMORY, store_of, workers_store

T = TypeVar("T")


class Namespace:
    """Shared state in this process of the apps with the same store and namespace.

    Args:
        url: the URL of the store; None for the one that fits the process.
        settings: the settings of the first app that uses it.
    """

    def __init__(self, url: str | None, settings: Settings) -> None:
        self.name = settings.namespace
        self.settings = settings
        self._url = url
        self._data = MemoryData()
        self._hubs: dict[asyncio.AbstractEventLoop, Hub] = {}
        self._users: Counter[Hub] = Counter()
        self._background: Hub | None = None
        self._starting = threading.Lock()

    def hub(self) -> Hub:
        """Return the hub of the running event loop if it serves an app, else another one.

        That is the hub of another loop which serves an app, or that of the background thread.

        Raises:
            ConfigurationError: if no other process could see what this one publishes.
        """
        hubs = {loop: hub for loop, hub in list(self._hubs.items()) if not loop.is_closed()}
        if has_loop() and (hub := hubs.get(asyncio.get_running_loop())) is not None:
            return hub
        return next(iter(hubs.values()), None) or self._background_hub()

    async def serve(self) -> Hub:
        """Return the hub of the running event loop, which serves an app; `end` it once."""
        loop = asyncio.get_running_loop()
        self._hubs = {one: hub for one, hub in self._hubs.items() if not one.is_closed()}
        hub = self._hubs.get(loop)
        if hub is None:
            hub = self._hubs[loop] = self._new_hub()
        self._users[hub] += 1
        try:
            await hub.open()
        except BaseException:  # a cancellation, too: the hub must not stay registered
            await self.end(hub)
            raise
        return hub

    async def end(self, hub: Hub) -> None:
        """Close a hub of the running event loop when no other app on it uses it."""
        self._users[hub] -= 1
        if not self._users[hub]:
            del self._users[hub]
            self._hubs.pop(hub.loop, None)
            await hub.close()

    def hubs(self) -> list[Hub]:
        """Return the hubs that are open, for statistics."""
        return [*self._hubs.values(), *([self._background] if self._background else [])]

    def _background_hub(self) -> Hub:
        with self._starting:
            if self._background is None:
                self._background, _ = hub_in_thread(self._new_hub)
            return self._background

    def _new_hub(self) -> Hub:
        return Hub(self._store(), self.settings.publish_timeout)

    def _store(self) -> Store:
        url = self._url
        if url is None:
            store = workers_store()
            if store is not None:
                return store
            if not is_serving():
                raise ConfigurationError(
                    "This process does not serve an app, and no other process can see what it "
                    "publishes: the setting store is not set. Set FLASH_EVENTS_STORE (or "
                    "FLASH_EVENTS_BROKER) to redis://host:port/db, or to sqlite:////path/to/file "
                    "on one machine, here and in the server. At import of the app, move the call "
                    "into a callback. In a test, write: with flash_events.testing.hub(): ..."
                )
            url = MEMORY
        return store_of(url, self._data, self.settings.broker_outage_seconds)


def hub_in_thread(make: Callable[[], Hub]) -> tuple[Hub, Callable[[], None]]:
    """Start a daemon thread with an event loop, and make a hub on it.

    Args:
        make: makes the hub; what it raises is raised here.

    Returns:
        The hub, and a function that closes it and ends the thread.
    """
    made: concurrent.futures.Future[tuple[Hub, Callable[[], None]]] = concurrent.futures.Future()

    async def work() -> None:
        loop, is_over = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            loop.call_soon_threadsafe(is_over.set)
            thread.join()

        try:
            hub = make()
        except BaseException as error:  # the caller waits for a result and raises it there
            made.set_exception(error)
            return
        made.set_result((hub, end))
        await is_over.wait()
        await hub.close()

    thread = threading.Thread(
        target=lambda: asyncio.run(work()), name="flash_events topics", daemon=True
    )
    thread.start()
    return made.result()


class _Process:
    """The namespaces of this process. A forked process begins with none.

    Args:
        new_namespace: makes the namespaces in a test; None in a process that is not a test.
    """

    def __init__(self, new_namespace: Callable[[Settings], Namespace] | None = None) -> None:
        self.id = os.getpid()
        self.namespaces: dict[tuple[str | None, str], Namespace] = {}
        self.is_serving = False
        self.is_isolated = new_namespace is not None
        self.new_namespace = new_namespace or _namespace_of_store


def _namespace_of_store(settings: Settings) -> Namespace:
    return Namespace(settings.store_url, settings)


_process = _Process()


def _current() -> _Process:
    global _process
    if _process.id != os.getpid():
        _process = _Process()
    return _process


def namespace_of(settings: Settings) -> Namespace:
    """Return the namespace of an app with these settings."""
    namespaces = _current().namespaces
    key = settings.store_url, settings.namespace
    if key not in namespaces:  # setdefault: other threads may ask at the same time
        namespaces.setdefault(key, _current().new_namespace(settings))
    return namespaces[key]


@contextmanager
def isolated(new_namespace: Callable[[Settings], Namespace]) -> Iterator[None]:
    """Replace the namespaces of this process in the block, for tests.

    Args:
        new_namespace: makes a namespace for an app with these settings.
    """
    global _process
    before, _process = _current(), _Process(new_namespace)
    try:
        yield
    finally:
        _process = before


def is_isolated() -> bool:
    """Return whether a test has replaced the namespaces of this process."""
    return _current().is_isolated


def mark_serving() -> None:
    """Note that this process serves an app, so that a store in memory makes sense."""
    _current().is_serving = True


def is_serving() -> bool:
    """Return whether this process serves an app."""
    return _current().is_serving


def wait_in_thread(hub: Hub, work: Coroutine[Any, Any, T], cure: str) -> T:
    """Run work on the hub's loop and wait for it, in a thread without an event loop.

    In the thread of a plain generator whose run is stopped, the wait ends at once.

    Args:
        hub: the hub.
        work: the work.
        cure: what to write on an event loop, for the error message.

    Raises:
        RuntimeError: if an event loop runs in this thread, which must not be blocked.
        GeneratorExit: if the run is stopped.
        StoreUnavailable: if the hub was closed, or its loop has ended.
    """
    if has_loop():
        work.close()
        raise RuntimeError(
            f"An event loop runs in this thread; waiting would block it and all its streams. {cure}"
        )
    future = hub.start(work)
    stopping = context.stopping.get()
    try:
        if stopping is None:
            return future.result()
        with stopping.calls(future.cancel):
            return future.result()
    except concurrent.futures.CancelledError:
        if stopping is not None and stopping.is_stopped:
            raise GeneratorExit from None
        raise StoreUnavailable(ENDED) from None
    except BaseException:  # KeyboardInterrupt, too: the work must not go on without its caller
        future.cancel()
        raise


def has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
