"""The contract of a broker: event logs, who holds and who writes them, and signals.

Bytes in, bytes out, in order, bounded. An event log is written by runs, on any worker, and read by
the one worker that *holds* it, which has the client's response open. Two bounds hold: events that
wait (not yet handed to a socket) pause the writers, events handed over stay replayable for a while.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from flash_events.brokers.signals import Signal, Stop

SNAPSHOT_BYTES = 128 * 1024
"""Maximum of a run's snapshot that waits in one log; the rest enters as this is handed over."""

OVERFULL = 2
"""Above this multiple of what may wait in a log it takes no further run, whose end never waits."""

QUEUED = "queued"
"""Stands for the worker of a run that waits in a task queue."""


@dataclass(frozen=True, slots=True)
class LogLimits:
    """The bounds of one event log.

    Attributes:
        waiting_bytes: of events not yet handed to the socket.
        waiting_events: their number.
        replay_bytes: of events handed to the socket and still replayable.
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
        """What an event costs: its bytes, and at least its share of a log's events."""
        return max(len(event), self.waiting_bytes // self.waiting_events, 1)


@dataclass(frozen=True, slots=True)
class Batch:
    """What a reader gets.

    Attributes:
        data: whole events with their ids, ready for the socket.
        last: the id of the last one; read on from there.
        finished: nothing will follow.
        runs: the live runs that write to the log, each with its worker.
    """

    data: bytes
    last: str
    finished: bool
    runs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What every worker may know of a run.

    Attributes:
        run: its id.
        worker: the one that has its generator; `QUEUED` for a run that waits in a task queue, ""
            for one that was stopped before it started.
        connection: that carries its events.
        owner: whose it is; "" where nobody asks.
        kept_by: the owner, or the page, for a run that goes on without a viewer; else "".
        callback: the id of its event callback.
        is_ended: it is over.
    """

    run: str
    worker: str
    connection: str
    owner: str
    kept_by: str = ""
    callback: str = ""
    is_ended: bool = False


class EventLog(ABC):
    """The ordered, bounded log behind one connection, as one worker sees it.

    Attributes:
        runs: the live runs that write to it, each with its worker, as far as this worker knows.
        is_given_up: whether its store has refused it, or was away for too long; it is lost.
    """

    runs: Mapping[str, str]
    is_given_up: bool = False

    @abstractmethod
    def offer(self, run: str, event: bytes, most: int | None = None) -> bool:
        """Appends an encoded event of a run if there is room for it; returns whether it did.

        With `most` there is room only while no more than so many bytes of the run wait.
        """

    @abstractmethod
    async def append(self, run: str, event: bytes, most: int | None = None) -> None:
        """Appends an event, waiting for room; no run can keep the others out for ever.

        Raises `LogGone` where the log has been dropped.
        """

    @abstractmethod
    def append_now(self, event: bytes, run: str = "") -> None:
        """Appends an event that must not wait; one of a run that this worker lost is dropped."""

    @abstractmethod
    def leave(self, run: str, event: bytes = b"") -> None:
        """A run's last event, which does not wait: the run no longer uses the log."""

    @abstractmethod
    async def lose(self, run: str, worker: str, event: bytes) -> bool:
        """The last event of a run, told by another than its worker; says whether it was told.

        It is not where the run has left by itself, or another worker has it ("" for any).
        """

    async def sent(self) -> None:
        """Waits until what was appended is where others can read it."""
        return

    @abstractmethod
    async def finish_if_idle(self, event: bytes) -> bool:
        """Appends the very last event unless a run uses the log; says whether it did."""

    @abstractmethod
    async def check(self, after: str) -> None:
        """Raises `LogGone` where what follows `after` is no longer there."""

    @abstractmethod
    async def read(self, after: str) -> Batch:
        """Waits for events after `after` ("" for the first), which counts as handed over.

        May return an empty batch when woken; raises `LogGone` where the log has a hole, was
        dropped, or is held by another worker.
        """

    @abstractmethod
    def wake(self) -> None:
        """Has a waiting `read` return."""

    @property
    @abstractmethod
    def waiting(self) -> int:
        """About how many bytes wait to be handed over, as far as this worker knows."""


class Broker(ABC):
    """Where event logs and signals live.

    Attributes:
        worker: the id of this worker.
        is_shared: whether other workers reach the same logs.

    Where its store refuses what is asked, or was away for too long, methods raise `BrokerError`.
    """

    worker: str = ""
    is_shared: bool = False

    @property
    def is_away(self) -> bool:
        """Whether its store does not answer now; what is asked waits for it."""
        return False

    @abstractmethod
    async def start(
        self, on_signal: Callable[[Signal], None], on_worker_lost: Callable[[str], None]
    ) -> None:
        """Joins the other workers.

        Args:
            on_signal: called on the loop with what they tell.
            on_worker_lost: called on the loop with a worker that has died and has runs that write
                to a log that this worker holds, again and again until it has none.

        Raises:
            ConfigurationError: it cannot be reached.
        """

    @abstractmethod
    async def close(self) -> None:
        """Sends what is on its way and leaves."""

    @abstractmethod
    async def open(self, connection: str, owner: str, run: str, worker: str) -> EventLog | None:
        """A new log that this worker holds, and that a run of `worker` will write to.

        None where the id is somebody else's, or another worker has claimed the run.
        """

    @abstractmethod
    async def take(self, connection: str, owner: str) -> EventLog | None:
        """A log that this worker holds from now on; None where it is unknown or foreign."""

    @abstractmethod
    async def touch(self, connection: str, owner: str) -> bool:
        """Tells the worker that holds a log that its client lives.

        False where the log is unknown or foreign, as far as this worker can know.
        """

    @abstractmethod
    async def drop(self, connection: str) -> Mapping[str, str]:
        """Forgets a log that this worker holds; returns its live runs, each with its worker.

        The result is empty where another worker holds it.
        """

    @abstractmethod
    async def join(
        self, connection: str, owner: str, run: str, worker: str, max_runs: int
    ) -> EventLog | None:
        """A run of `worker` will write to a log; None where it is unknown, foreign or finished.

        Raises `LogFull` where `max_runs` runs use it.
        """

    @abstractmethod
    def writer(self, connection: str, run: str) -> EventLog:
        """A log that a run of this worker writes to, after another worker has made it `join`."""

    @abstractmethod
    async def claim(self, record: RunRecord) -> RunRecord | None:
        """Registers a run, which writes to its log from now on.

        It is known until some minutes after `retire`. Returns its earlier record if it is known
        already. A claim that fails, or is cancelled, must be given back by `withdraw`.
        """

    @abstractmethod
    def withdraw(self, record: RunRecord, connections: Sequence[str]) -> None:
        """Undoes what a start has left, wherever it was cut: its claim, and its place in logs.

        A run that another request has claimed is left alone. What this worker asks afterwards
        finds nothing of the start.

        Args:
            record: of the run that was not started.
            connections: whose logs it may have joined.
        """

    @abstractmethod
    async def find(self, runs: Sequence[str]) -> list[RunRecord | None]:
        """The records of runs, None for each that is unknown."""

    @abstractmethod
    async def kept(self, kept_by: str, callbacks: Sequence[str]) -> tuple[str, ...]:
        """The live runs of these callbacks that this owner or page keeps without a viewer."""

    @abstractmethod
    def retire(self, record: RunRecord) -> None:
        """A run has ended."""

    @abstractmethod
    async def stop(self, signal: Stop) -> tuple[str, ...]:
        """Brings a stop to the other workers that have these runs; returns those that may live.

        A run that is unknown everywhere is given up: a later claim finds a record without worker.
        """

    @abstractmethod
    def signal(self, worker: str, signal: Signal) -> None:
        """Tells one worker something; this one, too."""


class SharedBroker(Broker):
    """A broker through which the workers of a task queue can take runs over, too."""

    is_shared = True

    @abstractmethod
    async def lives(self, worker: str) -> bool:
        """Whether a worker has a lease."""

    @abstractmethod
    def mute(self) -> None:
        """Writes nothing any more: others end this process, and what it has."""

    @abstractmethod
    async def adopt(self, connection: str, run: str) -> tuple[EventLog, int] | None:
        """This worker takes over a run that has been queued, or whose worker has died.

        Returns the log and the number of the attempt, from 1; None where the run has ended, or
        its log is gone.
        """

    @abstractmethod
    async def move(self, record: RunRecord, before: str = "") -> RunRecord | None:
        """Replaces what is known of a run that lives, if `before` (or any) is its worker.

        Returns what is known instead where it is not so; None where nothing is.
        """

    @abstractmethod
    async def call_off(self, connection: str) -> None:
        """What the runs of a log emit is wanted no more: those that emit are told so."""

    @abstractmethod
    async def lose(self, connection: str, run: str, worker: str, event: bytes) -> bool:
        """`EventLog.lose`, for a log that this worker neither holds nor writes to."""

    @abstractmethod
    async def leave_testament(self, run: str, events: Sequence[bytes], end: bytes) -> None:
        """Keeps for some minutes what a page must be told that asks for a run after its end."""

    @abstractmethod
    async def testament(self, run: str, position: int) -> list[bytes]:
        """Return the kept event at a position and, unless it is the last, the one after it.

        Empty where nothing is kept.
        """
