"""The event logs of one process."""

import logging
from collections.abc import Mapping, Sequence

from flash_events.brokers.ids import ConnectionId, RunId
from flash_events.brokers.log import EventLog, EventLogs, LogLimits
from flash_events.brokers.memory.log import MemoryLog
from flash_events.brokers.memory.signals import MemorySignals
from flash_events.brokers.messages import Alive
from flash_events.brokers.place import At, Place
from flash_events.errors import LogFull

logger = logging.getLogger(__name__)


class MemoryLogs(EventLogs):
    """Keeps every log in this process, which holds them all.

    Args:
        limits: of each log.
        signals: tell siblings that clients are alive.
    """

    def __init__(self, limits: LogLimits, signals: MemorySignals) -> None:
        self._limits = limits
        self._signals = signals
        self._logs: dict[ConnectionId, MemoryLog] = {}

    async def open(
        self, connection: ConnectionId, owner: str, run: RunId, place: Place
    ) -> EventLog | None:
        log = self._logs.setdefault(connection, MemoryLog(self._limits, owner))
        if log.owner != owner:
            return None
        log.runs.setdefault(run, place)
        return log

    async def take(self, connection: ConnectionId, owner: str) -> EventLog | None:
        log = self._logs.get(connection)
        if log is None and self._signals.has_siblings:
            _say_once(
                "A page reconnected to another worker than the one that holds its connection, "
                "so its runs are lost. Workers share connections only through a broker, such as "
                'FlashEvents(app, broker="redis://...").'
            )
        return log if log is not None and log.owner == owner else None

    async def join(
        self, connection: ConnectionId, owner: str, run: RunId, place: Place, max_runs: int
    ) -> EventLog | None:
        log = self._logs.get(connection)
        if log is None or log.owner != owner or log.is_finished:
            return None
        if run not in log.runs and (len(log.runs) >= max_runs or log.is_overfull):
            raise LogFull
        log.runs.setdefault(run, place)
        return log

    async def adopt(self, connection: ConnectionId, run: RunId) -> tuple[EventLog, int] | None:
        log = self._logs.get(connection)
        if log is None or run not in log.runs:
            return None
        if log.is_cancelled:
            log.leave(run)
            return None
        log.runs[run] = At(self._signals.worker)
        log.attempts[run] += 1
        return log, log.attempts[run]

    def writer(self, connection: ConnectionId, run: RunId) -> EventLog:
        return self._logs[connection]

    async def touch(self, connection: ConnectionId, owner: str) -> bool:
        log, signal = self._logs.get(connection), Alive(connection)
        if log is not None:
            if log.owner == owner:
                self._signals.hear(signal)
            return log.owner == owner
        if not self._signals.has_siblings:
            return False
        self._signals.send_to_siblings(signal)
        return True

    async def drop(self, connection: ConnectionId) -> Mapping[RunId, Place]:
        log = self._logs.pop(connection, None)
        if log is None:
            return {}
        log.drop()
        return log.runs

    async def end_run(
        self, connection: ConnectionId, run: RunId, place: Place | None, event: bytes
    ) -> bool:
        log = self._logs.get(connection)
        if log is None or run not in log.runs or place not in (None, log.runs[run]):
            return False
        log.leave(run, event)
        return True

    async def cancel_writers(self, connection: ConnectionId) -> None:
        log = self._logs.get(connection)
        if log is not None:
            log.is_cancelled = True

    def withdraw(self, connections: Sequence[ConnectionId], run: RunId, owner: str) -> None:
        """Remove a run that was not started from logs of its owner."""
        for connection in connections:
            log = self._logs.get(connection)
            if log is not None and log.owner == owner:
                log.leave(run)


_said: set[str] = set()


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        logger.warning(message)
