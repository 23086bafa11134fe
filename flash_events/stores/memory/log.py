"""One log in memory."""

from collections import deque
from dataclasses import dataclass, field
from itertools import islice

from flash_events.errors import Conflict
from flash_events.stores.logs import (
    KEY_SECONDS,
    LARGE_BYTES,
    NONCE_SECONDS,
    START,
    Entry,
    Keep,
    Position,
    Read,
)


@dataclass(slots=True)
class _Remembered:
    """Positions of earlier appends by nonce or key, until they are forgotten."""

    seconds: float
    _positions: dict[str, tuple[float, Position]] = field(default_factory=dict)

    def get(self, name: str, now: float) -> Position | None:
        self._forget(now)
        known = self._positions.get(name)
        return None if known is None else known[1]

    def add(self, name: str, position: Position, now: float) -> None:
        self._positions[name] = now + self.seconds, position

    def _forget(self, now: float) -> None:
        """Drop what has expired; a dict keeps the order in which it was filled."""
        while self._positions:
            oldest = next(iter(self._positions))
            if self._positions[oldest][0] > now:
                break
            del self._positions[oldest]


class MemoryLog:
    """The entries of a log, with all their data.

    Attributes:
        head: the position after the last entry.
        used_at: when it was last appended to or asked for.
    """

    def __init__(self) -> None:
        self.head = START
        self.used_at = 0.0
        self._keep: Keep | None = None
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._trimmed = START
        """The position after the last entry that was removed."""
        self._nonces = _Remembered(NONCE_SECONDS)
        self._keys = _Remembered(KEY_SECONDS)

    def __len__(self) -> int:
        return len(self._entries)

    def append(
        self,
        data: bytes,
        keep: Keep,
        nonce: str,
        origin: str,
        key: str,
        expect: int | None,
        clear: bool,
        now: float,
    ) -> tuple[Position, Entry | None]:
        """Append an entry; return its position, and the entry unless it was there before."""
        known = self._nonces.get(nonce, now) or (self._keys.get(key, now) if key else None)
        if known is not None:
            return known, None
        if expect is not None and expect != self.head.offset:
            raise Conflict(self.head.offset)
        entry = Entry(self.head.offset + 1, nonce, now, origin, data)
        self.head = entry.position
        self._nonces.add(nonce, self.head, now)
        if key:
            self._keys.add(key, self.head, now)
        self._keep, self.used_at = keep, now
        while clear and self._entries:
            self._drop_oldest()
        self._entries.append(entry)
        self._bytes += len(data)
        while len(self._entries) > keep.history or (
            self._bytes > keep.max_bytes and len(self._entries) > 1
        ):
            self._drop_oldest()
        self.expire(now)
        return self.head, entry

    def expire(self, now: float) -> None:
        """Drop the entries that are too old."""
        ttl = self._keep.ttl_seconds if self._keep is not None else None
        while ttl is not None and self._entries and self._entries[0].time <= now - ttl:
            self._drop_oldest()

    def read(self, after: Position, most_bytes: int, now: float) -> Read:
        self.expire(now)
        is_known = self._knows(after)
        start = max(0, after.offset - self._trimmed.offset) if is_known else 0
        entries: list[Entry] = []
        for entry in islice(self._entries, start, None):
            assert entry.data is not None
            most_bytes -= len(entry.data)
            if entries and most_bytes < 0:
                break
            entries.append(without_large(entry))
        return Read(tuple(entries), self.head, self._trimmed.offset + 1, is_known)

    def read_last(self, count: int, most_bytes: int, now: float) -> Read:
        self.expire(now)
        entries: deque[Entry] = deque()
        for entry in islice(reversed(self._entries), count):
            assert entry.data is not None
            most_bytes -= len(entry.data)
            if entries and most_bytes < 0:
                break
            entries.appendleft(without_large(entry))
        return Read(tuple(entries), self.head, self._trimmed.offset + 1)

    def load(self, offset: int, now: float) -> bytes | None:
        self.expire(now)
        index = offset - self._trimmed.offset - 1
        return self._entries[index].data if 0 <= index < len(self._entries) else None

    def _knows(self, position: Position) -> bool:
        if position.offset > self.head.offset:
            return False
        if not position.nonce or position.offset < self._trimmed.offset:
            return True
        if position.offset == self._trimmed.offset:
            return position.nonce == self._trimmed.nonce
        return self._entries[position.offset - self._trimmed.offset - 1].nonce == position.nonce

    def _drop_oldest(self) -> None:
        entry = self._entries.popleft()
        assert entry.data is not None
        self._bytes -= len(entry.data)
        self._trimmed = entry.position


def without_large(entry: Entry) -> Entry:
    """Return an entry as others get it: without data of more than LARGE_BYTES."""
    if entry.data is not None and len(entry.data) > LARGE_BYTES:
        return Entry(entry.offset, entry.nonce, entry.time, entry.origin, None)
    return entry
