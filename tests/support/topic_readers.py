"""Readers of topics, at any size."""

import asyncio
from typing import Any

from flash_events.sharing.hub import Hub
from flash_events.sharing.topics import Topic
from tests.support.server import until


async def read_to(messages: Any, last: int, seconds: float = 5) -> list[tuple[int, int | None]]:
    """Returns offset and missed of the messages up to an offset."""
    found: list[tuple[int, int | None]] = []
    async with asyncio.timeout(seconds):
        async for message in messages:
            found.append((message.offset, message.missed))
            if message.offset == last:
                break
    return found


def batched(numbers: range, size: int) -> list[range]:
    return [numbers[first : first + size] for first in range(0, len(numbers), size)]


async def watch_many(hub: Hub, room: Topic, count: int, seconds: float = 20) -> None:
    """Watches so many topics, publishes to each, and leaves them."""
    all_messages = [room(n).subscribe() for n in range(count)]
    async with asyncio.timeout(seconds):
        await asyncio.gather(*(messages.__aenter__() for messages in all_messages))
        assert hub.topics == count
        for some in batched(range(count), 500):
            await asyncio.gather(*(room(n).publish(n) for n in some))
        found = await asyncio.gather(*(read_to(messages, 1) for messages in all_messages))
        assert found == [[(1, 0)]] * count
    for messages in all_messages:
        messages.close()
    await until(lambda: hub.topics == hub.readers == 0)
    assert await room(0).publish("after") == 2
