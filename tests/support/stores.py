"""Logs of stores in tests."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

from flash_events.stores import START, Entry, Keep, LogId, Position, Store

KEEP = Keep(history=100, ttl_seconds=3600.0, max_bytes=2**20)


def new_log() -> LogId:
    """Returns the id of a log that nobody has used."""
    return LogId(secrets.token_hex(16))


async def append(
    store: Store, log: LogId, data: bytes | str, keep: Keep = KEEP, **options: Any
) -> Position:
    """Appends with a nonce of its own."""
    options.setdefault("nonce", secrets.token_hex(8))
    return await store.logs.append(
        log, data.encode() if isinstance(data, str) else data, keep, **options
    )


def offsets(entries: Sequence[Entry]) -> list[int]:
    return [entry.offset for entry in entries]


class Watcher:
    """Collects the news of a log; reads what it may have missed.

    Attributes:
        entries: the entries that have come or were read, in order.
        calls: what each call brought.
    """

    def __init__(self, store: Store, log: LogId) -> None:
        self.entries: list[Entry] = []
        self.calls: list[Sequence[Entry] | None] = []
        self._store = store
        self._log = log
        self._changed = asyncio.Event()
        self._reads: set[asyncio.Task[None]] = set()
        self._end = store.logs.watch(log, self._on_news)
        self._has_ended = False
        self._was_read: set[int] = set()
        """Offsets of entries that were read before their news came."""

    def end(self) -> None:
        self._has_ended = True
        self._end()

    async def until(self, count: int, seconds: float = 5.0) -> list[Entry]:
        """Waits until so many entries have come."""
        async with asyncio.timeout(seconds):
            while len(self.entries) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.entries

    def _on_news(self, entries: Sequence[Entry] | None) -> None:
        self.calls.append(entries)
        if entries is None:
            task = asyncio.create_task(self._read())
            self._reads.add(task)
            task.add_done_callback(self._reads.discard)
        self.entries.extend(one for one in entries or () if one.offset not in self._was_read)
        self._changed.set()

    async def _read(self) -> None:
        read = await self._store.logs.read(self._log, START, 2**30)
        if self._has_ended:
            return
        known = set(offsets(self.entries))
        missed = [entry for entry in read.entries if entry.offset not in known]
        self._was_read.update(offsets(missed))
        self.entries = sorted((*self.entries, *missed), key=lambda entry: entry.offset)
        self._changed.set()


class Reader:
    """Follows a log as a subscriber does: takes the news that continue it, and reads otherwise.

    Attributes:
        entries: all entries, in order and each once.
        resets: how often the log did not know the reader's position any more.
    """

    def __init__(self, store: Store, log: LogId) -> None:
        self.entries: list[Entry] = []
        self.resets = 0
        self._logs = store.logs
        self._log = log
        self._after = START
        self._must_read = asyncio.Event()
        self._must_read_again = False
        self._changed = asyncio.Event()
        self.end = store.logs.watch(log, self._on_news)
        self._task = asyncio.create_task(self._read())

    async def __aenter__(self) -> "Reader":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.end()
        self._task.cancel()
        await asyncio.wait({self._task})

    async def until(self, count: int, seconds: float = 10.0) -> list[bytes | None]:
        """Waits until there are so many entries; returns their data."""
        async with asyncio.timeout(seconds):
            while len(self.entries) < count:
                assert not self._task.done()
                self._changed.clear()
                await self._changed.wait()
        return [entry.data for entry in self.entries]

    def _on_news(self, entries: Sequence[Entry] | None) -> None:
        for entry in entries or ():
            if self._must_read.is_set():
                self._must_read_again = True
            elif entry.offset == self._after.offset + 1:
                self._take(entry)
            elif entry.offset > self._after.offset:
                self._must_read.set()
        if entries is None:
            self._must_read.set()

    def _take(self, entry: Entry) -> None:
        self.entries.append(entry)
        self._after = entry.position
        self._changed.set()

    async def _read(self) -> None:
        while True:
            await self._must_read.wait()
            read = await self._logs.read(self._log, self._after)
            if not read.is_known:
                self.resets += 1
                self._after = Position(read.first - 1)
            for entry in read.entries:
                self._take(entry)
            if not read.entries or self._after == read.head:
                self._must_read.clear()
