"""`memory://`: event logs of one process; siblings hear of stops and of clients that live."""

import asyncio
import contextvars
import logging
import secrets
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from time import monotonic

from flash_events.brokers.admission import Admission
from flash_events.brokers.base import Batch, Broker, EventLog, LogLimits, RunRecord
from flash_events.brokers.siblings import Siblings, family
from flash_events.brokers.signals import Alive, Signal, Stop
from flash_events.errors import LogFull, LogGone

logger = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
"""Of one send; large enough to be cheap per event, small enough to keep memory flat."""

TIME_STEP_SECONDS = 1.0
"""How finely the log remembers when events were handed over."""

REMEMBER_SECONDS = 300.0
"""For so long after its end a run is known, so that a repeated start attaches to it."""


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

    async def lose(self, run: str, worker: str, event: bytes) -> None:
        if self.runs.get(run) == worker:
            self.leave(run, event)

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


class MemoryBroker(Broker):
    """Keeps every log in this process."""

    def __init__(self, limits: LogLimits) -> None:
        self.worker = secrets.token_hex(16)
        self._limits = limits
        self._logs: dict[str, MemoryLog] = {}
        self._records: dict[str, RunRecord] = {}
        self._kept: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._siblings: Siblings | None = None
        self._on_signal: Callable[[Signal], None] = lambda _: None

    async def start(
        self, on_signal: Callable[[Signal], None], on_worker_lost: Callable[[str], None]
    ) -> None:
        self._on_signal = on_signal
        name = family()
        if name is None:
            return
        siblings = Siblings(name, self.worker, on_signal)
        try:
            await siblings.join()
        except OSError as error:
            logger.warning(
                "This worker cannot reach its siblings (%s): a cancel that another worker hears "
                "does not stop its runs. Set TMPDIR to a short path that this user may write to.",
                error,
            )
        else:
            self._siblings = siblings

    async def close(self) -> None:
        if self._siblings is not None:
            self._siblings.leave()

    async def open(self, connection: str, owner: str, run: str, worker: str) -> EventLog | None:
        log = self._logs.setdefault(connection, MemoryLog(self._limits, owner))
        if log.owner != owner:
            return None
        log.runs.setdefault(run, worker)
        return log

    async def take(self, connection: str, owner: str) -> EventLog | None:
        log = self._logs.get(connection)
        if log is None and self._siblings is not None and self._siblings.exist():
            _say_once(
                "A page reconnected to another worker than the one that holds its connection, "
                "so its runs are lost. Workers share connections only through a broker, such as "
                'FlashEvents(app, broker="redis://...").'
            )
        return log if log is not None and log.owner == owner else None

    async def touch(self, connection: str, owner: str) -> bool:
        log, signal = self._logs.get(connection), Alive(connection)
        if log is not None:
            if log.owner == owner:
                self._on_signal(signal)
            return log.owner == owner
        if self._siblings is None or not self._siblings.exist():
            return False
        self._siblings.tell(signal)
        return True

    async def drop(self, connection: str) -> Mapping[str, str]:
        log = self._logs.pop(connection, None)
        if log is None:
            return {}
        log.drop()
        return log.runs

    async def join(
        self, connection: str, owner: str, run: str, worker: str, max_runs: int
    ) -> EventLog | None:
        log = self._logs.get(connection)
        if log is None or log.owner != owner or log.is_finished:
            return None
        if run not in log.runs and len(log.runs) >= max_runs:
            raise LogFull
        log.runs.setdefault(run, worker)
        return log

    def writer(self, connection: str, run: str) -> EventLog:
        return self._logs[connection]

    async def claim(self, record: RunRecord) -> RunRecord | None:
        earlier = self._records.get(record.run)
        if earlier is None:
            self._records[record.run] = record
            if record.kept_by:
                self._kept[record.kept_by][record.run] = record.callback
        return earlier

    async def find(self, runs: Sequence[str]) -> list[RunRecord | None]:
        return [self._records.get(run) for run in runs]

    async def kept(self, kept_by: str, callbacks: Sequence[str]) -> tuple[str, ...]:
        runs = self._kept.get(kept_by, {})
        return tuple(run for run, callback in runs.items() if callback in callbacks)

    def retire(self, record: RunRecord) -> None:
        if record.kept_by:
            runs = self._kept[record.kept_by]
            runs.pop(record.run, None)
            if not runs:
                del self._kept[record.kept_by]
        self._forget_later(record.run, REMEMBER_SECONDS)

    async def stop(self, signal: Stop) -> tuple[str, ...]:
        unknown = tuple(run for run in signal.runs if run not in self._records)
        for run in unknown:  # its start may be on the way still
            self._records[run] = RunRecord(run, "", "", signal.owner)
            self._forget_later(run, self._limits.orphan_seconds)
        if self._siblings is None or not unknown:
            return ()
        self._siblings.tell(signal)
        return unknown

    def signal(self, worker: str, signal: Signal) -> None:
        if worker == self.worker:
            self._on_signal(signal)
        elif self._siblings is not None:
            self._siblings.tell(signal, worker)

    def _forget_later(self, run: str, seconds: float) -> None:
        """In a context of its own, or the current request would be kept until then."""
        loop = asyncio.get_running_loop()
        context = contextvars.Context()
        loop.call_later(seconds, self._records.pop, run, None, context=context)


_said: set[str] = set()


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        logger.warning(message)
