"""Waiting updates from calls inside a run, such as `dash.set_props`, instead of `yield`."""

import asyncio
from collections.abc import Callable, Iterator

from flash_events.errors import TooManyWaiting

RETRY_SECONDS = 0.05
"""Time until the next attempt to send when the event log is full."""


class PushedUpdates:
    """Encoded updates that wait to be sent, in order.

    Args:
        offer: sends an update if there is room, and returns whether it was sent.
        limit: maximum number of waiting updates, as `set_props` cannot make the generator wait.
        limit_bytes: maximum size of the waiting updates together; a single one may be larger.
    """

    def __init__(self, offer: Callable[[bytes], bool], limit: int, limit_bytes: int) -> None:
        self._offer = offer
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._waiting: list[bytes] = []  # mostly empty; an empty deque takes 760 bytes
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None

    def add(self, body: bytes) -> None:
        """Add an update, from any thread; it is sent in the next iteration of the event loop.

        Raises:
            TooManyWaiting: if a limit of waiting updates is reached.
        """
        is_full = self._bytes + len(body) > self._limit_bytes or len(self._waiting) >= self._limit
        if self._waiting and is_full:
            raise TooManyWaiting(
                f"{len(self._waiting)} calls of dash.set_props ({self._bytes:,} bytes) wait for a "
                "slow reader. dash.set_props cannot make the generator wait; yield "
                "stream_props(id, props) instead, which does."
            )
        self._waiting.append(body)
        self._bytes += len(body)
        self._loop.call_soon_threadsafe(self.flush)

    @property
    def is_waiting(self) -> bool:
        """Whether any update waits."""
        return bool(self._waiting)

    def flush(self) -> None:
        """Send as many updates as there is room for; retry the rest after RETRY_SECONDS."""
        while self._waiting:
            if not self._offer(self._waiting[0]):
                if self._retry is None:
                    self._retry = self._loop.call_later(RETRY_SECONDS, self._again)
                return
            self._pop()

    def drain(self) -> Iterator[bytes]:
        """Remove and yield the waiting updates, in order."""
        while self._waiting:
            yield self._pop()

    def _pop(self) -> bytes:
        body = self._waiting.pop(0)
        self._bytes -= len(body)
        return body

    def _again(self) -> None:
        self._retry = None
        self.flush()
