"""The replay window of a log: events that were handed over and stay replayable."""

from collections import deque
from time import monotonic

from flash_events.brokers.log import LogLimits

TIME_STEP_SECONDS = 1.0
STEPS = 64
"""Resolution of the replay window, in seconds and in bytes."""


class Window:
    """The entries of a log that one worker has read.

    Args:
        limits: of the log.
    """

    def __init__(self, limits: LogLimits) -> None:
        self._limits = limits
        self._read: deque[tuple[int, int]] = deque()
        """Entries that were not handed over yet: number of the last event, and total cost."""
        self._replayable: deque[tuple[float, int, int]] = deque()
        """Entries that were handed over: time, number of the last event, and total bytes."""

    def note(self, end: int, cost: int, size: int) -> None:
        """Store an entry that was read.

        Args:
            end: the number of its last event.
            cost: of all that was ever appended, up to here.
            size: bytes of all that was ever appended, up to here.
        """
        if self._replayable and end <= self._replayable[-1][1]:
            return  # read again
        now = monotonic()
        self._read.append((end, cost))
        if len(self._replayable) > 1:
            before, last = self._replayable[-2], self._replayable[-1]
            step_bytes = self._limits.replay_bytes // STEPS
            if last[0] - before[0] < TIME_STEP_SECONDS and last[2] - before[2] < step_bytes:
                self._replayable.pop()
        self._replayable.append((now, end, size))

    def handed(self, number: int) -> int:
        """Return the total cost that was handed over when a reader requests later events."""
        cost = 0
        while self._read and self._read[0][0] <= number:
            cost = self._read.popleft()[1]
        return cost

    def keep_from(self, number: int) -> int | str:
        """Return the first event that must stay replayable; "" if nothing can be trimmed."""
        now = monotonic()
        keep: int | str = ""
        newest = self._replayable[-1][2] if self._replayable else 0
        while len(self._replayable) > 1 and self._replayable[0][1] <= number:
            when, end, size = self._replayable[0]
            is_old = now - when > self._limits.replay_seconds
            if not is_old and newest - size <= self._limits.replay_bytes:
                break
            self._replayable.popleft()
            keep = end + 1
        return keep
