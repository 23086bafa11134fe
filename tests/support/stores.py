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
        self.entries.extend(entries or ())
        self._changed.set()

    async def _read(self) -> None:
        read = await self._store.logs.read(self._log, START, 2**30)
        if self._has_ended:
            return
        known = set(offsets(self.entries))
        missed = [entry for entry in read.entries if entry.offset not in known]
        self.entries = sorted((*self.entries, *missed), key=lambda entry: entry.offset)
        self._changed.set()
