"""Random programs of publishers and readers of a topic, for property tests."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from flash_events import TopicOverflow
from flash_events.settings import Settings
from flash_events.sharing.process import Namespace
from flash_events.sharing.values import DeclaredValues
from flash_events.stores import LARGE_BYTES

Step = tuple[Any, ...]

PAUSE_SECONDS = 0.002
"""Time for which a step waits for a message that may not come."""

OPTIONS = st.fixed_dictionaries(
    {
        "history": st.sampled_from([0, 1, 3, 20]),
        "ttl": st.sampled_from([None, 10.0]),
        "max_bytes": st.sampled_from([2**24, 3 * LARGE_BYTES, 100]),
    }
)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 5), st.sampled_from([1, 50, LARGE_BYTES])),
        st.tuples(
            st.just("subscribe"),
            st.sampled_from(["now", "last", "since"]),
            st.integers(0, 12),
            st.sampled_from(["skip", "latest", "error"]),
        ),
        st.tuples(st.just("read"), st.integers(0, 5), st.integers(1, 4)),
        st.tuples(st.just("read"), st.integers(0, 5), st.integers(1, 4)),
        st.tuples(st.just("clear")),
        st.tuples(st.just("pass"), st.sampled_from([4.0, 11.0])),
    ),
    max_size=20,
)


@dataclass
class Reading:
    """One reader, and what it must have got.

    Attributes:
        messages: what it reads.
        before: the offset after which it begins; None if that depends on what is kept, or on when
            this process hears of what another one has published.
        head: the last offset when it subscribed.
        is_newcomer: whether it need not know of earlier clears.
        overflow: as given to subscribe.
        found: what it has got.
        missed: number of messages that an overflow has told.
    """

    messages: Any
    before: int | None
    head: int
    is_newcomer: bool
    overflow: str
    found: list[Any] = field(default_factory=list)
    has_failed: bool = False

    async def read(self, most: int, last: int | None = None) -> None:
        """Reads a few messages, or up to an offset."""
        seconds = PAUSE_SECONDS if last is None else 10
        try:
            async with asyncio.timeout(seconds):
                while most and not self.has_failed:
                    if last is not None and self.found and self.found[-1].offset >= last:
                        return
                    self.found.append(await anext(self._loop))
                    most -= 1
        except TopicOverflow:
            self.has_failed = True

    def __post_init__(self) -> None:
        self._loop = aiter(self.messages)

    def check(self, cleared: set[int]) -> None:
        """Everything was got once and in order, or was told to be missed."""
        assert self.overflow == "error" or not self.has_failed
        before = self.before
        for index, message in enumerate(self.found):
            if message.missed is None:
                assert index == 0
                assert self.before is None
                assert not self.is_newcomer
            elif before is not None:
                unseen = {offset for offset in cleared if before < offset < message.offset}
                gap = message.offset - before - 1 - message.missed
                assert gap >= 0, (message, before)
                assert gap <= (len(unseen) if self.is_newcomer else 0), (message, before)
            elif self.is_newcomer:
                assert message.offset - message.missed <= self.head + 1
            assert before is None or message.offset > before
            assert self.overflow != "error" or not message.missed
            before = message.offset


async def run_program(
    new_namespace: Callable[[], Namespace],
    options: dict[str, Any],
    steps: list[Step],
    advance: Callable[[float], object],
) -> None:
    """Runs a program, and checks each of its readers.

    Args:
        new_namespace: what another process has of the namespace.
        options: of the topic.
        steps: what happens.
        advance: lets time pass.
    """
    namespaces = [new_namespace(), new_namespace()]
    hubs = [await namespace.serve() for namespace in namespaces]
    mine, other = (
        DeclaredValues(lambda namespace=one: namespace).topic("news", **options)  # type: ignore[misc]
        for one in namespaces
    )
    readings: list[Reading] = []
    cleared: set[int] = set()
    head = 0
    try:
        for name, *args in steps:
            match name:
                case "publish":
                    count, size = args
                    for _ in range(count):
                        head = await (mine, other)[head % 2].publish("x" * size)
                case "clear":
                    await mine.clear()
                    head += 1
                    cleared.add(head)
                case "pass":
                    advance(*args)
                case "sleep":
                    await asyncio.sleep(*args)
                case "subscribe":
                    readings.append(await _subscribe((mine, other)[len(readings) % 2], head, *args))
                case "read":
                    index, most = args
                    if readings:
                        with suppress(TimeoutError):
                            await readings[index % len(readings)].read(most)
        last = await mine.publish("last")
        assert last == head + 1
        for one in readings:
            await one.read(10**9, last)
            one.check(cleared)
    finally:
        for one in readings:
            one.messages.close()
        for namespace, hub in zip(namespaces, hubs, strict=True):
            await namespace.end(hub)


async def _subscribe(topic: Any, head: int, kind: str, number: int, overflow: str) -> Reading:
    where = {} if kind == "now" else {kind: number}
    messages = topic.subscribe(overflow=overflow, **where)
    await messages.__aenter__()
    before = number if kind == "since" and number <= head else None
    return Reading(messages, before, head, kind != "since", overflow)


class Clock:
    """A clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1e9

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def run_in_memory(options: dict[str, Any], steps: list[Step]) -> None:
    """Runs a program in memory, with a clock of its own."""
    clock = Clock()
    namespace = Namespace("memory://", Settings())
    namespace._data.clock = clock
    asyncio.run(run_program(lambda: namespace, options, steps, clock.advance))
