"""An event log in memory."""

import asyncio
import secrets
from collections import deque
from time import monotonic

from flash_events.brokers.admission import Admission
from flash_events.brokers.base import Batch, EventLog, LogLimits
from flash_events.errors import LogGone

CHUNK_BYTES = 256 * 1024
"""Of one send; large enough to be cheap per event, small enough to keep memory flat."""

TIME_STEP_SECONDS = 1.0
"""How finely the log remembers when events were handed over."""


class MemoryLog(EventLog):
    """An event log in memory.

    Events get the numbers 1, 2, ... `_first` is the number of the oldest event that is kept,
    `_handed` that of the last one handed to a socket; what lies between is the replay window.
    """

    def __init__(self, limits: LogLimits, owner: str = "") -> None:
        self.owner = owner
        self.runs: dict[str, str] = {}
        self.is_finished = False
        self._limits = limits
        self._admission = Admission(limits)
        self._epoch = secrets.token_urlsafe(6).encode()
        self._events: deque[tuple[str, bytes, int]] = deque()
        self._first = 1
        self._last = 0
        self._handed = 0
        self._handed_at: deque[tuple[float, int]] = deque()
        self._replay_bytes = 0
        self._is_dropped = False
        self._readable = asyncio.Event()

    @property
    def waiting(self) -> int:
        return self._admission.waiting

    def offer(self, run: str, event: bytes) -> bool:
        if not self._admission.admits(run, event):
            return False
        self._put(run, event)
        return True

    async def append(self, run: str, event: bytes) -> None:
        await self._admission.wait(run, event)
        self._put(run, event)

    def append_now(self, event: bytes) -> None:
        self._put("", event)

    def leave(self, run: str, event: bytes = b"") -> None:
        if event:
            self._put(run, event)
        self.runs.pop(run, None)
        self._readable.set()

    async def lose(self, run: str, worker: str, event: bytes) -> bool:
        if run not in self.runs or worker not in ("", self.runs[run]):
            return False
        self.leave(run, event)
        return True

    async def finish_if_idle(self, event: bytes) -> bool:
        if self.runs:
            return False
        if not self.is_finished:
            self.is_finished = True
            self._put("", event)
        return True

    def drop(self) -> None:
        """Nobody will read it any more."""
        self._is_dropped = True
        self._admission.close()
        self._readable.set()

    def wake(self) -> None:
        self._readable.set()

    async def check(self, after: str) -> None:
        self._position(after)

    async def read(self, after: str) -> Batch:
        position = self._position(after)
        self._hand_over(position)
        if position == self._last and not self.is_finished:
            self._readable.clear()
            await self._readable.wait()
            self._position(after)
        return self._batch(position)

    def _put(self, run: str, event: bytes) -> None:
        self._last += 1
        cost = self._admission.cost(event)
        self._events.append((run, b"id: %b-%d\n%b" % (self._epoch, self._last, event), cost))
        self._admission.put(run, cost)
        self._readable.set()

    def _position(self, after: str) -> int:
        if self._is_dropped:
            raise LogGone("The event log was dropped.")
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
            self._admission.free(run, cost)
        self._handed = position
        now = monotonic()
        if self._handed_at and now - self._handed_at[-1][0] < TIME_STEP_SECONDS:
            now = self._handed_at.pop()[0]
        self._handed_at.append((now, position))
        self._trim()
        self._admission.notify()

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
            self.is_finished and last == self._last,
            self.runs,
        )
