"""The contract of logs: one ordered, numbered, bounded list of messages per topic."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NewType

LogId = NewType("LogId", str)
"""Of one log: a hash of namespace, name, scope and parameters, safe to be a part of a key."""

LARGE_BYTES = 64 * 1024
"""Entries with more data are read and watched without it; `Logs.load` returns it."""

READ_BYTES = 256 * 1024
"""Default maximum size of the entries of one read."""

NONCE_SECONDS = 20.0
"""Time for which an append with the same nonce is recognised as a retry."""

KEY_SECONDS = 300.0
"""Time for which an append with the same idempotency key returns the position of the first."""

OFFSET_SECONDS = 7 * 24 * 3600.0
"""Time for which the last offset of a log is remembered after its last entry has expired, and
after it was last watched."""


@dataclass(frozen=True, slots=True)
class Position:
    """A position in a log: right after one of its entries.

    Attributes:
        offset: the number of the entry, from 1 and without gaps; 0 for the start of the log.
        nonce: random text of the entry, by which a reader notices that the store has lost its
            memory and gives the same numbers to other messages. "" if the reader does not know it.
    """

    offset: int
    nonce: str = ""


START = Position(0)
"""The position before the first entry."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of a log.

    Attributes:
        offset: its number, from 1 and without gaps.
        nonce: random text, given by the publisher.
        time: Unix time of the store in seconds.
        origin: who has published it, as given to `append`.
        data: its content; None if that has more than LARGE_BYTES and must be loaded.
    """

    offset: int
    nonce: str
    time: float
    origin: str
    data: bytes | None

    @property
    def position(self) -> Position:
        """The position right after it."""
        return Position(self.offset, self.nonce)


@dataclass(frozen=True, slots=True)
class Keep:
    """Limits of the entries that a log keeps. The newest entry is kept whatever its size.

    Attributes:
        history: maximum number of entries; 0 keeps none: only who watches gets them.
        ttl_seconds: entries that are older are not read; None for no limit.
        max_bytes: maximum total size of the data; the oldest go first.
    """

    history: int
    ttl_seconds: float | None
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Read:
    """The result of a read.

    Attributes:
        entries: entries in order; those that are kept, without gaps between them.
        head: the position after the last entry that was ever appended.
        first: the offset of the oldest entry that is kept; `head.offset + 1` if none is.
        is_known: whether the log still knows the reader's position. False means that the store has
            lost its memory: the log has no such offset, or another entry there. A position so old
            that its entry is not kept any more counts as known.
    """

    entries: tuple[Entry, ...]
    head: Position
    first: int
    is_known: bool = True


OnNews = Callable[[Sequence[Entry] | None], object]
"""Called on the loop with new entries of a watched log, in order; with None if some may have been
missed, so that the log must be read."""


class Logs(ABC):
    """The logs of a store.

    Methods raise `StoreUnavailable` if the store refuses what is asked. They wait for a store that
    does not answer; who cannot wait cancels them. Each is safe to be repeated.
    """

    @abstractmethod
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
        """Append an entry and return the position after it, when the store has it.

        In one atomic step: look for the nonce and the key, compare `expect`, number the entry, trim
        the log to its bounds (exactly), and tell everybody who watches it.

        Args:
            log: the log, which need not exist.
            data: the content of the entry.
            keep: the bounds of the log from now on.
            nonce: random text. A second append with the same nonce within NONCE_SECONDS does
                nothing and returns the position of the first.
            origin: who publishes it.
            key: idempotency key, remembered with this log for KEY_SECONDS, as the nonce is for
                NONCE_SECONDS; "" for none. The returned position has the nonce of the first append.
            expect: the offset that must be the last one now; None for any.
            clear: whether all earlier entries are removed in the same step. Offsets go on.

        Raises:
            Conflict: if the last offset is not `expect`.
        """

    @abstractmethod
    async def read(self, log: LogId, after: Position, most_bytes: int = READ_BYTES) -> Read:
        """Return the entries after a position, or all kept ones if the position is not known.

        Args:
            log: the log.
            after: the position.
            most_bytes: maximum total size of the data; the first entry is returned whatever its
                size.
        """

    @abstractmethod
    async def read_last(self, log: LogId, count: int, most_bytes: int = READ_BYTES) -> Read:
        """Return the newest entries.

        Args:
            log: the log.
            count: maximum number of entries.
            most_bytes: maximum total size; the newest entry is returned whatever its size.
        """

    @abstractmethod
    async def load(self, log: LogId, offset: int) -> bytes | None:
        """Return the data of an entry; None if it is not kept any more."""

    @abstractmethod
    async def heads(self, logs: Sequence[LogId]) -> list[Position]:
        """Return the positions after the last entries; START for logs without any.

        The last offsets of these logs are remembered for another OFFSET_SECONDS.
        """

    @abstractmethod
    def watch(self, log: LogId, on_news: OnNews) -> Callable[[], None]:
        """Call back on the loop when entries are appended, by any process.

        Entries are passed on as they come; some may be missing or come twice. After a disturbance
        (a new connection to the store) each watcher is called with None. News that are lost in
        silence are found by who compares `heads` from time to time.

        An append through this client that is awaited after `watch` has returned reaches the
        watcher, unless the store is disturbed. In a store of several processes, those through other
        clients do so a moment later: the watcher is called with None then, and reads what came
        before. A log has one watcher at most.

        Returns:
            A function that ends it.
        """
