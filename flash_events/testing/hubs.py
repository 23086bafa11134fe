"""Topics and shared values in tests: an isolated store in memory."""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from flash_events.settings import Settings
from flash_events.sharing.hub import Hub
from flash_events.sharing.process import Namespace, has_loop, hub_in_thread, isolated
from flash_events.stores.memory import MemoryData, MemoryStore
from flash_events.stores.urls import MEMORY


def hub() -> "IsolatedHub":
    """Return a block in which all topics and shared values use a store of their own, in memory.

    It begins empty, and nothing of it is left after the block. It serves plain tests (`with`) and
    those on an event loop (`async with`); `run` and `record` work in it. Times, such as a `ttl`,
    follow `fake_clock`.

        def test_what_is_published_is_shown():
            with hub():
                news.publish_sync("hello")
                assert record(show, 1, at_most=1).values("out", "children") == ["hello"]
    """
    return IsolatedHub()


class IsolatedHub:
    """The store and hubs of topics and shared values in a test; see `hub`."""

    def __init__(self) -> None:
        self._epoch = time.time() - time.monotonic()
        self._data = MemoryData(self._now)
        self._hubs: dict[asyncio.AbstractEventLoop, Hub] = {}
        self._in_thread: tuple[Hub, Callable[[], None]] | None = None
        self._block = ExitStack()

    @property
    def readers(self) -> int:
        """Number of loops over topics and shared values that have not ended."""
        return sum(one.readers for one in self.hubs())

    def current(self) -> Hub:
        """Return the hub of the running event loop.

        Without one, that is the hub of another loop, or else of a thread.
        """
        if has_loop():
            loop = asyncio.get_running_loop()
            if loop not in self._hubs:
                self._hubs = {one: hub for one, hub in self._hubs.items() if not one.is_closed()}
                self._hubs[loop] = self._new()
            return self._hubs[loop]
        running = [one for loop, one in self._hubs.items() if loop.is_running()]
        if running:
            return running[-1]
        self._in_thread = self._in_thread or hub_in_thread(self._new)
        return self._in_thread[0]

    def hubs(self) -> list[Hub]:
        """Return the hubs of open event loops, and that of the thread."""
        found = [one for loop, one in self._hubs.items() if not loop.is_closed()]
        return [*found, *([self._in_thread[0]] if self._in_thread else [])]

    def __enter__(self) -> Self:
        self._block.enter_context(isolated(lambda settings: _IsolatedNamespace(settings, self)))
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._block.close()
        for one in self._hubs.values():
            with suppress(RuntimeError):  # the loop is closed
                one.loop.call_soon_threadsafe(one.end_watches)
        if self._in_thread is not None:
            self._in_thread[1]()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, traceback)
        here = self._hubs.get(asyncio.get_running_loop())
        if here is not None:
            await here.close()

    def _new(self) -> Hub:
        return Hub(MemoryStore(self._data))

    def _now(self) -> float:
        """Return the Unix time; on an event loop with a fake clock, by that clock."""
        now = asyncio.get_running_loop().time() if has_loop() else time.monotonic()
        return self._epoch + now


class _IsolatedNamespace(Namespace):
    """A namespace of a test: its messages are in the isolated store, by its own name."""

    def __init__(self, settings: Settings, isolated_hub: IsolatedHub) -> None:
        super().__init__(MEMORY, settings)
        self._isolated = isolated_hub

    def hub(self) -> Hub:
        return self._isolated.current()

    async def serve(self) -> Hub:
        return self._isolated.current()

    async def end(self, hub: Hub) -> None:
        """Do nothing: the hub ends with the test."""

    def hubs(self) -> list[Hub]:
        return self._isolated.hubs()
