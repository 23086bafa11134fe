"""The logs of a store in SQLite."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from flash_events.stores.logs import (
    OFFSET_SECONDS,
    READ_BYTES,
    START,
    Keep,
    LogId,
    Logs,
    OnNews,
    Position,
    Read,
)
from flash_events.stores.sqlite import reads
from flash_events.stores.sqlite.appends import Append
from flash_events.stores.sqlite.follower import Follower
from flash_events.stores.sqlite.reader import Reader
from flash_events.stores.sqlite.transaction import Transaction
from flash_events.stores.sqlite.writer import Writer

USE_SECONDS = OFFSET_SECONDS / 7
"""That a log is used is written down at most this often, and logs are kept for so much longer."""


class SqliteLogs(Logs):
    """The logs, for one client."""

    def __init__(self, writer: Writer, reader: Reader, follower: Follower) -> None:
        self._writer = writer
        self._reader = reader
        self._follower = follower

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
        append = Append(log, data, keep, nonce, origin, key, expect, clear)
        return await self._writer.do(append, append.large)

    async def read(self, log: LogId, after: Position, most_bytes: int = READ_BYTES) -> Read:
        return await self._reader.read(
            partial(reads.read, log=log, after=after, most_bytes=most_bytes)
        )

    async def read_last(self, log: LogId, count: int, most_bytes: int = READ_BYTES) -> Read:
        return await self._reader.read(
            partial(reads.read_last, log=log, count=count, most_bytes=most_bytes)
        )

    async def load(self, log: LogId, offset: int) -> bytes | None:
        return await self._reader.load(partial(reads.find, log=log, offset=offset))

    async def heads(self, logs: Sequence[LogId]) -> list[Position]:
        found = await self._reader.read(partial(reads.heads, logs=logs))
        before = time.time() - USE_SECONDS
        unused = [name for name, (_, used_at) in found.items() if used_at < before]
        if unused:
            await self._writer.do(partial(_use, unused))
        return [found[log][0] if log in found else START for log in logs]

    def watch(self, log: LogId, on_news: OnNews) -> Callable[[], None]:
        return self._follower.watch(log, on_news)


def _use(names: Sequence[str], transaction: Transaction, _: str | None) -> None:
    """Write down that logs are used now."""
    transaction.connection.executemany(
        "update logs set used_at = ? where name = ?", [(transaction.now, name) for name in names]
    )
