"""Who may append to an event log: the bounds, and fairness between its runs."""

import asyncio
from collections import Counter, deque
from contextlib import suppress

from flash_events.brokers.base import LogLimits
from flash_events.errors import LogGone


class Admission:
    """Counts what waits in one log, and lets writers wait for room.

    Both bounds are counted in one currency: an event costs its bytes, and at least the share of
    the log that one of `waiting_events` events has.

    Attributes:
        waiting: cost of this worker's events that were not handed over yet.
        foreign: cost of those of other workers, as far as it is known.
    """

    def __init__(self, limits: LogLimits) -> None:
        self._limit = limits.waiting_bytes
        self.cost = limits.cost
        self.waiting = 0
        self.foreign = 0
        self._waiting_of_run: Counter[str] = Counter()
        self._blocked: Counter[str] = Counter()
        self._rooms: deque[asyncio.Future[None]] = deque()
        self._is_gone = False

    @property
    def is_wanted(self) -> bool:
        """Whether a writer waits for room."""
        return bool(self._blocked)

    def admits(self, run: str, event: bytes) -> bool:
        """Whether there is room for an event of a run."""
        if self._is_gone:
            return False
        if not self.waiting + self.foreign:
            return True  # an empty log takes any legal event
        if self.waiting + self.foreign + self.cost(event) > self._limit:
            return False
        # A run may use a quarter of the log while others wait, or it would keep them out for ever.
        others_wait = len(self._blocked) > (1 if run in self._blocked else 0)
        return not others_wait or self._waiting_of_run[run] < self._limit // 4

    def put(self, run: str, cost: int) -> None:
        """Counts an event in."""
        self.waiting += cost
        self._waiting_of_run[run] += cost

    def free(self, run: str, cost: int) -> None:
        """Counts an event out; `notify` follows."""
        self.waiting -= cost
        self._waiting_of_run[run] -= cost
        if not self._waiting_of_run[run]:
            del self._waiting_of_run[run]

    def notify(self) -> None:
        """Has those who wait look again."""
        for room in self._rooms:
            if not room.done():
                room.set_result(None)
        self._rooms.clear()

    def close(self) -> None:
        """The log is gone: everybody who waits gets `LogGone`."""
        self._is_gone = True
        self.notify()

    async def wait(self, run: str, event: bytes) -> None:
        """Waits until there is room."""
        self._blocked[run] += 1
        try:
            while not self.admits(run, event):
                if self._is_gone:
                    raise LogGone("The event log was dropped.")
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
