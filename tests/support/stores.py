"""Logs of stores in tests."""

import asyncio
import secrets
from collections.abc import Sequence
from typing import Any

from flash_events.stores import Entry, Keep, LogId, Position, Store

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
    """Collects the news of a log.

    Attributes:
        entries: the entries that have come, in order.
        calls: what each call brought.
    """

    def __init__(self, store: Store, log: LogId) -> None:
        self.entries: list[Entry] = []
        self.calls: list[Sequence[Entry] | None] = []
        self._changed = asyncio.Event()
        self.end = store.logs.watch(log, self._on_news)

    async def until(self, count: int, seconds: float = 5.0) -> list[Entry]:
        """Waits until so many entries have come."""
        async with asyncio.timeout(seconds):
            while len(self.entries) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.entries

    def _on_news(self, entries: Sequence[Entry] | None) -> None:
        self.calls.append(entries)
        self.entries.extend(entries or ())
        self._changed.set()
