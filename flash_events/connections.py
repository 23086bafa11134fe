"""Connections: an event log as chunks of Server-Sent Events, with replay, live tail and heartbeat.

A connection belongs to one page and carries all its runs. It outlives the HTTP response that it
was opened with: a client that lost the response resumes it from the last event that it received.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable

from flash_events import protocol
from flash_events.brokers.base import Broker
from flash_events.settings import Settings

logger = logging.getLogger(__name__)


class Connection:
    """One event stream to one browser.

    Attributes:
        id: minted by the browser.
        log: what its runs append to.
    """

    def __init__(
        self,
        connection_id: str,
        broker: Broker,
        settings: Settings,
        on_gone: Callable[["Connection"], None],
    ) -> None:
        self.id = connection_id
        self.log = broker.log(connection_id)
        self._settings = settings
        self._on_gone = on_gone
        self._runs = 0
        self._readers = 0
        self._is_read = False
        self._is_closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._after(settings.grace_seconds, self._gone)  # the client may not wait for the answer

    @property
    def takes_runs(self) -> bool:
        """Whether another run can use it: not when it is about to end."""
        return not self._is_closed

    @property
    def runs(self) -> int:
        """How many live runs it carries."""
        return self._runs

    def hold(self) -> None:
        """A run begins to use the connection, which stays open meanwhile."""
        self._runs += 1
        if self._is_read:
            self._stop_timer()

    def release(self) -> None:
        """A run has ended."""
        self._runs -= 1
        if self._runs == 0 and self._is_read:
            self._after(self._settings.linger_seconds, self.close)

    def close(self) -> None:
        """Ends the stream: nothing is left to come."""
        if not self._is_closed:
            self._is_closed = True
            self.log.append_now(protocol.encode(protocol.Closed()))
            self.log.finish()

    async def stream(self, after: str = "") -> AsyncGenerator[bytes, None]:
        """Yields what follows the event `after` until the connection is closed.

        A later call takes over from an earlier one, whose client must have lost it.

        Raises:
            LogGone: the log no longer has what follows.
        """
        self._readers += 1
        reader = self._readers
        self._is_read = True
        self._stop_timer()
        self.log.wake()
        if self._runs == 0:
            self._after(self._settings.linger_seconds, self.close)
        try:
            yield protocol.encode(protocol.Opened(self.id, self._settings.command_props))
            while reader == self._readers:
                try:
                    async with asyncio.timeout(self._settings.heartbeat_seconds):
                        batch = await self.log.read(after)
                except TimeoutError:
                    yield protocol.HEARTBEAT
                    continue
                if reader != self._readers:
                    return
                if batch.data:
                    yield batch.data
                after = batch.last or after
                if batch.finished:
                    return
                # Hypercorn's send does not suspend after the client has gone (its drain raises at
                # once and is swallowed): without a turn of the loop this would spin for ever.
                await asyncio.sleep(0)
        finally:
            if reader == self._readers:
                self._is_read = False
                self._after(self._settings.grace_seconds, self._gone)

    def _gone(self) -> None:
        self.close()
        self._on_gone(self)

    def _after(self, seconds: float, action: Callable[[], None]) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, action)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Connections:
    """The connections of this worker."""

    def __init__(
        self, broker: Broker, settings: Settings, on_gone: Callable[[Connection], None]
    ) -> None:
        self._broker = broker
        self._settings = settings
        self._on_gone = on_gone
        self._by_id: dict[str, Connection] = {}

    def get(self, connection_id: str) -> Connection | None:
        """The connection with this id, if this worker has it."""
        return self._by_id.get(connection_id)

    def open(self, connection_id: str) -> Connection:
        """The connection with this id; made if this worker does not have it."""
        connection = self._by_id.get(connection_id)
        if connection is None:
            connection = Connection(connection_id, self._broker, self._settings, self._forget)
            self._by_id[connection_id] = connection
        return connection

    def _forget(self, connection: Connection) -> None:
        self._by_id.pop(connection.id, None)
        self._broker.forget(connection.id)
        self._on_gone(connection)
