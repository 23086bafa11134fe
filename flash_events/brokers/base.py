"""The contract of a broker: bytes in, bytes out, in order, bounded.

An event log is written by runs and read by one reader at a time. Two bounds hold: `waiting` events
(not yet handed to a socket) pause the writers, `handed` events stay replayable for a while.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LogLimits:
    """The bounds of one event log.

    Attributes:
        waiting_bytes: of events not yet handed to the socket.
        waiting_events: their number.
        replay_bytes: of events handed to the socket and still replayable.
        replay_seconds: how long they stay replayable.
    """

    waiting_bytes: int
    waiting_events: int
    replay_bytes: int
    replay_seconds: float


@dataclass(frozen=True, slots=True)
class Batch:
    """What a reader gets.

    Attributes:
        data: whole events with their ids, ready for the socket.
        last: the id of the last one; read on from there.
        finished: nothing will follow.
    """

    data: bytes
    last: str
    finished: bool


class EventLog(ABC):
    """The ordered, bounded log behind one connection."""

    @abstractmethod
    def offer(self, run: str, event: bytes) -> bool:
        """Appends an encoded event of a run if there is room for it; says whether it did."""

    @abstractmethod
    async def append(self, run: str, event: bytes) -> None:
        """Appends an event, waiting for room; no run can keep the others out for ever."""

    @abstractmethod
    def append_now(self, event: bytes) -> None:
        """Appends an event that must not wait, such as the end of a run."""

    @abstractmethod
    def finish(self) -> None:
        """Says that nothing will follow what was appended."""

    @abstractmethod
    def check(self, after: str) -> None:
        """Raises `LogGone` where what follows `after` is no longer there."""

    @abstractmethod
    async def read(self, after: str) -> Batch:
        """Waits for events after `after` ("" for the first), which counts as handed over.

        May return an empty batch when woken; raises `LogGone` where the log has a hole.
        """

    @abstractmethod
    def wake(self) -> None:
        """Has a waiting `read` return."""


class Broker(ABC):
    """Makes event logs, and forgets them."""

    @abstractmethod
    def log(self, connection: str) -> EventLog:
        """The event log of a connection; made at the first call."""

    @abstractmethod
    def forget(self, connection: str) -> None:
        """Drops a connection's log."""
