"""Messages of a topic, and their readers in event loops and threads."""

import asyncio
import copy
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from flash_events import context
from flash_events.sharing.codecs import Kind, decode_message, kind_of
from flash_events.sharing.hub import Hub
from flash_events.sharing.process import wait_in_thread
from flash_events.sharing.reader import Delivery, Reader, Start, Watch

CURE = "Write `async for` in an `async def`."


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a topic.

    Attributes:
        data: what was published, as JSON's types; an `Update` where one was published. None for a
            shared value of more than 64 KiB, which `get()` returns.
        offset: its number in the topic: 1, 2, 3, and so on.
        time: Unix time in seconds at which the store took it.
        missed: number of messages that were lost right before it, nearly always 0. None if the
            store has lost its memory: nobody can know, and offsets may begin anew.
        is_mine: whether it was published by the page that reads it; outside a page, by the process.
        is_replay: whether it was published before the reader subscribed.
        is_cleared: whether it says that the topic was cleared, or the value deleted; `data` is then
            the initial value, or None.
    """

    data: Any
    offset: int
    time: float
    missed: int | None = 0
    is_mine: bool = False
    is_replay: bool = False
    is_cleared: bool = False


class Messages:
    """The messages of a topic, one by one: `async for` in coroutines, `for` in threads.

    Leaving the loop, `close`, and the end of the run unsubscribe. `async with` and `with` around it
    are optional. A second loop goes on after the last message of the first.

    Args:
        hub: the hub that reads.
        watch: what it reads, and how.

    Attributes:
        offset: the offset of the last message that was handed out; pass it as `since=` to go on.
    """

    def __init__(self, hub: Hub, watch: Watch) -> None:
        self._hub = hub
        self._watch = watch
        self._position = watch.start.since
        self._subscription = _Subscription(hub, watch)

    @property
    def offset(self) -> int:
        """The offset of the last message that was handed out."""
        return self._position.offset if self._position is not None else 0

    def close(self) -> None:
        """Unsubscribe; a loop that waits for a message ends."""
        self._subscription.close()

    def __aiter__(self) -> AsyncIterator[Message]:
        return _Loop(self, self._subscribed())

    def __iter__(self) -> Iterator[Message]:
        return _Loop(self, self._subscribed())

    async def batches(self, seconds: float) -> AsyncIterator[list[Message]]:
        """Yield what has come, at most once per `seconds`, never empty."""
        subscription = self._subscribed()
        loop = asyncio.get_running_loop()
        try:
            while await subscription.read():
                next_at = loop.time() + seconds
                messages = [self._hand_out(one) for one in subscription.taken()]
                shown = [message for message in messages if message is not None]
                if shown:
                    yield shown
                    await asyncio.sleep(max(0.0, next_at - loop.time()))
        finally:
            subscription.close()

    async def __aenter__(self) -> Self:
        await self._subscribed().ready()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __enter__(self) -> Self:
        self._subscribed().wait_until_ready()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _subscribed(self) -> "_Subscription":
        """Return the subscription; a new one if the last was closed."""
        if self._subscription.is_closed:
            self._watch = replace(self._watch, start=Start(since=self._position))
            self._subscription = _Subscription(self._hub, self._watch)
        return self._subscription

    def _next_of(self, subscription: "_Subscription") -> Message | None:
        """Hand out the next message that was read already; None if there is none."""
        while (delivery := subscription.take()) is not None:
            message = self._hand_out(delivery)
            if message is not None:
                return message
        return None

    def _hand_out(self, delivery: Delivery) -> Message | None:
        """Return the message of a delivery; None if a newcomer need not know of it."""
        self._position = delivery.entry.position
        return message_of(delivery, self._watch)


def message_of(delivery: Delivery, watch: Watch) -> Message | None:
    """Return the message of a delivery; None if a newcomer need not know of it."""
    entry = delivery.entry
    is_cleared = delivery.data is not None and kind_of(delivery.data) is Kind.CLEARED
    if is_cleared and delivery.is_replay and watch.is_newcomer:
        return None
    data = None if delivery.data is None else decode_message(delivery.data)
    data = copy.deepcopy(watch.initial) if is_cleared else data
    is_mine = entry.origin == watch.origin
    return Message(
        data, entry.offset, entry.time, delivery.missed, is_mine, delivery.is_replay, is_cleared
    )


class _Subscription:
    """A reader on the hub's loop, for users on any loop or thread; closed when it is dropped.

    What was read waits here until it is taken, so that nothing is lost if a user is cancelled while
    it waits, and several users get each message once.
    """

    def __init__(self, hub: Hub, watch: Watch) -> None:
        self.is_closed = False
        self._hub = hub
        self._readers: list[Reader] = []
        self._deliveries: deque[Delivery] = deque()
        self._placing, self._reading = asyncio.Lock(), asyncio.Lock()
        self._users: set[int] = set()

        def begin(readers: list[Reader] = self._readers) -> None:
            readers.append(Reader(hub, watch))

        if (opened := context.opened.get()) is not None:
            opened.add(self)
        if hub.is_here:
            begin()
        else:
            hub.loop.call_soon_threadsafe(begin)

    def __del__(self) -> None:
        self.close()

    def close(self) -> None:
        """Unsubscribe, from any thread."""
        if self.is_closed:
            return
        self.is_closed = True

        def end(readers: list[Reader] = self._readers) -> None:
            for reader in readers:
                reader.close()

        with suppress(RuntimeError):  # the loop is closed
            self._hub.loop.call_soon_threadsafe(end)

    async def ready(self) -> None:
        """Wait until the first position is known."""
        await self._hub.run(self._place())

    def wait_until_ready(self) -> None:
        """Wait in a thread until the first position is known."""
        wait_in_thread(self._hub, self._place(), CURE)

    def enter(self, user: object) -> None:
        """Note a user."""
        self._users.add(id(user))

    def leave(self, user: object) -> None:
        """Unsubscribe if this is the last user."""
        self._users.discard(id(user))
        if not self._users:
            self.close()

    async def read(self) -> bool:
        """Wait for messages; return False once it is closed and all are taken."""
        if not self._deliveries and not self.is_closed:
            await self._hub.run(self._read())
        return bool(self._deliveries) or not self._has_ended

    def read_in_thread(self) -> bool:
        """Do the same as `read`, in a thread."""
        if not self._deliveries and not self.is_closed:
            wait_in_thread(self._hub, self._read(), CURE)
        return bool(self._deliveries) or not self._has_ended

    def take(self) -> Delivery | None:
        """Return the next message that was read; None if there is none now."""
        try:
            return self._deliveries.popleft()
        except IndexError:  # another user may have got it
            return None

    def taken(self) -> list[Delivery]:
        """Return all messages that were read."""
        return list(iter(self.take, None))

    @property
    def _has_ended(self) -> bool:
        return self.is_closed or any(reader.is_closed for reader in self._readers)

    async def _place(self) -> None:
        async with self._placing:
            await self._readers[0].place()

    async def _read(self) -> None:
        await self._place()
        async with self._reading:
            if not self._deliveries:
                self._deliveries.extend(await self._readers[0].read())


class _Loop(AsyncIterator[Message], Iterator[Message]):
    """One loop over messages; it unsubscribes when the loop is left."""

    def __init__(self, messages: Messages, subscription: _Subscription) -> None:
        self._messages = messages
        self._subscription = subscription
        subscription.enter(self)

    def __del__(self) -> None:
        self._subscription.leave(self)

    async def __anext__(self) -> Message:
        try:
            while (message := self._messages._next_of(self._subscription)) is None:
                if not await self._subscription.read():
                    raise StopAsyncIteration
            return message
        finally:
            # A traceback that is kept, as that of a cancelled task, must not keep the loop.
            del self

    def __next__(self) -> Message:
        try:
            while (message := self._messages._next_of(self._subscription)) is None:
                if not self._subscription.read_in_thread():
                    raise StopIteration
            return message
        finally:
            del self
