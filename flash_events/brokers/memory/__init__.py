"""`memory://`: event logs, run directory and signals of one process."""

from flash_events.brokers.memory.broker import MemoryBroker

__all__ = ["MemoryBroker"]
