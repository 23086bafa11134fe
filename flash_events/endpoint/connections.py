"""Connections: streams of Server-Sent Events from an event log, with replay and heartbeats.

A connection belongs to one browser and carries all of its runs, from all workers. It outlives the
HTTP response that opened it: a client that lost the response resumes the connection after the last
event that it received, on this worker or, with a shared broker, on another one.
"""

import asyncio
import contextvars
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from time import monotonic

from flash_events import sse
from flash_events.brokers.ids import ConnectionId, PageId
from flash_events.brokers.log import Batch, EventLog
from flash_events.endpoint.timeouts import ReusedTimeout
from flash_events.errors import LogGone
from flash_events.settings import Settings
from flash_events.wire import events

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 0.1
"""Maximum wait for further events before a draining connection ends."""

UNANSWERED_HEARTBEATS = 2
"""Number of unanswered heartbeats after which a client that has answered before counts as gone."""

ANSWER_SECONDS = 0.5
"""Timeout for the answer to the last of them; for earlier ones it is `heartbeat_seconds`."""

_CLOSED = events.encode(events.Closed())


class _Pulse:
    """The heartbeats of one connection, and the client's answers.

    The answers matter because a proxy may accept data for a client that is gone. Only a client that
    has answered once is expected to answer.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._unanswered: int | None = None
        self._due = monotonic() + seconds

    @property
    def due_seconds(self) -> float:
        """Time until the next heartbeat."""
        return self._due - monotonic()

    @property
    def has_stopped(self) -> bool:
        """Whether the client counts as gone if it does not answer before `due_seconds` is over."""
        return self._unanswered == UNANSWERED_HEARTBEATS

    def answer(self) -> None:
        """Record an answer of the client."""
        self._unanswered = 0

    def restart(self) -> None:
        """Record a new client, which counts as an answer."""
        self._due = monotonic() + self._seconds
        if self._unanswered is not None:
            self._unanswered = 0

    def beat(self) -> None:
        """Record a heartbeat that is sent."""
        seconds = self._seconds
        if self._unanswered is not None:
            self._unanswered += 1
            if self.has_stopped:
                seconds = min(seconds, ANSWER_SECONDS)
        self._due = monotonic() + seconds


class Connection:
    """One event stream to one browser, held by this worker.

    Attributes:
        id: the id, chosen at random by the browser.
        owner: the owner of the page (see `identify`).
        page: the id of the tab that opened the connection.
        log: the log that its runs append to.
    """

    def __init__(
        self,
        connection_id: ConnectionId,
        owner: str,
        page: PageId,
        log: EventLog,
        settings: Settings,
        on_gone: Callable[["Connection"], None],
        on_closed: Callable[["Connection"], None],
    ) -> None:
        self.id = connection_id
        self.owner = owner
        self.page = page
        self.log = log
        self._settings = settings
        self._on_gone = on_gone
        self._on_closed = on_closed
        self._pulse = _Pulse(settings.heartbeat_seconds)
        self._readers = 0
        self._is_draining = False
        self._unread: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._start_grace()  # the client may be gone before the response begins

    @property
    def is_read(self) -> bool:
        """Whether a client has its response open."""
        return self._timer is None

    async def stream(self, after: str = "") -> AsyncGenerator[bytes, None]:
        """Yield the events after the event `after`, until the connection is closed.

        A later call takes over: an earlier stream ends, as its client must have lost it. The stream
        also ends if the log is gone, or if the client no longer answers heartbeats. A client that
        is still there then tries to resume, and gets an error for a log that is gone.
        """
        self._readers += 1
        reader = self._readers
        self._stop_grace()
        self._pulse.restart()
        self.log.wake()
        is_idle = not self.log.runs
        reads = ReusedTimeout()
        try:
            settings = self._settings
            opened = events.Opened(self.id, settings.command_props, settings.heartbeat_seconds)
            yield events.encode(opened)
            while reader == self._readers:
                batch = await self._next(after, is_idle, reads)
                if reader != self._readers:
                    return
                if self._pulse.due_seconds <= 0:
                    if self._pulse.has_stopped:
                        logger.info("A client no longer answers; its stream ends.")
                        return
                    self._pulse.beat()
                    yield sse.HEARTBEAT
                if batch is not None:
                    if batch.data:
                        yield batch.data
                    after = batch.last or after
                    is_idle = not batch.runs
                    if batch.finished:
                        return
                if self._is_draining and (batch is None or (batch.data and not is_idle)):
                    # The client reads later events of other workers' runs on another worker.
                    if is_idle and await self._close_if_idle():
                        continue
                    yield events.encode(events.Draining())
                    return
                if batch is None or not batch.has_waited:
                    # Hypercorn's send does not suspend after the client has gone (its drain raises
                    # at once and is swallowed): without this sleep the loop would be blocked.
                    await asyncio.sleep(0)
        except LogGone as error:
            logger.warning("A connection was lost: %s", error)
        finally:
            reads.close()
            if reader == self._readers:
                if self._unread is not None:
                    self._unread.set()
                self._start_grace()

    def alive(self) -> None:
        """Record that the client has answered a heartbeat."""
        self._pulse.answer()

    def extend_grace(self) -> None:
        """Restart the grace period, unless a client has its response open."""
        if not self.is_read:
            self._start_grace()

    def release(self) -> None:
        """End the response here, because another worker holds the connection now."""
        self._readers += 1
        self._stop_grace()
        self.log.wake()

    def drain(self) -> None:
        """Send the client to another worker after the events that are already in the log."""
        self._is_draining = True
        self.log.wake()

    async def drained(self) -> None:
        """Wait until no client reads the connection from this worker."""
        if self.is_read:
            self._unread = asyncio.Event()
            await self._unread.wait()

    async def _next(self, after: str, is_idle: bool, reads: ReusedTimeout) -> Batch | None:
        """Return the next events; None if a heartbeat, a drain or the idle timeout is due first."""
        seconds = self._pulse.due_seconds
        if self._is_draining:
            seconds = DRAIN_SECONDS
        elif is_idle:
            seconds = min(seconds, self._settings.linger_seconds)
        try:
            with reads.within(seconds):
                return await self.log.read(after)
        except TimeoutError:
            pass
        if is_idle:
            try:
                async with asyncio.timeout(self._settings.heartbeat_seconds):
                    if await self._close_if_idle():
                        return await self.log.read(after)
            except TimeoutError:
                pass
        return None

    async def _close_if_idle(self) -> bool:
        """Append `close` unless a run uses the log; return whether it was appended."""
        is_closed = await self.log.finish_if_idle(_CLOSED)
        if is_closed:
            self._on_closed(self)
        return is_closed

    def _start_grace(self) -> None:
        self._stop_grace()
        self._timer = asyncio.get_running_loop().call_later(
            self._settings.grace_seconds,
            self._on_gone,
            self,
            context=contextvars.Context(),  # a copy of the current one would keep the request alive
        )

    def _stop_grace(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Connections:
    """The connections that this worker holds.

    Args:
        settings: limits and times.
        on_gone: called with a connection whose client did not come back in the grace period.
        on_closed: called with a connection that was closed because the broker knows no run on it.
        must_wait: function that returns whether the grace period must be extended, because no
            worker can answer clients at present.
    """

    def __init__(
        self,
        settings: Settings,
        on_gone: Callable[[Connection], None],
        on_closed: Callable[[Connection], None],
        must_wait: Callable[[], bool] = lambda: False,
    ) -> None:
        self._settings = settings
        self._on_gone = on_gone
        self._on_closed = on_closed
        self._must_wait = must_wait
        self._by_id: dict[ConnectionId, Connection] = {}
        self._of_page: Counter[PageId] = Counter()

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._by_id.values()))

    def __len__(self) -> int:
        return len(self._by_id)

    def get(self, connection_id: ConnectionId) -> Connection | None:
        """Return the connection with this id; None if this worker does not hold it."""
        return self._by_id.get(connection_id)

    def expect_client(self, connection_id: ConnectionId, owner: str) -> None:
        """Restart the grace period of a connection whose client asks for it now.

        Otherwise it may end while the broker is asked, and delete the log that the client gets.
        """
        connection = self._by_id.get(connection_id)
        if connection is not None and connection.owner == owner:
            connection.extend_grace()

    def hold(
        self, connection_id: ConnectionId, owner: str, page: PageId, log: EventLog
    ) -> Connection:
        """Return the connection with this id, which is created if this worker does not hold it."""
        connection = self._by_id.get(connection_id)
        if connection is None:
            connection = Connection(
                connection_id, owner, page, log, self._settings, self._forget, self._on_closed
            )
            self._by_id[connection_id] = connection
            self._of_page[page] += 1
        return connection

    def release(self, connection_id: ConnectionId) -> None:
        """Forget a connection that another worker holds now, and end its response here."""
        connection = self._by_id.get(connection_id)
        if connection is not None:
            self._remove(connection)
            connection.release()

    def of_page(self, page: PageId) -> int:
        """Return the number of connections that a tab has opened."""
        return self._of_page[page]

    def _forget(self, connection: Connection) -> None:
        if self._by_id.get(connection.id) is not connection:
            return  # it was released, and perhaps taken again
        if self._must_wait() and not connection.log.is_given_up:
            connection.extend_grace()
            return
        self._remove(connection)
        self._on_gone(connection)

    def _remove(self, connection: Connection) -> None:
        del self._by_id[connection.id]
        self._of_page[connection.page] -= 1
        if not self._of_page[connection.page]:
            del self._of_page[connection.page]
