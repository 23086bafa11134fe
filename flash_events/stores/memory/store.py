"""The store of one process, and its clients on the event loops of that process."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from flash_events.stores.logs import (
    OFFSET_SECONDS,
    READ_BYTES,
    START,
    Entry,
    Keep,
    LogId,
    Logs,
    OnNews,
    Position,
    Read,
)
from flash_events.stores.memory.log import MemoryLog, without_large
from flash_events.stores.memory.members import MemoryMembers, WorkerMembers
from flash_events.stores.memory.values import MemoryValues, WorkerValues
from flash_events.stores.store import Store

SWEEP_LOGS = 1000
"""Empty logs that nobody uses are looked for whenever so many new logs were made."""


@dataclass(frozen=True, slots=True)
class _Watcher:
    loop: asyncio.AbstractEventLoop
    on_news: OnNews

    def tell(self, entries: Sequence[Entry]) -> None:
        """Call back on the watcher's loop; at once if that is the running one."""
        try:
            is_here = asyncio.get_running_loop() is self.loop
        except RuntimeError:
            is_here = False
        if is_here:
            self.on_news(entries)
        else:
            with suppress(RuntimeError):  # its loop is closed
                self.loop.call_soon_threadsafe(self.on_news, entries)


@dataclass(slots=True, eq=False)
class MemoryData:
    """Data that the clients of one process share.

    Attributes:
        clock: returns the Unix time in seconds.
        lock: held by who reads or changes it.
        logs: the logs.
        watchers: who watches them.
    """

    clock: Callable[[], float] = time.time
    lock: threading.RLock = field(default_factory=threading.RLock)
    logs: dict[LogId, MemoryLog] = field(default_factory=dict)
    watchers: dict[LogId, list[_Watcher]] = field(default_factory=dict)
    values: MemoryValues = field(init=False)
    members: MemoryMembers = field(init=False)

    def __post_init__(self) -> None:
        self.values = MemoryValues(self.clock, self.lock)
        self.members = MemoryMembers(self.clock, self.lock)

    def log(self, log: LogId) -> MemoryLog:
        """Return a log, which is made if need be."""
        known = self.logs.get(log)
        if known is None:
            if len(self.logs) % SWEEP_LOGS == SWEEP_LOGS - 1:
                self._sweep()
            known = self.logs[log] = MemoryLog()
        return known

    def _sweep(self) -> None:
        """Forget the logs that are empty, and were not used for OFFSET_SECONDS."""
        now = self.clock()
        for log, known in list(self.logs.items()):
            known.expire(now)
            if not known and known.used_at < now - OFFSET_SECONDS and log not in self.watchers:
                del self.logs[log]


class MemoryLogs(Logs):
    """The logs of one process; each client has its own loop."""

    def __init__(self, data: MemoryData) -> None:
        self._data = data

    async def append(
        self,
        log: LogId,
        data: bytes,
        keep: Keep,
        *,
        nonce: str,
        origin: str = "",
        key: str = "",
        expect: int | None = None,
        clear: bool = False,
    ) -> Position:
        shared = self._data
        with shared.lock:
            known = shared.log(log)
            position, entry = known.append(
                data, keep, nonce, origin, key, expect, clear, shared.clock()
            )
            if entry is not None:
                # Nobody can load an entry that is not kept.
                told = without_large(entry) if len(known) else entry
                for watcher in list(shared.watchers.get(log, ())):
                    watcher.tell((told,))
        return position

    async def read(self, log: LogId, after: Position, most_bytes: int = READ_BYTES) -> Read:
        with self._data.lock:
            return self._data.log(log).read(after, most_bytes, self._data.clock())

    async def read_last(self, log: LogId, count: int, most_bytes: int = READ_BYTES) -> Read:
        with self._data.lock:
            return self._data.log(log).read_last(count, most_bytes, self._data.clock())

    async def load(self, log: LogId, offset: int) -> bytes | None:
        with self._data.lock:
            return self._data.log(log).load(offset, self._data.clock())

    async def heads(self, logs: Sequence[LogId]) -> list[Position]:
        with self._data.lock:
            return [self._head(log) for log in logs]

    def _head(self, log: LogId) -> Position:
        known = self._data.logs.get(log)
        if known is None:
            return START
        known.used_at = self._data.clock()
        return known.head

    def watch(self, log: LogId, on_news: OnNews) -> Callable[[], None]:
        watcher = _Watcher(asyncio.get_running_loop(), on_news)
        with self._data.lock:
            self._data.watchers.setdefault(log, []).append(watcher)

        def end() -> None:
            with self._data.lock:
                watchers = self._data.watchers.get(log, [])
                if watcher in watchers:
                    watchers.remove(watcher)
                if not watchers:
                    self._data.watchers.pop(log, None)

        return end


class MemoryStore(Store):
    """A client of the process's data.

    Args:
        data: shared by the clients of one namespace; new data if none is given.
    """

    is_shared = False

    def __init__(self, data: MemoryData | None = None) -> None:
        super().__init__()
        self.data = data if data is not None else MemoryData()
        self.logs: MemoryLogs = MemoryLogs(self.data)
        self.values: WorkerValues = self.data.values.of_worker(self.worker)
        self.members: WorkerMembers = self.data.members.of_worker(self.worker)

    async def open(self) -> None:
        return

    async def close(self) -> None:
        self.members.leave_all()
        self.values.release_all()
