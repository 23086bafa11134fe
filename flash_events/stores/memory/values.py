"""The values of one process."""

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from flash_events.stores.values import Quota, Slot, Values


@dataclass(slots=True)
class _Value:
    data: bytes
    expires_at: float | None


class MemoryValues(Values):
    """Values and leads in dicts. A lead ends with its process, as the values do.

    Args:
        clock: returns the Unix time in seconds.
        lock: held while the dicts are used, as clients may be in several threads.
    """

    def __init__(self, clock: Callable[[], float], lock: threading.RLock) -> None:
        self._clock = clock
        self._lock = lock
        self._groups: dict[str, OrderedDict[str, _Value]] = {}
        """Values by group and name; the least recently used one is the first."""
        self._leads: dict[Slot, str] = {}

    async def get(self, slot: Slot) -> bytes | None:
        with self._lock:
            group = self._groups.get(slot.group)
            value = group.get(slot.name) if group is not None else None
            if value is None:
                return None
            if value.expires_at is not None and value.expires_at <= self._clock():
                self._remove(slot)
                return None
            return value.data

    async def put(
        self, slot: Slot, data: bytes, quota: Quota, *, ttl_seconds: float | None, fence: str = ""
    ) -> bool:
        with self._lock:
            if fence and self._leads.get(slot) != fence:
                return False
            if fence:
                del self._leads[slot]
            if len(data) > quota.max_bytes:
                return False
            group = self._groups.setdefault(slot.group, OrderedDict())
            expires_at = None if ttl_seconds is None else self._clock() + ttl_seconds
            group[slot.name] = _Value(data, expires_at)
            group.move_to_end(slot.name)
            self._evict(group, quota)
            return True

    async def touch(self, slot: Slot) -> None:
        with self._lock:
            group = self._groups.get(slot.group)
            if group is not None and slot.name in group:
                group.move_to_end(slot.name)

    async def drop(self, group: str, *names: str) -> None:
        with self._lock:
            for name in names or list(self._groups.get(group, ())):
                self._remove(Slot(group, name))
            for slot in list(self._leads):
                if slot.group == group and (not names or slot.name in names):
                    del self._leads[slot]

    async def lead(self, slot: Slot) -> str | None:
        with self._lock:
            if slot in self._leads:
                return None
            fence = self._leads[slot] = secrets.token_hex(16)
            return fence

    async def release(self, slot: Slot, fence: str) -> None:
        with self._lock:
            if self._leads.get(slot) == fence:
                del self._leads[slot]

    def _evict(self, group: OrderedDict[str, _Value], quota: Quota) -> None:
        now = self._clock()
        for name in [one for one, value in group.items() if (value.expires_at or now + 1) <= now]:
            del group[name]
        total = sum(len(value.data) for value in group.values())
        while len(group) > quota.max_items or total > quota.max_bytes:
            _, oldest = group.popitem(last=False)
            total -= len(oldest.data)

    def _remove(self, slot: Slot) -> None:
        group = self._groups.get(slot.group)
        if group is not None:
            group.pop(slot.name, None)
            if not group:
                del self._groups[slot.group]
