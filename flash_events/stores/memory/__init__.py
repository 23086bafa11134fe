"""`memory://`: a store of one process."""

from flash_events.stores.memory.store import MemoryData, MemoryStore

__all__ = ["MemoryData", "MemoryStore"]
