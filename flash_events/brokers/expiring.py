"""A dict with expiry and a maximum size."""

import asyncio
import contextvars
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Expiring(Generic[K, V]):
    """A dict whose values expire; above the size limit the oldest are dropped.

    Args:
        seconds: how long a value is remembered.
        limit: of the sum of all sizes.
        size: of a value; each counts 1 by default, so that the limit is a number of values.
        on_dropped: called with the key of a value that is forgotten early, because of the limit.

    Attributes:
        total: sum of the sizes of all values.
    """

    def __init__(
        self,
        seconds: float,
        limit: int,
        size: Callable[[V], int] = lambda _: 1,
        on_dropped: Callable[[K], object] = lambda _: None,
    ) -> None:
        self._seconds = seconds
        self._limit = limit
        self._size = size
        self._on_dropped = on_dropped
        self._values: OrderedDict[K, tuple[float, int, V]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None
        self.total = 0

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: K) -> bool:
        return key in self._values

    def get(self, key: K) -> V | None:
        """Return a value, or None if it has expired or is unknown."""
        known = self._values.get(key)
        return None if known is None else known[2]

    def add(self, key: K, value: V) -> None:
        """Store a value; it replaces an earlier value of its key."""
        self.pop(key)
        size = self._size(value)
        if size > self._limit:
            self._on_dropped(key)
            return
        now = asyncio.get_running_loop().time()
        self._values[key] = (now + self._seconds, size, value)
        self.total += size
        while self.total > self._limit:
            oldest = next(iter(self._values))
            self.pop(oldest)
            self._on_dropped(oldest)
        self._set_timer()

    def pop(self, key: K) -> V | None:
        """Remove a value and return it, or None if there is none."""
        known = self._values.pop(key, None)
        if known is None:
            return None
        self.total -= known[1]
        return known[2]

    def _set_timer(self) -> None:
        if self._timer is None and self._values:
            due, _, _ = next(iter(self._values.values()))
            # In a context of its own, or the current request would be kept until then.
            self._timer = asyncio.get_running_loop().call_at(
                due, self._expire, context=contextvars.Context()
            )

    def _expire(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._values:
            key, (due, _, _) = next(iter(self._values.items()))
            if due > now:
                break
            self.pop(key)
        self._set_timer()
