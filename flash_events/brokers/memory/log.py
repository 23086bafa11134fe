"""An event log in memory."""

import asyncio
import secrets
from collections import Counter
from time import monotonic

from flash_events import sse
from flash_events.brokers.admission import Admission
from flash_events.brokers.ids import NO_RUN, RunId
from flash_events.brokers.log import OVERFULL, Batch, EventLog, LogLimits
from flash_events.brokers.place import Place
from flash_events.errors import GoneCause, LogGone

CHUNK_BYTES = 256 * 1024
"""Size of one send; large enough to be cheap per event, small enough to keep memory flat."""

JOIN_BYTES = 4 * 1024
JOIN_SECONDS = 1.0
"""Segments that are smaller than this, and handed over within this time, are joined."""


class _Segment:
    """Events with numbers in a row, which are read, counted out and dropped together.

    It takes events until it is read for the first time.

    Attributes:
        first: the number of its first event.
        last: the number of its last event.
        events: until it is read.
        size: bytes of its events.
        costs: by run, until it is handed over.
        handed_at: when that was.
    """

    __slots__ = ("_data", "costs", "events", "first", "handed_at", "last", "size")

    def __init__(self) -> None:
        self.costs: dict[RunId, int] = {}  # a Counter takes three times as long to make
        self.events: list[bytes] = []

    def begin(self, first: int) -> None:
        """Let it take events from this number on; it has none now, or none any more."""
        self.first = first
        self.last = first - 1
        self.size = 0
        self.handed_at = 0.0
        self._data = b""

    def try_join(self, later: "_Segment", epoch: str) -> bool:
        """Move the next segment's events here if both are small and of about the same time.

        Returns whether it did.
        """
        is_small = self.size + later.size <= JOIN_BYTES
        if not is_small or later.handed_at - self.handed_at > JOIN_SECONDS:
            return False
        self._data += later.read(epoch, 0)
        later._data = b""
        self.last = later.last
        self.size += later.size
        return True

    def read(self, epoch: str, position: int) -> bytes:
        """Return its events after a number, with their ids; the joined bytes replace the events."""
        if self.events:
            self._data = sse.with_ids(epoch, self.first, self.events)
            self.events.clear()
        if position < self.first:
            return self._data
        return sse.after(self._data, epoch, position)


class MemoryLog(EventLog):
    """An event log in memory.

    Events get the numbers 1, 2, ... and lie in segments: those handed to a socket, which are the
    replay window, then those that wait.
    """

    def __init__(self, limits: LogLimits, owner: str = "") -> None:
        self.owner = owner
        self.runs: dict[RunId, Place] = {}
        self.attempts: Counter[RunId] = Counter()
        """How often each run was adopted."""
        self.is_cancelled = False
        """Whether its writers were cancelled."""
        self.is_finished = False
        self._limits = limits
        self._admission = Admission(limits)
        self._epoch = secrets.token_urlsafe(6)
        self._segments: list[_Segment] = []
        self._handed = 0
        """Number of segments that were handed over."""
        self._open: _Segment | None = None
        """The last segment, which takes events until it is read."""
        self._spare: _Segment | None = None
        """A segment that was joined to another. With a new one for each message, the garbage
        collector comes seven times as often, since three objects survive each time."""
        self._last = 0
        self._replay_bytes = 0
        self._is_dropped = False
        self._readers: list[asyncio.Future[None]] = []

    @property
    def waiting(self) -> int:
        return self._admission.waiting

    @property
    def is_overfull(self) -> bool:
        """Whether so much waits that no more runs may join: their ends would not wait for room."""
        return self.waiting > OVERFULL * self._limits.waiting_bytes

    def offer(self, run: RunId, event: bytes, most: int | None = None) -> bool:
        cost = self._admission.admit(run, event, most)
        if cost:
            self._append(run, event, cost)
        return cost > 0

    async def append(self, run: RunId, event: bytes, most: int | None = None) -> None:
        self._append(run, event, await self._admission.wait(run, event, most))

    def append_now(self, event: bytes, run: RunId = NO_RUN) -> None:
        self._put(run, event)

    def leave(self, run: RunId, event: bytes = b"") -> None:
        if event:
            self._put(run, event)
        self.runs.pop(run, None)
        self.attempts.pop(run, None)
        self.wake()

    async def finish_if_idle(self, event: bytes) -> bool:
        if self.runs:
            return False
        if not self.is_finished:
            self.is_finished = True
            self._put(NO_RUN, event)
        return True

    def drop(self) -> None:
        """Drop the log, because it has no reader any more."""
        self._is_dropped = True
        self._segments.clear()  # who still waits for a socket has a reference to the log
        self._open, self._handed, self._replay_bytes = None, 0, 0
        self._admission.close()
        self.wake()

    def wake(self) -> None:
        for reader in self._readers:
            if not reader.done():
                reader.set_result(None)
        self._readers.clear()

    async def check(self, after: str) -> None:
        self._position(after)

    async def read(self, after: str) -> Batch:
        position = self._position(after)
        self._hand_over(position)
        must_wait = position == self._last and not self.is_finished
        if must_wait:
            reader: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._readers.append(reader)
            try:
                await reader
            finally:
                if reader in self._readers:  # whoever wakes it takes it off
                    self._readers.remove(reader)
            self._kept(position)
        return self._batch(position, must_wait)

    def _put(self, run: RunId, event: bytes) -> None:
        if self._is_dropped:
            return
        self._append(run, event, self._admission.put(run, event))

    def _append(self, run: RunId, event: bytes, cost: int) -> None:
        segment = self._open
        if segment is None or segment.size >= CHUNK_BYTES:
            segment = self._open = self._spare or _Segment()
            self._spare = None
            segment.begin(self._last + 1)
            self._segments.append(segment)
        segment.events.append(event)
        segment.size += len(event)
        segment.costs[run] = segment.costs.get(run, 0) + cost
        self._last = segment.last = self._last + 1
        if self._readers:
            self.wake()

    def _position(self, after: str) -> int:
        return self._kept(sse.number_of(after, self._epoch))

    def _kept(self, position: int | None) -> int:
        """Return a position if what follows it is kept; raise `LogGone` otherwise."""
        if self._is_dropped:
            raise LogGone(GoneCause.DROPPED)
        first = self._segments[0].first if self._segments else self._last + 1
        if position is None or not first - 1 <= position <= self._last:
            raise LogGone(GoneCause.NOT_KEPT)
        return position

    def _hand_over(self, position: int) -> None:
        """Move the events up to a position into the replay window."""
        now = monotonic()
        while self._handed < len(self._segments):
            segment = self._segments[self._handed]
            if segment.last > position:
                break
            if segment is self._open:
                self._open = None  # its last id may have been guessed
            self._admission.free(segment.costs)
            segment.costs.clear()
            segment.handed_at = now
            self._replay_bytes += segment.size
            if self._handed and self._segments[self._handed - 1].try_join(segment, self._epoch):
                self._spare = self._segments.pop(self._handed)
            else:
                self._handed += 1
        oldest = now - self._limits.replay_seconds
        while self._handed and self._segments[0].last <= position:
            segment = self._segments[0]
            if self._replay_bytes <= self._limits.replay_bytes and segment.handed_at >= oldest:
                break
            self._replay_bytes -= segment.size
            del self._segments[0]
            self._handed -= 1
        self._admission.notify()

    def _batch(self, position: int, has_waited: bool) -> Batch:
        index = self._handed
        while index and self._segments[index - 1].last > position:  # it is read again
            index -= 1
        parts: list[bytes] = []
        size = 0
        while index < len(self._segments) and size < CHUNK_BYTES:
            segment = self._segments[index]
            parts.append(segment.read(self._epoch, position))
            position = segment.last
            size += segment.size
            index += 1
        self._open = None  # what comes now must wait for the next read
        return Batch(
            b"".join(parts),
            sse.event_id(self._epoch, position),
            self.is_finished and position == self._last,
            self.runs,
            has_waited,
        )
