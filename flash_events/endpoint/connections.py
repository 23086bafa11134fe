"""Connections: an event log as chunks of Server-Sent Events, with replay, live tail and heartbeat.

A connection belongs to one browser and carries all its runs, on whichever workers they live. It
outlives the HTTP response that it was opened with: a client that lost the response resumes it from
the last event that it received, on this worker or, through a shared broker, on another one.
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
from flash_events.errors import LogGone
from flash_events.settings import Settings
from flash_events.wire import events

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 0.1
"""What has not come by then does not keep a draining connection."""

UNANSWERED_HEARTBEATS = 2
"""A client that has answered heartbeats, and now leaves so many unanswered, is gone."""

ANSWER_SECONDS = 0.5
"""For so long the last of them is waited for, and for those before until the next is due."""

_CLOSED = events.encode(events.Closed())


class _Pulse:
    """When heartbeats are due, and whether the client answers them.

    A proxy may go on taking what it is sent for a client that has gone. Only a client that has
    answered once must go on answering.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._unanswered: int | None = None
        self._due = monotonic() + seconds

    @property
    def due_seconds(self) -> float:
        """Until the next heartbeat."""
        return self._due - monotonic()

    @property
    def has_stopped(self) -> bool:
        """Whether there is no answer when the next heartbeat is due."""
        return self._unanswered == UNANSWERED_HEARTBEATS

    def answer(self) -> None:
        """The client lives."""
        self._unanswered = 0

    def restart(self) -> None:
        """A client has come, which is as good as an answer."""
        self._due = monotonic() + self._seconds
        if self._unanswered is not None:
            self._unanswered = 0

    def beat(self) -> None:
        """A heartbeat is sent."""
        seconds = self._seconds
        if self._unanswered is not None:
            self._unanswered += 1
            if self.has_stopped:
                seconds = min(seconds, ANSWER_SECONDS)
        self._due = monotonic() + seconds


class Connection:
    """One event stream to one browser, held by this worker.

    Attributes:
        id: minted by the browser.
        owner: whose it is.
        page: the tab that opened it.
        log: what its runs append to.
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
        self._start_grace()  # the client may not wait for the answer

    @property
    def is_read(self) -> bool:
        """Whether a client has its response open."""
        return self._timer is None

    async def stream(self, after: str = "") -> AsyncGenerator[bytes, None]:
        """Yields what follows the event `after` until the connection is closed.

        A later call takes over from an earlier one, whose client must have lost it. Where the log
        is gone, or the client has stopped answering, the body just ends: a client that is there
        resumes, and is told.
        """
        self._readers += 1
        reader = self._readers
        self._stop_grace()
        self._pulse.restart()
        self.log.wake()
        is_idle = False
        try:
            settings = self._settings
            opened = events.Opened(self.id, settings.command_props, settings.heartbeat_seconds)
            yield events.encode(opened)
            while reader == self._readers:
                batch = await self._next(after, is_idle)
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
                    # What runs elsewhere may send is read elsewhere.
                    if is_idle and await self._close_if_idle():
                        continue
                    yield events.encode(events.Draining())
                    return
                # Hypercorn's send does not suspend after the client has gone (its drain raises at
                # once and is swallowed): without a turn of the loop this would spin for ever.
                await asyncio.sleep(0)
        except LogGone as error:
            logger.warning("A connection was lost: %s", error)
        finally:
            if reader == self._readers:
                if self._unread is not None:
                    self._unread.set()
                self._start_grace()

    def alive(self) -> None:
        """Its client has answered a heartbeat."""
        self._pulse.answer()

    def wait_on(self) -> None:
        """Has its client have the grace anew, as no worker can answer it now."""
        self._start_grace()

    def release(self) -> None:
        """Another worker holds it now: its response here ends."""
        self._readers += 1
        self._stop_grace()
        self.log.wake()

    def drain(self) -> None:
        """This worker stops: its client is sent elsewhere once it has got what is there."""
        self._is_draining = True
        self.log.wake()

    async def drained(self) -> None:
        """Waits until no client reads it here."""
        if self.is_read:
            self._unread = asyncio.Event()
            await self._unread.wait()

    async def _next(self, after: str, is_idle: bool) -> Batch | None:
        """What comes next; None when something else is due before."""
        seconds = self._pulse.due_seconds
        if self._is_draining:
            seconds = DRAIN_SECONDS
        elif is_idle:
            seconds = min(seconds, self._settings.linger_seconds)
        try:
            async with asyncio.timeout(seconds):
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
        """Appends `close` unless a run uses the log; returns whether it did."""
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
            context=contextvars.Context(),  # its own, or the request would be kept until then
        )

    def _stop_grace(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Connections:
    """The connections that this worker holds.

    Args:
        settings: limits and times.
        on_gone: called with one whose client has vanished for good.
        on_closed: called with one that was closed, as no run is left that the broker knows.
        must_wait: whether clients cannot come back now, as no worker could answer them.
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
        """The connection with this id, if this worker holds it."""
        return self._by_id.get(connection_id)

    def hold(
        self, connection_id: ConnectionId, owner: str, page: PageId, log: EventLog
    ) -> Connection:
        """The connection with this id, which this worker holds from now on."""
        connection = self._by_id.get(connection_id)
        if connection is None:
            connection = Connection(
                connection_id, owner, page, log, self._settings, self._forget, self._on_closed
            )
            self._by_id[connection_id] = connection
            self._of_page[page] += 1
        return connection

    def release(self, connection_id: ConnectionId) -> None:
        """Another worker holds it now."""
        connection = self._by_id.get(connection_id)
        if connection is not None:
            self._remove(connection)
            connection.release()

    def of_page(self, page: PageId) -> int:
        """How many connections a tab has opened."""
        return self._of_page[page]

    def _forget(self, connection: Connection) -> None:
        if self._by_id.get(connection.id) is not connection:
            return  # another worker holds it now, or this one has taken it anew
        if self._must_wait() and not connection.log.is_given_up:
            connection.wait_on()
            return
        self._remove(connection)
        self._on_gone(connection)

    def _remove(self, connection: Connection) -> None:
        del self._by_id[connection.id]
        self._of_page[connection.page] -= 1
        if not self._of_page[connection.page]:
            del self._of_page[connection.page]
