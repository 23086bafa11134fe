"""`memory://`: event logs of one process."""

import asyncio
import secrets
from collections import Counter, deque
from contextlib import suppress
from time import monotonic

from flash_events.brokers.base import Batch, Broker, EventLog, LogLimits
from flash_events.errors import LogGone

CHUNK_BYTES = 256 * 1024
"""Of one send; large enough to be cheap per event, small enough to keep memory flat."""


TIME_STEP_SECONDS = 1.0
"""How finely the log remembers when events were handed over."""


class MemoryLog(EventLog):
    """An event log in memory.

    Events get the numbers 1, 2, ... `_first` is the number of the oldest event that is kept,
    `_handed` that of the last one handed to a socket; what lies between is the replay window.

    What waits is counted in one currency for both bounds: an event costs its bytes, and at least
    the share of the log that one of `waiting_events` events has.
    """

    def __init__(self, limits: LogLimits) -> None:
        self._limits = limits
        self._least_cost = limits.waiting_bytes // limits.waiting_events
        self._epoch = secrets.token_urlsafe(6).encode()
        self._events: deque[tuple[str, bytes, int]] = deque()
        self._first = 1
        self._last = 0
        self._handed = 0
        self._handed_at: deque[tuple[float, int]] = deque()
        self._waiting_cost = 0
        self._waiting_cost_of_run: Counter[str] = Counter()
        self._replay_bytes = 0
        self._finished = False
        self._readable = asyncio.Event()
        self._blocked: Counter[str] = Counter()
        self._rooms: deque[asyncio.Future[None]] = deque()

    def offer(self, run: str, event: bytes) -> bool:
        if not self._has_room(run, len(event)):
            return False
        self._put(run, event)
        return True

    async def append(self, run: str, event: bytes) -> None:
        self._blocked[run] += 1
        try:
            while not self._has_room(run, len(event)):
                room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._rooms.append(room)
                try:
                    await room
                finally:
                    with suppress(ValueError):
                        self._rooms.remove(room)
        finally:
            self._blocked[run] -= 1
            if not self._blocked[run]:
                del self._blocked[run]
        self._put(run, event)

    def append_now(self, event: bytes) -> None:
        self._put("", event)

    def finish(self) -> None:
        self._finished = True
        self._readable.set()

    def wake(self) -> None:
        self._readable.set()

    def check(self, after: str) -> None:
        self._position(after)

    async def read(self, after: str) -> Batch:
        position = self._position(after)
        self._hand_over(position)
        if position == self._last and not self._finished:
            self._readable.clear()
            await self._readable.wait()
        return self._batch(max(position, 0))

    def _has_room(self, run: str, size: int) -> bool:
        if self._last == self._handed:
            return True  # an empty log takes any legal event
        limit = self._limits.waiting_bytes
        if self._waiting_cost + max(size, self._least_cost) > limit:
            return False
        # A run may use a quarter of the log while others wait, or it would keep them out for ever.
        others_wait = len(self._blocked) > (1 if run in self._blocked else 0)
        return not others_wait or self._waiting_cost_of_run[run] < limit // 4

    def _put(self, run: str, event: bytes) -> None:
        self._last += 1
        cost = max(len(event), self._least_cost)
        self._events.append((run, b"id: %b-%d\n%b" % (self._epoch, self._last, event), cost))
        self._waiting_cost += cost
        self._waiting_cost_of_run[run] += cost
        self._readable.set()

    def _position(self, after: str) -> int:
        if not after:
            position = 0
        else:
            epoch, _, number = after.rpartition("-")
            if epoch.encode() != self._epoch or not number.isdecimal():
                raise LogGone("The event id is of another log.")
            position = int(number)
        if not self._first - 1 <= position <= self._last:
            raise LogGone("The events after this id are no longer kept.")
        return position

    def _hand_over(self, position: int) -> None:
        if position <= self._handed:
            return
        for index in range(self._handed - self._first + 1, position - self._first + 1):
            run, framed, cost = self._events[index]
            self._replay_bytes += len(framed)
            self._waiting_cost -= cost
            self._waiting_cost_of_run[run] -= cost
            if not self._waiting_cost_of_run[run]:
                del self._waiting_cost_of_run[run]
        self._handed = position
        now = monotonic()
        if self._handed_at and now - self._handed_at[-1][0] < TIME_STEP_SECONDS:
            now = self._handed_at.pop()[0]
        self._handed_at.append((now, position))
        self._trim()
        for room in self._rooms:
            if not room.done():
                room.set_result(None)
        self._rooms.clear()

    def _trim(self) -> None:
        oldest = monotonic() - self._limits.replay_seconds
        expired = 0
        while self._handed_at and self._handed_at[0][0] < oldest:
            expired = self._handed_at.popleft()[1]
        while self._first <= self._handed and (
            self._replay_bytes > self._limits.replay_bytes or self._first <= expired
        ):
            self._replay_bytes -= len(self._events.popleft()[1])
            self._first += 1

    def _batch(self, position: int) -> Batch:
        parts: list[bytes] = []
        size = 0
        index = position - self._first + 1
        while index < len(self._events) and size < CHUNK_BYTES:
            parts.append(self._events[index][1])
            size += len(parts[-1])
            index += 1
        last = position + len(parts)
        return Batch(
            b"".join(parts),
            f"{self._epoch.decode()}-{last}" if last else "",
            self._finished and last == self._last,
        )


class MemoryBroker(Broker):
    """Keeps every log in this process."""

    def __init__(self, limits: LogLimits) -> None:
        self._limits = limits
        self._logs: dict[str, MemoryLog] = {}

    def log(self, connection: str) -> EventLog:
        if connection not in self._logs:
            self._logs[connection] = MemoryLog(self._limits)
        return self._logs[connection]

    def forget(self, connection: str) -> None:
        self._logs.pop(connection, None)
