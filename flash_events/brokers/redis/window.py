"""What a reader has handed over, and for how long it stays replayable."""

from collections import deque
from time import monotonic

from flash_events.brokers.log import LogLimits

TIME_STEP_SECONDS = 1.0
STEPS = 64
"""How finely it is remembered when what was handed over: in steps of time and of bytes."""


class Window:
    """Remembers the entries of a log that one worker has read.

    Args:
        limits: of the log.
    """

    def __init__(self, limits: LogLimits) -> None:
        self._limits = limits
        self._read: deque[tuple[int, int]] = deque()
        """Not handed over yet: number of the last event, total cost."""
        self._replayable: deque[tuple[float, int, int]] = deque()
        """When it was read, number of the last event, total bytes."""

    def note(self, end: int, cost: int, size: int) -> None:
        """An entry was read.

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
        """The cost of what was handed over when a reader asks for what follows an event."""
        cost = 0
        while self._read and self._read[0][0] <= number:
            cost = self._read.popleft()[1]
        return cost

    def keep_from(self, number: int) -> int | str:
        """The first event that must stay replayable; "" where there is nothing to cut off."""
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
