"""The contract of event logs: bytes in, bytes out, in order, bounded.

Runs write to a log, on any worker. One worker *holds* it: the one that has the client's response
open, and reads. Two bounds apply: events that were not handed to the socket yet pause the writers,
and events that were handed over stay replayable for a while.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from flash_events.brokers.ids import NO_RUN, ConnectionId, RunId
from flash_events.brokers.place import Place

SNAPSHOT_BYTES = 128 * 1024
"""Maximum of a run's snapshot that waits in one log; the rest follows as this is handed over."""

OVERFULL = 2
"""A log takes no further run above this multiple of `waiting_bytes`: end events never wait."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """The bounds of one event log.

    Attributes:
        waiting_bytes: maximum of events not yet handed to the socket.
        waiting_events: their maximum number.
        replay_bytes: maximum of events that were handed over and stay replayable.
        replay_seconds: how long they stay replayable.
        orphan_seconds: how long a log is kept whose worker is gone.
        outage_seconds: how long a log is kept while its store does not answer.
    """

    waiting_bytes: int
    waiting_events: int
    replay_bytes: int
    replay_seconds: float
    orphan_seconds: float = 30.0
    outage_seconds: float = 120.0

    def cost(self, event: bytes) -> int:
        """Return the cost of an event: its bytes, but at least its share of the maximum number."""
        return max(len(event), self.waiting_bytes // self.waiting_events, 1)


class Batch(NamedTuple):
    """The result of one read; a tuple, as a frozen dataclass takes three times as long to make.

    Attributes:
        data: whole events with their ids, ready for the socket.
        last: the id of the last one; the next read goes on after it.
        finished: whether nothing will follow.
        runs: the live runs that write to the log, each with its place.
        has_waited: whether the read has certainly waited, so that others had their turn.
    """

    data: bytes
    last: str
    finished: bool
    runs: Mapping[RunId, Place]
    has_waited: bool = False


class EventLog(ABC):
    """One log, as one worker sees it.

    Attributes:
        runs: the live runs that write to it, each with its place, as far as this worker knows.
        is_given_up: whether the log is lost because its store refused it or was away too long.
    """

    runs: Mapping[RunId, Place]
    is_given_up: bool = False

    @abstractmethod
    def offer(self, run: RunId, event: bytes, most: int | None = None) -> bool:
        """Append an encoded event of a run if there is room; return whether it was appended.

        With `most` there is room only while no more than that many bytes of the run wait.
        """

    @abstractmethod
    async def append(self, run: RunId, event: bytes, most: int | None = None) -> None:
        """Append an event as soon as there is room; no run can keep the others out for ever.

        Raises `LogGone` if the log was dropped, or takes nothing more from the run.
        """

    @abstractmethod
    def append_now(self, event: bytes, run: RunId = NO_RUN) -> None:
        """Append an event without waiting; one of a run that this worker has lost is dropped."""

    @abstractmethod
    def leave(self, run: RunId, event: bytes = b"") -> None:
        """Append a run's last event without waiting; the run no longer uses the log."""

    async def sent(self) -> None:
        """Wait until other workers can read what was appended."""
        return

    @abstractmethod
    async def finish_if_idle(self, event: bytes) -> bool:
        """Append the very last event unless a run uses the log; return whether it is finished."""

    @abstractmethod
    async def check(self, after: str) -> None:
        """Raise `LogGone` if the log no longer has what follows the event id `after`."""

    @abstractmethod
    async def read(self, after: str) -> Batch:
        """Wait for events after `after` ("" for the first), which then counts as handed over.

        May return an empty batch when woken. Raises `LogGone` if the log has a gap, was dropped,
        or is held by another worker.
        """

    @abstractmethod
    def wake(self) -> None:
        """Make a waiting `read` return."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """Approximate number of bytes that wait to be handed over, as far as this worker knows."""


class EventLogs(ABC):
    """The logs of all connections that this worker can reach."""

    @abstractmethod
    async def open(
        self, connection: ConnectionId, owner: str, run: RunId, place: Place
    ) -> EventLog | None:
        """Create a log that this worker holds and `run` writes to.

        Returns None if the id belongs to somebody else, or another worker has claimed the run.
        """

    @abstractmethod
    async def take(self, connection: ConnectionId, owner: str) -> EventLog | None:
        """Make this worker the holder of a log; return None if it is unknown or foreign."""

    @abstractmethod
    async def join(
        self, connection: ConnectionId, owner: str, run: RunId, place: Place, max_runs: int
    ) -> EventLog | None:
        """Let a run write to a log; return None if it is unknown, foreign or finished.

        Raises `LogFull` if `max_runs` runs use it, or too much waits in it.
        """

    @abstractmethod
    async def adopt(self, connection: ConnectionId, run: RunId) -> tuple[EventLog, int] | None:
        """Let this worker take over a run that was queued, or whose worker has died.

        Returns the log and the attempt number, from 1; None if the run has ended, or its log is
        gone or its writers were cancelled.
        """

    @abstractmethod
    def writer(self, connection: ConnectionId, run: RunId) -> EventLog:
        """Return a log for a run of this worker, for which another worker has called `join`."""

    @abstractmethod
    async def touch(self, connection: ConnectionId, owner: str) -> bool:
        """Tell the holder of a log that its client is alive.

        Returns False if the log is unknown or foreign, as far as this worker can know.
        """

    @abstractmethod
    async def drop(self, connection: ConnectionId) -> Mapping[RunId, Place]:
        """Forget a log that this worker holds; return its live runs, each with its place.

        The result is empty if another worker holds it.
        """

    @abstractmethod
    async def end_run(
        self, connection: ConnectionId, run: RunId, place: Place | None, event: bytes
    ) -> bool:
        """End a run that its own worker does not end; return whether `event` was appended.

        It is not if the run has left by itself, or is elsewhere than at `place` (None for any).
        """

    @abstractmethod
    async def cancel_writers(self, connection: ConnectionId) -> None:
        """Cancel the writers of a log, because it has no reader any more."""
