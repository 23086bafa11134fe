"""The contract of members: who is present in a group, on all workers that live."""

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a group.

    Attributes:
        id: its id, unique in the group.
        worker: the id of the store's client (`Store.worker`) through which it has entered.
        number: its place in the order of entering, from 1; the same when it enters again.
        since: Unix time of the store, when it has entered.
        data: what it says of itself.
    """

    id: str
    worker: str
    number: int
    since: float
    data: bytes


class Members(ABC):
    """The members of groups. Methods raise `StoreUnavailable`, as those of `Logs` do."""

    @abstractmethod
    async def enter(self, group: str, member: str, data: bytes) -> int:
        """Add a member, or replace its data and worker; return its number."""

    @abstractmethod
    async def leave(self, group: str, member: str) -> None:
        """Remove a member if it has entered through this worker."""

    @abstractmethod
    async def of(self, group: str) -> list[Member]:
        """Return the members by number, without those of workers that have died.

        A worker's death is noticed within 10 s.
        """
