"""The contract of values: results that are computed once, and who may compute them."""

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of a value.

    Attributes:
        group: hash of what shares one quota: a function, and the user, session or tab.
        name: hash of what tells the values of a group apart.
    """

    group: str
    name: str


@dataclass(frozen=True, slots=True)
class Quota:
    """The bounds of a group; the least recently used values go first.

    Attributes:
        max_items: maximum number of values.
        max_bytes: maximum total size in bytes; a larger value is refused.
    """

    max_items: int
    max_bytes: int


class Values(ABC):
    """The values of a store. Methods raise `StoreUnavailable`, as those of `Logs` do."""

    @abstractmethod
    async def get(self, slot: Slot) -> bytes | None:
        """Return a value; None if there is none, or it has expired or was evicted."""

    @abstractmethod
    async def put(
        self, slot: Slot, data: bytes, quota: Quota, *, ttl_seconds: float | None, fence: str = ""
    ) -> bool:
        """Store a value, and evict others of its group that exceed the quota.

        Args:
            slot: its place.
            data: the value.
            quota: the bounds of its group.
            ttl_seconds: time after which it expires; None for never.
            fence: the token of `lead`. With one, the value is stored only if its holder still
                leads; that ends the lead, even if the value is too large. Without one, no lead is
                asked for or ended.

        Returns:
            Whether it was stored.
        """

    @abstractmethod
    async def touch(self, slot: Slot) -> None:
        """Mark a value as used now."""

    @abstractmethod
    async def drop(self, group: str, *names: str) -> None:
        """Remove values of a group; all of them without names. Leads of these end."""

    @abstractmethod
    async def lead(self, slot: Slot) -> str | None:
        """Return a fence token if nobody who lives leads this slot; None otherwise.

        A lead ends when its value is put with the token, when it is released, when its value is
        dropped, when the client that has it is closed, or when that client's worker dies (within
        10 s). Tokens are random.
        """

    @abstractmethod
    async def release(self, slot: Slot, fence: str) -> None:
        """End a lead without a value; do nothing if the token is not that of the current lead."""
