"""Where a run's events go: into its connection's log, and those of a kept run into a snapshot."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from flash_events.brokers.ids import RunId
from flash_events.brokers.log import EventLog
from flash_events.errors import LogGone
from flash_events.runs.delivery import Delivery
from flash_events.runs.snapshot import Snapshot
from flash_events.wire import events
from flash_events.wire.events import Failure, Reason, encode_numbered


@dataclass(frozen=True, slots=True)
class Ending:
    """Snapshot and end event for pages that attach to a kept run after its end.

    Attributes:
        events: the snapshot.
        end: the run's last event.
        is_idempotent: whether a page that has seen a part of it may apply it all.
    """

    events: tuple[bytes, ...]
    end: bytes
    is_idempotent: bool

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return sum(map(len, self.events)) + len(self.end)

    def attach(self, run: RunId, log: EventLog, seen: int) -> bool:
        """Tells it where a page attaches that has applied `seen` updates; False if it must not."""
        if seen and not self.is_idempotent:
            return False
        delivery = Delivery(log, run, self.events)
        delivery.end(self.end)
        delivery.start()
        return True


class Output:
    """The way of one run's events to whoever watches.

    A run that is kept without a viewer (`on_disconnect="finish"`) has a snapshot: it goes on when
    its log is gone, and another connection can be attached.

    Args:
        run: its id.
        log: of the connection that carries its events.
        snapshot: of a kept run.
        is_again: whether another worker had the run, and died.
    """

    def __init__(
        self,
        run: RunId,
        log: EventLog | None,
        snapshot: Snapshot | None = None,
        is_again: bool = False,
    ) -> None:
        self.run = run
        self._is_again = is_again
        self._log = log
        self._snapshot = snapshot
        self._head = events.update_head(run)
        self._number = 0
        self._is_appending = False
        # Only a kept run can be moved, and an event's empty deque has 760 bytes.
        self._moved = asyncio.Event() if snapshot is not None else None
        self._delivery: Delivery | None = None
        self._request = ""
        self._end: bytes | None = None
        self.reason = Reason.LOST
        """Why it has ended, once it has."""

    @property
    def has_ended(self) -> bool:
        """Whether the run's `end` event has been sent."""
        return self._end is not None

    @property
    def updates(self) -> int:
        """How many updates it has sent."""
        return self._number

    @property
    def collapsed(self) -> int:
        """How many values its snapshot has dropped because a later one made them needless."""
        return self._snapshot.collapsed if self._snapshot is not None else 0

    async def start(self) -> None:
        """Says that the generator is about to start."""
        if self._is_again:  # the page must count from 1 again
            nothing = events.Updated(self.run, 0, b'"set":[]', is_snapshot=True)
            await self._deliver(events.encode(nothing))
        await self._deliver(events.encode(events.Started(self.run)))

    def offer(self, body: bytes) -> bool:
        """Sends an encoded update if it can be sent now; says whether it did."""
        if self._end is not None:
            return True  # of no use any more
        if self._is_appending or self._delivery is not None:
            return False
        log = self._log
        if log is None:
            if self._must_pause():
                return False
        elif not log.offer(self.run, encode_numbered(self._head, self._number + 1, body)):
            return False
        self._number += 1
        if self._snapshot is not None:
            self._keep(self._snapshot, body)
        return True

    async def send(self, body: bytes) -> None:
        """Sends an encoded update, waiting for room.

        Raises:
            LogGone: the log was dropped, and the run is not kept.
        """
        if self.offer(body):
            return
        self._is_appending = True  # the number is taken
        try:
            await self._deliver(self._update(body), body)
        finally:
            self._is_appending = False

    def end(
        self,
        reason: Reason,
        late: Iterable[bytes] = (),
        failure: Failure | None = None,
        body: bytes | None = None,
    ) -> None:
        """Sends what is late, then the run's one `end` event; a second end does nothing."""
        if self.has_ended:
            return
        for update in late:
            if self._delivery is not None:
                self._delivery.add(self._update(update))
            elif self._log is not None:
                self._log.append_now(self._update(update), self.run)
            self._sent(update)
        self.reason = reason
        ended = events.Ended(self.run, self._number, reason, failure, body)
        self._end = events.encode(ended)
        if self._delivery is not None:
            self._delivery.end(self._end)
        elif self._log is not None:
            self._log.leave(self.run, self._end)
        self._on_moved()

    def detach(self) -> bool:
        """The viewer is gone for good; says whether the run can go on without."""
        self._stop_delivery()
        self._log = None
        self._on_moved()
        return self._snapshot is not None

    def lose(self) -> bool:
        """The log is lost: says so where others can still read it; returns as `detach` does."""
        if self._snapshot is not None and self._log is not None:
            self._log.leave(self.run, events.encode(events.Ended(self.run, 0, Reason.LOST)))
        return self.detach()

    def attach(self, log: EventLog, seen: int, request: str = "") -> bool:
        """Goes on with another connection, after all that it has missed; the run waits meanwhile.

        Args:
            log: of the connection.
            seen: the number of the last update that its page has applied.
            request: the same when the page asks again because the answer was lost.

        Returns:
            False where that is not to be had.
        """
        if request and request == self._request and log is self._log:
            return True  # it must not be told twice
        self._request = request
        snapshot = self._snapshot
        if snapshot is None or not snapshot.is_complete or (seen and not snapshot.is_idempotent):
            return False
        self._stop_delivery()
        if self._log is not None and self._log is not log:
            self._log.leave(self.run)
        self._log = log
        self._delivery = Delivery(
            log, self.run, self._snapshot_events(snapshot), self._on_delivered
        )
        if self._end is not None:
            self._delivery.end(self._end)
        self._delivery.start()
        self._on_moved()
        return True

    def ending(self) -> Ending | None:
        """Snapshot and end event for pages that attach late; None if there is nothing to show."""
        if self._snapshot is None or not self._snapshot.is_complete or self._end is None:
            return None
        return Ending(
            tuple(self._snapshot_events(self._snapshot)), self._end, self._snapshot.is_idempotent
        )

    async def delivered(self) -> None:
        """Waits until what it has sent is where others can read it."""
        if self._delivery is not None:
            await self._delivery.finished()
        if self._log is not None:
            await self._log.sent()

    def _on_delivered(self, delivery: Delivery) -> None:
        if delivery is self._delivery:
            self._delivery = None
            self._on_moved()

    def _stop_delivery(self) -> None:
        if self._delivery is not None:
            self._delivery.cancel()
            self._delivery = None

    def _snapshot_events(self, snapshot: Snapshot) -> list[bytes]:
        return [
            events.encode(events.Updated(self.run, self._number, body, is_snapshot=True))
            for body in snapshot.bodies()
        ]

    def _update(self, body: bytes) -> bytes:
        return encode_numbered(self._head, self._number + 1, body)

    def _sent(self, body: bytes) -> None:
        self._number += 1
        if self._snapshot is not None:
            self._keep(self._snapshot, body)

    def _keep(self, snapshot: Snapshot, body: bytes) -> None:
        snapshot.add(body)
        if snapshot.is_full and self._log is not None:
            snapshot.abandon()

    def _on_moved(self) -> None:
        if self._moved is not None:
            self._moved.set()

    def _must_pause(self) -> bool:
        """Whether nobody watches, and what they would have to be told is too much already."""
        return self._log is None and self._snapshot is not None and self._snapshot.is_full

    async def _deliver(self, event: bytes, body: bytes = b"") -> None:
        while True:
            if self._moved is not None:
                self._moved.clear()
            log = self._log
            if self._moved is not None and (self._must_pause() or self._delivery is not None):
                await self._moved.wait()
            elif log is None:
                if body:
                    self._sent(body)
                return
            elif await self._append(log, event, body):
                return

    async def _append(self, log: EventLog, event: bytes, body: bytes) -> bool:
        """Appends unless the log goes away, or the run moves to another one meanwhile."""
        if self._moved is None:
            return await self._put(log, event, body)
        appending = asyncio.ensure_future(self._put(log, event, body))
        moving = asyncio.ensure_future(self._moved.wait())
        try:
            await asyncio.wait({appending, moving}, return_when=asyncio.FIRST_COMPLETED)
            if appending.done():
                return appending.result()
        except LogGone:
            if log is self._log:
                self._log = None
        finally:
            for task in (appending, moving):
                task.cancel()
        return False

    async def _put(self, log: EventLog, event: bytes, body: bytes) -> bool:
        """Appends and counts in one step: a snapshot, or a cancel, comes before both or after."""
        await log.append(self.run, event)
        if self._snapshot is not None and (log is not self._log or self._delivery is not None):
            return False  # it is before the snapshot, where the page that attaches ignores it
        if body:
            self._sent(body)
        return True
