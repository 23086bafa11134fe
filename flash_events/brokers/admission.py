"""Admission to an event log: its bounds, and fairness between its runs."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress

from flash_events.brokers.ids import RunId
from flash_events.brokers.log import LogLimits
from flash_events.errors import GoneCause, LogGone


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
        self._least = limits.cost(b"")
        self.cost = limits.cost
        self.waiting = 0
        self.foreign = 0
        self._waiting_of_run: dict[RunId, int] = {}  # a Counter calls Python for a new run
        self._blocked: Counter[RunId] = Counter()
        self._rooms: list[asyncio.Future[None]] = []
        self._refused: set[RunId] = set()
        self._is_gone = False

    @property
    def is_wanted(self) -> bool:
        """Whether a writer waits for room."""
        return bool(self._blocked)

    def admit(self, run: RunId, event: bytes, most: int | None = None) -> int:
        """Count an event of a run in if there is room; return its cost, or 0 if there is none.

        With `most` there is room only while no more than so many bytes of the run wait.
        """
        cost = len(event)  # as `cost` does, which a call would make a tenth of an update dearer
        if cost < self._least:
            cost = self._least
        waiting = self.waiting + self.foreign
        if self._is_gone or run in self._refused:
            return 0
        if waiting:  # an empty log takes any legal event
            if waiting + cost > self._limit:
                return 0
            if self._blocked and self._must_give_way(run):
                return 0
        if most is not None:
            of_run = self._waiting_of_run.get(run, 0)
            if of_run and of_run + cost > most:
                return 0
        self.waiting += cost
        self._waiting_of_run[run] = self._waiting_of_run.get(run, 0) + cost
        return cost

    def _must_give_way(self, run: RunId) -> bool:
        """Return whether a run has used its share, a quarter of the log, while others wait."""
        others_wait = len(self._blocked) > (1 if run in self._blocked else 0)
        return others_wait and self._waiting_of_run.get(run, 0) >= self._limit // 4

    def put(self, run: RunId, event: bytes) -> int:
        """Count an event in whether or not there is room; return its cost."""
        cost = self.cost(event)
        self.waiting += cost
        self._waiting_of_run[run] = self._waiting_of_run.get(run, 0) + cost
        return cost

    def free(self, costs: Mapping[RunId, int]) -> None:
        """Subtract the costs of events that were handed over, by run; call `notify` afterwards."""
        for run, cost in costs.items():
            self.waiting -= cost
            left = self._waiting_of_run.pop(run, 0) - cost
            if left:
                self._waiting_of_run[run] = left

    def notify(self) -> None:
        """Make waiting writers check for room again."""
        for room in self._rooms:
            if not room.done():
                room.set_result(None)
        self._rooms.clear()

    def refuse(self, run: RunId) -> None:
        """Refuse further events of a run; a waiting writer of the run gets `LogGone`."""
        self._refused.add(run)
        self.notify()

    def accept(self, run: RunId) -> None:
        """Accept events of a run again."""
        self._refused.discard(run)

    def is_refused(self, run: RunId) -> bool:
        """Return whether the events of a run are refused."""
        return run in self._refused

    def close(self) -> None:
        """Mark the log as gone; waiting writers get `LogGone`."""
        self._is_gone = True
        self.notify()

    async def wait(self, run: RunId, event: bytes, most: int | None = None) -> int:
        """Wait until there is room, and count an event in; return its cost."""
        self._blocked[run] += 1
        try:
            while not (cost := self.admit(run, event, most)):
                if self._is_gone:
                    raise LogGone(GoneCause.DROPPED)
                if run in self._refused:
                    raise LogGone(GoneCause.TAKEN_OVER)
                room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._rooms.append(room)
                try:
                    await room
                finally:
                    with suppress(ValueError):
                        self._rooms.remove(room)
            return cost
        finally:
            self._blocked[run] -= 1
            if not self._blocked[run]:
                del self._blocked[run]
