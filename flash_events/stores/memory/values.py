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


@dataclass(frozen=True, slots=True)
class _Lead:
    fence: str
    worker: str


class MemoryValues:
    """The values and leads that the clients of one process share.

    Args:
        clock: returns the Unix time in seconds.
        lock: held while they are used, as clients may be in several threads.
    """

    def __init__(self, clock: Callable[[], float], lock: threading.RLock) -> None:
        self.clock = clock
        self.lock = lock
        self.groups: dict[str, OrderedDict[str, _Value]] = {}
        """Values by group and name; the least recently used one is the first."""
        self.leads: dict[Slot, _Lead] = {}

    def of_worker(self, worker: str) -> "WorkerValues":
        """Return the values as one client sees and changes them."""
        return WorkerValues(self, worker)


class WorkerValues(Values):
    """The values and leads, for one client."""

    def __init__(self, shared: MemoryValues, worker: str) -> None:
        self._shared = shared
        self._worker = worker

    async def get(self, slot: Slot) -> bytes | None:
        with self._shared.lock:
            group = self._shared.groups.get(slot.group)
            value = group.get(slot.name) if group is not None else None
            if value is None:
                return None
            if value.expires_at is not None and value.expires_at <= self._shared.clock():
                self._remove(slot)
                return None
            return value.data

    async def put(
        self, slot: Slot, data: bytes, quota: Quota, *, ttl_seconds: float | None, fence: str = ""
    ) -> bool:
        with self._shared.lock:
            if fence:
                if not self._leads(slot, fence):
                    return False
                del self._shared.leads[slot]
            if len(data) > quota.max_bytes:
                return False
            group = self._shared.groups.setdefault(slot.group, OrderedDict())
            expires_at = None if ttl_seconds is None else self._shared.clock() + ttl_seconds
            group[slot.name] = _Value(data, expires_at)
            group.move_to_end(slot.name)
            self._evict(group, quota)
            return True

    async def touch(self, slot: Slot) -> None:
        with self._shared.lock:
            group = self._shared.groups.get(slot.group)
            if group is not None and slot.name in group:
                group.move_to_end(slot.name)

    async def drop(self, group: str, *names: str) -> None:
        with self._shared.lock:
            for name in names or list(self._shared.groups.get(group, ())):
                self._remove(Slot(group, name))
            for slot in list(self._shared.leads):
                if slot.group == group and (not names or slot.name in names):
                    del self._shared.leads[slot]

    async def lead(self, slot: Slot) -> str | None:
        with self._shared.lock:
            if slot in self._shared.leads:
                return None
            lead = self._shared.leads[slot] = _Lead(secrets.token_hex(16), self._worker)
            return lead.fence

    async def release(self, slot: Slot, fence: str) -> None:
        with self._shared.lock:
            if self._leads(slot, fence):
                del self._shared.leads[slot]

    def release_all(self) -> None:
        """End the leads of this client."""
        with self._shared.lock:
            for slot, lead in list(self._shared.leads.items()):
                if lead.worker == self._worker:
                    del self._shared.leads[slot]

    def _leads(self, slot: Slot, fence: str) -> bool:
        lead = self._shared.leads.get(slot)
        return lead is not None and lead.fence == fence

    def _evict(self, group: OrderedDict[str, _Value], quota: Quota) -> None:
        now = self._shared.clock()
        for name, value in list(group.items()):
            if value.expires_at is not None and value.expires_at <= now:
                del group[name]
        total = sum(len(value.data) for value in group.values())
        while len(group) > quota.max_items or total > quota.max_bytes:
            _, oldest = group.popitem(last=False)
            total -= len(oldest.data)

    def _remove(self, slot: Slot) -> None:
        group = self._shared.groups.get(slot.group)
        if group is not None:
            group.pop(slot.name, None)
            if not group:
                del self._shared.groups[slot.group]
