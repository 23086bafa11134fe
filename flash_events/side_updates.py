"""`dash.set_props` inside a run: updates that do not come by `yield`."""

import asyncio
from collections.abc import Callable, Iterator

from flash_events.errors import TooManyWaiting

RETRY_SECONDS = 0.05
"""One that found the event log full tries again after this time."""


class SideUpdates:
    """Encoded updates that wait to be sent, in order.

    Args:
        offer: sends one if it can; says whether it could.
        limit: how many may wait, as `set_props` cannot make the generator wait.
    """

    def __init__(self, offer: Callable[[bytes], bool], limit: int) -> None:
        self._offer = offer
        self._limit = limit
        self._waiting: list[bytes] = []  # seldom any; an empty deque has 760 bytes
        self._loop = asyncio.get_running_loop()
        self._retry: asyncio.TimerHandle | None = None

    def add(self, body: bytes) -> None:
        """Takes one, from any thread; it is sent at the loop's next turn.

        Raises:
            TooManyWaiting: too many wait for a slow reader.
        """
        if len(self._waiting) >= self._limit:
            raise TooManyWaiting(
                f"{self._limit} calls of dash.set_props wait for a slow reader. They cannot make "
                "the generator wait; yield stream_props(id, props) instead, which does."
            )
        self._waiting.append(body)
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
            self._waiting.pop(0)

    def drain(self) -> Iterator[bytes]:
        """Hands over what waits, in order."""
        while self._waiting:
            yield self._waiting.pop(0)

    def _again(self) -> None:
        self._retry = None
        self.flush()
