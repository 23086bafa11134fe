"""A reader of a log: hands out every message once and in order, and counts what it has missed."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from flash_events.errors import StoreUnavailable, TopicOverflow
from flash_events.sharing.codecs import is_known_kind
from flash_events.sharing.hub import Hub
from flash_events.sharing.watched import OnNews, Watcher
from flash_events.stores import START, Entry, LogId, Position

Overflow = Literal["skip", "latest", "error"]

MAX_OFFSET = 2**53
"""Offsets above it are no offsets of a message; stores need not know such numbers."""

PAGE_BYTES = 256 * 1024
"""Maximum size of what a reader that is late takes from the store at once."""


@dataclass(frozen=True, slots=True)
class Start:
    """Where a reader begins.

    Attributes:
        last: number of the newest kept messages that come first.
        since: the position after which it begins, in place of `last`; None for from now on.
    """

    last: int = 0
    since: Position | None = None


FROM_NOW_ON = Start()


@dataclass(frozen=True, slots=True)
class Watch:
    """Log, start and options of a reader.

    Attributes:
        name: the name of the topic, for log messages.
        log: the log.
        start: where it begins.
        overflow: what happens if it is behind what is kept: "skip" goes on with the oldest message
            that is kept, "latest" with the newest, "error" raises `TopicOverflow`.
        initial: the data of messages that say that the topic was cleared.
        is_lazy: whether data of more than LARGE_BYTES is left out rather than loaded.
        origin: the origin of what the reader itself publishes.
    """

    name: str
    log: LogId
    start: Start = FROM_NOW_ON
    overflow: Overflow = "skip"
    initial: Any = None
    is_lazy: bool = False
    origin: str = ""

    @property
    def is_newcomer(self) -> bool:
        """Whether it has read nothing before, and need not know what was cleared earlier."""
        return self.start.since is None


@dataclass(frozen=True, slots=True)
class Delivery:
    """An entry for a reader.

    Attributes:
        entry: the entry.
        data: its data; None if it is large and the reader is lazy.
        missed: number of messages that were lost right before it; None if the store has lost its
            memory, so that nobody knows.
        is_replay: whether it was there before the reader.
    """

    entry: Entry
    data: bytes | None
    missed: int | None
    is_replay: bool


class Reader:
    """One reader of a log, on its hub's event loop.

    Args:
        hub: the hub.
        watch: what it reads, and how.
        watcher: who watches, if it is not the reader itself.
        on_news: called when there may be something to `take`; not needed for `read`.

    Attributes:
        position: the position after the last entry that it has handed out; set by who has passed
            on what `is_next`.
    """

    __slots__ = (
        "_ahead", "_hub", "_is_closed", "_is_placed", "_joined", "_joined_at", "_log",
        "_lost_after", "_news", "_resets", "_skipped", "_unwatch", "_watch", "position",
    )  # fmt: skip

    is_relay = False

    def __init__(
        self,
        hub: Hub,
        watch: Watch,
        watcher: Watcher | None = None,
        on_news: OnNews | None = None,
    ) -> None:
        self.position = START
        self._hub = hub
        self._watch = watch
        self._news: asyncio.Event | None = None
        self._log, self._unwatch = hub.watch(watch.log, watcher or self, on_news or self._wake)
        self._joined = self._log.newest if self._log.is_ready else None
        """The head of the log when this reader came; None if it was not known yet."""
        self._resets = self._log.resets
        self._is_placed = False
        self._lost_after: int | None = None
        """The offset after which messages come from a store that has lost its memory."""
        self._skipped = 0
        self._ahead: Sequence[Entry] = ()
        """Entries that were read when it was placed."""
        self._joined_at = 0
        self._is_closed = False

    @property
    def head(self) -> Position:
        """The position after the last message of the topic."""
        return self._log.head

    @property
    def lag(self) -> int:
        """Number of messages that it has not taken yet."""
        position = self.position if self._is_placed else self._first
        return max(0, self.head.offset - position.offset)

    @property
    def _first(self) -> Position:
        """The head of the log when this reader came."""
        return self._joined if self._joined is not None else self._log.joined

    @property
    def is_closed(self) -> bool:
        """Whether it was closed."""
        return self._is_closed or self._log.is_closed

    def close(self) -> None:
        """Stop reading; a waiting `read` returns an empty list."""
        self._is_closed = True
        self._unwatch()
        self._wake()

    async def place(self) -> None:
        """Find the position at which it begins."""
        if self._is_placed:
            return
        await self._log.ready()
        if self.is_closed:
            return
        head = self._first
        self._joined_at = head.offset
        since, last = self._watch.start.since, self._watch.start.last
        self.position = head
        if since is not None or last:
            wanted = Position(max(0, head.offset - last))
            if since is not None:
                wanted = Position(min(since.offset, MAX_OFFSET), since.nonce)
            read = await self._hub.store.logs.read(self._log.id, wanted, PAGE_BYTES)
            self.position = wanted
            if not read.is_known:
                self._lose(read.first - 1)
            elif wanted.offset < read.first - 1:
                self.position = Position(min(read.first - 1, max(head.offset, wanted.offset)))
                if since is not None:  # what was gone before a newcomer is not missed
                    self._skipped = self.position.offset - wanted.offset
            # They may be gone when they are asked for.
            self._ahead = [one for one in read.entries if one.offset <= head.offset]
        self._is_placed = True

    async def read(self) -> list[Delivery]:
        """Wait for messages and return them; [] once it is closed.

        Raises:
            TopicOverflow: if messages were missed, with `overflow="error"`.
        """
        if self._news is None:
            self._news = asyncio.Event()
        await self.place()
        while not self.is_closed:
            self._news.clear()
            position = self.position
            found = await self.take()
            if found:
                return found
            if position == self.position:
                await self._news.wait()
        return []

    def is_next(self, entry: Entry) -> bool:
        """Return whether an entry is the next message, with nothing to be told before it."""
        return (
            entry.offset == self.position.offset + 1
            and self._is_placed
            and self._lost_after is None
            and not self._skipped
            and not self._ahead
            and self._resets == self._log.resets
        )

    async def take(self) -> list[Delivery]:
        """Return the messages that there are, up to a size; [] if there are none now.

        Whoever is cancelled while it waits, or gets an error, has taken nothing.

        Raises:
            TopicOverflow: if messages were missed, with `overflow="error"`.
            StoreUnavailable: if the store refuses it.
        """
        await self.place()
        if self.is_closed:
            return []
        entries = await self._entries()
        found: list[Delivery] = []
        position, skipped, lost_after = self.position, self._skipped, self._lost_after
        for entry in entries:
            try:
                data = await self._data(entry)
            except StoreUnavailable:
                if found:
                    break
                raise
            if not self._is_readable(data):
                continue
            missed: int | None = skipped + entry.offset - position.offset - 1
            if lost_after is not None and entry.offset > lost_after:
                missed = lost_after = None
            if missed and self._watch.overflow == "error":
                if found:
                    break
                self._hub.missed += missed
                raise TopicOverflow(missed)
            skipped, position = 0, entry.position
            found.append(Delivery(entry, data, missed, entry.offset <= self._joined_at))
        else:
            self._ahead = ()
            if entries and entries[-1].offset > position.offset:  # gone, or of another version
                skipped += entries[-1].offset - position.offset
                position = entries[-1].position
        self._ahead = [one for one in self._ahead if one.offset > position.offset]
        self._hub.missed += sum(one.missed or 0 for one in found)
        self.position, self._skipped, self._lost_after = position, skipped, lost_after
        return found

    async def _data(self, entry: Entry) -> bytes | None:
        """Return the data of an entry; None if it has gone, or is left out as it is large."""
        if entry.data is not None or self._watch.is_lazy:
            return entry.data
        return await self._hub.store.logs.load(self._log.id, entry.offset)

    def _is_readable(self, data: bytes | None) -> bool:
        if data is None:
            return self._watch.is_lazy
        if not is_known_kind(data):
            self._log.warn_of_unknown_kind()
            return False
        return True

    async def _entries(self) -> Sequence[Entry]:
        """Return the entries that come next."""
        log = self._log
        entries: Sequence[Entry] | None = None
        while entries is None:
            if self._resets != log.resets:
                await self._go_back()
            if self._ahead:
                return self._ahead
            entries = log.recent_after(self.position.offset)
            if entries is None and self.position == log.head:
                return ()
            if entries is None:
                entries = await self._from_store()
        if entries and self._watch.overflow == "latest":
            missed = entries[0].offset - self.position.offset - 1
            if missed:
                newest = log.last or entries[-1]
                self._skipped += newest.offset - self.position.offset - 1
                self.position = Position(newest.offset - 1)
                entries = [newest]
        return entries

    async def _from_store(self) -> list[Entry] | None:
        """Return entries that the store has; None if it has lost its memory meanwhile."""
        log = self._log
        read = await self._hub.store.logs.read(log.id, self.position, PAGE_BYTES)
        if not read.is_known:
            await log.settle()
            if self._resets != log.resets:
                return None
            self._lose(read.first - 1)
        entries = list(read.entries)
        if not entries or entries[0].offset > log.recent_first > self.position.offset:
            # Without a history, only this worker's memory has them.
            recent = log.recent_after(max(self.position.offset, log.recent_first - 1))
            entries = recent or entries
        return entries

    async def _go_back(self) -> None:
        """Go back to where the store goes on after it has lost its memory."""
        log = self._log
        resets, restart = log.resets, log.restart
        is_behind = self.position.offset <= restart.offset
        if not is_behind and self.position.nonce:
            read = await self._hub.store.logs.read(log.id, self.position, 1)
            if read.is_known:  # it was placed after that
                self._resets = resets
                return
        self._resets, self._ahead = resets, ()
        self._lost_after = restart.offset
        self._joined_at = min(self._joined_at, restart.offset)
        if not is_behind:
            self.position = restart

    def _lose(self, offset: int) -> None:
        """Go on from an offset of a store that does not know the reader's position."""
        self._lost_after = offset
        self._joined_at = min(self._joined_at, offset)
        self.position = Position(offset)

    def _wake(self, _entries: Sequence[Entry] = ()) -> None:
        if self._news is not None:
            self._news.set()
