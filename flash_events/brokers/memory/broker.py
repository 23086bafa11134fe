"""`memory://`: a broker of one process; only stops and signs of life reach sibling workers."""

from collections.abc import Callable

from flash_events.brokers.broker import Broker
from flash_events.brokers.ids import WorkerId
from flash_events.brokers.log import LogLimits
from flash_events.brokers.memory.directory import MemoryDirectory
from flash_events.brokers.memory.logs import MemoryLogs
from flash_events.brokers.memory.signals import MemorySignals
from flash_events.brokers.signals import OnRequest, OnSignal, no_requests


class MemoryBroker(Broker):
    """Keeps everything in this process.

    Args:
        limits: of each log.
    """

    def __init__(self, limits: LogLimits) -> None:
        self.signals: MemorySignals = MemorySignals()
        self.logs: MemoryLogs = MemoryLogs(limits, self.signals)
        self.directory: MemoryDirectory = MemoryDirectory(limits, self.logs, self.signals)

    async def open(
        self,
        on_signal: OnSignal,
        on_worker_lost: Callable[[WorkerId], object],
        on_request: OnRequest = no_requests,
    ) -> None:
        await self.signals.open(on_signal, on_request)

    async def close(self) -> None:
        self.signals.close()
