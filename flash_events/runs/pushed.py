"""`dash.set_props` inside a run: updates that do not come by `yield`."""

import asyncio
from collections.abc import Callable, Iterator

from flash_events.errors import TooManyWaiting

RETRY_SECONDS = 0.05
"""One that found the event log full tries again after this time."""


class PushedUpdates:
    """Encoded updates that wait to be sent, in order.

    Args:
        offer: sends one if it can; says whether it could.
        limit: how many may wait, as `set_props` cannot make the generator wait.
        limit_bytes: how many bytes they may have; a single one may have more.
    """

    def __init__(self, offer: Callable[[bytes], bool], limit: int, limit_bytes: int) -> None:
        self._offer = offer
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._waiting: list[bytes] = []  # seldom any; an empty deque has 760 bytes
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None

    def add(self, body: bytes) -> None:
        """Takes one, from any thread; it is sent at the loop's next turn.

        Raises:
            TooManyWaiting: too many wait for a slow reader.
        """
        is_full = self._bytes + len(body) > self._limit_bytes or len(self._waiting) >= self._limit
        if self._waiting and is_full:
            raise TooManyWaiting(
                f"{len(self._waiting)} calls of dash.set_props ({self._bytes:,} bytes) wait for a "
                "slow reader. They cannot make "
                "the generator wait; yield stream_props(id, props) instead, which does."
            )
        self._waiting.append(body)
        self._bytes += len(body)
        self._loop.call_soon_threadsafe(self.flush)

    @property
    def is_waiting(self) -> bool:
        """Whether there are any."""
        return bool(self._waiting)

    def flush(self) -> None:
        """Sends as many as can be sent now; the rest is tried again soon."""
        while self._waiting:
            if not self._offer(self._waiting[0]):
                if self._retry is None:
                    self._retry = self._loop.call_later(RETRY_SECONDS, self._again)
                return
            self._pop()

    def drain(self) -> Iterator[bytes]:
        """Hands over what waits, in order."""
        while self._waiting:
            yield self._pop()

    def _pop(self) -> bytes:
        body = self._waiting.pop(0)
        self._bytes -= len(body)
        return body

    def _again(self) -> None:
        self._retry = None
        self.flush()
