"""Work with topics and values that many processes, or threads, do at the same time.

Run as a program, it does one kind of work in the store that FLASH_EVENTS_STORE names, and prints
the result.
"""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

from flash_events.sharing.apps import declared
from flash_events.sharing.values import DeclaredValues
from tests.support.server import ROOT

HISTORY = 100_000
MAX_SECONDS = 300.0
MEGABYTE = 2**20


def news(app: DeclaredValues) -> Any:
    return app.topic("news", history=HISTORY, ttl=None, max_bytes=2**30)


async def publish(app: DeclaredValues, name: str, count: int) -> float:
    """Publishes numbers; returns the longest time that one took in seconds."""
    topic = news(app)
    longest = 0.0
    for n in range(count):
        begun = time.monotonic()
        await topic.publish([name, n])
        longest = max(longest, time.monotonic() - begun)
    return longest


async def publish_for_ever(app: DeclaredValues, name: str) -> None:
    """Publishes until it is killed."""
    print('"begun"', flush=True)
    await publish(app, name, 10**9)


async def read(app: DeclaredValues, readers: int, count: int) -> list[str]:
    """Reads so many messages with each reader; returns a digest of what each has got, in order."""
    return await asyncio.gather(*(_read(app, count) for _ in range(readers)))


async def _read(app: DeclaredValues, count: int) -> str:
    found = hashlib.sha256()
    expected = 1
    last: dict[str, int] = {}
    async with asyncio.timeout(MAX_SECONDS):
        async for message in news(app).subscribe(since=0):
            assert (message.offset, message.missed) == (expected, 0), message
            name, n = message.data[:2]
            assert n == last.get(name, -1) + 1, message
            last[name] = n
            found.update(repr(message.data).encode())
            expected += 1
            if expected > count:
                break
    return found.hexdigest()


async def join(app: DeclaredValues, times: int) -> int:
    """Subscribes while others publish, so often; returns how many messages were read."""
    topic = news(app)
    count = 0
    for n in range(times):
        expected: int | None = None
        async with asyncio.timeout(MAX_SECONDS):
            async for message in topic.subscribe(last=n % 7):
                assert message.missed == 0, message
                assert expected is None or message.offset == expected, message
                expected = message.offset + 1
                count += 1
                if not message.is_replay:
                    break
    return count


async def update(app: DeclaredValues, count: int) -> list[int]:
    """Increments a value so often at once; returns the results."""
    value = app.shared_value("count", 0)
    found: list[int] = await asyncio.gather(
        *(value.update(lambda old: old + 1) for _ in range(count))
    )
    return found


async def set_large(app: DeclaredValues, letter: str, megabytes: int, times: int) -> None:
    """Sets a large value again and again."""
    value = app.shared_value("large")
    for _ in range(times):
        await value.set(letter.encode() * (megabytes * MEGABYTE))


async def get_large(app: DeclaredValues, megabytes: int, times: int) -> float:
    """Gets a large value so often, which must be whole; returns the longest time in seconds."""
    value = app.shared_value("large")
    longest = 0.0
    for _ in range(times):
        begun = time.monotonic()
        found = await value.get()
        longest = max(longest, time.monotonic() - begun)
        assert found is None or found == found[:1] * (megabytes * MEGABYTE)
    return longest


async def publish_mixed(app: DeclaredValues, name: str, count: int) -> None:
    """Publishes small messages and such of 100 KB to 1 MiB."""
    topic = news(app)
    for n in range(count):
        size = (10, 100, 100_000, 20, 300_000, 30, 1_000_000)[n % 7]
        await topic.publish([name, n, str(n % 10) * size])


WORK: dict[str, Callable[..., Coroutine[Any, Any, Any]]] = {
    work.__name__: work
    for work in (publish, publish_for_ever, publish_mixed, read, join, update, set_large, get_large)
}


class Work:
    """Work in a process of its own."""

    def __init__(self, store: str, name: str, *args: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.topic_work", name, json.dumps(args)],
            cwd=ROOT,
            env={**os.environ, "FLASH_EVENTS_STORE": store},
            stdout=subprocess.PIPE,
            text=True,
        )

    def line(self) -> Any:
        """Waits for the next line that it prints."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def result(self) -> Any:
        """Waits for the result."""
        found, _ = self.process.communicate(timeout=MAX_SECONDS)
        assert self.process.returncode == 0
        return json.loads(found)


@contextmanager
def working(store: str, *jobs: tuple[object, ...]) -> Iterator[list[Work]]:
    """Does several kinds of work in processes of their own until the block ends."""
    works = [Work(store, str(name), *args) for name, *args in jobs]
    try:
        yield works
    finally:
        for work in works:
            work.process.kill()
            work.process.communicate()


async def work_together(
    app: DeclaredValues | None, store: str | None, *jobs: tuple[object, ...]
) -> list[Any]:
    """Does several kinds of work at once; returns their results.

    Args:
        app: declares the topics of a store in memory; others need none.
        store: the URL of a store for processes; None for threads with event loops of their own.
        jobs: the name of the work and its arguments, each.
    """
    if store is None:
        calls = [WORK[str(name)](app, *args) for name, *args in jobs]
        return await asyncio.gather(*(asyncio.to_thread(asyncio.run, call) for call in calls))
    with working(store, *jobs) as works:
        return await asyncio.gather(*(asyncio.to_thread(work.result) for work in works))


if __name__ == "__main__":
    print(json.dumps(asyncio.run(WORK[sys.argv[1]](declared, *json.loads(sys.argv[2])))))
