"""Relays: the messages of a topic, passed on to the `Subscription` of a page.

A relay has neither a task nor a generator. The hub calls it with each message, and it offers the
encoded message to the output of its run, as a generator's update would be. Only while the
connection has no room, or messages are older than the relay, a task reads the topic until the relay
is up to date.
"""

import asyncio
import contextvars
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import orjson

from flash_events.brokers.ids import RunId
from flash_events.errors import LogGone, StoreUnavailable
from flash_events.runs.output import Output
from flash_events.sharing.codecs import Kind, is_known_kind, json_or_none, kind_of
from flash_events.sharing.hub import Hub
from flash_events.sharing.reader import Delivery, Reader, Watch
from flash_events.stores import Entry, Position
from flash_events.wire.events import Reason
from flash_events.wire.json import embedded, to_json

logger = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
"""Time until a store that has refused a read is asked again."""

NEWS_BYTES = 64 * 1024
"""Approximate maximum size of the messages in one event."""

MINE, REPLAY, CLEARED, UPDATE = 1, 2, 4, 8
"""Flags of a message; UPDATE says that its data is the event's own update."""


class Relays:
    """Makes relays, and encodes each message once for all of them.

    Args:
        hub: the hub of the event loop.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._entries: Sequence[Entry] = ()
        self._origins: frozenset[str] = frozenset()
        """Origins of the publishers of `_entries`."""
        self._bodies: dict[str, list[tuple[bytes, Position]]] = {}
        """Encoded news of `_entries`, by the reader's origin if it has published some of them."""

    def relay(self, output: Output, watch: Watch) -> "Relay":
        """Return a relay to an output; it must be started."""
        return Relay(self, self._hub, output, watch)

    def bodies(self, entries: Sequence[Entry], watch: Watch) -> list[tuple[bytes, Position]]:
        """Return new entries encoded, each with the position after it; [] if one is too large."""
        if entries is not self._entries:
            self._entries = entries
            self._origins = frozenset(entry.origin for entry in entries)
            self._bodies.clear()
        origin = watch.origin if watch.origin in self._origins else ""
        bodies = self._bodies.get(origin)
        if bodies is None:
            bodies = self._bodies[origin] = []
            if all(entry.data is not None and is_known_kind(entry.data) for entry in entries):
                deliveries = [Delivery(entry, entry.data, 0, False) for entry in entries]
                bodies += [(body, last.position) for body, last in encode(deliveries, watch)]
        return bodies


class Relay:
    """Passes the messages of a topic on to one page, until it is stopped.

    Args:
        relays: encodes.
        hub: the hub of the event loop.
        output: the output of its run.
        watch: what it watches.
    """

    __slots__ = (
        "_on_end", "_reader", "_relays", "_sent", "_task", "_watch", "id", "output",
    )  # fmt: skip

    is_in_thread = False
    is_relay = True

    def __init__(self, relays: Relays, hub: Hub, output: Output, watch: Watch) -> None:
        self.id: RunId = output.run
        self.output = output
        self._relays = relays
        self._watch = watch
        self._reader = Reader(hub, watch, self, self._on_news)
        self._sent: int | None = None
        """Offset of the last message that was sent; None if it is not placed."""
        self._task: asyncio.Task[None] | None = None
        self._on_end: Callable[[Relay], None] = lambda _: None

    @property
    def name(self) -> str:
        """The topic, for log messages."""
        return f"Subscription({self._watch.name!r})"

    @property
    def lag(self) -> int:
        """Number of messages that wait for room in its connection."""
        if self._task is None:
            return 0
        if self._sent is None:
            return self._reader.lag
        return max(0, self._reader.head.offset - self._sent)

    def start(self, on_end: Callable[["Relay"], None]) -> None:
        """Begin; `on_end` is called once, when it has stopped."""
        self._on_end = on_end
        self._run(self._begin())

    def stop(self, reason: Reason = Reason.CANCELLED) -> None:
        """Stop it, and send the `end` event."""
        self._end(reason)

    async def stopped(self, within_seconds: float = 0.0) -> bool:
        """Return whether it has stopped, which takes no time."""
        del within_seconds
        return self.output.has_ended

    def _end(self, reason: Reason) -> None:
        if self.output.has_ended:
            return
        self.output.end(reason)
        self._reader.close()
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._on_end(self)

    def _on_news(self, entries: Sequence[Entry]) -> None:
        if self._task is not None:
            return  # it reads what follows
        reader = self._reader
        if entries and reader.is_next(entries[0]):
            is_sent = False
            for body, position in self._relays.bodies(entries, self._watch):
                is_sent = self.output.offer(body)
                if not is_sent:
                    break
                reader.position = position
            if is_sent:
                return
        self._run(self._catch_up())

    def _run(self, work: Any) -> None:
        # In a context of its own, or the request would be kept.
        self._task = asyncio.create_task(work, context=contextvars.Context())
        self._task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, LogGone):
            logger.error("%s failed", self.name, exc_info=error)
        self._end(Reason.LOST)

    async def _begin(self) -> None:
        await self.output.start()
        await self._catch_up()

    async def _catch_up(self) -> None:
        """Send what the topic has, until this relay is up to date."""
        while True:
            head = self._reader.head
            try:
                await self._reader.place()
                position = self._reader.position
                self._sent = position.offset
                deliveries = await self._reader.take()
            except StoreUnavailable as error:
                logger.warning("%s waits for the store. %s", self.name, error)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            for body, last in encode(deliveries, self._watch):
                await self.output.send(body)
                self._sent = last.offset
            is_done = not deliveries and position == self._reader.position
            if is_done and head == self._reader.head:
                self._task = None  # from now on, the hub passes messages on
                return


def encode(deliveries: Iterable[Delivery], watch: Watch) -> Iterator[tuple[bytes, Entry]]:
    """Yield messages as the bodies of updates, each with its last entry.

    An `Update` is an event of its own, since the page applies it. Other messages are put together.
    """
    together: list[orjson.Fragment] = []
    size = 0
    last: Entry | None = None
    for delivery in deliveries:
        entry, data = delivery.entry, delivery.data
        kind = kind_of(data) if data is not None else None
        if kind is Kind.CLEARED and delivery.is_replay and watch.is_newcomer:
            continue
        flags = (
            MINE * (entry.origin == watch.origin)
            + REPLAY * delivery.is_replay
            + CLEARED * (kind is Kind.CLEARED)
            + UPDATE * (kind is Kind.UPDATE)
        )
        head = [entry.offset, entry.time, delivery.missed, flags]
        if kind is Kind.UPDATE:
            if together and last is not None:
                yield _news(b'"set":[]', together, last), last
            assert data is not None
            yield _news(data[1:], [embedded(to_json(head))], entry), entry
            together, size, last = [], 0, None
            continue
        json = _json_of(data, kind, watch.initial)
        together.append(embedded(to_json([*head, embedded(json)])))
        size += len(json)
        last = entry
        if size > NEWS_BYTES:
            yield _news(b'"set":[]', together, last), last
            together, size, last = [], 0, None
    if together and last is not None:
        yield _news(b'"set":[]', together, last), last


def _news(update: bytes, messages: list[orjson.Fragment], last: Entry) -> bytes:
    news = to_json({"nonce": last.nonce, "messages": messages})
    return b'%b,"news":%b' % (update, news)


def _json_of(data: bytes | None, kind: Kind | None, initial: Any) -> bytes:
    if kind is Kind.JSON and data is not None:
        return data[1:]
    return to_json(json_or_none(initial)) if kind is Kind.CLEARED else b"null"
