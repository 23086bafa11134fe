"""`memory://`: event logs of one process; siblings hear of stops and of clients that live."""

import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from flash_events.brokers.base import Broker, EventLog, LogLimits, RunRecord
from flash_events.brokers.expiring import Expiring
from flash_events.brokers.memory_log import MemoryLog
from flash_events.brokers.siblings import Siblings, family
from flash_events.brokers.signals import Alive, Signal, Stop
from flash_events.errors import LogFull

logger = logging.getLogger(__name__)

REMEMBER_SECONDS = 300.0
"""For so long after its end a run is known, so that a repeated start attaches to it."""

MOST_ENDED = 10_000
"""Records of runs that have ended, about 500 bytes each; the newest are kept."""

MOST_GIVEN_UP = 4096
"""Runs that were stopped before they came, about 300 bytes each; the newest are kept."""


class MemoryBroker(Broker):
    """Keeps every log in this process."""

    def __init__(self, limits: LogLimits) -> None:
        self.worker = secrets.token_hex(16)
        self._limits = limits
        self._logs: dict[str, MemoryLog] = {}
        self._records: dict[str, RunRecord] = {}
        """Of the runs that live."""
        self._ended: Expiring[str, RunRecord] = Expiring(REMEMBER_SECONDS, MOST_ENDED)
        self._given_up: Expiring[tuple[str, str], None] = Expiring(
            limits.orphan_seconds, MOST_GIVEN_UP
        )
        """Owner and run of what was stopped before it came."""
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
        if run not in log.runs and (len(log.runs) >= max_runs or log.is_overfull):
            raise LogFull
        log.runs.setdefault(run, worker)
        return log

    def writer(self, connection: str, run: str) -> EventLog:
        return self._logs[connection]

    async def claim(self, record: RunRecord) -> RunRecord | None:
        if (record.owner, record.run) in self._given_up:
            return RunRecord(record.run, "", "", record.owner)
        earlier = self._find(record.run)
        if earlier is None:
            self._records[record.run] = record
            if record.kept_by:
                self._kept[record.kept_by][record.run] = record.callback
        return earlier

    def withdraw(self, record: RunRecord, connections: Sequence[str]) -> None:
        if self._records.get(record.run) == record:
            del self._records[record.run]
            self._keep_no_more(record)
        elif record.run in self._records:
            return
        for connection in connections:
            log = self._logs.get(connection)
            if log is not None and log.owner == record.owner:
                log.leave(record.run)

    async def find(self, runs: Sequence[str]) -> list[RunRecord | None]:
        return [self._find(run) for run in runs]

    async def kept(self, kept_by: str, callbacks: Sequence[str]) -> tuple[str, ...]:
        runs = self._kept.get(kept_by, {})
        return tuple(run for run, callback in runs.items() if callback in callbacks)

    def retire(self, record: RunRecord) -> None:
        self._keep_no_more(record)
        if self._records.pop(record.run, None) is not None:
            self._ended.add(record.run, record)

    async def stop(self, signal: Stop) -> tuple[str, ...]:
        unknown = tuple(run for run in signal.runs if self._find(run) is None)
        for run in unknown:  # its start may be on the way still
            self._given_up.add((signal.owner, run), None)
        if self._siblings is None or not unknown:
            return ()
        self._siblings.tell(signal)
        return unknown

    def signal(self, worker: str, signal: Signal) -> None:
        if worker == self.worker:
            self._on_signal(signal)
        elif self._siblings is not None:
            self._siblings.tell(signal, worker)

    def _find(self, run: str) -> RunRecord | None:
        return self._records.get(run) or self._ended.get(run)

    def _keep_no_more(self, record: RunRecord) -> None:
        runs = self._kept.get(record.kept_by, {})
        runs.pop(record.run, None)
        if not runs:
            self._kept.pop(record.kept_by, None)


_said: set[str] = set()


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        logger.warning(message)
