"""A log that this worker watches: its last position, and its newest entries in memory."""

import asyncio
import contextvars
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import islice
from typing import Protocol

from flash_events.errors import StoreUnavailable
from flash_events.stores import START, Entry, LogId, Position, Read, Store

logger = logging.getLogger(__name__)

OnNews = Callable[[Sequence[Entry]], object]
"""Called with new entries of a log, in order; with none if the log has changed otherwise."""


class Watcher(Protocol):
    """A watcher of a log: a reader or a relay.

    Attributes:
        is_relay: whether it is the relay of a `Subscription`.
        lag: number of messages that it has not taken yet.
    """

    is_relay: bool

    @property
    def lag(self) -> int: ...


RECENT_ENTRIES = 1000
RECENT_BYTES = 256 * 1024
"""Maximum number and total size of the entries of one log that are kept in memory, for readers that
are a little late."""

RETRY_SECONDS = 0.25
MAX_RETRY_SECONDS = 5.0


class WatchedLog:
    """One log of the store, for all its readers on one event loop.

    News come as they were published; whatever is not the next entry, and each disturbance, leads to
    a read of the store. So entries are passed on in order, and a gap is seen by their offsets.

    If the store has lost its memory, numbers may come again for other messages. The log then goes
    back to the last entry that the store still knows (`restart`), and counts a reset.

    Args:
        store: the store, which may not be open yet.
        log: the id of the log.
        on_unused: called when nobody watches it any more.

    Attributes:
        id: the id of the log.
        head: the position after its last entry.
        joined: the head when it was known for the first time.
        resets: how often the store has lost its memory of this log.
        restart: the position at which it went on after the last reset.
    """

    def __init__(self, store: Store, log: LogId, on_unused: Callable[[], object]) -> None:
        self.id = log
        self.head = START
        self.joined = START
        self._published = START
        """The position after the last entry that this worker has published."""
        self.resets = 0
        self.restart = START
        self._store = store
        self._on_unused = on_unused
        self._watchers: dict[Watcher, OnNews] = {}
        self._recent: deque[Entry] = deque()
        """The newest entries, without gaps; the last one is at `head`."""
        self._recent_bytes = 0
        self._is_ready = asyncio.Event()
        self._early: deque[Entry] = deque(maxlen=RECENT_ENTRIES)
        """News that came while the store is read."""
        self._unwatch: Callable[[], None] | None = None
        self._must_look = False
        self._looking: asyncio.Task[None] | None = None
        self._is_closed = False
        self._has_warned = False

    @property
    def is_closed(self) -> bool:
        """Whether it is watched no more, as its hub was closed."""
        return self._is_closed

    @property
    def watchers(self) -> list[Watcher]:
        """The readers and relays of the log."""
        return list(self._watchers)

    def watch(self, watcher: Watcher, on_news: OnNews) -> Callable[[], None]:
        """Call back with new entries in order, and without any after a reset; return its end."""
        self._watchers[watcher] = on_news

        def end() -> None:
            self._watchers.pop(watcher, None)
            if not self._watchers:
                self.close()

        return end

    def connect(self) -> None:
        """Begin to watch the store, which is open now."""
        if not self._is_closed:
            self._unwatch = self._store.logs.watch(self.id, self._on_news)
            self._look()

    def close(self) -> None:
        """End the watch of the store."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._unwatch is not None:
            self._unwatch()
        if self._looking is not None:
            self._looking.cancel()
        self._is_ready.set()  # nobody shall wait for it
        self._tell(())
        self._on_unused()

    @property
    def is_ready(self) -> bool:
        """Whether `head` is known."""
        return self._is_ready.is_set()

    async def ready(self) -> None:
        """Wait until `head` is known."""
        await self._is_ready.wait()

    @property
    def newest(self) -> Position:
        """The newest known position: `head`, unless news of an own entry are still on their way."""
        return self._published if self._published.offset > self.head.offset else self.head

    def note(self, position: Position) -> None:
        """Note an entry that this worker has published."""
        if position.offset > self._published.offset:  # the answers may come in another order
            self._published = position

    def compare(self, head: Position) -> None:
        """Read the store if its last position is not the one that is known here."""
        if self._is_ready.is_set() and head != self.head:
            self._look()

    async def settle(self) -> None:
        """Read the store, because a reader has found that it does not know a position."""
        self._look()
        while self._looking is not None:
            await asyncio.wait({self._looking})

    def warn_of_unknown_kind(self) -> None:
        """Log, once, that messages cannot be decoded."""
        if not self._has_warned:
            self._has_warned = True
            logger.warning(
                "Messages of a topic were published by another version of flash_events, which this "
                "one cannot decode. They count as missed."
            )

    def recent_after(self, offset: int) -> list[Entry] | None:
        """Return the entries after an offset; None if they are not all in memory."""
        if not self._recent or offset < self._recent[0].offset - 1:
            return None
        return list(islice(self._recent, offset - self._recent[0].offset + 1, None))

    @property
    def recent_first(self) -> int:
        """The offset of the oldest entry in memory; that after `head` if there is none."""
        return self._recent[0].offset if self._recent else self.head.offset + 1

    @property
    def last(self) -> Entry | None:
        """The last entry, if it is in memory."""
        return self._recent[-1] if self._recent else None

    def _on_news(self, entries: Sequence[Entry] | None) -> None:
        if entries is None:
            self._look()
        elif self._looking is not None:
            # If the store has lost its memory, they may have the next numbers, and not be the next.
            self._early.extend(entries)
        else:
            self._take(entries)

    def _take(self, entries: Sequence[Entry]) -> None:
        fresh: list[Entry] = []
        for index, entry in enumerate(entries):
            if entry.offset == self.head.offset + 1:
                self._add(entry)
                fresh.append(entry)
            elif entry.offset > self.head.offset or not self._has(entry):
                self._early.extend(entries[index:])
                self._look()
                break
        if fresh:
            self._tell(fresh)

    def _has(self, entry: Entry) -> bool:
        """Return whether an entry came before and is in memory."""
        index = entry.offset - self.recent_first
        return index >= 0 and self._recent[index].nonce == entry.nonce

    def _add(self, entry: Entry) -> None:
        if self._recent and entry.offset != self.head.offset + 1:
            self._forget_recent()
        self.head = entry.position
        self._recent.append(entry)
        self._recent_bytes += len(entry.data or b"")
        while len(self._recent) > RECENT_ENTRIES or (
            self._recent_bytes > RECENT_BYTES and len(self._recent) > 1
        ):
            self._recent_bytes -= len(self._recent.popleft().data or b"")

    def _forget_recent(self) -> None:
        self._recent.clear()
        self._recent_bytes = 0

    def _tell(self, entries: Sequence[Entry]) -> None:
        for on_news in list(self._watchers.values()):
            try:
                on_news(entries)
            except Exception:  # of one watcher; the others must not miss their news
                logger.exception("News of a topic were not handled")

    def _look(self) -> None:
        self._must_look = True
        if self._looking is None and not self._is_closed:
            context = contextvars.Context()  # its own, or the current request would be kept
            self._looking = asyncio.create_task(self._read_news(), context=context)

    async def _read_news(self) -> None:
        seconds = RETRY_SECONDS
        try:
            while self._must_look:
                self._must_look = False
                try:
                    await self._read_once()
                except Exception as error:  # whatever it was: who stops here waits for ever
                    is_known = isinstance(error, StoreUnavailable)
                    logger.warning(
                        "A topic could not be read; trying again. %s",
                        error,
                        exc_info=None if is_known else error,
                    )
                    self._must_look = True
                    await asyncio.sleep(seconds)
                    seconds = min(2 * seconds, MAX_RETRY_SECONDS)
        finally:
            self._looking = None
        early = list(self._early)
        self._early.clear()
        self._take(early)

    async def _read_once(self) -> None:
        if not self._is_ready.is_set():
            [self.head] = await self._store.logs.heads([self.id])
            self.joined = self.head
            self._is_ready.set()
            self._drop_early()
            return
        read = await self._store.logs.read(self.id, self.head)
        if not read.is_known:
            await self._go_back()
            self._must_look = True
            return
        fresh = [entry for entry in read.entries if entry.offset > self.head.offset]
        for entry in fresh:
            self._add(entry)
        if fresh:
            self._tell(fresh)
        if self.head.offset < read.head.offset:
            if fresh:
                self._must_look = True
            else:  # all of them are gone already
                self._skip_to(read.head)
        self._drop_early()

    def _skip_to(self, head: Position) -> None:
        """Go on after entries that are not kept, with the news that have come meanwhile."""
        early = next((one for one in self._early if one.offset > self.head.offset), None)
        if early is not None and early.offset <= head.offset:
            head = Position(early.offset - 1)
        self._forget_recent()
        self.head = head
        self._tell(())

    def _drop_early(self) -> None:
        """Drop the news that the store was read after."""
        while self._early and self._early[0].offset <= self.head.offset:
            self._early.popleft()

    async def _go_back(self) -> None:
        """Go back to the last entry in memory that the store still knows."""
        recent = list(self._recent)

        async def read(index: int) -> Read:
            return await self._store.logs.read(self.id, recent[index].position, 1)

        low, high = 0, len(recent)
        while low < high:  # those that the store knows come before those that it has lost
            middle = (low + high) // 2
            if (await read(middle)).is_known:
                low = middle + 1
            else:
                high = middle
        if low:
            self.restart = recent[low - 1].position
        else:
            oldest = await self._store.logs.read(self.id, START, 1)
            self.restart = Position(oldest.first - 1)
        logger.warning("The store has lost messages of a topic; its readers are told so.")
        self.resets += 1
        self.head = self._published = self.restart
        self._recent = deque(recent[:low])
        self._recent_bytes = sum(len(entry.data or b"") for entry in self._recent)
        self._tell(())
