"""The members of groups in one process."""

import threading
from collections.abc import Callable
from dataclasses import replace

from flash_events.stores.members import Member, Members


class MemoryMembers:
    """The members that the clients of one process share.

    Args:
        clock: returns the Unix time in seconds.
        lock: held while they are used, as clients may be in several threads.
    """

    def __init__(self, clock: Callable[[], float], lock: threading.RLock) -> None:
        self.clock = clock
        self.lock = lock
        self.groups: dict[str, dict[str, Member]] = {}
        self.numbers: dict[str, int] = {}

    def of_worker(self, worker: str) -> "WorkerMembers":
        """Return the members as one client sees and changes them."""
        return WorkerMembers(self, worker)


class WorkerMembers(Members):
    """The members of groups, for one client."""

    def __init__(self, shared: MemoryMembers, worker: str) -> None:
        self._shared = shared
        self._worker = worker

    async def enter(self, group: str, member: str, data: bytes) -> int:
        shared = self._shared
        with shared.lock:
            members = shared.groups.setdefault(group, {})
            known = members.get(member)
            if known is None:
                number = shared.numbers[group] = shared.numbers.get(group, 0) + 1
                known = Member(member, self._worker, number, shared.clock(), data)
            members[member] = replace(known, worker=self._worker, data=data)
            return known.number

    async def leave(self, group: str, member: str) -> None:
        with self._shared.lock:
            self._remove(group, member)

    async def of(self, group: str) -> list[Member]:
        with self._shared.lock:
            return list(self._shared.groups.get(group, {}).values())

    def leave_all(self) -> None:
        """Remove the members that have entered through this client."""
        with self._shared.lock:
            for group, members in list(self._shared.groups.items()):
                for member in list(members):
                    self._remove(group, member)

    def _remove(self, group: str, member: str) -> None:
        members = self._shared.groups.get(group, {})
        known = members.get(member)
        if known is not None and known.worker == self._worker:
            del members[member]
            if not members:
                self._shared.groups.pop(group, None)
                self._shared.numbers.pop(group, None)
