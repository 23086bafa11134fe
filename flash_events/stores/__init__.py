"""Stores: where topics, shared values and presence are kept, in memory, SQLite or Redis."""

from flash_events.stores.logs import (
    LARGE_BYTES,
    START,
    Entry,
    Keep,
    LogId,
    Logs,
    OnNews,
    Position,
    Read,
)
from flash_events.stores.members import Member, Members
from flash_events.stores.store import Store
from flash_events.stores.values import Quota, Slot, Values

__all__ = [
    "LARGE_BYTES",
    "START",
    "Entry",
    "Keep",
    "LogId",
    "Logs",
    "Member",
    "Members",
    "OnNews",
    "Position",
    "Quota",
    "Read",
    "Slot",
    "Store",
    "Values",
]
