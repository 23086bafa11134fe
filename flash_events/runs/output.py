"""Output of a run: events to its connection's log, and updates of a kept run to a snapshot."""

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
        events: the snapshot's events, encoded.
        end: the run's end event, encoded.
        is_idempotent: whether a page that has applied a part of the updates may apply the whole
            snapshot.
    """

    events: tuple[bytes, ...]
    end: bytes
    is_idempotent: bool

    @property
    def size(self) -> int:
        """Size in bytes."""
        return sum(map(len, self.events)) + len(self.end)

    def attach(self, run: RunId, log: EventLog, seen: int) -> bool:
        """Deliver snapshot and end to the log of a page that attaches.

        Args:
            run: the id of the run.
            log: the log of the page's connection.
            seen: the number of the last update that the page has applied.

        Returns:
            Whether the page can attach; False if it would apply an update twice.
        """
        if seen and not self.is_idempotent:
            return False
        delivery = Delivery(log, run, self.events)
        delivery.end(self.end)
        delivery.start()
        return True


class Output:
    """The events of one run: numbered, appended to a log, and kept in a snapshot.

    A kept run (`on_disconnect="finish"`) has a snapshot: it goes on when its log is gone, and
    another connection can attach to it.

    Args:
        run: the id of the run.
        log: the log of the connection that carries the events; None if no page watches.
        snapshot: the snapshot of a kept run; None for other runs.
        is_again: whether the run was started before by a worker that died.
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
        # Only a kept run can move to another log; the empty deque of an Event takes 760 bytes.
        self._moved = asyncio.Event() if snapshot is not None else None
        self._delivery: Delivery | None = None
        self._request = ""
        self._end: bytes | None = None
        self.reason = Reason.LOST
        """The reason of the run's end; LOST until it has ended."""

    @property
    def has_ended(self) -> bool:
        """Whether the run's `end` event has been sent."""
        return self._end is not None

    @property
    def updates(self) -> int:
        """Number of updates sent."""
        return self._number

    @property
    def collapsed(self) -> int:
        """Number of values that the snapshot has replaced with later ones."""
        return self._snapshot.collapsed if self._snapshot is not None else 0

    async def start(self) -> None:
        """Send the `start` event."""
        if self._is_again:  # an empty snapshot makes the page count from 1 again
            nothing = events.Updated(self.run, 0, b'"set":[]', is_snapshot=True)
            await self._deliver(events.encode(nothing))
        await self._deliver(events.encode(events.Started(self.run)))

    def offer(self, body: bytes) -> bool:
        """Send an encoded update if there is room; return whether it was sent.

        After the end, updates are dropped and count as sent.
        """
        if self._end is not None:
            return True
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
        """Send an encoded update; wait until there is room.

        Raises:
            LogGone: if the log was dropped and the run is not kept.
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
        """Send the remaining updates, then the `end` event; do nothing if the run has ended.

        Args:
            reason: why the run ended.
            late: encoded updates that were pushed, but not yet sent.
            failure: the error as the browser may see it, with reason ERROR.
            body: the encoded update of `on_error`.
        """
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
        """Drop the log of a viewer that is gone; return whether the run may go on without one."""
        self._stop_delivery()
        self._log = None
        self._on_moved()
        return self._snapshot is not None

    def lose(self) -> bool:
        """Drop a lost log; return whether the run may go on without one.

        The end event of a kept run, with reason LOST, is for readers that still have the log.
        """
        if self._snapshot is not None and self._log is not None:
            self._log.leave(self.run, events.encode(events.Ended(self.run, 0, Reason.LOST)))
        return self.detach()

    def attach(self, log: EventLog, seen: int, request: str = "") -> bool:
        """Move the run to another connection: snapshot first, then new updates.

        The generator waits while the snapshot is delivered.

        Args:
            log: the log of the connection.
            seen: the number of the last update that its page has applied.
            request: an id of the page's request; a retry of the request has the same one.

        Returns:
            Whether the page is attached; False if the run has no complete snapshot, or the page
            would apply an update twice.
        """
        if request and request == self._request and log is self._log:
            return True  # a retry; the snapshot must not be sent twice
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
        """Return snapshot and end event for pages that attach later; None if there are none."""
        if self._snapshot is None or not self._snapshot.is_complete or self._end is None:
            return None
        return Ending(
            tuple(self._snapshot_events(self._snapshot)), self._end, self._snapshot.is_idempotent
        )

    async def delivered(self) -> None:
        """Wait until all events sent so far are stored where other workers can read them."""
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
        """Return whether nobody watches and the snapshot is full."""
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
        """Append an event; return False if the log is gone or the run moves to another one."""
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
        """Append and count an update; return False if it must be sent again, after a snapshot.

        There is no `await` between the two, so a snapshot or a cancel sees both or neither.
        """
        await log.append(self.run, event)
        if self._snapshot is not None and (log is not self._log or self._delivery is not None):
            return False  # the event precedes the snapshot, so the attaching page ignores it
        if body:
            self._sent(body)
        return True
